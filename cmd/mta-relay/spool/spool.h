/* SPDX-License-Identifier: ISC
 *
 * The queue: one directory per node, QUEUE/NODE/, one message one file, waypost-queue(5). A message enters by rename
 * after fsync; what becomes of each recipient is appended to its file; the file is removed when all are done. Content
 * is stored with CRLF line ends: a bare LF that is written gains its CR, everything else, and all of binary MIME, stays
 * byte for byte.
 *
 * Ownership: a writer borrows nothing after spool_begin returns; it ends with spool_commit or spool_abort. An open
 * message owns its descriptor and everything that its fields point to. Errors are ERR_TEMP (disk), ERR_DATA (a queue
 * file that can't be understood), or ENOENT in err->sys when there is no such message.
 */
#ifndef MTA_RELAY_SPOOL_H
#define MTA_RELAY_SPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "io/durable/durable.h"

enum {
	SPOOL_ID_SIZE = 17,            /* 16 characters and a NUL */
	SPOOL_ENVELOPE_MAX = 16777216, /* bytes of envelope in a queue file */
	SPOOL_RCPT_MAX = 100000,
};

/* Addresses without <>, any bytes; empty spans where there is nothing. */
struct spool_rcpt {
	struct span addr;
	struct span notify;   /* DSN NOTIFY= as given: "NEVER", "SUCCESS,FAILURE" */
	struct span orcpt;    /* DSN ORCPT= as given: "rfc822;xtext" */
	struct span original; /* the address in RCPT when an alias led to addr */
};
struct spool_envelope {
	const char *id;    /* of spool_make_id, for this message only; NULL: a new one */
	bool held;         /* it is put on hold at once */
	struct span from;  /* "" for the null reverse-path */
	struct span ret;   /* DSN RET=: "FULL", "HDRS" */
	struct span envid; /* DSN ENVID= as given, xtext */
	struct span auth;  /* who submitted it, a mailbox, where that can be believed (RFC 4954 5) */
	struct span
	    next_hop;        /* of the whole message, as waypost-routes(5) has destinations; "": each recipient's own */
	bool utf8, eightbit; /* MAIL said SMTPUTF8, BODY=8BITMIME */
	bool binary;         /* BODY=BINARYMIME: a LF alone is data */
	bool requiretls;     /* RFC 8689: TLS, verified, on all further hops */
	bool tls_optional;   /* its header says "TLS-Required: No" */
	bool has_priority;   /* RFC 6710 */
	int priority;        /* -9 to 9 */
	int64_t hold_until;  /* RFC 4865, seconds since 1970: it is not to go before; 0: now */
	struct span hold;    /* how that was asked for: "for;60" */
	int64_t by_time;     /* RFC 2852, seconds since 1970: when it is to be there */
	char by_mode;        /* 'N' or 'R'; 0: at any time */
	bool by_trace;
	struct span client; /* its address, "local" */
	struct span helo, user;
	int64_t arrived; /* microseconds since 1970; 0: spool_begin takes the time */
	struct spool_rcpt *rcpt;
	size_t n_rcpt;
};

/* What became of a recipient. All from SPOOL_DELIVERED on are final. */
enum spool_state {
	SPOOL_PENDING,   /* never tried */
	SPOOL_DEFERRED,  /* tried, to be tried again */
	SPOOL_DELIVERED, /* final delivery (an MDA took it) */
	SPOOL_RELAYED,   /* taken by a next hop that knows no DSN: ours is the last word about success */
	SPOOL_HANDED,    /* taken by a next hop that knows DSN and was told what to report */
	SPOOL_EXPANDED,  /* an alias that was replaced by several addresses */
	SPOOL_FAILED,    /* refused for good, expired, or unroutable */
};
struct spool_outcome {
	enum spool_state state;
	int64_t when;      /* seconds since 1970; 0: now */
	int code;          /* reply code, 0 when none */
	char enh[12];      /* "5.1.1"; "" when none */
	struct span relay; /* "mx.example.net[192.0.2.1]:25", "" when none was reached */
	struct span text;  /* the reply or the reason; may hold line ends */
};

struct spool;
/* How this process publishes in queues: before spool_open; DURABILITY_FILE otherwise. */
void spool_durability(enum durability how);
/* root becomes the user who owns the queue, for a command that works on it beside the servers: files that they could
 * not read, and removals that their commit log is not told, would be of no use to them. */
int spool_as_owner(const char *queue, struct err *err);
/* Opens QUEUE/NODE, NODE the host name; makes what is missing. NULL with err. */
struct spool *spool_open(const char *queue, struct err *err);
void spool_close(struct spool *s);
const char *spool_dir(const struct spool *s); /* QUEUE/NODE */

/* A name for a message, which no other one of this node has. */
void spool_make_id(char id[SPOOL_ID_SIZE]);

struct spool_writer;
/* NULL with err: ERR_TEMP, or ERR_LIMIT for an envelope too large. */
struct spool_writer *spool_begin(struct spool *s, const struct spool_envelope *env, struct err *err);
/* The id that the message will have, for its Received field. */
const char *spool_writer_id(const struct spool_writer *w);
/* Content in pieces, cut anywhere. -1 after a failure, which commit tells in full. */
int spool_write(struct spool_writer *w, struct span piece);
/* What was written so far has its place in the file system: a full one shows now. Nothing is synced. -1 as above. */
int spool_push(struct spool_writer *w);
/* A recipient that was settled before the message is queued (its MDA has answered already). */
void spool_outcome(struct spool_writer *w, size_t rcpt, const struct spool_outcome *o);
/* 0: the message is on disk, whatever happens, and id (NULL is fine) is its id. -1 with err: nothing is left. Frees w.
 */
int spool_commit(struct spool_writer *w, char id[SPOOL_ID_SIZE], struct err *err);
/* Several messages, all or none; ids for n names or NULL. */
int spool_commit_all(struct spool_writer **w, size_t n, char (*ids)[SPOOL_ID_SIZE], struct err *err);
/* NULL is fine. */
void spool_abort(struct spool_writer *w);

#endif
