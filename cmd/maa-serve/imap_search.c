/* SPDX-License-Identifier: ISC
 *
 * SEARCH (RFC 3501 6.4.4): does a message fit? Text is compared in UTF-8, decoded from charset and transfer encoding,
 * without regard to case.
 */
#include "imap_search.h"

#include <errno.h>

#include "base/limits.h"
#include "crlf.h"
#include "msg/addr.h"
#include "msg/date.h"
#include "msg/encword.h"
#include "msg/header.h"
#include "msg/mime.h"

struct search {
	struct imap *s;
	size_t place;
	struct maildir_msg *msg;
	bool loaded, failed;
	struct span content;
	struct arena *arena; /* this message's */
	struct mime_part *root;
	struct buf text; /* what is looked through */
};

/* Opened at most once a message. */
static bool load(struct search *x)
{
	struct err err;
	if (x->loaded || x->failed)
		return x->loaded;
	x->loaded = maildir_content(x->s->f, x->msg, &x->content, &err) == 0;
	x->failed = !x->loaded;
	if (x->failed && err.sys == ENOENT)
		x->msg->gone = true;
	return x->loaded;
}

static bool contains(struct search *x, struct span needle)
{
	search_fold(x->text.p, x->text.len);
	return !needle.n || memmem(x->text.p, x->text.len, needle.p, needle.n) != NULL;
}

static bool in_value(struct search *x, struct span value, struct span needle)
{
	buf_reset(&x->text);
	encword_decode(value, &x->text);
	return contains(x, needle);
}

/* name "" for every field. An empty text asks only whether the field is there (RFC 3501 6.4.4). */
static bool in_fields(struct search *x, struct span header, struct span name, struct span needle)
{
	struct header_field f;
	while (header_next(&header, &f)) {
		if (name.n && !span_ieq(f.name, name))
			continue;
		/* With its name, when all of the header is meant. */
		if (in_value(x, name.n ? f.value : f.raw, needle))
			return true;
	}
	return false;
}

/* Comments and folding may stand anywhere in an address: what is meant is looked through too. */
static bool in_addresses(struct search *x, struct span header, const struct search_key *k)
{
	struct header_field f;
	struct addr_list list;
	if (in_fields(x, header, k->field, k->text))
		return true;
	while (header_next(&header, &f)) {
		if (!span_ieq(f.name, k->field))
			continue;
		addr_parse_list(x->arena, f.value, &list);
		for (size_t i = 0; i < list.n; i++) {
			buf_reset(&x->text);
			addr_format(&list.v[i], &x->text);
			if (contains(x, k->text))
				return true;
		}
	}
	return false;
}

static bool in_body(struct search *x, struct span needle)
{
	if (!x->root)
		x->root = mime_parse(x->arena, x->content);
	for (struct mime_part *p = x->root; p; p = mime_next(p)) {
		/* The header of a message inside belongs to the body of the one outside. */
		if (p != x->root && p->parent->kind == MIME_MESSAGE && in_fields(x, p->header, span_of("", 0), needle))
			return true;
		if (p->kind != MIME_LEAF || !span_eqs(p->type, "text"))
			continue;
		buf_reset(&x->text);
		mime_content(p, true, &x->text);
		if (contains(x, needle))
			return true;
	}
	return false;
}

static bool in_message(struct search *x, const struct search_key *k)
{
	struct span body;
	if (!load(x))
		return false;
	if (k->kind == SEARCH_HEADER)
		return in_fields(x, header_of(x->content, &body), k->field, k->text);
	if (k->kind == SEARCH_ADDRESS)
		return in_addresses(x, header_of(x->content, &body), k);
	if (k->kind == SEARCH_TEXT && in_fields(x, header_of(x->content, &body), span_of("", 0), k->text))
		return true;
	return in_body(x, k->text);
}

static int64_t day_of(int64_t t)
{
	return t / 86400 - (t % 86400 < 0);
}

/* The day of arrival, by this host's clock; RFC 3501 disregards time and zone. */
static bool internal_day(struct search *x, int64_t *day)
{
	struct err err;
	int64_t t;
	if (maildir_internal_date(x->s->f, x->msg, &t, &err) < 0)
		return false;
	*day = day_of(t + date_local_zone(t) * 60);
	return true;
}

