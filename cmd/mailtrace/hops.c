/* SPDX-License-Identifier: ISC
 *
 * A story's hops (what each program had to do with it), the conversations in them, and what became of each recipient.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mailtrace/model.h"

/* The same program, and the same queue id, or the same process while one of them has no queue id. */
static bool same_hop(const struct hop *h, const struct event *e, struct span qid)
{
	if (!span_eq(h->prog, e->prog))
		return false;
	if (h->qid.n && qid.n)
		return span_eq(h->qid, qid);
	return h->pid == e->pid;
}

/* A queue is filled by an MSA and emptied by an MTA: both are named. */
static void add_role(struct arena *a, struct hop *h, struct span role)
{
	struct span rest = h->role;
	while (rest.n)
		if (span_eq(span_trim(span_cut(&rest, ',')), role))
			return;
	if (role.n && h->role.n < 64)
		h->role =
		    span_str(arena_printf(a, "%.*s%s%.*s", SPAN_FMT(h->role), h->role.n ? ", " : "", SPAN_FMT(role)));
}

static bool is_one_of(struct span ev, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_eqs(ev, list[i]))
			return true;
	return false;
}

/* Greetings, logins and look-ups are before the message: who fetches calls first, and is yet the second to have it. */
static bool about_message(const struct event *e)
{
	static const char *const before[] = { "conn.open", "conn.fail", "conn.close", "tls", "auth", "dns", "line" };
	return span_istarts(e->line, "MAIL FROM:") || !is_one_of(e->ev, before, sizeof before / sizeof *before);
}

/* The end of a hop or a talk: lines and goodbyes come long after the message in a conversation that is kept. */
static void stretch_to(int64_t *last_us, bool *told, const struct event *e)
{
	static const char *const goodbye[] = { "line", "conn.close" };
	bool tells = !is_one_of(e->ev, goodbye, sizeof goodbye / sizeof *goodbye);
	if (tells || !*told)
		*last_us = e->us;
	*told |= tells;
}

static void stretch(struct hop *h, const struct event *e)
{
	stretch_to(&h->last_us, &h->told, e);
	if (!h->met && about_message(e)) {
		h->met = true;
		h->message_us = e->us;
	}
}

static unsigned hop_of(struct arena *a, struct story *s, const struct event *e, struct span qid)
{
	unsigned i = 0;
	while (i < s->n_hops && !same_hop(&s->hop[i], e, qid))
		i++;
	if (i == s->n_hops && s->n_hops == MAX_HOPS)
		return MAX_HOPS;
	if (i == s->n_hops)
		s->hop[s->n_hops++] = (struct hop){ .prog = e->prog,
			.role = e->role,
			.pid = e->pid,
			.first_us = e->us,
			.message_us = e->us,
			.number = i + 1 };
	struct hop *h = &s->hop[i];
	if (!h->qid.n)
		h->qid = qid;
	stretch(h, e);
	add_role(a, h, e->role);
	return i + 1;
}

static struct talk *talk_of(struct story *s, const struct event *e)
{
	/* The newest first: events of one conversation come mostly together. */
	for (size_t i = s->n_talks; i-- > 0;)
		if (span_eq(s->talk[i].group, e->group))
			return &s->talk[i];
	if (s->n_talks == MAX_TALKS || !e->conv.n)
		return NULL;
	struct talk *t = &s->talk[s->n_talks++];
	*t = (struct talk){ .group = e->group,
		.peer = e->peer,
		.tls = span_str(""),
		.qid = e->qid,
		.protocol = "",
		.first_us = e->us };
	return t;
}

/* Which protocol a line belongs to, by how conversations begin; says who served. */
static void learn_protocol(struct talk *t, const struct event *e)
{
	static const struct {
		const char *start, *protocol;
		bool from_client;
	} signs[] = {
		{ "EHLO ", "ESMTP", true },
		{ "HELO ", "SMTP", true },
		{ "LHLO ", "LMTP", true },
		{ "* OK", "IMAP", false },
		{ "* PREAUTH", "IMAP", false },
		{ "+OK", "POP3", false },
		{ "\"IMPLEMENTATION\"", "ManageSieve", false },
	};
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		if (!span_istarts(e->line, signs[i].start))
			continue;
		t->protocol = signs[i].protocol;
		if (!t->side && e->dir)
			t->side = (e->dir == '<') == signs[i].from_client ? '<' : '>';
		return;
	}
}

