/* SPDX-License-Identifier: ISC */
#include "mda-deliver/letter.h"

#include "base/limits.h"
#include "msg/date.h"
#include "msg/header.h"

enum {
	DELIVERED_TO_MAX = 200, /* more are not looked at: the count of Received fields ends such a loop */
};

/* Fields to be taken out are few: pieces grow by doubling in the arena. */
static void add_piece(struct letter *l, struct arena *a, struct span s)
{
	if (!s.n)
		return;
	if (!(l->n & (l->n - 1)) || !l->n) {
		struct span *more = arena_alloc(a, (l->n ? 2 * l->n : 1) * sizeof *more);
		if (l->n)
			memcpy(more, l->piece, l->n * sizeof *more);
		l->piece = more;
	}
	l->piece[l->n++] = s;
}

static void note_field(struct letter *l, struct arena *a, const struct header_field *f)
{
	if (span_ieqs(f->name, "Received")) {
		l->received++;
	} else if (span_ieqs(f->name, "Message-ID") && !l->message_id.n) {
		l->message_id = span_trim(f->value);
	} else if (span_ieqs(f->name, "Delivered-To") && l->n_delivered_to < DELIVERED_TO_MAX) {
		if (!l->delivered_to)
			l->delivered_to = arena_alloc(a, DELIVERED_TO_MAX * sizeof *l->delivered_to);
		l->delivered_to[l->n_delivered_to++] = span_trim(f->value);
	}
}

void letter_read(struct letter *l, struct arena *a, struct span content)
{
	struct header_field f;
	struct span rest = content;
	*l = (struct letter){ .message_id = span_str("") };
	if (span_starts(rest, "From ") || span_starts(rest, ">From "))
		span_cut(&rest, '\n');
	struct span kept = rest;
	while (content.n - rest.n < LIMIT_HEADER_BYTES && header_next(&rest, &f)) {
		if (!span_ieqs(f.name, "Return-Path")) {
			note_field(l, a, &f);
			continue;
		}
		/* UNSAFE: f.raw lies within kept, both are parts of content. */
		add_piece(l, a, span_of(kept.p, (size_t)(f.raw.p - kept.p)));
		kept = rest;
	}
	add_piece(l, a, kept);
}

int letter_check_loop(const struct letter *l, struct span rcpt, struct err *err)
{
	bool again = false;
	for (size_t i = 0; i < l->n_delivered_to && !again; i++)
		again = span_ieq(l->delivered_to[i], rcpt);
	if (!again && l->received <= LIMIT_RECEIVED_HOPS)
		return 0;
	if (again)
		err_reply(err, 554, "5.4.6", "mail loop: the message has been delivered to this address before");
	else
		err_reply(err, 554, "5.4.6", "mail loop: the message has %zu Received fields", l->received);
	err->class = ERR_DATA;
	return -1;
}

/* An address for a header field: it came as an argument or over LMTP, and must not make another line. */
static void add_clean(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? '?' : s.p[i]);
}

static void add_received(const struct letter_trace *t, int64_t when, struct buf *out)
{
	buf_adds(out, "Received: from ");
	add_clean(out, t->helo);
	bool ip = strchr(t->peer, '.') || strchr(t->peer, ':');
	buf_addf(out, ip ? " ([%s%s])" : " (%s%s)", strchr(t->peer, ':') ? "IPv6:" : "", t->peer);
	buf_addf(out, "\n\tby %s (waypost) with %s id %s\n\tfor <", t->hostname, t->protocol, t->id);
	add_clean(out, t->rcpt);
	buf_adds(out, ">;\n\t");
	date_format(when, date_local_zone(when), out);
	buf_addc(out, '\n');
}

void letter_trace_fields(const struct letter_trace *t, int64_t when, struct buf *out)
{
	buf_adds(out, "Return-Path: <");
	add_clean(out, t->sender);
	buf_adds(out, ">\nDelivered-To: ");
	add_clean(out, t->rcpt);
	buf_addc(out, '\n');
	if (t->helo.p)
		add_received(t, when, out);
}
