/* SPDX-License-Identifier: ISC
 *
 * What a process of maa-serve may do: before login, look users up and be let in wherever mail is kept; after it, one
 * user's mail and nothing else.
 */
#ifndef WP_MAA_SERVE_MAA_CONFINE_H
#define WP_MAA_SERVE_MAA_CONFINE_H

#include "io/broker.h"
#include "io/confine/confine.h"
#include "maa.h"
#include "users/places.h"

struct maa_confine_options {
	struct confine_settings confine;
	struct place_settings places;
};

struct maa_confine {
	const struct maa_confine_options *o;
	const char *users; /* --users */
	struct confine_rules *rules;
	struct broker *broker; /* NULL: each starts its own commands */
	struct confine how;
};

/* In the parent: begins, and after broker_add for all commands ends. users: NULL or the file of c->users. */
int maa_confine_set_up(struct maa_confine *m, const struct maa_confine_options *o, const char *users, struct err *err);
/* The rules anew, from what the configuration and the users file say now. */
void maa_confine_prepare(struct maa_confine *m, const struct maa_config *c);
/* Has a file changed that the rules depend on? */
bool maa_confine_stale(struct maa_confine *m, const struct maa_config *c);
/* In the process that is about to serve. */
int maa_confine_worker(struct maa_confine *m, struct err *err);
void maa_confine_clean_up(struct maa_confine *m);

/* After login, with the store at path open. */
int maa_confine_to(const struct maa_config *c, const char *path, struct err *err);

#endif
