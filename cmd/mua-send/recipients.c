/* SPDX-License-Identifier: ISC */
#include "mua-send/recipients.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "dns/dns.h"
#include "msg/addr.h"
#include "msg/header.h"

/* ---- one address ---- */

/* Appends the domain as the envelope has it. False when it can't be one. */
static bool add_domain(struct span domain, struct buf *out)
{
	if (!addr_needs_utf8(domain)) {
		buf_addspan(out, domain);
		return true;
	}
	return dns_to_ascii(domain, out);
}

/* NULL when it is no mailbox. */
static char *normal(struct arena *arena, const struct addr *a, const char *otherwise)
{
	struct buf domain, text;
	struct addr whole = *a, parsed;
	char *out = NULL;
	buf_init(&domain, LIMIT_SMTP_PATH);
	buf_init(&text, LIMIT_SMTP_PATH);
	if (add_domain(a->domain.n ? a->domain : span_str(otherwise), &domain)) {
		whole.domain = buf_span(&domain);
		addr_format(&whole, &text);
		if (!text.bad && addr_parse_mailbox(buf_span(&text), true, false, &parsed, arena))
			out = arena_str(arena, buf_span(&text));
	}
	buf_free(&domain);
	buf_free(&text);
	return out;
}

const char *recipients_normal(struct arena *arena, struct span text, const char *domain, struct err *err)
{
	struct addr_list list;
	if (!text.n || span_eqs(text, "<>"))
		return "";
	addr_parse_list(arena, text, &list);
	bool one = list.n == 1 && !list.skipped && list.v[0].local.n;
	const char *out = one ? normal(arena, &list.v[0], domain) : NULL;
	if (!out)
		err_set(err, ERR_USAGE, "%s is no address", log_quote(text));
	return out;
}

/* ---- the set of them ---- */

static uint64_t hash(struct span s)
{
	uint64_t h = 14695981039346656037ULL; /* FNV-1a */
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)ascii_lower(s.p[i])) * 1099511628211ULL;
	return h;
}

/* The slot where it stands, or is to stand. */
static size_t *slot_of(const struct recipients *r, struct span address)
{
	size_t i = hash(address) & (r->slots - 1);
	while (r->table[i] && addr_order(span_str(r->v[r->table[i] - 1].address), address) != 0)
		i = (i + 1) & (r->slots - 1);
	return &r->table[i];
}

static void grow(struct recipients *r)
{
	if (r->n == r->room) {
		r->room = r->room ? 2 * r->room : 16;
		r->v = xreallocarray(r->v, r->room, sizeof *r->v);
	}
	if (2 * (r->n + 1) <= r->slots)
		return;
	r->slots = r->slots ? 2 * r->slots : 64;
	free(r->table);
	r->table = xcalloc(r->slots, sizeof *r->table);
	for (size_t i = 0; i < r->n; i++)
		*slot_of(r, span_str(r->v[i].address)) = i + 1;
}

static void add_once(struct recipients *r, const char *address)
{
	grow(r);
	size_t *slot = slot_of(r, span_str(address));
	if (*slot)
		return;
	r->v[r->n] = (struct smtp_rcpt){ .address = address };
	*slot = ++r->n;
}

void recipients_free(struct recipients *r)
{
	free(r->v);
	free(r->table);
	r->v = NULL;
	r->table = NULL;
	r->n = r->room = r->slots = 0;
}

int recipients_add(struct recipients *r, struct span text, const char *what, struct err *err)
{
	struct addr_list list;
	addr_parse_list(r->arena, text, &list);
	if (list.skipped)
		return err_set(err, ERR_DATA, "%s: a part of it is no address: %s", what, log_quote(text));
	for (size_t i = 0; i < list.n; i++) {
		const struct addr *a = &list.v[i];
		if (!a->local.n && !a->domain.n)
			continue; /* an empty group */
		const char *address = normal(r->arena, a, r->domain);
		if (!address)
			return err_set(err, ERR_DATA, "%s: nothing can be sent to %s", what, log_quote(text));
		add_once(r, address);
	}
	return r->n > LIMIT_ADDRESSES ? err_set(err, ERR_LIMIT, "more than %d recipients", LIMIT_ADDRESSES) : 0;
}

static bool is_recipient_field(struct span name)
{
	return span_ieqs(name, "To") || span_ieqs(name, "Cc") || span_ieqs(name, "Bcc");
}

/* 1 when there is such a block. */
static int from_resent_block(struct recipients *r, struct span header, struct err *err)
{
	struct header_field f;
	bool inside = false;
	while (header_next(&header, &f)) {
		if (!span_istarts(f.name, "Resent-")) {
			if (inside)
				return 1;
			continue;
		}
		inside = true;
		if (is_recipient_field(span_from(f.name, 7)) && recipients_add(r, f.value, "Resent- field", err))
			return -1;
	}
	return inside;
}

int recipients_from_header(struct recipients *r, struct span msg, struct err *err)
{
	struct span body, header = header_of(msg, &body);
	struct header_field f;
	int resent = from_resent_block(r, header, err);
	if (resent)
		return resent < 0 ? -1 : 0;
	while (header_next(&header, &f)) {
		char *name = arena_str(r->arena, f.name);
		if (is_recipient_field(f.name) && recipients_add(r, f.value, name, err))
			return -1;
	}
	return 0;
}
