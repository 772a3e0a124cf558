/* SPDX-License-Identifier: ISC
 *
 * `mta-relay queue`: what waits, and what an administrator wants done about it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "mta-relay/queue/queue_list.h"
#include "mta-relay/relay.h"

struct queue_options {
	const char *queue, *node;
	struct queue_select select;
	bool json, summary;
};

#define AT(member) offsetof(struct queue_options, member)
const struct opt relay_queue_options[] = {
	{ "queue", 0, OPT_STR, AT(queue), "DIR", "the queue (default " RELAY_DEFAULT_QUEUE ")", NULL, 0 },
	{ "node", 0, OPT_STR, AT(node), "NAME", "another node's part of the queue (default: the host's name)", NULL,
	    0 },
	{ "domain", 0, OPT_STR, AT(select.domain), "DOMAIN", "messages with a recipient there; .DOMAIN: below it", NULL,
	    OPT_NO_CONFIG },
	{ "sender", 0, OPT_STR, AT(select.sender), "ADDRESS|@DOMAIN", "messages from there; <>: reports", NULL,
	    OPT_NO_CONFIG },
	{ "recipient", 0, OPT_STR, AT(select.recipient), "ADDRESS", "messages to this address", NULL, OPT_NO_CONFIG },
	{ "older-than", 0, OPT_DURATION, AT(select.older), "TIME", "messages that came longer ago", NULL,
	    OPT_NO_CONFIG },
	{ "newer-than", 0, OPT_DURATION, AT(select.newer), "TIME", "messages that came since", NULL, OPT_NO_CONFIG },
	{ "held", 0, OPT_FLAG, AT(select.held), NULL, "messages on hold", NULL, OPT_NO_CONFIG },
	{ "summary", 0, OPT_FLAG, AT(summary), NULL, "list only how many wait, by domain and age", NULL,
	    OPT_NO_CONFIG },
	{ "json", 0, OPT_FLAG, AT(json), NULL, "list and show as JSON", NULL, OPT_NO_CONFIG },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opts program = {
	.prog = "mta-relay queue",
	.synopsis = "[OPTION]... [list | mailq | show ID... | hold|release|retry|remove ID...|all]",
	.about = "Lists and changes the queue.",
	.table = relay_queue_options,
};

struct verb;
struct work {
	struct spool *s;
	const struct queue_options *o;
	const struct verb *verb;
	int64_t now;
	size_t n, busy; /* messages done, and passed over since they are being delivered */
	struct err *err;
};

/* What goes wrong with one message keeps nobody from the others; what was said last is the caller's to tell. */
static void failed(struct err *last, const struct err *why)
{
	if (last->class != ERR_NONE)
		relay_complain("mta-relay queue", last);
	*last = *why;
}

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
	const char *name, *done;
	int (*act)(struct work *w, struct spool_msg *m, struct err *err);
	enum spool_lock lock;
	unsigned folders; /* that `all` and conditions look into; 0: ids only */
} verbs[] = {
	{ "show", NULL, show, SPOOL_UNLOCKED, 0 },
	{ "hold", "put on hold", hold, SPOOL_OWNED, QUEUE_WAITING },
	{ "release", "released", release, SPOOL_OWNED, QUEUE_HELD },
	{ "retry", "due now", retry, SPOOL_UNLOCKED, QUEUE_WAITING },
	{ "remove", "removed", drop, SPOOL_OWNED, QUEUE_WAITING | QUEUE_HELD },
};

static int act_on(struct work *w, const char *id, struct err *err)
{
	struct spool_msg *m;
	if (!spool_id_ok(id))
		return err_set(err, ERR_USAGE, "%s is not the id of a message", log_quote(span_str(id)));
	if (spool_get(w->s, id, w->verb->lock, &m, err) < 0) {
		if (err->sys == ENOENT)
			return err_set(err, ERR_DATA, "%s is not in the queue", id);
		if (err->sys == EWOULDBLOCK)
			return err_set(err, ERR_TEMP, "%s is being delivered just now", id);
		return -1;
	}
	int rc = queue_matches(&w->o->select, m, w->now) ? w->verb->act(w, m, err) : 0;
	spool_put(m);
	return rc;
}

