/* SPDX-License-Identifier: ISC
 *
 * For programs: everything in one document.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mailtrace/model.h"

/* Bytes that are no UTF-8 (of message files) as if they were Latin-1. */
static json_t *text(struct span s)
{
	json_t *j = json_stringn(s.p, s.n);
	if (j)
		return j;
	struct buf latin;
	buf_init(&latin, 2 * s.n + 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x80)
			buf_addc(&latin, (char)(0xc0 | c >> 6));
		buf_addc(&latin, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
	}
	j = json_stringn(latin.p, latin.len);
	buf_free(&latin);
	return j;
}

struct named {
	const char *key;
	struct span value;
};

static void put(json_t *j, const char *key, struct span value)
{
	if (value.n)
		json_object_set_new(j, key, text(value));
}

static void put_all(json_t *j, const struct named *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(j, list[i].key, list[i].value);
}

static json_t *milliseconds(int64_t us)
{
	return json_real((double)us / 1000);
}

/* The fields in the order of waypost-trace(5), behind the hop's number. */
static json_t *event(const struct step *s)
{
	const struct event *e = s->e;
	json_t *j = json_pack("{s:i}", "hop", (int)s->hop);
	const struct named before[] = { { "t", e->time }, { "prog", e->prog }, { "role", e->role } };
	const struct named between[] = { { "conv", e->conv }, { "mid", e->mid }, { "qid", e->qid }, { "env", e->env },
		{ "ev", e->ev }, { "dir", span_of(&e->dir, e->dir ? 1 : 0) }, { "line", e->line }, { "peer", e->peer },
		{ "tls", e->tls }, { "result", e->result } };
	put_all(j, before, sizeof before / sizeof *before);
	json_object_set_new(j, "pid", json_integer(e->pid));
	put_all(j, between, sizeof between / sizeof *between);
	if (e->code)
		json_object_set_new(j, "code", json_integer(e->code));
	put(j, "why", e->why);
	put(j, "rfc", e->rfc);
	if (e->ms >= 0)
		json_object_set_new(j, "ms", json_real(e->ms));
	return j;
}

static json_t *talk(const struct talk *t)
{
	char protocol[24];
	json_t *j = json_object();
	talk_protocol(t, protocol);
	const struct named list[] = { { "conv", t->group },
		{ "side", t->side == '<'   ? SPAN("server")
			  : t->side == '>' ? SPAN("client")
					   : SPAN("") },
		{ "protocol", span_str(protocol) }, { "peer", t->peer }, { "tls", t->tls } };
	put_all(j, list, sizeof list / sizeof *list);
	json_object_set_new(j, "secure", json_boolean(t->secure));
	json_object_set_new(j, "authenticated", json_boolean(t->auth));
	return j;
}

static json_t *hop(const struct story *s, unsigned i)
{
	const struct hop *h = &s->hop[i];
	json_t *j = json_pack("{s:i}", "hop", (int)i + 1), *talks = json_array();
	put(j, "prog", h->prog);
	put(j, "role", h->role);
	json_object_set_new(j, "pid", json_integer(h->pid));
	put(j, "qid", h->qid);
	json_object_set_new(j, "begin_ms", milliseconds(h->first_us - s->step[0].e->us));
	json_object_set_new(j, "ms", milliseconds(h->last_us - h->first_us));
	for (size_t k = 0; k < s->n_talks; k++)
		if (s->talk[k].hop == i + 1)
			json_array_append_new(talks, talk(&s->talk[k]));
	json_object_set_new(j, "conversations", talks);
	return j;
}

static json_t *recipient(const struct recipient *r)
{
	json_t *j = json_object();
	put(j, "address", r->address);
	put(j, "ev", r->last->ev);
	put(j, "result", r->last->result);
	put(j, "why", r->why);
	return j;
}

static json_t *received(const struct received *r)
{
	json_t *j = json_object();
	const struct named list[] = { { "from", r->from }, { "rdns", r->rdns }, { "ip", r->ip }, { "by", r->by },
		{ "software", r->software }, { "via", r->via }, { "with", r->with }, { "id", r->id },
		{ "for", r->rcpt }, { "envelope_from", r->envelope_from }, { "tls_version", r->tls_version },
		{ "tls_cipher", r->tls_cipher } };
	put_all(j, list, sizeof list / sizeof *list);
	json_object_set_new(j, "tls", json_boolean(r->tls));
	json_object_set_new(j, "authenticated", json_boolean(r->auth));
	if (r->has_time)
		json_object_set_new(j, "time", json_integer(r->time));
	return j;
}

/* delay: seconds since the hop before, or the Date field; below 0 when clocks disagree. */
static json_t *mail(const struct mail *m)
{
	json_t *j = json_object(), *list = json_array();
	bool known = m->has_date;
	int64_t before = m->date;
	put(j, "file", span_str(m->file));
	if (m->has_date)
		json_object_set_new(j, "date", json_integer(m->date));
	for (size_t i = 0; i < m->n; i++) {
		const struct received *r = &m->hop[i];
		json_t *one = received(r);
		if (r->has_time && known)
			json_object_set_new(one, "delay", json_integer(r->time - before));
		known |= r->has_time;
		if (r->has_time)
			before = r->time;
		json_array_append_new(list, one);
	}
	json_object_set_new(j, "received", list);
	return j;
}

static json_t *story(const struct story *s, bool lines)
{
	json_t *j = json_object(), *hops = json_array(), *events = json_array(), *rcpts = json_array(),
	       *mails = json_array();
	put(j, "mid", s->mid);
	if (!s->mid.n)
		put(j, "name", s->name);
	for (unsigned i = 0; i < s->n_hops; i++)
		json_array_append_new(hops, hop(s, i));
	for (size_t i = 0; i < s->n; i++)
		if (lines || !span_eqs(s->step[i].e->ev, "line"))
			json_array_append_new(events, event(&s->step[i]));
	for (size_t i = 0; i < s->n_recipients; i++)
		json_array_append_new(rcpts, recipient(&s->recipient[i]));
	for (size_t i = 0; i < s->n_mails; i++)
		json_array_append_new(mails, mail(s->mail[i]));
	if (s->n)
		json_object_set_new(j, "ms", milliseconds(s->step[s->n - 1].e->us - s->step[0].e->us));
	json_object_set_new(j, "recipients", rcpts);
	json_object_set_new(j, "hops", hops);
	json_object_set_new(j, "events", events);
	json_object_set_new(j, "files", mails);
	return j;
}

/* DEL and the C1 controls (U+0080 to U+009F) may stand in JSON as they are, but not on a terminal. */
static void add_harmless(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned c = (unsigned char)s.p[i], next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
		if (c == 0x7f)
			buf_adds(out, "\\u007f");
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			buf_addf(out, "\\u%04x", (unsigned)(unsigned char)s.p[++i]);
		else
			buf_addc(out, (char)c);
	}
}

void show_json(const struct input *in, const struct stories *all, bool lines, struct buf *out)
{
	json_t *list = json_array();
	for (size_t i = 0; i < all->n; i++)
		json_array_append_new(list, story(&all->v[i], lines));
	json_t *j = json_pack("{s:o,s:I}", "messages", list, "malformed", (json_int_t)in->malformed);
	char *textual = json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
	add_harmless(out, span_str(textual ? textual : "{}"));
	buf_addc(out, '\n');
	free(textual);
	json_decref(j);
}
