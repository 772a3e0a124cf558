/* SPDX-License-Identifier: ISC
 *
 * For people: each story's head, its hops, its timeline, and the Received fields of its message.
 */
#include <stdio.h>
#include <time.h>

#include "mailtrace/column.h"
#include "mailtrace/model.h"

enum {
	COL_OFFSET = 13, /* of the timeline: time since the beginning */
	COL_HOP = 3,
	COL_PROG = 12,
	COL_EVENT = 11,
	COL_TEXT = 2 + COL_OFFSET + 1 + COL_HOP + 1 + COL_PROG + COL_EVENT,
	COL_BRANCH = 8, /* of a hop's conversations */
};

static void add_time(struct buf *out, int64_t us)
{
	char text[32];
	time_t t = (time_t)(us >= 0 ? us / 1000000 : (us - 999999) / 1000000);
	struct tm tm;
	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(text, sizeof text, "-");
	buf_adds(out, text);
}

static void right(struct buf *out, const struct buf *text, size_t width)
{
	buf_addf(out, "%*s%s", (int)(text->len < width ? width - text->len : 0), "", text->p);
}

static void add_duration(struct buf *out, int64_t us, size_t width)
{
	struct buf b;
	buf_init(&b, 64);
	column_duration(&b, us);
	right(out, &b, width);
	buf_free(&b);
}

static void show_recipient(struct buf *out, const struct recipient *r, size_t columns)
{
	struct buf line;
	buf_init(&line, 16384);
	buf_addc(&line, '<');
	buf_addspan(&line, r->address);
	buf_adds(&line, ">: ");
	buf_addspan(&line, r->last->ev);
	if (r->last->result.n)
		buf_addf(&line, " %.*s", SPAN_FMT(r->last->result));
	buf_adds(&line, ": ");
	buf_addspan(&line, r->why);
	buf_adds(out, "  ");
	column_wrap(out, buf_span(&line), 4, columns);
	buf_free(&line);
}

static void show_head(struct buf *out, const struct story *s, size_t columns)
{
	buf_adds(out, s->mid.n || s->n_mails ? "Message " : "No message: ");
	column_wrap(out, s->mid.n ? s->mid : s->name, 4, columns);
	if (s->n) {
		buf_adds(out, "  ");
		add_time(out, s->step[0].e->us);
		buf_addf(out, " UTC, %u hop%s, %zu event%s in ", s->n_hops, s->n_hops == 1 ? "" : "s", s->n,
		    s->n == 1 ? "" : "s");
		column_duration(out, s->step[s->n - 1].e->us - s->step[0].e->us);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < s->n_recipients; i++)
		show_recipient(out, &s->recipient[i], columns);
}

/* "at 24.6 ms for 4.4 ms": offsets are the timeline's. */
static void add_when(struct buf *line, const struct story *s, int64_t first_us, int64_t last_us)
{
	buf_adds(line, "at ");
	column_duration(line, first_us - s->step[0].e->us);
	if (last_us > first_us) {
		buf_adds(line, " for ");
		column_duration(line, last_us - first_us);
	}
}

/* "to 192.0.2.1:25, ESMTPS, TLSv1.3 TLS_AES_256_GCM_SHA384, at 24.6 ms for 4.4 ms" */
static void show_talk(struct buf *out, const struct story *s, const struct talk *t, size_t columns)
{
	struct buf line;
	char protocol[24];
	talk_protocol(t, protocol);
	if (!t->peer.n && !protocol[0])
		return;
	buf_init(&line, 4096);
	buf_addf(&line, "%s ", t->side == '<' ? "from" : t->side == '>' ? "to" : "with");
	buf_addspan(&line, t->peer.n ? t->peer : SPAN("somebody"));
	if (protocol[0])
		buf_addf(&line, ", %s", protocol);
	if (t->tls.n)
		buf_addf(&line, ", %.*s", SPAN_FMT(t->tls));
	else if (protocol[0] && !t->secure)
		buf_adds(&line, ", no TLS");
	buf_adds(&line, ", ");
	add_when(&line, s, t->first_us, t->last_us);
	buf_addf(out, "%*s", COL_BRANCH, "");
	column_wrap(out, buf_span(&line), COL_BRANCH + 2, columns);
	buf_free(&line);
}

static void show_hops(struct buf *out, const struct story *s, size_t columns)
{
	struct buf line;
	buf_init(&line, 4096);
	buf_adds(out, "\n  Hops\n");
	for (unsigned i = 0; i < s->n_hops; i++) {
		const struct hop *h = &s->hop[i];
		buf_reset(&line);
		buf_addf(&line, "%.*s (%.*s), ", SPAN_FMT(h->prog), SPAN_FMT(h->role));
		if (h->qid.n)
			buf_addf(&line, "id %.*s, ", SPAN_FMT(h->qid));
		add_when(&line, s, h->first_us, h->last_us);
		buf_addf(out, "  %3u ", i + 1);
		column_wrap(out, buf_span(&line), COL_BRANCH, columns);
		for (size_t k = 0; k < s->n_talks; k++)
			if (s->talk[k].hop == i + 1)
				show_talk(out, s, &s->talk[k], columns);
	}
	buf_free(&line);
}

