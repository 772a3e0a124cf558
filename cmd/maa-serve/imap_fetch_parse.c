/* SPDX-License-Identifier: ISC
 *
 * What a FETCH asks for (RFC 3501 6.4.5, 9: fetch-att, section).
 */
#include "imap_fetch.h"

enum {
	ITEMS_MAX = 500
};

/* Letters, digits and dots: '[' ends it, which an atom would not. */
static struct span word(struct imap_in *in)
{
	size_t start = in->at;
	while (ascii_isalnum(imap_peek(in)) || imap_peek(in) == '.')
		in->at++;
	return span_slice(in->text, start, in->at);
}

static bool add(struct imap *s, struct fetch_items *out, enum fetch_kind kind, const struct section *sec)
{
	if (kind == FETCH_UID && out->uid)
		return true;
	out->uid |= kind == FETCH_UID;
	if (out->n == ITEMS_MAX)
		return imap_fail(&s->in, "too many items");
	/* Full whenever the count is a power of two. */
	if ((out->n & (out->n - 1)) == 0) {
		struct fetch_item *v = arena_alloc(s->arena, (out->n ? 2 * out->n : 1) * sizeof *v);
		if (out->n)
			memcpy(v, out->v, out->n * sizeof *v);
		out->v = v;
	}
	out->v[out->n++] = (struct fetch_item){ kind, sec };
	out->flags |= kind == FETCH_FLAGS;
	out->content |= kind >= FETCH_ENVELOPE;
	if (sec) {
		out->seen |= !sec->peek;
		out->body |= sec->what == SECTION_ALL || sec->what == SECTION_TEXT;
	}
	return true;
}

/* ---- BODY[section]<partial> */

static bool section_path(struct imap_in *in, struct section *sec)
{
	while (ascii_isdigit(imap_peek(in))) {
		if (sec->depth == LIMIT_IMAP_DEPTH)
			return imap_fail(in, "section too deep");
		if (!imap_nz_number(in, &sec->path[sec->depth++]))
			return false;
		if (!imap_eat(in, '.'))
			return true;
		if (imap_peek(in) == ']')
			return imap_fail(in, "section part missing");
	}
	return true;
}

static bool section_fields(struct imap_in *in, struct imap_words *fields)
{
	struct span name;
	if (!imap_sp(in) || !imap_expect(in, '('))
		return false;
	do {
		if (!imap_astring(in, &name))
			return false;
		imap_words_add(in->arena, fields, name);
	} while (imap_eat(in, ' '));
	return imap_expect(in, ')');
}

static bool section_text(struct imap_in *in, struct section *sec)
{
	static const struct {
		const char *name;
		enum section_what what;
	} names[] = { { "HEADER", SECTION_HEADER }, { "HEADER.FIELDS", SECTION_FIELDS },
		{ "HEADER.FIELDS.NOT", SECTION_FIELDS_NOT }, { "TEXT", SECTION_TEXT }, { "MIME", SECTION_MIME } };
	if (imap_peek(in) == ']')
		return true;
	struct span name = word(in);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!span_ieqs(name, names[i].name))
			continue;
		sec->what = names[i].what;
		if (sec->what == SECTION_MIME && !sec->depth)
			return imap_fail(in, "MIME needs a part number");
		return (sec->what != SECTION_FIELDS && sec->what != SECTION_FIELDS_NOT) ||
		       section_fields(in, &sec->fields);
	}
	return imap_fail(in, "unknown section");
}

static bool section_partial(struct imap_in *in, struct section *sec)
{
	sec->partial = imap_eat(in, '<');
	if (!sec->partial)
		return true;
	return imap_number(in, &sec->from) && (imap_eat(in, '.') || imap_fail(in, "'.' expected")) &&
	       imap_nz_number(in, &sec->count) && imap_expect(in, '>');
}

static bool body_section(struct imap *s, bool peek, struct fetch_items *out)
{
	struct section *sec = arena_alloc(s->arena, sizeof *sec);
	sec->peek = peek;
	bool dotted;
	if (!imap_expect(&s->in, '[') || !section_path(&s->in, sec))
		return false;
	/* "1TEXT" has no dot between. */
	dotted = !sec->depth || s->in.text.p[s->in.at - 1] == '.';
	if (!dotted && imap_peek(&s->in) != ']')
		return imap_fail(&s->in, "unknown section");
	return section_text(&s->in, sec) && imap_expect(&s->in, ']') && section_partial(&s->in, sec) &&
	       add(s, out, FETCH_SECTION, sec);
}

static bool rfc822(struct imap *s, struct span name, struct fetch_items *out)
{
	static const struct section old[] = {
		{ .what = SECTION_ALL, .label = "RFC822" },
		{ .what = SECTION_HEADER, .label = "RFC822.HEADER", .peek = true },
		{ .what = SECTION_TEXT, .label = "RFC822.TEXT" },
	};
	for (size_t i = 0; i < sizeof old / sizeof *old; i++)
		if (span_ieqs(name, old[i].label))
			return add(s, out, FETCH_SECTION, &old[i]);
	return imap_fail(&s->in, "unknown FETCH item");
}

static bool item(struct imap *s, struct fetch_items *out)
{
	static const struct {
		const char *name;
		enum fetch_kind kind;
	} plain[] = { { "UID", FETCH_UID }, { "FLAGS", FETCH_FLAGS }, { "INTERNALDATE", FETCH_DATE },
		{ "RFC822.SIZE", FETCH_SIZE }, { "ENVELOPE", FETCH_ENVELOPE },
		{ "BODYSTRUCTURE", FETCH_BODYSTRUCTURE } };
	struct span name = word(&s->in);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (span_ieqs(name, plain[i].name))
			return add(s, out, plain[i].kind, NULL);
	if (span_ieqs(name, "BODY") && imap_peek(&s->in) != '[')
		return add(s, out, FETCH_BODY, NULL);
	if (span_ieqs(name, "BODY") || span_ieqs(name, "BODY.PEEK"))
		return body_section(s, name.n > 4, out);
	return rfc822(s, name, out);
}

static bool macro(struct imap *s, struct fetch_items *out)
{
	static const enum fetch_kind kinds[] = { FETCH_FLAGS, FETCH_DATE, FETCH_SIZE, FETCH_ENVELOPE, FETCH_BODY };
	size_t n = imap_eat_word(&s->in, "FAST")   ? 3
		   : imap_eat_word(&s->in, "ALL")  ? 4
		   : imap_eat_word(&s->in, "FULL") ? 5
						   : 0;
	for (size_t i = 0; i < n; i++)
		add(s, out, kinds[i], NULL);
	return n > 0;
}

bool fetch_parse(struct imap *s, struct fetch_items *out)
{
	*out = (struct fetch_items){ 0 };
	/* A UID command always tells the UID (RFC 3501 6.4.8). */
	if (s->uid)
		add(s, out, FETCH_UID, NULL);
	if (macro(s, out))
		return true;
	if (!imap_eat(&s->in, '('))
		return item(s, out);
	do {
		if (!item(s, out))
			return false;
	} while (imap_eat(&s->in, ' '));
	return imap_expect(&s->in, ')');
}
