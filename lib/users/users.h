/* SPDX-License-Identifier: ISC
 *
 * Who has a mailbox here and what proves it: the passwd-like users file,
 * user@domain:{SCHEME}secret:uid:gid:gecos:home:shell:extra, as Dovecot reads it; only the first field is required.
 * Schemes: PLAIN, CRYPT (and its names SHA512-CRYPT, SHA256-CRYPT, BLF-CRYPT, MD5-CRYPT, YESCRYPT), SCRAM-SHA-256
 * (iterations,salt,StoredKey,ServerKey), no scheme: crypt(3). extra holds blank-separated key=value with Dovecot's
 * "userdb_" prefix optional: mail=LOCATION, quota=SIZE, nologin.
 */
#ifndef WP_USERS_USERS_H
#define WP_USERS_USERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/durable/durable.h"

struct user {
	struct span name;   /* as in the file: "user@domain" or "user" */
	struct span secret; /* with its {SCHEME}; never logged */
	uid_t uid;          /* (uid_t)-1 when empty */
	gid_t gid;
	struct span home, mail; /* "" when empty */
	uint64_t quota;         /* bytes, 0 none */
	bool nologin;
};
struct users;

/* Reads the file again when it has changed (mtime, size, inode), which is looked at ten times a second at most. NULL
 * with err (ERR_CONFIG with file:line). */
struct users *users_open(const char *path, struct err *err);
void users_close(struct users *u);
/* Looks now rather than at the next lookup: 1 it was read again, 0 it is as it was, -1 with err. */
int users_refresh(struct users *u, struct err *err);
/* How often it was read; has it been replaced by a file that this process can't read, so that what it knows is old? */
unsigned users_loaded(const struct users *u);
bool users_out_of_reach(const struct users *u);
/* All that it names, in its order; the rows are the table's. */
void users_each(const struct users *u, void (*fn)(void *arg, const struct user *row), void *arg);

enum users_result {
	USERS_OK,
	USERS_UNKNOWN,
	USERS_ERROR
};
/* By address or login name: the local part is compared exactly after folding ASCII case, as is the domain, and quotes
 * that an address needs on the wire are none of its name; a row
 * without '@' matches that local part in every domain. "+detail" of the local part is dropped when the whole is not
 * found (delimiters: the set,
 * "+" by default; "" for none). Spans live in the arena. */
enum users_result users_lookup(
    struct users *u, struct arena *a, struct span address, const char *delimiters, struct user *out, struct err *err);

/* Does the password match? Takes the same time for an unknown user (secret "" ). */
bool users_verify(struct span secret, struct span password);
/* The keys that SCRAM-SHA-256 needs: from a {SCRAM-SHA-256} secret, or derived from {PLAIN}; false for others. */
struct scram_keys {
	unsigned iterations;
	unsigned char salt[64];
	size_t salt_len;
	unsigned char stored_key[32], server_key[32];
};
bool users_scram_keys(struct span secret, struct scram_keys *out);
/* The password itself, where the file has it in the clear ({PLAIN}); false for all other secrets. */
bool users_plain(struct span secret, struct span *password);
/* Could everyone who has a secret log in by SCRAM? A client takes the strongest mechanism that is offered, so one
 * crypt(3) secret in the file is a reason not to offer it (sasl_server_offer_scram). */
bool users_scram_ready(const struct users *u);

/* LOCATION: "maildir:PATH" or "mbox:PATH" (a bare path is a Maildir when it is a directory or ends in '/'), with %u
 * user, %n local part, %d domain, %h home, %%. A value that would add a '/' or be "." or ".." is refused (ERR_DATA). */
enum location_kind {
	LOCATION_MAILDIR,
	LOCATION_MBOX
};
int location_expand(
    struct span location, const struct user *u, enum location_kind *kind, struct buf *path, struct err *err);
/* The directory that holds the places of all users, as far as the location itself tells: what stands before the first
 * component with a variable. False when there is none: a user's home comes first, or it is an mbox. */
bool location_root(struct span location, struct buf *path);
/* durable_log_open for that directory, once, when it is there already. 0 also when it is not there or there is none,
 * except that DURABILITY_LOG then is ERR_CONFIG. */
int location_log(struct span location, enum durability how, struct err *err);

#endif
