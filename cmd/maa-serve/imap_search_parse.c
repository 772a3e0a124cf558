/* SPDX-License-Identifier: ISC
 *
 * The search expression of RFC 3501 6.4.4 and 9 as a tree.
 */
#include "base/limits.h"
#include "imap_search.h"
#include "msg/charset.h"

struct parser {
	struct imap *s;
	struct imap_in *in;
	struct span charset; /* "" for UTF-8 */
	unsigned depth;
};

enum key_arg {
	ARG_NONE,
	ARG_FLAG,
	ARG_KEYWORD,
	ARG_SIZE,
	ARG_DATE,
	ARG_TEXT,
	ARG_NAMED,
	ARG_FIELD
};

struct key_row {
	const char *name;
	enum search_kind kind;
	enum key_arg arg;
	unsigned flag;     /* ARG_FLAG */
	const char *field; /* ARG_NAMED: the header field it means */
};

static const struct key_row rows[] = {
	{ "ALL", SEARCH_ALL, ARG_NONE, 0, NULL },
	{ "ANSWERED", SEARCH_FLAG, ARG_FLAG, FLAG_ANSWERED, NULL },
	{ "BCC", SEARCH_ADDRESS, ARG_NAMED, 0, "Bcc" },
	{ "BEFORE", SEARCH_BEFORE, ARG_DATE, 0, NULL },
	{ "BODY", SEARCH_BODY, ARG_TEXT, 0, NULL },
	{ "CC", SEARCH_ADDRESS, ARG_NAMED, 0, "Cc" },
	{ "DELETED", SEARCH_FLAG, ARG_FLAG, FLAG_DELETED, NULL },
	{ "DRAFT", SEARCH_FLAG, ARG_FLAG, FLAG_DRAFT, NULL },
	{ "FLAGGED", SEARCH_FLAG, ARG_FLAG, FLAG_FLAGGED, NULL },
	{ "FROM", SEARCH_ADDRESS, ARG_NAMED, 0, "From" },
	{ "HEADER", SEARCH_HEADER, ARG_FIELD, 0, NULL },
	{ "KEYWORD", SEARCH_KEYWORD, ARG_KEYWORD, 0, NULL },
	{ "LARGER", SEARCH_LARGER, ARG_SIZE, 0, NULL },
	{ "NEW", SEARCH_NEW, ARG_NONE, 0, NULL },
	{ "OLD", SEARCH_UNFLAG, ARG_FLAG, FLAG_RECENT, NULL },
	{ "ON", SEARCH_ON, ARG_DATE, 0, NULL },
	{ "RECENT", SEARCH_FLAG, ARG_FLAG, FLAG_RECENT, NULL },
	{ "SEEN", SEARCH_FLAG, ARG_FLAG, FLAG_SEEN, NULL },
	{ "SENTBEFORE", SEARCH_SENTBEFORE, ARG_DATE, 0, NULL },
	{ "SENTON", SEARCH_SENTON, ARG_DATE, 0, NULL },
	{ "SENTSINCE", SEARCH_SENTSINCE, ARG_DATE, 0, NULL },
	{ "SINCE", SEARCH_SINCE, ARG_DATE, 0, NULL },
	{ "SMALLER", SEARCH_SMALLER, ARG_SIZE, 0, NULL },
	{ "SUBJECT", SEARCH_HEADER, ARG_NAMED, 0, "Subject" },
	{ "TEXT", SEARCH_TEXT, ARG_TEXT, 0, NULL },
	{ "TO", SEARCH_ADDRESS, ARG_NAMED, 0, "To" },
	{ "UNANSWERED", SEARCH_UNFLAG, ARG_FLAG, FLAG_ANSWERED, NULL },
	{ "UNDELETED", SEARCH_UNFLAG, ARG_FLAG, FLAG_DELETED, NULL },
	{ "UNDRAFT", SEARCH_UNFLAG, ARG_FLAG, FLAG_DRAFT, NULL },
	{ "UNFLAGGED", SEARCH_UNFLAG, ARG_FLAG, FLAG_FLAGGED, NULL },
	{ "UNKEYWORD", SEARCH_UNKEYWORD, ARG_KEYWORD, 0, NULL },
	{ "UNSEEN", SEARCH_UNFLAG, ARG_FLAG, FLAG_SEEN, NULL },
};

/* What a test needs: nothing but the list, a stat, the header, or the whole message. */
static unsigned cost_of(enum search_kind kind)
{
	return kind < SEARCH_LARGER ? 0 : kind < SEARCH_SENTBEFORE ? 1 : kind < SEARCH_BODY ? 2 : 3;
}

static struct search_key *new_key(struct parser *p, enum search_kind kind)
{
	struct search_key *k = arena_alloc(p->s->arena, sizeof *k);
	k->kind = kind;
	k->cost = cost_of(kind);
	return k;
}

/* A folded range of two-byte characters: those with a lower case `add` further on. */
static unsigned fold_two(unsigned c)
{
	if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
	    (c >= 0x410 && c <= 0x42F))
		return c + 0x20;
	if (c >= 0x400 && c <= 0x40F)
		return c + 0x50;
	/* Latin Extended-A and Cyrillic Extended: pairs, mostly with the capital on the even place. */
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
		return c & 1 ? c + 1 : c;
	if ((c >= 0x100 && c <= 0x177 && c != 0x130 && c != 0x131 && c != 0x138) || (c >= 0x460 && c <= 0x4BF))
		return c & 1 ? c : c + 1;
	return c;
}

void search_fold(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		if (c < 0x80) {
			p[i] = ascii_lower(p[i]);
		} else if (c >= 0xC3 && c <= 0xDF && i + 1 < n) {
			unsigned u = fold_two((c & 0x1Fu) << 6 | ((unsigned char)p[i + 1] & 0x3Fu));
			p[i] = (char)(0xC0 | u >> 6);
			p[++i] = (char)(0x80 | (u & 0x3F));
		}
	}
}

