/* SPDX-License-Identifier: ISC
 *
 * Flags and keywords: STORE (RFC 3501 6.4.6), and how they are told.
 */
#include <errno.h>

#include "imap_session.h"

static const struct {
	const char *name;
	unsigned bit;
} system_flags[] = { { "\\Seen", FLAG_SEEN }, { "\\Answered", FLAG_ANSWERED }, { "\\Flagged", FLAG_FLAGGED },
	{ "\\Deleted", FLAG_DELETED }, { "\\Draft", FLAG_DRAFT } };

unsigned imap_flag_bit(struct span name)
{
	for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++)
		if (span_ieqs(name, system_flags[i].name))
			return system_flags[i].bit;
	return 0;
}

static bool add_keyword(struct imap *s, struct span name, bool add, struct imap_flag_set *out)
{
	struct err err;
	int i = maildir_keyword(s->f, name, add, &err);
	if (i >= 0) {
		out->keywords |= UINT64_C(1) << i;
		return true;
	}
	if (!add)
		return true; /* nobody has it: nothing to take away */
	imap_no(s, "LIMIT", "keyword %.*s: %s", SPAN_FMT(span_slice(name, 0, 64)), err.text);
	return false;
}

bool imap_flags_of(struct imap *s, const struct imap_words *names, bool add, struct imap_flag_set *out)
{
	*out = (struct imap_flag_set){ 0 };
	for (size_t i = 0; i < names->n; i++) {
		unsigned bit = imap_flag_bit(names->v[i]);
		out->flags |= bit;
		if (bit)
			continue;
		/* \Recent cannot be set, and others with a backslash are no keywords. */
		if (names->v[i].p[0] == '\\')
			return imap_fail(&s->in, "unknown system flag");
		if (!add_keyword(s, names->v[i], add, out))
			return false;
	}
	return true;
}

void imap_tell_flags(struct imap *s, size_t place)
{
	const struct maildir_msg *m = &s->f->msg[place];
	stream_printf(s->s, "* %zu FETCH (", place + 1);
	if (s->uid)
		stream_printf(s->s, "UID %u ", (unsigned)m->uid);
	stream_puts(s->s, "FLAGS ");
	imap_put_flags(s, m->flags, m->keywords);
	stream_puts(s->s, ")\r\n");
}

int imap_change_flags(struct imap *s, size_t place, struct imap_flag_set to, struct err *err)
{
	struct maildir_msg *m = &s->f->msg[place];
	to.flags = (to.flags & ~(unsigned)FLAG_RECENT) | (m->flags & FLAG_RECENT);
	if (m->flags == to.flags && m->keywords == to.keywords)
		return 0;
	if (maildir_set_flags(s->f, m, to.flags, to.keywords, err) < 0) {
		if (err->sys == ENOENT)
			m->gone = true;
		return -1;
	}
	m->flags = to.flags;
	m->keywords = to.keywords;
	s->told[place] = (struct imap_shown){ m->flags, m->keywords };
	return 0;
}

enum store_how {
	STORE_SET,
	STORE_ADD,
	STORE_REMOVE
};

struct store_args {
	struct imap_set places;
	enum store_how how;
	bool silent;
	struct imap_words names;
	struct imap_flag_set given;
};

static bool read_item(struct imap *s, struct store_args *a)
{
	struct span item;
	if (!imap_atom(&s->in, &item))
		return false;
	a->how = item.p[0] == '+' ? STORE_ADD : item.p[0] == '-' ? STORE_REMOVE : STORE_SET;
	if (a->how != STORE_SET)
		item = span_from(item, 1);
	a->silent = span_ieqs(item, "FLAGS.SILENT");
	return a->silent || span_ieqs(item, "FLAGS") || imap_fail(&s->in, "unknown STORE item");
}

/* A list, or bare flags with spaces between. */
static bool read_flags(struct imap *s, struct imap_words *names)
{
	struct span flag;
	if (imap_peek(&s->in) == '(')
		return imap_flag_list(&s->in, names);
	*names = (struct imap_words){ 0 };
	do {
		if (!imap_flag(&s->in, &flag))
			return false;
		imap_words_add(s->arena, names, flag);
	} while (imap_eat(&s->in, ' '));
	return true;
}

static struct imap_flag_set combine(const struct maildir_msg *m, const struct store_args *a)
{
	struct imap_flag_set have = { m->flags, m->keywords };
	switch (a->how) {
	case STORE_ADD:
		return (struct imap_flag_set){ have.flags | a->given.flags, have.keywords | a->given.keywords };
	case STORE_REMOVE:
		return (struct imap_flag_set){ have.flags & ~a->given.flags, have.keywords & ~a->given.keywords };
	default:
		/* P in the file name (passed on) is no IMAP flag: it stays. */
		return (struct imap_flag_set){ a->given.flags | (have.flags & FLAG_PASSED), a->given.keywords };
	}
}

static void store_one(struct imap *s, size_t place, const struct store_args *a, struct err *err)
{
	struct maildir_msg *m = &s->f->msg[place];
	struct err one;
	if (m->gone) {
		err->class = ERR_TEMP;
		err->sys = ENOENT;
		return;
	}
	if (imap_change_flags(s, place, combine(m, a), &one) < 0)
		*err = one;
	else if (!a->silent)
		imap_tell_flags(s, place);
}

void imap_cmd_store(struct imap *s)
{
	struct store_args a = { 0 };
	struct err err = { 0 };
	if (!imap_sp(&s->in) || !imap_places(s, &a.places) || !imap_sp(&s->in) || !read_item(s, &a) ||
	    !imap_sp(&s->in) || !read_flags(s, &a.names) || !imap_end(&s->in))
		return;
	if (s->read_only) {
		imap_no(s, NULL, "the mailbox is read-only");
		return;
	}
	if (!imap_flags_of(s, &a.names, a.how != STORE_REMOVE, &a.given))
		return;
	if (s->f->n_keywords != s->n_keywords_told)
		imap_tell_keywords(s);
	for (size_t i = 0; i < a.places.n; i++)
		for (uint32_t k = a.places.v[i].first; k <= a.places.v[i].last; k++)
			store_one(s, k - 1, &a, &err);
	/* RFC 2180 4.2.1, RFC 5530 3. */
	if (err.sys == ENOENT && !s->uid)
		imap_no(s, "EXPUNGEISSUED", "some of the messages are gone");
	else if (err.class != ERR_NONE && err.sys != ENOENT)
		imap_no_err(s, &err);
}
