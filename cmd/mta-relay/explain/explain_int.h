/* SPDX-License-Identifier: ISC
 *
 * The insides of `mta-relay explain`: explain.c has options and policy, explain_route.c the way out, explain_message.c
 * what a message brings with it.
 */
#ifndef MTA_RELAY_EXPLAIN_INT_H
#define MTA_RELAY_EXPLAIN_INT_H

#include "mta-relay/hop/hop.h"
#include "mta-relay/hop/way_options.h"
#include "mta-relay/policy/policy.h"

struct explain_options {
	struct address_options addresses;
	struct way_options way;
	const char *users, *aliases, *delimiter, *relay_to, *from, *message;
	uint64_t max_size;
	bool json;
};

/* A message of which just the header is kept. */
struct explain_message {
	struct buf head;
	uint64_t size; /* with CRLF line ends */
	bool eightbit; /* anywhere in it */
};

struct explain {
	struct explain_options o;
	struct relay_policy policy;
	struct domains *domains, *relay_to;
	struct users *users;
	struct aliases *aliases;
	struct address_tables tables;
	struct routes *routes;
	struct hop_config hop_config;
	struct hop *hop; /* opens no conversation: only asked whom it would call */
	struct arena *arena;
	struct span from; /* a text without '@' when it is not known */
	struct explain_message message;
};

/* What serve says to an address, in the arena. */
struct explained {
	const char *address;
	const char *sender_written, *written; /* by --canonical and the like; NULL: they stay */
	struct err table;                     /* one can't be asked: nothing more is known */
	struct smtp_answer stranger, trusted; /* code 0: taken */
	const char *standing;                 /* why it is taken from a stranger */
	struct smtp_env_rcpt rcpt;
	struct relay_targets to;
};

/* The same as text, and the route of each target, as an object of the array. */
struct json_t;
void explain_json_address(struct explain *x, const struct explained *e, struct json_t *all);
/* The array, which is used up, and the message, on stdout. */
int explain_json_print(const struct explain *x, struct json_t *all);

/* How --generic writes sender and recipient on that route: 1; 0: it is not for it; -1 with err. */
int explain_generic(
    struct explain *x, const struct route *r, const char *address, const char **from, const char **to, struct err *err);
/* The route of an address, whom it leads to and how they are talked to, on stdout. */
void explain_route(struct explain *x, const char *address);

/* "-" for stdin. -1 with err. */
int explain_message_read(struct explain_message *m, const char *path, struct err *err);
/* The author of its From field, "" when there is none, in the arena. */
struct span explain_message_from(const struct explain_message *m, struct arena *a);
/* Each recipient of To, Cc and Bcc. */
void explain_message_rcpts(
    const struct explain_message *m, struct arena *a, void (*found)(void *arg, const char *address), void *arg);
/* What in it asks something of the next hop, on stdout. */
void explain_message_tell(const struct explain_message *m, const struct explain *x);

#endif
