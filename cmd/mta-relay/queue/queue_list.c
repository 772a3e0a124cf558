/* SPDX-License-Identifier: ISC */
#include "mta-relay/queue/queue_list.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "base/xalloc.h"
#include "msg/charset.h"

enum {
	PIECE = 65536
};

/* What a peer sent, for a terminal: control characters could do things to it. */
static void put_plain(struct span s, FILE *out)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 4);
	utf8_append_shown(&b, s, '?');
	fwrite(b.p, 1, b.len, out);
	buf_free(&b);
}

static void put_age(int64_t age, FILE *out)
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } };
	char text[32];
	size_t i = 0;
	if (age < 0)
		age = 0;
	while (i < 3 && age < units[i].seconds)
		i++;
	snprintf(text, sizeof text, "%lld%s", (long long)(age / units[i].seconds), units[i].unit);
	fprintf(out, "%6s", text);
}

static void put_recipient(const struct spool_msg *m, size_t i, FILE *out)
{
	const struct spool_outcome *o = &m->file.state[i].last;
	fputs("    ", out);
	put_plain(m->file.env.rcpt[i].addr, out);
	fprintf(out, "  %s", spool_state_name(o->state));
	if (o->state != SPOOL_PENDING) {
		fputs(": ", out);
		if (o->relay.n) {
			put_plain(o->relay, out);
			fputs(" said ", out);
		}
		if (o->code)
			fprintf(out, "%d ", o->code);
		if (*o->enh)
			fprintf(out, "%s ", o->enh);
		put_plain(o->text, out);
	}
	fputc('\n', out);
}

static void put_message(const struct spool_msg *m, int64_t now, FILE *out)
{
	char when[32];
	time_t due = (time_t)m->due;
	struct tm tm;
	fprintf(out, "%s %9llu ", m->id, (unsigned long long)m->file.size);
	put_age(now - m->file.env.arrived / 1000000, out);
	fputs("  <", out);
	put_plain(m->file.env.from, out);
	fputs(">  ", out);
	if (m->held) {
		fputs("on hold\n", out);
	} else if (m->due <= now) {
		fputs("due now\n", out);
	} else {
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&due, &tm));
		fprintf(out, "next %s\n", when);
	}
	for (size_t i = 0; i < m->file.env.n_rcpt; i++)
		put_recipient(m, i, out);
}

/* JSON text is UTF-8; bytes that are none become U+FFFD. */
static json_t *text(struct span s)
{
	struct buf b;
	buf_init(&b, 3 * s.n + 1);
	charset_to_utf8(SPAN("utf-8"), s, &b);
	json_t *j = json_stringn(b.p, b.len);
	buf_free(&b);
	return j ? j : json_string("");
}

static void set_text(json_t *o, const char *key, struct span s)
{
	if (s.n)
		json_object_set_new(o, key, text(s));
}

static json_t *recipient(const struct spool_msg *m, size_t i)
{
	const struct spool_rcpt *r = &m->file.env.rcpt[i];
	const struct spool_rcpt_state *st = &m->file.state[i];
	json_t *o = json_object();
	json_object_set_new(o, "address", text(r->addr));
	set_text(o, "original", r->original);
	set_text(o, "notify", r->notify);
	set_text(o, "orcpt", r->orcpt);
	json_object_set_new(o, "state", json_string(spool_state_name(st->last.state)));
	json_object_set_new(o, "attempts", json_integer(st->attempts));
	if (st->last.state == SPOOL_PENDING)
		return o;
	json_object_set_new(o, "when", json_integer(st->last.when));
	if (st->last.code)
		json_object_set_new(o, "code", json_integer(st->last.code));
	set_text(o, "status", span_str(st->last.enh));
	set_text(o, "relay", st->last.relay);
	set_text(o, "reason", st->last.text);
	return o;
}

static json_t *message(const struct spool_msg *m)
{
	const struct spool_envelope *env = &m->file.env;
	json_t *o = json_object(), *rcpt = json_array();
	json_object_set_new(o, "id", json_string(m->id));
	json_object_set_new(o, "from", text(env->from));
	json_object_set_new(o, "size", json_integer((json_int_t)m->file.size));
	json_object_set_new(o, "arrived", json_integer(env->arrived / 1000000));
	json_object_set_new(o, "due", json_integer(m->due));
	json_object_set_new(o, "held", json_boolean(m->held));
	set_text(o, "envid", env->envid);
	set_text(o, "auth", env->auth);
	set_text(o, "next-hop", env->next_hop);
	set_text(o, "ret", env->ret);
	set_text(o, "client", env->client);
	set_text(o, "helo", env->helo);
	set_text(o, "user", env->user);
	for (size_t i = 0; i < env->n_rcpt; i++)
		json_array_append_new(rcpt, recipient(m, i));
	json_object_set_new(o, "recipients", rcpt);
	return o;
}

