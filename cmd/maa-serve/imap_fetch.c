/* SPDX-License-Identifier: ISC
 *
 * FETCH (RFC 3501 6.4.5, 7.4.2): items of each message, literals sent from the file as it lies in memory.
 */
#include "imap_fetch.h"

#include <errno.h>
#include <inttypes.h>

#include "crlf.h"
#include "imap/bodystructure.h"
#include "imap/envelope.h"
#include "msg/date.h"
#include "msg/header.h"

enum {
	STRUCTURE_MAX = 16 * 1048576
};

struct fetch {
	struct imap *s;
	struct fetch_items items;
	struct fetch_message m;
	struct buf text; /* envelopes, structures, labels, header fields */
	struct err err;  /* the last failure, told in the tagged answer */
};

static void put_date(struct fetch *f, struct maildir_msg *msg)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t t = 0, year;
	int month, day;
	if (maildir_internal_date(f->s->f, msg, &t, &f->err) < 0)
		t = 0;
	int zone = date_local_zone(t), abs_zone = zone < 0 ? -zone : zone;
	int64_t local = t + zone * 60, days = local / 86400 - (local % 86400 < 0);
	int sec = (int)(local - days * 86400);
	date_civil(days, &year, &month, &day);
	stream_printf(f->s->s, "INTERNALDATE \"%2d-%.3s-%04d %02d:%02d:%02d %c%02d%02d\"", day,
	    months + 3 * (month - 1), (int)year, sec / 3600, sec / 60 % 60, sec % 60, zone < 0 ? '-' : '+',
	    abs_zone / 60, abs_zone % 60);
}

static void put_size(struct fetch *f, struct maildir_msg *msg)
{
	/* Not through the store when the content is at hand: it would be read again, and might move. */
	if (msg->vsize == UINT64_MAX && f->items.content)
		msg->vsize = crlf_size(f->m.content);
	else if (msg->vsize == UINT64_MAX && maildir_sizes(f->s->f, msg, &f->err) < 0)
		msg->vsize = 0;
	stream_printf(f->s->s, "RFC822.SIZE %" PRIu64, msg->vsize);
}

static void put_parsed(struct fetch *f, enum fetch_kind kind)
{
	struct span body;
	buf_reset(&f->text);
	if (kind == FETCH_ENVELOPE) {
		buf_adds(&f->text, "ENVELOPE ");
		imap_envelope(f->m.arena, header_of(f->m.content, &body), &f->text);
	} else {
		buf_adds(&f->text, kind == FETCH_BODY ? "BODY " : "BODYSTRUCTURE ");
		imap_bodystructure(f->m.arena, fetch_mime(&f->m), kind == FETCH_BODYSTRUCTURE, &f->text);
	}
	if (!f->text.bad) {
		stream_span(f->s->s, buf_span(&f->text));
		return;
	}
	stream_puts(f->s->s, kind == FETCH_ENVELOPE ? "ENVELOPE NIL" : "BODY NIL");
	err_set(&f->err, ERR_LIMIT, "the structure is too large");
}

/* A literal of the part of `text` that is asked for. Chunks fetched one after the other start where the last ended, so
 * that reading a message in pieces costs its length once. */
static void put_literal(struct fetch *f, const struct maildir_msg *msg, const struct section *sec, struct span text)
{
	struct imap_resume *r = &f->s->resume;
	const struct span *c = &f->m.content;
	bool inside = text.p >= c->p && text.p <= c->p + c->n; /* not collected elsewhere */
	size_t offset = inside ? (size_t)(text.p - c->p) : 0;
	struct crlf_at at = { 0, 0 };
	uint64_t total, count;
	if (sec->partial && inside && r->uid == msg->uid && r->offset == offset && r->length == text.n) {
		total = r->total;
		if (r->shown <= sec->from)
			at = (struct crlf_at){ r->stored, r->shown };
	} else {
		total = crlf_size(text);
	}
	count = sec->from >= total ? 0 : total - sec->from;
	if (sec->partial && count > sec->count)
		count = sec->count;
	stream_printf(f->s->s, "{%" PRIu64 "}\r\n", count);
	crlf_send(f->s->s, text, sec->from, count, &at);
	if (sec->partial && inside)
		*r = (struct imap_resume){ msg->uid, offset, text.n, total, at.shown, at.stored };
}

