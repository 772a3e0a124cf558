/* SPDX-License-Identifier: ISC
 *
 * One milter: a conversation with it as the MTA, protocol version 6 (down to 2). It is opened and negotiated once and
 * goes on over the messages of a client; with `reuse` over clients. What it must do to a message is collected and given
 * out when its last word was yes, so that one that breaks off in the middle has changed nothing.
 *
 * Any failure (not there, too slow, what is no packet or not in place) closes the conversation: MILTER_BROKEN with err.
 */
#ifndef MTA_RELAY_MILTER_H
#define MTA_RELAY_MILTER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/opts.h"
#include "mta-relay/hooks/milter_packet.h"
#include "smtp/server.h"

enum milter_otherwise {
	MILTER_OR_ACCEPT,
	MILTER_OR_TEMPFAIL,
	MILTER_OR_REJECT,
	MILTER_OR_QUARANTINE
};
struct milter_settings {
	int64_t connect_timeout, timeout, content_timeout;
	int otherwise; /* when it is broken */
	bool reuse;
	const char *daemon_name; /* the macro {daemon_name}; NULL: by role */
};

enum milter_verdict {
	MILTER_GO,
	MILTER_TAKE,    /* no more to ask about this */
	MILTER_REFUSE,  /* with the answer */
	MILTER_DROP,    /* say yes, and throw it away */
	MILTER_HANG_UP, /* close the client's connection; with the answer */
	MILTER_ENOUGH,  /* of the body */
	MILTER_BROKEN
};

struct milter_macro {
	const char *name; /* "i", "{auth_type}" */
	unsigned stages;  /* told at these unless the milter listed what it wants */
	struct span value;
};
struct milter_macros {
	const struct milter_macro *v;
	size_t n;
};

/* What it wants to be done to the message, in order. Spans lie in the arena. */
struct milter_edits {
	struct arena *arena;
	struct milter_reply *v;
	size_t n, cap, bytes;
	/* Pieces of a new body, as they come; -1 with err. */
	int (*body)(void *arg, struct span piece, struct err *err);
	void *arg;
	uint64_t body_max, body_bytes; /* so long it may be, 0: as long as it likes; so long it is */
};

struct milter;
/* spec: hook_place.h's with the settings of struct milter_settings. NULL with err. */
struct milter *milter_new(const char *spec, struct err *err);
void milter_free(struct milter *m);
struct confine_rules;
void milter_rules(const struct milter *m, struct confine_rules *r);
const char *milter_name(const struct milter *m);
const struct milter_settings *milter_settings(const struct milter *m);

/* Connects and negotiates unless that is done; 0, or -1 with err. */
int milter_open(struct milter *m, struct err *err);
bool milter_is_open(const struct milter *m);
/* The client is gone; polite: the milter is told. */
void milter_close(struct milter *m, bool polite);
/* Forget the message in hand. */
void milter_abort(struct milter *m);
/* Does it want this bit of enum milter_steps? */
bool milter_wants(const struct milter *m, uint32_t step);
/* The payload is the command's data. Nothing is said when it does not want to hear of it. */
enum milter_verdict milter_ask(struct milter *m, enum milter_command command, struct span payload,
    const struct milter_macros *macros, struct smtp_answer *a, struct err *err);
/* The end of the message. */
enum milter_verdict milter_finish(struct milter *m, const struct milter_macros *macros, struct milter_edits *edits,
    struct smtp_answer *a, struct err *err);

#endif
