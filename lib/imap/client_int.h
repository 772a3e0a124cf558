/* SPDX-License-Identifier: ISC
 *
 * Inside of the IMAP client: client_read.c hears, client.c opens a session, client_cmd.c works in it.
 */
#ifndef WP_IMAP_CLIENT_INT_H
#define WP_IMAP_CLIENT_INT_H

#include "base/arena.h"
#include "base/buf.h"
#include "imap/client.h"
#include "imap/parse.h"

enum {
	IMAP_RESPONSE_MAX = 1 << 20, /* one response without streamed bodies */
	IMAP_CAPS_MAX = 16384,
	IMAP_ITEMS_MAX = 1 << 22, /* messages in a mailbox that we list */
};

/* One untagged response after "* ", number and all; what the command does with it. -1 with err ends the session. */
typedef int imap_untagged_fn(struct imap_client *c, struct imap_in *in, struct err *err);

struct imap_client {
	struct stream *s;
	struct imap_client_config config;
	struct buf resp; /* the response being read, literals in place */
	struct buf caps; /* " IMAP4rev1 UIDPLUS " between blanks, upper case */
	struct arena *arena;
	unsigned tag;
	bool alive, caps_known, bye;
	bool authenticating; /* challenges are part of a secret exchange */

	imap_untagged_fn *untagged; /* of the present command, NULL: only what always counts */
	void *arg;
	struct imap_mailbox box;

	const struct imap_sink *sink; /* bodies are wanted */
	bool body_begun;              /* begin was called, neither end nor abort yet */
};

enum imap_kind {
	IMAP_UNTAGGED,
	IMAP_CONTINUE,
	IMAP_TAGGED,
	IMAP_BROKEN
};
enum imap_status {
	IMAP_OK,
	IMAP_NO,
	IMAP_BAD
};

/* Sends "aN ..." with CRLF; not flushed. secret: nothing of it in traces. */
void imap_say(struct imap_client *c, struct span command);
/* Sends a line as it is (a continuation). */
void imap_say_line(struct imap_client *c, struct span line, bool secret);
/* Reads one response into c->resp and dispatches untagged ones. For a tagged one *status and, in err, the text (class
 * by status: ERR_PERM). The text after "+ " or the status is in *rest, valid until the next call. */
enum imap_kind imap_hear(struct imap_client *c, enum imap_status *status, struct span *rest, struct err *err);
/* Until the tagged response. 0 for OK; -1 with err for NO and BAD (the session lives), or broken. */
int imap_finish(struct imap_client *c, struct err *err);
/* imap_say and imap_finish. */
int imap_command(struct imap_client *c, struct span command, struct err *err);
/* The session ends here: marks it dead, drops a body under way. Returns -1. */
int imap_broken(struct imap_client *c);
void imap_set_caps(struct imap_client *c, struct span words);

#endif
