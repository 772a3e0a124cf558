/* SPDX-License-Identifier: ISC
 *
 * `mta-relay queue`: what waits, and what an administrator wants done about it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "mta-relay/queue_list.h"
#include "mta-relay/relay.h"

struct queue_options {
	const char *queue, *node;
	bool json;
};

#define AT(member) offsetof(struct queue_options, member)
const struct opt relay_queue_options[] = {
	{ "queue", 0, OPT_STR, AT(queue), "DIR", "the queue (default " RELAY_DEFAULT_QUEUE ")", NULL, 0 },
	{ "node", 0, OPT_STR, AT(node), "NAME", "another node's part of the queue (default: the host's name)", NULL,
	    0 },
	{ "json", 0, OPT_FLAG, AT(json), NULL, "list and show as JSON", NULL, OPT_NO_CONFIG },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opts program = {
	.prog = "mta-relay queue",
	.synopsis = "[OPTION]... [list | show ID | hold ID... | release ID... | retry ID...|all | remove ID...]",
	.about = "Lists and changes the queue.",
	.table = relay_queue_options,
};

struct work {
	struct spool *s;
	const struct queue_options *o;
};

static int hold(struct work *w, struct spool_msg *m, struct err *err)
{
	(void)w;
	return spool_hold(m, true, err);
}

static int release(struct work *w, struct spool_msg *m, struct err *err)
{
	(void)w;
	if (!m->held)
		return 0;
	return spool_set_due(m, spool_now() / 1000000, err) < 0 ? -1 : spool_hold(m, false, err);
}

static int retry(struct work *w, struct spool_msg *m, struct err *err)
{
	(void)w;
	if (m->held)
		return err_set(err, ERR_USAGE, "%s is on hold: release it", m->id);
	return spool_set_due(m, spool_now() / 1000000, err);
}

static int drop(struct work *w, struct spool_msg *m, struct err *err)
{
	(void)w;
	return spool_remove(m, err);
}

static int show(struct work *w, struct spool_msg *m, struct err *err)
{
	return queue_show(m, w->o->json, stdout, err);
}

static const struct verb {
	const char *name;
	int (*act)(struct work *w, struct spool_msg *m, struct err *err);
	enum spool_lock lock;
} verbs[] = {
	{ "show", show, SPOOL_UNLOCKED },
	{ "hold", hold, SPOOL_OWNED },
	{ "release", release, SPOOL_OWNED },
	{ "retry", retry, SPOOL_UNLOCKED },
	{ "remove", drop, SPOOL_OWNED },
};

static int act_on(struct work *w, const struct verb *v, const char *id, struct err *err)
{
	struct spool_msg *m;
	if (!spool_id_ok(id))
		return err_set(err, ERR_USAGE, "%s is not the id of a message", log_quote(span_str(id)));
	if (spool_get(w->s, id, v->lock, &m, err) < 0) {
		if (err->sys == ENOENT)
			return err_set(err, ERR_DATA, "%s is not in the queue", id);
		if (err->sys == EWOULDBLOCK)
			return err_set(err, ERR_TEMP, "%s is being delivered just now", id);
		return -1;
	}
	int rc = v->act(w, m, err);
	spool_put(m);
	return rc;
}

struct all {
	struct work *w;
	struct err *err;
};

static int retry_one(void *arg, const struct spool_entry *e)
{
	struct all *all = arg;
	struct spool_msg *m;
	/* One that goes away meanwhile needs no retry. */
	if (spool_get(all->w->s, e->id, SPOOL_UNLOCKED, &m, NULL) < 0)
		return 0;
	int rc = m->held ? 0 : retry(all->w, m, all->err);
	spool_put(m);
	return rc;
}

static int dispatch(struct work *w, int argc, char **argv, struct err *err)
{
	const struct verb *v = NULL;
	if (argc == 0 || (argc == 1 && !strcmp(argv[0], "list")))
		return queue_list(w->s, w->o->json, stdout, err);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (!strcmp(argv[0], verbs[i].name))
			v = &verbs[i];
	if (!v || argc < 2)
		return err_set(
		    err, ERR_USAGE, "expected list, or show, hold, release, retry or remove and the ids of messages");
	if (v->act == retry && argc == 2 && !strcmp(argv[1], "all"))
		return spool_scan(w->s, "msg", retry_one, &(struct all){ w, err }, err);
	for (int i = 1; i < argc; i++)
		if (act_on(w, v, argv[i], err) < 0)
			return -1;
	return 0;
}

int relay_queue(int argc, char **argv)
{
	static struct queue_options o = { .queue = RELAY_DEFAULT_QUEUE };
	struct opts own = program;
	struct work w = { .o = &o };
	struct err err = { 0 };
	int first, status;
	own.values = &o;
	if (relay_options(argc, argv, &own, &first, &status) != OPTS_OK)
		return status;
	if (spool_as_owner(o.queue, &err) < 0) {
		relay_complain(own.prog, &err);
		return err_exit_status(&err);
	}
	w.s = o.node ? spool_open_node(o.queue, o.node, &err) : spool_open(o.queue, &err);
	int rc = w.s ? dispatch(&w, argc - first, argv + first, &err) : -1;
	if (fflush(stdout) == EOF && rc == 0)
		rc = err_sys(&err, "stdout");
	spool_close(w.s);
	if (rc == 0)
		return EX_OK;
	relay_complain(own.prog, &err);
	return err_exit_status(&err);
}