/* The charset is one we have, or NO. */
static bool convert(struct parser *p, struct span raw, struct span *out)
{
	struct buf b;
	buf_init(&b, 4 * LIMIT_IMAP_COMMAND);
	bool ok = true;
	if (p->charset.n)
		ok = charset_to_utf8(p->charset, raw, &b) == 0;
	else
		buf_addspan(&b, raw);
	search_fold(b.p, b.len);
	*out = arena_span(p->s->arena, buf_span(&b));
	buf_free(&b);
	if (ok)
		return true;
	imap_no(p->s, "BADCHARSET (US-ASCII UTF-8)", "unknown charset");
	return false;
}

static bool text_arg(struct parser *p, struct span *out)
{
	struct span raw;
	return imap_sp(p->in) && imap_astring(p->in, &raw) && convert(p, raw, out);
}

static bool keyword_arg(struct parser *p, struct search_key *k)
{
	struct span name;
	struct err err;
	if (!imap_sp(p->in) || !imap_flag(p->in, &name))
		return false;
	int i = maildir_keyword(p->s->f, name, false, &err);
	k->mask = i < 0 ? 0 : UINT64_C(1) << i;
	if (i < 0)
		k->kind = k->kind == SEARCH_KEYWORD ? SEARCH_NONE : SEARCH_ALL;
	return true;
}

static bool read_arg(struct parser *p, const struct key_row *row, struct search_key *k)
{
	switch (row->arg) {
	case ARG_FLAG:
		k->mask = row->flag;
		return true;
	case ARG_KEYWORD:
		return keyword_arg(p, k);
	case ARG_SIZE:
		return imap_sp(p->in) && imap_number64(p->in, &k->size);
	case ARG_DATE:
		return imap_sp(p->in) && imap_date(p->in, &k->days);
	case ARG_NAMED:
		k->field = span_str(row->field);
		return text_arg(p, &k->text);
	case ARG_FIELD:
		return imap_sp(p->in) && imap_astring(p->in, &k->field) && text_arg(p, &k->text);
	case ARG_TEXT:
		return text_arg(p, &k->text);
	default:
		return true;
	}
}

static struct search_key *parse_key(struct parser *p);

/* Cheap before dear, otherwise as written. */
static void insert(struct search_key *parent, struct search_key *k)
{
	struct search_key **at = &parent->child;
	while (*at && (*at)->cost <= k->cost)
		at = &(*at)->next;
	k->next = *at;
	*at = k;
	if (k->cost > parent->cost)
		parent->cost = k->cost;
}

/* Keys with spaces between, up to `end` (')' or 0 for the end). */
static struct search_key *parse_all(struct parser *p, char end)
{
	struct search_key *all = new_key(p, SEARCH_AND);
	do {
		struct search_key *k = parse_key(p);
		if (!k)
			return NULL;
		insert(all, k);
	} while (imap_eat(p->in, ' '));
	if (end ? !imap_expect(p->in, end) : !imap_end(p->in))
		return NULL;
	return all;
}

static struct search_key *parse_operands(struct parser *p, enum search_kind kind, unsigned n)
{
	struct search_key *k = new_key(p, kind);
	while (n--) {
		struct search_key *operand = imap_sp(p->in) ? parse_key(p) : NULL;
		if (!operand)
			return NULL;
		insert(k, operand);
	}
	return k;
}

static struct search_key *parse_set(struct parser *p, bool uids)
{
	struct search_key *k = new_key(p, SEARCH_SET);
	if ((uids && !imap_sp(p->in)) || !imap_sequence_set(p->in, &k->set) || !imap_to_places(p->s, &k->set, uids))
		return NULL;
	return k;
}

static struct search_key *parse_named(struct parser *p)
{
	struct span name;
	if (!imap_atom(p->in, &name))
		return NULL;
	if (span_ieqs(name, "NOT"))
		return parse_operands(p, SEARCH_NOT, 1);
	if (span_ieqs(name, "OR"))
		return parse_operands(p, SEARCH_OR, 2);
	if (span_ieqs(name, "UID"))
		return parse_set(p, true);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!span_ieqs(name, rows[i].name))
			continue;
		struct search_key *k = new_key(p, rows[i].kind);
		return read_arg(p, &rows[i], k) ? k : NULL;
	}
	imap_fail(p->in, "unknown search key");
	return NULL;
}

static struct search_key *parse_key(struct parser *p)
{
	struct search_key *k;
	char c = imap_peek(p->in);
	if (p->depth == LIMIT_IMAP_DEPTH) {
		imap_fail(p->in, "search nested too deep");
		return NULL;
	}
	p->depth++;
	if (imap_eat(p->in, '('))
		k = parse_all(p, ')');
	else if (ascii_isdigit(c) || c == '*')
		k = parse_set(p, false);
	else
		k = parse_named(p);
	p->depth--;
	return k;
}

struct search_key *search_parse(struct imap *s)
{
	struct parser p = { .s = s, .in = &s->in, .charset = span_of("", 0) };
	struct span probe;
	if (!imap_sp(p.in))
		return NULL;
	if (imap_eat_word(p.in, "CHARSET")) {
		if (!imap_sp(p.in) || !imap_astring(p.in, &p.charset) || !imap_sp(p.in))
			return NULL;
		if (span_ieqs(p.charset, "UTF-8") || span_ieqs(p.charset, "US-ASCII"))
			p.charset = span_of("", 0);
		/* An unknown charset is refused even when nothing needs it. */
		else if (!convert(&p, SPAN("x"), &probe))
			return NULL;
	}
	return parse_all(&p, '\0');
}
