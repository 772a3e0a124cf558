/* SPDX-License-Identifier: ISC
 *
 * A story's hops (what each program had to do with it), the conversations in them, and what became of each recipient.
 */
#include <stdio.h>

#include "mailtrace/model.h"

/* The same program, and the same queue id, or the same process while one of them has no queue id. */
static bool same_hop(const struct hop *h, const struct event *e)
{
	if (!span_eq(h->prog, e->prog))
		return false;
	if (h->qid.n && e->qid.n)
		return span_eq(h->qid, e->qid);
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

static unsigned hop_of(struct arena *a, struct story *s, const struct event *e)
{
	unsigned i = 0;
	while (i < s->n_hops && !same_hop(&s->hop[i], e))
		i++;
	if (i == s->n_hops && s->n_hops == MAX_HOPS)
		return MAX_HOPS;
	if (i == s->n_hops)
		s->hop[s->n_hops++] =
		    (struct hop){ .prog = e->prog, .role = e->role, .qid = e->qid, .pid = e->pid, .first_us = e->us };
	struct hop *h = &s->hop[i];
	if (!h->qid.n)
		h->qid = e->qid;
	h->last_us = e->us;
	add_role(a, h, e->role);
	return i + 1;
}

static struct talk *talk_of(struct story *s, const struct event *e, unsigned hop)
{
	/* The newest first: events of one conversation come mostly together. */
	for (size_t i = s->n_talks; i-- > 0;)
		if (span_eq(s->talk[i].group, e->group))
			return &s->talk[i];
	if (s->n_talks == MAX_TALKS || !e->conv.n)
		return NULL;
	struct talk *t = &s->talk[s->n_talks++];
	*t = (struct talk){ .group = e->group, .hop = hop, .peer = e->peer, .tls = span_str(""), .protocol = "" };
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

void find_hops(struct arena *a, struct story *s)
{
	s->hop = arena_alloc(a, (s->n < MAX_HOPS ? s->n + 1 : MAX_HOPS) * sizeof *s->hop);
	s->talk = arena_alloc(a, (s->n < MAX_TALKS ? s->n + 1 : MAX_TALKS) * sizeof *s->talk);
	s->recipient = arena_alloc(a, (s->n < MAX_RECIPIENTS ? s->n + 1 : MAX_RECIPIENTS) * sizeof *s->recipient);
	for (size_t i = 0; i < s->n; i++) {
		const struct event *e = s->step[i].e;
		s->step[i].hop = hop_of(a, s, e);
		struct talk *t = talk_of(s, e, s->step[i].hop);
		if (t)
			learn_talk(t, e);
		learn_recipient(s, e);
	}
}