static void learn_talk(struct talk *t, const struct event *e)
{
	stretch_to(&t->last_us, &t->told, e);
	if (!t->qid.n)
		t->qid = e->qid;
	if (span_eqs(e->ev, "conn.open") && e->dir)
		t->side = e->dir;
	if (span_eqs(e->ev, "auth") && span_eqs(e->result, "ok"))
		t->auth = true;
	if (span_eqs(e->ev, "tls") && span_eqs(e->result, "ok"))
		t->secure = true;
	if (e->tls.n) {
		t->tls = e->tls;
		t->secure = true;
	}
	if (!t->peer.n)
		t->peer = e->peer;
	if (e->line.n && !t->protocol[0])
		learn_protocol(t, e);
}

void talk_protocol(const struct talk *t, char out[24])
{
	bool smtp = span_ends(span_str(t->protocol), "MTP") && !span_eqs(span_str(t->protocol), "SMTP");
	snprintf(out, 24, "%s%s%s", t->protocol, smtp && t->secure ? "S" : "", smtp && t->auth ? "A" : "");
}

/* "<bob@example.org>: no such user": the address, and what follows. */
static bool about_address(const struct event *e, struct span *address, struct span *why)
{
	static const char *const kinds[] = { "smtp.rcpt", "deliver", "store", "pipe", "bounce", "queue" };
	bool wanted = false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		wanted |= span_eqs(e->ev, kinds[i]);
	ptrdiff_t end = span_find(e->why, SPAN(">: "));
	if (!wanted || end < 2 || e->why.p[0] != '<')
		return false;
	*address = span_slice(e->why, 1, (size_t)end);
	*why = span_from(e->why, (size_t)end + 3);
	return true;
}

static void learn_recipient(struct story *s, const struct event *e)
{
	struct span address, why;
	if (!about_address(e, &address, &why))
		return;
	for (size_t i = 0; i < s->n_recipients; i++) {
		struct recipient *r = &s->recipient[i];
		if (!span_ieq(r->address, address))
			continue;
		r->last = e;
		r->why = why;
		return;
	}
	if (s->n_recipients < MAX_RECIPIENTS)
		s->recipient[s->n_recipients++] = (struct recipient){ address, e, why };
}

static int by_message(const void *a, const void *b)
{
	const struct hop *x = a, *y = b;
	if (x->message_us != y->message_us)
		return x->message_us < y->message_us ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

/* As the message went, which is not always as the programs began. */
static void order_hops(struct story *s)
{
	unsigned now[MAX_HOPS + 1] = { 0 };
	if (s->n_hops)
		qsort(s->hop, s->n_hops, sizeof *s->hop, by_message);
	for (unsigned i = 0; i < s->n_hops; i++) {
		now[s->hop[i].number] = i + 1;
		s->hop[i].number = i + 1;
	}
	for (size_t i = 0; i < s->n; i++)
		s->step[i].hop = now[s->step[i].hop];
	for (size_t i = 0; i < s->n_talks; i++)
		s->talk[i].hop = now[s->talk[i].hop];
}

void find_hops(struct arena *a, struct story *s)
{
	s->hop = arena_alloc(a, (s->n < MAX_HOPS ? s->n + 1 : MAX_HOPS) * sizeof *s->hop);
	s->talk = arena_alloc(a, (s->n < MAX_TALKS ? s->n + 1 : MAX_TALKS) * sizeof *s->talk);
	s->recipient = arena_alloc(a, (s->n < MAX_RECIPIENTS ? s->n + 1 : MAX_RECIPIENTS) * sizeof *s->recipient);
	for (size_t i = 0; i < s->n; i++) {
		struct talk *t = talk_of(s, s->step[i].e);
		if (t)
			learn_talk(t, s->step[i].e);
		learn_recipient(s, s->step[i].e);
	}
	/* A server learns the queue id at its end, when the queue may have been at work with it already. */
	for (size_t i = 0; i < s->n; i++) {
		const struct event *e = s->step[i].e;
		struct talk *t = talk_of(s, e);
		s->step[i].hop = hop_of(a, s, e, t && !e->qid.n ? t->qid : e->qid);
		if (t && !t->hop)
			t->hop = s->step[i].hop;
	}
	order_hops(s);
}