/* What an event says, in one text: "> EHLO me", "perm 550 <bob@b>: no such user (RFC 5321 3.3)". */
static void event_text(struct buf *line, const struct event *e)
{
	if (e->line.n) {
		if (e->dir)
			buf_addf(line, "%c ", e->dir);
		buf_addspan(line, e->line);
		if (e->why.n)
			buf_adds(line, "  ");
	}
	if (e->result.n && !span_eqs(e->result, "ok"))
		buf_addf(line, "%.*s ", SPAN_FMT(e->result));
	if (e->code)
		buf_addf(line, "%d ", e->code);
	buf_addspan(line, e->why);
	if (!e->line.n && !e->why.n)
		buf_addspan(line, e->tls.n && span_eqs(e->ev, "tls") ? e->tls : e->peer);
	if (e->rfc.n) {
		struct span section = e->rfc, number = span_cut(&section, '#');
		buf_addf(line, " (RFC %.*s%s%.*s)", SPAN_FMT(number), section.n ? " " : "", SPAN_FMT(section));
	}
}

static void show_timeline(struct buf *out, const struct story *s, size_t columns, bool lines)
{
	struct buf line;
	buf_init(&line, 16384);
	buf_adds(out, "\n  Timeline\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct event *e = s->step[i].e;
		if (!lines && span_eqs(e->ev, "line"))
			continue;
		buf_adds(out, "  ");
		add_duration(out, e->us - s->step[0].e->us, COL_OFFSET);
		buf_addf(out, " %*u ", COL_HOP, s->step[i].hop);
		column_pad(out, e->prog, COL_PROG - 1);
		buf_addc(out, ' ');
		column_pad(out, e->ev, COL_EVENT - 1);
		buf_addc(out, ' ');
		buf_reset(&line);
		event_text(&line, e);
		column_wrap(out, buf_span(&line), COL_TEXT, columns);
	}
	buf_free(&line);
}

static void received_text(struct buf *line, const struct received *r)
{
	if (r->from.n)
		buf_addf(line, "from %.*s", SPAN_FMT(r->from));
	if (r->ip.n && !span_eq(r->ip, r->from))
		buf_addf(line, " [%.*s]", SPAN_FMT(r->ip));
	if (r->rdns.n && !span_ieq(r->rdns, r->from))
		buf_addf(line, " (its name is %.*s)", SPAN_FMT(r->rdns));
	if (r->by.n)
		buf_addf(line, "%sby %.*s", line->len ? " " : "", SPAN_FMT(r->by));
	if (r->software.n)
		buf_addf(line, " (%.*s)", SPAN_FMT(r->software));
	if (r->with.n)
		buf_addf(line, ", %.*s", SPAN_FMT(r->with));
	if (r->tls_version.n)
		buf_addf(line, ", %.*s %.*s", SPAN_FMT(r->tls_version), SPAN_FMT(r->tls_cipher));
	else if (r->tls)
		buf_adds(line, ", TLS");
	if (r->id.n)
		buf_addf(line, ", id %.*s", SPAN_FMT(r->id));
	if (r->rcpt.n)
		buf_addf(line, ", for <%.*s>", SPAN_FMT(r->rcpt));
}

/* Since the time before, which is the message's Date for the first. A negative one is two clocks that disagree. */
static void received_delay(struct buf *line, const struct received *r, bool known, int64_t before, bool first)
{
	if (!r->has_time) {
		buf_adds(line, "; no time that can be read");
	} else if (known && r->time < before) {
		buf_addf(line, "; the clock is ");
		column_duration(line, (before - r->time) * 1000000);
		buf_addf(line, " behind %s", first ? "the Date field" : "the hop before, or a field is forged");
	} else if (known) {
		buf_addf(line, "; %llds after %s", (long long)(r->time - before),
		    first ? "the Date field" : "the hop before");
	}
}

static void show_received(struct buf *out, const struct mail *m, size_t columns)
{
	struct buf line;
	bool known = m->has_date;
	int64_t before = m->date;
	buf_init(&line, 65536);
	buf_adds(out, "\n  Received fields of ");
	column_wrap(out, span_str(m->file), 4, columns);
	if (!m->n)
		buf_adds(out, "    none\n");
	for (size_t i = 0; i < m->n; i++) {
		const struct received *r = &m->hop[i];
		buf_reset(&line);
		buf_addf(out, "  %3zu ", i + 1);
		if (r->has_time) {
			add_time(&line, r->time * 1000000);
			buf_adds(&line, " UTC ");
		}
		struct buf text;
		buf_init(&text, 32768);
		received_text(&text, r);
		buf_addspan(&line, buf_span(&text));
		buf_free(&text);
		received_delay(&line, r, known, before, i == 0);
		column_wrap(out, buf_span(&line), COL_BRANCH, columns);
		known |= r->has_time;
		if (r->has_time)
			before = r->time;
	}
	buf_free(&line);
}

static void show_story(struct buf *out, const struct story *s, size_t columns, bool lines)
{
	show_head(out, s, columns);
	if (s->n) {
		show_hops(out, s, columns);
		show_timeline(out, s, columns, lines);
	}
	for (size_t i = 0; i < s->n_mails; i++)
		show_received(out, s->mail[i], columns);
}

void show_text(const struct stories *all, size_t columns, bool lines, struct buf *out)
{
	for (size_t i = 0; i < all->n; i++) {
		if (i)
			buf_addc(out, '\n');
		show_story(out, &all->v[i], columns, lines);
	}
}
