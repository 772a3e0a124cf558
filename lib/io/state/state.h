/* SPDX-License-Identifier: ISC
 *
 * What servers remember about clients, senders and names: small numbers by key that expire, shared by the processes of
 * a node and by several nodes. In files (waypost-state(5)) or in a Redis or Valkey server, and then in files while that
 * one does not answer. Nothing here is a promise: a crash may lose what was told last, never what stood there before,
 * and who can't be told does as if he knew nothing.
 *
 * A key is text without control characters, made by state_key. Times are seconds. The struct is opened before the
 * processes are forked that use it; each makes connections of its own.
 */
#ifndef WP_IO_STATE_H
#define WP_IO_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum {
	STATE_KEY_MAX = 94, /* longer ones have a hash as their end */
	STATE_RETRY_MS = 10 * 1000,
	STATE_WAIT_MS = 1000,
};

struct state;
struct state_config {
	const char *dir; /* made when it is missing, unless: */
	bool existing;   /* it is only looked into */
	/* redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// with TLS, redis+unix:PATH; NULL: files only */
	const char *url;
	const char *ca_file;       /* with TLS: who may vouch for the server; NULL: the system's authorities */
	const char *cert_file;     /* our certificate and its key, for a server that asks; NULL: none */
	const char *password_file; /* its first line is the password; NULL: the URL's, if any */
	int64_t retry_ms;          /* until a server that failed is asked again; 0: STATE_RETRY_MS */
	int64_t wait_ms;           /* for a lock, a connection, the replies; 0: STATE_WAIT_MS */
	/* A change of state, once for all processes: what is used now, and why not the other. May be NULL. */
	void (*told)(const char *what, const char *why);
};
/* NULL with err. */
struct state *state_open(const struct state_config *c, struct err *err);
/* What a process needs that uses it. */
struct confine_rules;
void state_rules(const struct state_config *c, struct confine_rules *r);
void state_close(struct state *s);

/* What is known of a key. */
struct state_value {
	bool there;
	uint64_t n;
	int64_t left; /* until it expires */
};
/* "class part part": lower case; blanks, '%' and what is not printable in a part are written as %XX; too long ones have
 * their end replaced by a hash. */
void state_key(struct buf *out, const char *class, const struct span *parts, size_t n);

/* Each: 0, or -1 when nothing could be asked; *out says "not there" then. */
int state_get(struct state *s, struct span key, struct state_value *out);
/* Counts: n more, and what that comes to. The first one sets when it expires, later ones do not move that. */
int state_add(struct state *s, struct span key, uint64_t n, int64_t life, struct state_value *out);
/* Sets, whatever was there. */
int state_put(struct state *s, struct span key, uint64_t n, int64_t life);
/* Sets unless it is there: *out is what was there before. */
int state_first(struct state *s, struct span key, uint64_t n, int64_t life, struct state_value *out);
int state_drop(struct state *s, struct span key);

/* All that begin with prefix: fn, in no order, until it returns non-zero, which is returned. -1 with err. */
typedef int state_fn(void *arg, struct span key, const struct state_value *v);
int state_list(struct state *s, const char *prefix, state_fn *fn, void *arg, struct err *err);

#endif