/* The day that the Date field says, in its own zone. */
static bool sent_day(struct search *x, int64_t *day)
{
	struct header_field f;
	int64_t t;
	int zone;
	struct span body;
	if (!load(x) || !header_find(header_of(x->content, &body), "Date", &f) || !date_parse(f.value, &t, &zone))
		return false;
	*day = day_of(t + zone * 60);
	return true;
}

static bool fits_date(struct search *x, const struct search_key *k)
{
	int64_t day;
	if (!(k->kind < SEARCH_SENTBEFORE ? internal_day(x, &day) : sent_day(x, &day)))
		return false;
	switch (k->kind) {
	case SEARCH_BEFORE:
	case SEARCH_SENTBEFORE:
		return day < k->days;
	case SEARCH_ON:
	case SEARCH_SENTON:
		return day == k->days;
	default:
		return day >= k->days;
	}
}

static bool fits_size(struct search *x, const struct search_key *k)
{
	struct err err;
	/* Not through the store when the content is at hand: it would be read again, and might move. */
	if (x->msg->vsize == UINT64_MAX && x->loaded)
		x->msg->vsize = crlf_size(x->content);
	else if (x->msg->vsize == UINT64_MAX && maildir_sizes(x->s->f, x->msg, &err) < 0)
		return false;
	return k->kind == SEARCH_LARGER ? x->msg->vsize > k->size : x->msg->vsize < k->size;
}

static bool fits(struct search *x, const struct search_key *k);

static bool fits_children(struct search *x, const struct search_key *k)
{
	/* The result of AND until one fails, of OR until one holds. */
	bool all = k->kind == SEARCH_AND;
	for (const struct search_key *c = k->child; c; c = c->next)
		if (fits(x, c) != all)
			return !all;
	return all;
}

/* Depth is bounded by the parser. */
static bool fits(struct search *x, const struct search_key *k)
{
	unsigned flags = x->msg->flags;
	switch (k->kind) {
	case SEARCH_ALL:
		return true;
	case SEARCH_NONE:
		return false;
	case SEARCH_SET:
		return imap_set_has(&k->set, (uint32_t)x->place + 1);
	case SEARCH_FLAG:
		return (flags & k->mask) == k->mask;
	case SEARCH_UNFLAG:
		return !(flags & k->mask);
	case SEARCH_NEW:
		return (flags & FLAG_RECENT) && !(flags & FLAG_SEEN);
	case SEARCH_KEYWORD:
		return x->msg->keywords & k->mask;
	case SEARCH_UNKEYWORD:
		return !(x->msg->keywords & k->mask);
	case SEARCH_AND:
	case SEARCH_OR:
		return fits_children(x, k);
	case SEARCH_NOT:
		return !fits(x, k->child);
	case SEARCH_LARGER:
	case SEARCH_SMALLER:
		return fits_size(x, k);
	case SEARCH_HEADER:
	case SEARCH_ADDRESS:
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return in_message(x, k);
	default:
		return fits_date(x, k);
	}
}

static bool search_one(struct search *x, const struct search_key *all, size_t place)
{
	x->place = place;
	x->msg = &x->s->f->msg[place];
	x->loaded = x->failed = false;
	x->root = NULL;
	if (all->cost > 1)
		arena_reset(x->arena);
	return !x->msg->gone && fits(x, all) && !x->msg->gone;
}

void imap_cmd_search(struct imap *s)
{
	struct search x = { .s = s };
	struct search_key *all = search_parse(s);
	if (!all)
		return;
	x.arena = arena_new();
	buf_init(&x.text, 4 * (size_t)LIMIT_MESSAGE_DEFAULT);
	stream_puts(s->s, "* SEARCH");
	for (size_t i = 0; i < s->shown && stream_err(s->s)->class == ERR_NONE; i++)
		if (search_one(&x, all, i))
			stream_printf(s->s, " %u", s->uid ? (unsigned)s->f->msg[i].uid : (unsigned)i + 1);
	stream_puts(s->s, "\r\n");
	buf_free(&x.text);
	arena_free(x.arena);
}
