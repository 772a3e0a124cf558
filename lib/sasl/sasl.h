/* SPDX-License-Identifier: ISC
 *
 * SASL (RFC 4422) mechanisms, both sides, as steps over raw (decoded) messages: SMTP, IMAP, POP3 and ManageSieve wrap
 * them in their own base64 lines: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802, 7677; tls-exporter, RFC
 * 9266), OAUTHBEARER (RFC 7628), XOAUTH2, EXTERNAL (RFC 4422 A), and where it is asked for by name CRAM-MD5 (RFC 2195).
 */
#ifndef WP_SASL_SASL_H
#define WP_SASL_SASL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/stream.h"
#include "users/users.h"

enum sasl_result {
	SASL_CONTINUE,
	SASL_OK,
	SASL_FAIL
};

/* What a client shows instead of a password. */
struct sasl_token {
	const char *mech;       /* "OAUTHBEARER", "XOAUTH2" */
	struct span bearer;     /* printable, never empty */
	struct span user;       /* whom it wants to be, "" when it leaves that to the token */
	struct span host, port; /* that it believes to speak with, "" when it does not tell */
};

/* Server. The callbacks decide. A mechanism whose callbacks are missing is not offered. */
struct sasl_server_ops {
	/* The user's row; USERS_UNKNOWN is treated in the same time as a wrong password. */
	enum users_result (*lookup)(void *arg, struct span name, struct user *out, struct err *err);
	/* A password check that overrides users_verify (checkpassword, Dovecot auth); NULL: users_verify on lookup's
	 * row. */
	bool (*verify)(void *arg, struct span name, struct span password, struct err *err);
	/* Whose token is it? His name in user. -1: ERR_ACCESS it lets nobody in, ERR_TEMP that can't be told now. */
	int (*token)(void *arg, const struct sasl_token *t, struct buf *user, struct err *err);
	/* Whom does the certificate that the client showed to TLS name? False: nobody. */
	bool (*certificate)(void *arg, struct buf *user);
	/* May what lookup knows be old, so that nobody is refused for good (ERR_TEMP in place of ERR_ACCESS)? NULL: no.
	 */
	bool (*doubtful)(void *arg);
};
struct sasl_server;
/* "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS" as this stream allows: those that show a secret only under TLS unless
 * allow_plaintext, -PLUS only with channel binding, EXTERNAL with a certificate that names somebody. Appends names
 * separated by blanks. */
void sasl_server_mechs(
    const struct stream *s, bool allow_plaintext, const struct sasl_server_ops *ops, void *arg, struct buf *out);
/* Process-wide settings, to be made before workers are forked. */
/* Only these (separated by blanks or commas); -1 with ERR_USAGE for a name that is none. By default all but CRAM-MD5,
 * for which passwords must be stored in the clear. What is named is offered whatever sasl_server_offer_scram says. */
int sasl_server_choose(const char *list, struct err *err);
/* Without SCRAM (true by default) the mechanisms that need
 * stored or plain passwords are neither offered nor accepted: for a users file of crypt(3) secrets, which can prove
 * nothing to SCRAM. */
void sasl_server_offer_scram(bool yes);
/* What the salts of users that do not exist are derived from; any bytes that stay the same from one start to the next
 * and that nobody outside knows (a machine id, a file's content). Without it a random value of this process and its
 * children. */
void sasl_server_secret(struct span seed);
/* The same from a file; a random value when it can't be read. */
void sasl_server_secret_file(const char *path);
/* NULL when the mechanism is unknown or not allowed here. */
struct sasl_server *sasl_server_new(
    struct span mech, const struct stream *s, bool allow_plaintext, const struct sasl_server_ops *ops, void *arg);
/* One client message (have_in false: no initial response was given) to one server challenge. On SASL_OK with out
 * non-empty, out is additional data that goes in a last challenge (or success data). On SASL_FAIL err says why
 * (ERR_ACCESS wrong, ERR_TEMP backend down, ERR_PROTO malformed). */
enum sasl_result sasl_server_step(
    struct sasl_server *x, bool have_in, struct span in, struct buf *out, struct err *err);
/* After a step with SASL_CONTINUE: the client was refused already, and is told why in a way that it must acknowledge
 * (RFC 7628 3.2.3). err of that step says the reason. */
bool sasl_server_refused(const struct sasl_server *x);
/* The authenticated user's name as in the users file, after SASL_OK (before: as claimed, any bytes); authorization
 * identities other than it are refused. */
struct span sasl_server_user(const struct sasl_server *x);
void sasl_server_free(struct sasl_server *x);

/* Client. */
struct sasl_client_config {
	const char *user, *password; /* or a bearer token in password for XOAUTH2, OAUTHBEARER */
	const char *host;            /* OAUTHBEARER's host */
	unsigned port;
	const char *mech;     /* forced mechanism, NULL: the strongest both sides have */
	bool allow_plaintext; /* PLAIN and LOGIN without TLS */
};
struct sasl_client;
/* Is it a name for mech? */
bool sasl_client_knows(struct span mech);
/* Chooses from the server's list (blank-separated): SCRAM-SHA-256-PLUS > SCRAM-SHA-256 > PLAIN > LOGIN; PLAIN and LOGIN
 * never in the clear; the others only when c->mech names them. NULL with err (ERR_ACCESS) when none fits. */
struct sasl_client *sasl_client_new(
    const struct sasl_client_config *c, struct span offered, const struct stream *s, struct err *err);
const char *sasl_client_mech(const struct sasl_client *x);
/* True when the mechanism speaks first: then call sasl_client_step with an empty `in` for the initial response. */
bool sasl_client_first(const struct sasl_client *x);
enum sasl_result sasl_client_step(struct sasl_client *x, struct span in, struct buf *out, struct err *err);
/* The server said success: did it prove itself where the mechanism asks for that (SCRAM's signature)? */
bool sasl_client_done(const struct sasl_client *x);
void sasl_client_free(struct sasl_client *x);

#endif