/* ---- Many at once ---- */

/* One that goes away meanwhile needs nothing any more. */
static int cannot_open(struct work *w, const char *id, struct err *why)
{
	if (why->sys == EWOULDBLOCK) {
		w->busy++;
	} else if (why->sys != ENOENT) {
		if (!strstr(why->text, id))
			err_prefix(why, "%s", id);
		failed(w->err, why);
	}
	return 0;
}

static bool matches(struct work *w, const char *id)
{
	struct spool_msg *m;
	struct err err = { 0 };
	if (spool_get(w->s, id, SPOOL_UNLOCKED, &m, &err) < 0)
		return cannot_open(w, id, &err);
	bool yes = queue_matches(&w->o->select, m, w->now);
	spool_put(m);
	return yes;
}

static int act_if(struct work *w, struct spool_msg *m, struct err *err)
{
	if (w->verb->act == retry && m->held)
		return 0;
	if (!queue_matches(&w->o->select, m, w->now))
		return 0;
	if (w->verb->act(w, m, err) < 0)
		return -1;
	printf(
	    "%s: %s, from=%s recipients=%zu\n", m->id, w->verb->done, log_quote(m->file.env.from), m->file.env.n_rcpt);
	w->n++;
	return 0;
}

static int act_on_one_of_many(void *arg, const char *id)
{
	struct work *w = arg;
	struct spool_msg *m;
	struct err err = { 0 };
	/* Only what is meant is locked, lest deliveries of others are disturbed. */
	if (w->verb->lock == SPOOL_OWNED && !matches(w, id))
		return 0;
	if (spool_get(w->s, id, w->verb->lock, &m, &err) < 0)
		return cannot_open(w, id, &err);
	if (act_if(w, m, &err) < 0)
		failed(w->err, &err);
	spool_put(m);
	return ferror(stdout) ? -1 : 0;
}

static int act_on_many(struct work *w, struct err *err)
{
	unsigned folders = w->o->select.held ? w->verb->folders & QUEUE_HELD : w->verb->folders;
	w->err = err;
	int rc = queue_each(w->s, folders, act_on_one_of_many, w, err);
	printf("%zu message%s %s\n", w->n, w->n == 1 ? "" : "s", w->verb->done);
	if (err->class != ERR_NONE)
		rc = -1;
	if (rc == 0 && w->busy)
		rc = err_set(err, ERR_TEMP, "%zu of those meant %s being delivered just now", w->busy,
		    w->busy == 1 ? "is" : "are");
	return rc;
}

static int list(struct work *w, enum queue_style style, struct err *err)
{
	if (w->o->summary)
		return queue_summary(w->s, &w->o->select, w->o->json, stdout, err);
	return queue_list(w->s, w->o->json ? QUEUE_JSON : style, &w->o->select, stdout, err);
}

static const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

static int dispatch(struct work *w, int argc, char **argv, struct err *err)
{
	if (argc == 0 || (argc == 1 && !strcmp(argv[0], "list")))
		return list(w, QUEUE_PLAIN, err);
	if (argc == 1 && !strcmp(argv[0], "mailq"))
		return list(w, QUEUE_MAILQ, err);
	w->verb = verb_of(argv[0]);
	bool all = argc == 2 && !strcmp(argv[1], "all");
	if (w->verb && w->verb->folders && (all || (argc == 1 && queue_selects(&w->o->select))))
		return act_on_many(w, err);
	if (!w->verb || argc < 2 || all)
		return err_set(err, ERR_USAGE,
		    "expected list or mailq; show and ids of messages; or hold, release, retry or remove and ids, all, "
		    "or "
		    "a condition");
	for (int i = 1; i < argc; i++) {
		struct err why = { 0 };
		if (act_on(w, argv[i], &why) < 0)
			failed(err, &why);
	}
	return err->class == ERR_NONE ? 0 : -1;
}

int relay_queue(int argc, char **argv)
{
	static struct queue_options o = { .queue = RELAY_DEFAULT_QUEUE };
	struct opts own = program;
	struct work w = { .o = &o, .now = spool_now() / 1000000 };
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
