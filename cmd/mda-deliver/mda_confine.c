/* SPDX-License-Identifier: ISC
 *
 * What an LMTP server may do: its users and aliases, the places of mail, and as root to become its users in children.
 * One letter on stdin is delivered without: it would pay for a filter that is loaded once with each letter.
 *
 * The files may change while we can't see it. Nobody's mail is refused for that: a process that meets what it does not
 * know says "later" and ends, and the next one knows.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/temp.h"
#include "base/xalloc.h"
#include "io/broker.h"
#include "io/listen/listen.h"
#include "io/spawn.h"
#include "mda-deliver/mda.h"

struct mda_confine {
	struct confine_rules *rules;
	struct broker *broker;
	unsigned loaded; /* users_loaded when the rules were made */
};

static const char *const command_env[] = { "SENDER", "RECIPIENT", "HOME", "SHELL", NULL };

struct adding {
	const struct mda *m;
	struct mda_confine *c;
	struct action_user who;
	struct err *err;
	int rc;
};

static void add_action(void *arg, enum alias_kind kind, struct span text)
{
	struct adding *x = arg;
	char *s = xstrndup(text.p, text.n);
	struct broker_command command = { .command = s,
		.env = command_env,
		.dir = "/",
		.set_ids = x->who.uid != (uid_t)-1,
		.uid = x->who.uid,
		.gid = x->who.gid };
	if (kind == ALIAS_TO_FILE)
		places_allow_one(x->c->rules, span_ends(text, "/") ? LOCATION_MAILDIR : LOCATION_MBOX, s);
	else if (x->rc == 0 && broker_add(x->c->broker, &command, x->err) < 0)
		x->rc = -1;
	free(s);
}

static int add_aliases(struct mda *m, struct mda_confine *c, struct err *err)
{
	struct adding x = { .m = m, .c = c, .err = err };
	struct err ignored;
	const char *file;
	for (size_t i = 0; (file = aliases_file(m->aliases, i)); i++)
		confine_allow_path(c->rules, file, CONFINE_READ | CONFINE_REPLACED);
	/* Nobody but root: told to whose mail it is. */
	if (action_user(m, &x.who, &ignored) == 0)
		aliases_each_action(m->aliases, add_action, &x);
	return x.rc;
}

static void allow_all(struct mda *m, struct mda_confine *c)
{
	const struct mda_options *o = &m->o;
	confine_allow_path(c->rules, o->users, CONFINE_READ | CONFINE_REPLACED);
	/* The state of a commit log that is still to be opened (io/durable/durable_log.h). */
	if (o->sync)
		confine_allow_path(c->rules, "/dev/shm", CONFINE_ALL);
	if (!m->users || m->aliases)
		places_allow_accounts(c->rules);
	if (geteuid() == 0)
		confine_allow_calls(c->rules, CONFINE_FORK | CONFINE_IDS);
	places_allow(&(struct places){ .location = span_str(o->mail ? o->mail : "maildir:~/Maildir"),
			 .users = m->users,
			 .more = &o->places.more,
			 .others = PLACES_SYSTEM },
	    c->rules);
}

static void free_one(struct mda_confine *c)
{
	if (!c)
		return;
	broker_free(c->broker);
	confine_rules_free(c->rules);
	free(c);
}

int mda_confine_reload(struct mda *m, struct err *err)
{
	if (m->o.confine.mode == CONFINE_OFF)
		return 0;
	struct mda_confine *c = xcalloc(1, sizeof *c);
	c->rules = confine_rules_new();
	c->broker = broker_new();
	c->loaded = m->users ? users_loaded(m->users) : 0;
	allow_all(m, c);
	if ((m->aliases && add_aliases(m, c, err) < 0) || broker_launch(c->broker, err) < 0) {
		free_one(c);
		return -1;
	}
	confine_prepare(c->rules);
	/* The old broker ends with the last process that has a channel of it. */
	free_one(m->confine);
	m->confine = c;
	return 0;
}

int mda_confine_set_up(struct mda *m, struct err *err)
{
	return confine_check(m->o.confine.mode, err) < 0 ? -1 : mda_confine_reload(m, err);
}

bool mda_confine_stale(struct mda *m)
{
	struct err why = { 0 };
	if (!m->confine)
		return false;
	bool rows = m->users && users_refresh(m->users, &why) > 0;
	bool actions = m->aliases && aliases_refresh(m->aliases, &why) > 0;
	return confine_replaced(m->confine->rules) || rows || actions;
}

int mda_confine_worker(struct mda *m, struct err *err)
{
	if (!m->confine)
		return 0;
	struct confine how = { .mode = m->o.confine.mode, .rules = m->confine->rules, .memory = m->o.confine.memory };
	m->spare = temp_file(m->o.tmp, NULL);
	if (broker_attach(m->confine->broker, NULL, 0, err) < 0)
		return -1;
	return confine(&how, err);
}

void mda_confine_clean_up(struct mda *m)
{
	free_one(m->confine);
	m->confine = NULL;
	if (m->spare >= 0)
		close(m->spare);
	m->spare = -1;
}

bool mda_confine_command(const struct mda *m, struct spawn *sp)
{
	sp->broker = m->confine->broker;
	sp->index = broker_find(m->confine->broker, sp->command);
	return sp->index >= 0;
}

bool mda_confine_outdated(const struct mda *m, const struct err *err)
{
	if (err->class == ERR_NONE || err->sys != EACCES)
		return false;
	if (m->users && (users_out_of_reach(m->users) || users_loaded(m->users) != m->confine->loaded))
		return true;
	/* Also the directory of all mail: it was mounted, or made anew. */
	return confine_replaced(m->confine->rules);
}

int mda_confine_retire(struct err *err)
{
	serve_stopping = 1;
	return err_reply(err, 451, "4.3.0", "the users or aliases have changed; try again");
}