static void put_section(struct fetch *f, const struct maildir_msg *msg, const struct section *sec)
{
	struct span text;
	buf_reset(&f->text);
	section_label(sec, &f->text);
	stream_span(f->s->s, buf_span(&f->text));
	stream_puts(f->s->s, " ");
	if (section_find(&f->m, sec, &f->text, &text))
		put_literal(f, msg, sec, text);
	else
		stream_puts(f->s->s, "NIL");
}

static void put_item(struct fetch *f, const struct fetch_item *item, struct maildir_msg *msg)
{
	switch (item->kind) {
	case FETCH_UID:
		stream_printf(f->s->s, "UID %" PRIu32, msg->uid);
		break;
	case FETCH_FLAGS:
		stream_puts(f->s->s, "FLAGS ");
		imap_put_flags(f->s, msg->flags, msg->keywords);
		break;
	case FETCH_DATE:
		put_date(f, msg);
		break;
	case FETCH_SIZE:
		put_size(f, msg);
		break;
	case FETCH_SECTION:
		put_section(f, msg, item->section);
		break;
	default:
		put_parsed(f, item->kind);
		break;
	}
}

/* Reading marks as read, and the change is told with the rest. Failing to mark is no reason not to read. */
static bool mark_seen(struct fetch *f, size_t place)
{
	struct maildir_msg *msg = &f->s->f->msg[place];
	struct err err;
	if (!f->items.seen || f->s->read_only || (msg->flags & FLAG_SEEN))
		return false;
	struct imap_flag_set to = { msg->flags | FLAG_SEEN, msg->keywords };
	return imap_change_flags(f->s, place, to, &err) == 0;
}

static void fetch_one(struct fetch *f, size_t place)
{
	struct maildir_msg *msg = &f->s->f->msg[place];
	arena_reset(f->m.arena);
	f->m.root = NULL;
	if (!msg->gone && f->items.content && maildir_content(f->s->f, msg, &f->m.content, &f->err) < 0) {
		if (f->err.sys != ENOENT)
			return;
		msg->gone = true;
	}
	if (msg->gone) {
		f->err.class = ERR_TEMP;
		f->err.sys = ENOENT;
		return;
	}
	bool changed = mark_seen(f, place);
	stream_printf(f->s->s, "* %zu FETCH (", place + 1);
	for (size_t i = 0; i < f->items.n; i++) {
		if (i)
			stream_puts(f->s->s, " ");
		put_item(f, &f->items.v[i], msg);
	}
	if (changed && !f->items.flags) {
		stream_puts(f->s->s, " FLAGS ");
		imap_put_flags(f->s, msg->flags, msg->keywords);
	}
	stream_puts(f->s->s, ")\r\n");
	if (f->items.body)
		maa_trace_fetch(f->m.content, msg->uid);
}

static void fetch_all(struct fetch *f, const struct imap_set *places)
{
	for (size_t i = 0; i < places->n; i++)
		for (uint32_t k = places->v[i].first; k <= places->v[i].last; k++) {
			if (stream_err(f->s->s)->class != ERR_NONE)
				return;
			fetch_one(f, k - 1);
		}
}

void imap_cmd_fetch(struct imap *s)
{
	struct imap_set places;
	struct fetch f = { .s = s };
	if (!imap_sp(&s->in) || !imap_places(s, &places) || !imap_sp(&s->in) || !fetch_parse(s, &f.items) ||
	    !imap_end(&s->in))
		return;
	buf_init(&f.text, STRUCTURE_MAX);
	f.m.arena = arena_new();
	fetch_all(&f, &places);
	arena_free(f.m.arena);
	buf_free(&f.text);
	/* RFC 2180 4.1.2. By UID, a message that is gone is simply not told of. */
	if (f.err.sys == ENOENT && !s->uid)
		imap_no(s, "EXPUNGEISSUED", "some of the messages are gone");
	else if (f.err.class != ERR_NONE && f.err.sys != ENOENT)
		imap_no_err(s, &f.err);
}
