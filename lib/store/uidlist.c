/* SPDX-License-Identifier: ISC */
#include "store/uidlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/xalloc.h"

void uidlist_init(struct uidlist *u)
{
	*u = (struct uidlist){ .uidnext = 1, .extra = span_str(""), .added = arena_new() };
	buf_init(&u->text, UIDLIST_BYTES_MAX);
}

void uidlist_free(struct uidlist *u)
{
	free(u->rec);
	free(u->slot);
	buf_free(&u->text);
	arena_free(u->added);
	*u = (struct uidlist){ 0 };
}

/* Forgets everything but the text. */
static void clear(struct uidlist *u)
{
	u->uidvalidity = 0;
	u->uidnext = 1;
	u->guid[0] = '\0';
	u->extra = span_str("");
	u->n = 0;
	if (u->slot)
		memset(u->slot, 0, u->n_slots * sizeof *u->slot);
	arena_reset(u->added);
}

/* A list without a GUID gets one when it is written. getrandom can't fail for so few bytes; the clock is no secret. */
static void make_guid(char guid[33])
{
	unsigned char raw[16] = { 0 };
	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) {
		struct timespec t;
		clock_gettime(CLOCK_REALTIME, &t);
		memcpy(raw, &t, sizeof raw);
	}
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(guid + 2 * i, 3, "%02x", raw[i]);
}

void uidlist_fresh(struct uidlist *u, uint32_t uidvalidity)
{
	clear(u);
	u->uidvalidity = uidvalidity;
	make_guid(u->guid);
}

static size_t hash_name(struct span name)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * 1099511628211u;
	return (size_t)(h ^ h >> 29);
}

static uint32_t *find_slot(const struct uidlist *u, struct span name)
{
	size_t i = hash_name(name) & (u->n_slots - 1);
	while (u->slot[i] && !span_eq(u->rec[u->slot[i] - 1].name, name))
		i = (i + 1) & (u->n_slots - 1);
	return &u->slot[i];
}

static void index_all(struct uidlist *u, size_t n_slots)
{
	free(u->slot);
	u->n_slots = n_slots;
	u->slot = xcalloc(n_slots, sizeof *u->slot);
	for (size_t i = 0; i < u->n; i++)
		*find_slot(u, u->rec[i].name) = (uint32_t)i + 1;
}

const struct uidlist_rec *uidlist_find(const struct uidlist *u, struct span base)
{
	uint32_t at = u->n_slots ? *find_slot(u, base) : 0;
	return at ? &u->rec[at - 1] : NULL;
}

static void append(struct uidlist *u, struct uidlist_rec rec)
{
	if (u->n == u->cap) {
		u->cap = u->cap ? 2 * u->cap : 64;
		u->rec = xreallocarray(u->rec, u->cap, sizeof *u->rec);
	}
	if (u->n_slots < 2 * (u->n + 1))
		index_all(u, u->n_slots ? 2 * u->n_slots : 128);
	*find_slot(u, rec.name) = (uint32_t)u->n + 1;
	u->rec[u->n++] = rec;
}

uint32_t uidlist_add(struct uidlist *u, struct span base)
{
	if (u->uidnext == UINT32_MAX)
		return 0;
	append(u, (struct uidlist_rec){ u->uidnext, span_str(""), arena_span(u->added, base) });
	return u->uidnext++;
}

void uidlist_keep(struct uidlist *u, const bool *keep)
{
	size_t n = 0;
	for (size_t i = 0; i < u->n; i++)
		if (keep[i])
			u->rec[n++] = u->rec[i];
	if (n == u->n)
		return;
	u->n = n;
	index_all(u, u->n_slots);
}

static bool parse_number(struct span s, uint32_t *out)
{
	uint64_t v;
	if (!span_u64(s, UINT32_MAX, &v) || !v)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool parse_header_v3(struct uidlist *u, struct span line)
{
	bool validity = false, next = false;
	for (struct span word; (word = span_word(&line)).n;) {
		struct span value = span_from(word, 1);
		if (word.p[0] == 'V')
			validity = parse_number(value, &u->uidvalidity);
		else if (word.p[0] == 'N')
			next = parse_number(value, &u->uidnext);
		else if (word.p[0] == 'G' && value.n == 32 && !span_has_ctl(value))
			memcpy(u->guid, value.p, 32), u->guid[32] = '\0';
		else if (!u->extra.n)
			u->extra = word;
	}
	return validity && next;
}

static bool parse_header(struct uidlist *u, struct span line, bool *v3)
{
	struct span version = span_word(&line);
	*v3 = span_eqs(version, "3");
	if (*v3)
		return parse_header_v3(u, line);
	return span_eqs(version, "1") && parse_number(span_word(&line), &u->uidvalidity) &&
	       parse_number(span_word(&line), &u->uidnext);
}

/* "UID[ ext]... :name" or, in version 1, "UID name". */
static bool parse_record(struct span line, bool v3, struct uidlist_rec *rec)
{
	struct span rest = line;
	if (!parse_number(span_cut(&rest, ' '), &rec->uid))
		return false;
	rec->ext = span_str("");
	if (v3) {
		ptrdiff_t colon = rest.n && rest.p[0] == ':' ? 0 : span_find(rest, SPAN(" :"));
		if (colon < 0)
			return false;
		rec->ext = span_slice(rest, 0, (size_t)colon);
		rest = span_from(rest, (size_t)colon + (rest.p[0] == ':' ? 1 : 2));
	}
	rec->name = span_cut(&rest, ':');
	return rec->name.n && !memchr(rec->name.p, '/', rec->name.n) && !memchr(line.p, 0, line.n);
}

bool uidlist_parse(struct uidlist *u)
{
	struct span rest = buf_span(&u->text);
	uint32_t last = 0;
	bool v3;
	clear(u);
	/* The last line without its LF is one that somebody is writing, or died writing. */
	ptrdiff_t end = span_rchr(rest, '\n');
	rest = span_slice(rest, 0, (size_t)(end + 1));
	if (!parse_header(u, span_cut(&rest, '\n'), &v3)) {
		clear(u);
		return false;
	}
	while (rest.n) {
		struct uidlist_rec rec;
		if (!parse_record(span_cut(&rest, '\n'), v3, &rec))
			continue;
		if (rec.uid <= last || rec.uid == UINT32_MAX || uidlist_find(u, rec.name))
			continue;
		append(u, rec);
		last = rec.uid;
	}
	if (u->uidnext <= last)
		u->uidnext = last + 1;
	return true;
}

void uidlist_format(const struct uidlist *u, struct buf *out)
{
	char guid[33];
	memcpy(guid, u->guid, sizeof guid);
	if (!guid[0])
		make_guid(guid);
	buf_addf(out, "3 V%u N%u G%s", u->uidvalidity, u->uidnext, guid);
	if (u->extra.n) {
		buf_addc(out, ' ');
		buf_addspan(out, u->extra);
	}
	buf_addc(out, '\n');
	for (size_t i = 0; i < u->n; i++) {
		buf_addf(out, "%u ", u->rec[i].uid);
		if (u->rec[i].ext.n) {
			buf_addspan(out, u->rec[i].ext);
			buf_addc(out, ' ');
		}
		buf_addc(out, ':');
		buf_addspan(out, u->rec[i].name);
		buf_addc(out, '\n');
	}
}
