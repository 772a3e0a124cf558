/* SPDX-License-Identifier: ISC */
#include "store/maildir_name.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/pid.h"
#include "store/maildir.h"
#include "store/mutf7.h"

/* In ASCII order, which is the order in a file name. */
static const struct {
	char letter;
	unsigned flag;
} letters[] = {
	{ 'D', FLAG_DRAFT },
	{ 'F', FLAG_FLAGGED },
	{ 'P', FLAG_PASSED },
	{ 'R', FLAG_ANSWERED },
	{ 'S', FLAG_SEEN },
	{ 'T', FLAG_DELETED },
};
enum {
	N_LETTERS = sizeof letters / sizeof *letters
};

static unsigned flag_of(char c)
{
	for (size_t i = 0; i < N_LETTERS; i++)
		if (letters[i].letter == c)
			return letters[i].flag;
	return 0;
}

static void parse_flags(struct span s, struct maildir_name *out)
{
	out->other = s;
	for (size_t i = 0; i < s.n; i++) {
		out->flags |= flag_of(s.p[i]);
		if (s.p[i] >= 'a' && s.p[i] <= 'z')
			out->keywords |= (uint64_t)1 << (s.p[i] - 'a');
	}
}

void maildir_name_parse(struct span name, struct maildir_name *out)
{
	struct span rest = name;
	*out = (struct maildir_name){ .other = span_str(""), .size = UINT64_MAX, .vsize = UINT64_MAX };
	out->base = span_cut(&rest, ':');
	if (span_starts(rest, "2,"))
		parse_flags(span_from(rest, 2), out);
	struct span fields = out->base;
	span_cut(&fields, ',');
	while (fields.n) {
		struct span f = span_cut(&fields, ',');
		if (span_starts(f, "S="))
			span_u64(span_from(f, 2), INT64_MAX, &out->size);
		else if (span_starts(f, "W="))
			span_u64(span_from(f, 2), INT64_MAX, &out->vsize);
	}
}

static bool is_known(char c)
{
	return flag_of(c) || (c >= 'a' && c <= 'z');
}

void maildir_name_flags(unsigned flags, uint64_t keywords, struct span other, struct buf *out)
{
	buf_adds(out, ":2,");
	for (size_t i = 0; i < N_LETTERS; i++)
		if (flags & letters[i].flag)
			buf_addc(out, letters[i].letter);
	for (int i = 0; i < MAILDIR_KEYWORDS; i++)
		if (keywords >> i & 1)
			buf_addc(out, (char)('a' + i));
	/* A letter of a later convention is not ours to drop. */
	for (size_t i = 0; i < other.n; i++)
		if (!is_known(other.p[i]) && other.p[i] != ':' && other.p[i] != '/')
			buf_addc(out, other.p[i]);
}

static void add_host(struct buf *out)
{
	static char host[256];
	if (!*host && gethostname(host, sizeof host - 1) < 0)
		snprintf(host, sizeof host, "localhost");
	for (const char *p = host; *p; p++) {
		if (*p == '/' || *p == ':' || *p == ',')
			buf_addf(out, "\\%03o", (unsigned)(unsigned char)*p);
		else
			buf_addc(out, *p);
	}
}

void maildir_name_new(struct buf *out)
{
	static unsigned long count;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	buf_addf(out, "%lld.M%06ldP%ldQ%lu.", (long long)now.tv_sec, now.tv_nsec / 1000, (long)own_pid(), ++count);
	add_host(out);
}

/* Leading digits, at most 18 of them. */
static uint64_t leading_number(struct span s, size_t at)
{
	uint64_t v = 0;
	for (size_t i = at; i < s.n && i < at + 18 && ascii_isdigit(s.p[i]); i++)
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	return v;
}

static uint64_t microseconds(struct span s)
{
	ptrdiff_t m = span_find(s, SPAN(".M"));
	return m < 0 ? 0 : leading_number(s, (size_t)m + 2);
}

int maildir_name_order(struct span a, struct span b)
{
	uint64_t x = leading_number(a, 0), y = leading_number(b, 0);
	if (x == y) {
		x = microseconds(a);
		y = microseconds(b);
	}
	return x != y ? (x < y ? -1 : 1) : span_cmp(a, b);
}

static bool component_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '.' || s.p[i] == '/' || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n > 0;
}

int maildir_folder_to_disk(struct span folder, struct buf *out, struct err *err)
{
	if (span_ieqs(folder, "INBOX"))
		return 0;
	size_t start = out->len;
	struct span rest = folder;
	do {
		bool last = span_chr(rest, '/') < 0;
		struct span part = span_cut(&rest, '/');
		if (!component_ok(part) || (!last && !rest.n))
			return err_set(
			    err, ERR_PERM, "a mailbox name may hold no empty part, no '.' and no control character");
		buf_addc(out, '.');
		if (!mutf7_encode(part, out))
			return err_set(err, ERR_PERM, "the mailbox name is no well-formed UTF-8");
	} while (rest.n);
	if (out->bad || out->len - start > NAME_MAX)
		return err_set(err, ERR_PERM, "the mailbox name is too long");
	/* ".INBOX" beside the INBOX would be a mailbox that can't be named. */
	return span_ieqs(span_from(buf_span(out), start), ".INBOX")
		   ? err_set(err, ERR_PERM, "the mailbox name is reserved")
		   : 0;
}

bool maildir_folder_from_disk(struct span entry, struct buf *out)
{
	if (entry.n < 2 || entry.p[0] != '.' || span_ieqs(entry, ".INBOX"))
		return false;
	struct span rest = span_from(entry, 1);
	size_t start = out->len;
	while (rest.n) {
		struct span part = span_cut(&rest, '.');
		if (out->len > start)
			buf_addc(out, '/');
		size_t at = out->len;
		if (!part.n || !mutf7_decode(part, out) || !component_ok(span_from(buf_span(out), at)))
			return false;
	}
	/* "Work." has no component at its end. */
	return entry.p[entry.n - 1] != '.';
}
