/* SPDX-License-Identifier: ISC
 *
 * Towards the MDA over LMTP (RFC 2033): "lmtp:unix:PATH", "lmtp:HOST:PORT", or "lmtp:|COMMAND", a child of ours that
 * speaks LMTP on its stdin and stdout. The conversation is kept for many messages, and begun anew when it broke. One
 * per process: a child is not shared by workers. Who has a client waiting sets a budget, and asks first whether the MDA
 * is worth a try: one that could not be reached, or said nothing within the budget, is left alone for a while by all
 * workers, and then tried by one of them.
 */
#ifndef MTA_RELAY_HANDOFF_H
#define MTA_RELAY_HANDOFF_H

#include <stdatomic.h>

#include "base/err.h"
#include "io/broker.h"
#include "io/confine/confine.h"
#include "smtp/client.h"

struct mda;

/* spec as above; helo: our name; timeout_ms: for connecting and for each reply. Nothing is connected yet. NULL with
 * ERR_USAGE. */
struct mda *mda_new(const char *spec, const char *helo, int64_t timeout_ms, struct err *err);
/* The same for a content filter that is spoken to as an MDA is: "smtp:HOST:PORT" and "smtp:unix:PATH" too. */
struct mda *mda_new_filter(const char *spec, const char *helo, int64_t timeout_ms, struct err *err);
/* Called with the conversation before each transaction; -1 with err breaks it off. */
void mda_before(struct mda *m, int (*before)(void *arg, struct smtp_client *c, struct err *err), void *arg);
/* For all of one mda_send, connecting and every reply; and for how long a failed MDA is left alone. */
struct mda_limits {
	int64_t budget, pause; /* ms; 0: none */
	_Atomic int64_t *down; /* of mda_shared */
};
void mda_limit(struct mda *m, const struct mda_limits *l);
/* Who starts COMMAND, and as what; without, we do. */
void mda_start_by(struct mda *m, const struct broker *b, int index);
/* COMMAND, NULL when it is none. */
const char *mda_command(const struct mda *m);
/* What a process needs to reach it. */
void mda_rules(const struct mda *m, struct confine_rules *r);
/* What workers know in common of the MDA; made before they are forked, lives as long as they do. NULL with err. */
_Atomic int64_t *mda_shared(struct err *err);
/* Is it to be asked now? False while it is left alone; true for one of those who ask when that is over. */
bool mda_worth_a_try(struct mda *m);
/* Ends the conversation and the child. NULL is fine. */
void mda_free(struct mda *m);
/* "lmtp:..." as given, for messages. */
const char *mda_name(const struct mda *m);

/* One transaction: smtp_client_send's results. A conversation that had gone stale before any content was sent is begun
 * anew once, for the recipients that have no result yet; after that, to send again could deliver twice. -1 with
 * ERR_TEMP when the MDA can't be reached, broke off or used its budget up: the conversation is closed then, and
 * recipients without a result of their own have that one. rewind lets the content be read from its start again (m->read
 * after m->arg was rewound). */
int mda_send(struct mda *m, struct smtp_message *msg, void (*rewind)(void *arg), struct err *err);

/* Would it take mail for the recipient? 0: result says; -1 with err: it can't be asked now. */
int mda_ask(struct mda *m, const struct smtp_question *q, struct err *result, struct err *err);

#endif