static void put_json(const struct spool_msg *m, FILE *out)
{
	json_t *o = message(m);
	json_dumpf(o, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(o);
}

/* ---- As mailq has always looked ---- */

static void put_reason(const struct spool_outcome *o, FILE *out)
{
	if (o->state == SPOOL_PENDING)
		return;
	fputs("  (", out);
	if (o->relay.n) {
		fputs("host ", out);
		put_plain(o->relay, out);
		fputs(" said: ", out);
	}
	if (o->code)
		fprintf(out, "%d ", o->code);
	if (*o->enh)
		fprintf(out, "%s ", o->enh);
	put_plain(o->text, out);
	fputs(")\n", out);
}

static void put_mailq(const struct spool_msg *m, FILE *out)
{
	char when[32];
	time_t arrived = (time_t)(m->file.env.arrived / 1000000);
	struct tm tm;
	const struct spool_outcome *said = NULL;
	strftime(when, sizeof when, "%a %b %e %H:%M:%S", localtime_r(&arrived, &tm));
	fprintf(out, "%s%c %8llu %s  ", m->id, m->held ? '!' : ' ', (unsigned long long)m->file.size, when);
	put_plain(m->file.env.from.n ? m->file.env.from : SPAN("MAILER-DAEMON"), out);
	fputc('\n', out);
	for (size_t i = 0; i < m->file.env.n_rcpt; i++) {
		const struct spool_outcome *o = &m->file.state[i].last;
		if (spool_state_final(o->state))
			continue;
		/* One reason for several stands once. */
		if (!said || !span_eq(said->text, o->text) || !span_eq(said->relay, o->relay))
			put_reason(o, out);
		said = o;
		fprintf(out, "%*s", 49, "");
		put_plain(m->file.env.rcpt[i].addr, out);
		fputc('\n', out);
	}
	fputc('\n', out);
}

/* ---- Lists ---- */

struct listing {
	struct spool *s;
	enum queue_style style;
	const struct queue_select *select;
	FILE *out;
	int64_t now;
	size_t shown, broken;
	uint64_t bytes;
};

static void put_one(struct listing *l, const struct spool_msg *m)
{
	if (l->style == QUEUE_JSON) {
		fputs(l->shown ? ",\n" : "", l->out);
		put_json(m, l->out);
	} else if (l->style == QUEUE_MAILQ) {
		if (!l->shown)
			fputs("----Queue ID---- --Size-- ---Arrival Time---- -Sender/Recipient------\n", l->out);
		put_mailq(m, l->out);
	} else {
		put_message(m, l->now, l->out);
	}
}

static int list_one(void *arg, const char *id)
{
	struct listing *l = arg;
	struct spool_msg *m;
	struct err err = { 0 };
	if (spool_get(l->s, id, SPOOL_UNLOCKED, &m, &err) < 0) {
		/* Gone between the directory and here: delivered. */
		if (err.sys != ENOENT)
			fprintf(l->style == QUEUE_JSON ? stderr : l->out, "%s  (%s)\n", id, err.text);
		l->broken += err.sys != ENOENT;
		return 0;
	}
	if (queue_matches(l->select, m, l->now)) {
		put_one(l, m);
		l->shown++;
		l->bytes += m->file.size;
	}
	spool_put(m);
	return ferror(l->out) ? -1 : 0;
}

static void put_total(const struct listing *l)
{
	unsigned long long kb = (l->bytes + 1023) / 1024;
	if (l->style == QUEUE_JSON)
		fputs("]\n", l->out);
	else if (!l->shown && !l->broken && queue_selects(l->select))
		fputs("No message matches.\n", l->out);
	else if (!l->shown && !l->broken)
		fputs(l->style == QUEUE_MAILQ ? "Mail queue is empty\n" : "The queue is empty.\n", l->out);
	else if (l->style == QUEUE_MAILQ)
		fprintf(l->out, "-- %llu Kbytes in %zu Request%s.\n", kb, l->shown, l->shown == 1 ? "" : "s");
	else
		fprintf(l->out, "%zu message%s, %llu bytes\n", l->shown, l->shown == 1 ? "" : "s",
		    (unsigned long long)l->bytes);
}

/* What cannot be understood waits in bad/ for somebody who looks at it. */
static void put_aside(const struct spool *s, FILE *out)
{
	char *path = xasprintf("%s/bad", spool_dir(s));
	DIR *dir = opendir(path);
	size_t n = 0;
	for (const struct dirent *e; dir && (e = readdir(dir));)
		n += e->d_name[0] != '.';
	if (n)
		fprintf(out, "%zu file%s that cannot be understood in %s\n", n, n == 1 ? "" : "s", path);
	if (dir)
		closedir(dir);
	free(path);
}

int queue_list(struct spool *s, enum queue_style style, const struct queue_select *select, FILE *out, struct err *err)
{
	struct listing l = { .s = s, .style = style, .select = select, .out = out, .now = spool_now() / 1000000 };
	fputs(style == QUEUE_JSON ? "[" : "", out);
	if (queue_each(s, select->held ? QUEUE_HELD : QUEUE_WAITING | QUEUE_HELD, list_one, &l, err) < 0)
		return err->class ? -1 : err_sys(err, "stdout");
	put_total(&l);
	put_aside(s, style == QUEUE_PLAIN ? out : stderr);
	return 0;
}

int queue_show(struct spool_msg *m, bool json, FILE *out, struct err *err)
{
	static char piece[PIECE];
	uint64_t at = 0;
	ssize_t n = 0;
	if (json) {
		put_json(m, out);
		fputc('\n', out);
		return 0;
	}
	put_message(m, spool_now() / 1000000, out);
	fputc('\n', out);
	while ((n = spool_read(m, at, piece, sizeof piece, err)) > 0) {
		at += (uint64_t)n;
		for (ssize_t i = 0; i < n; i++)
			if (piece[i] != '\r')
				fputc(piece[i], out);
	}
	return n < 0 ? -1 : 0;
}
