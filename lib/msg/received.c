/* SPDX-License-Identifier: ISC */
#include "msg/received.h"

#include "base/buf.h"
#include "base/limits.h"
#include "msg/date.h"
#include "msg/header.h"

enum {
	FIELD_BYTES = 8192 /* of a field that are looked at: no server writes as much */
};

enum clause {
	CLAUSE_NONE,
	CLAUSE_FROM,
	CLAUSE_BY,
	CLAUSE_VIA,
	CLAUSE_WITH,
	CLAUSE_ID,
	CLAUSE_FOR,
	CLAUSE_TLS /* RFC 8314 4.3 */
};

struct reader {
	struct received *r;
	enum clause clause;
	bool more;         /* the clause has a value already; VIA and WITH take further words */
	unsigned seen;     /* a bit for each: what comes again ("by authid x with cram_md5") is no clause */
	struct span first; /* what stood behind "from" */
};

/* Where the date begins: behind the last ';' that stands in no comment, or, when a comment is broken, behind the last
 * at all. -1 when there is none. */
static ptrdiff_t date_semicolon(struct span s)
{
	ptrdiff_t found = -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '(')
			i += header_comment_length(span_from(s, i)) - 1;
		else if (s.p[i] == ';')
			found = (ptrdiff_t)i;
	}
	return found >= 0 ? found : span_rchr(s, ';');
}

static bool is_v4(struct span s)
{
	unsigned parts = 0;
	while (s.n) {
		uint64_t v;
		bool more = span_chr(s, '.') >= 0;
		if (!span_u64(span_cut(&s, '.'), 255, &v) || (more && !s.n))
			return false;
		parts++;
	}
	return parts == 4;
}

static bool is_v6(struct span s)
{
	unsigned colons = 0;
	for (size_t i = 0; i < s.n; i++) {
		colons += s.p[i] == ':';
		if (s.p[i] != ':' && s.p[i] != '.' && ascii_hex(s.p[i]) < 0)
			return false;
	}
	return colons >= 2 && colons <= 8 && s.n <= 45;
}

static struct span without_brackets(struct span s)
{
	if (s.n >= 2 && ((s.p[0] == '[' && s.p[s.n - 1] == ']') || (s.p[0] == '<' && s.p[s.n - 1] == '>')))
		return span_slice(s, 1, s.n - 1);
	return s;
}

/* "1.2.3.4", "[IPv6:2001:db8::1]", "ident@1.2.3.4", "[1.2.3.4]:25": the address, or "". */
static struct span find_ip(struct span word)
{
	ptrdiff_t at = span_rchr(word, '@'), open, close;
	struct span s = at < 0 ? word : span_from(word, (size_t)at + 1);
	open = span_chr(s, '[');
	close = span_chr(s, ']');
	if (open >= 0 && close > open)
		s = span_slice(s, (size_t)open + 1, (size_t)close);
	if (span_istarts(s, "IPv6:"))
		s = span_from(s, 5);
	struct span port = s, v4 = span_cut(&port, ':');
	if (is_v4(v4))
		return v4;
	return is_v6(s) ? s : span_str("");
}

static void set_once(struct span *slot, struct span value)
{
	if (!slot->n)
		*slot = value;
}

/* The value behind key in s ("helo=x", "cipher X"), up to a blank or one of ,:;) */
static struct span value_after(struct span s, const char *key)
{
	ptrdiff_t at = span_ifind(s, span_str(key));
	size_t n = 0;
	if (at < 0)
		return span_str("");
	s = span_from(s, (size_t)at + strlen(key));
	while (n < s.n && !memchr(" \t,:;()", s.p[n], 7))
		n++;
	return span_slice(s, 0, n);
}

/* "using TLSv1.3 with cipher X (256/256 bits)", "TLS1.2:X:256", "version=TLS1_2, cipher=X". True when it was about TLS.
 */
static bool read_tls(struct received *r, struct span c)
{
	static const char *const starts[] = { "using ", "version=", "cipher ", "" };
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		ptrdiff_t at = *starts[i] ? span_ifind(c, span_str(starts[i])) : 0;
		struct span version = at < 0 ? span_str("") : value_after(span_from(c, (size_t)at), starts[i]);
		if (!span_istarts(version, "TLS") && !span_istarts(version, "SSL"))
			continue;
		struct span rest = span_from(c, (size_t)(version.p - c.p) + version.n),
			    cipher = value_after(rest, "cipher=");
		if (!cipher.n)
			cipher = value_after(rest, "cipher ");
		if (!cipher.n && rest.n && rest.p[0] == ':')
			cipher = value_after(rest, ":");
		/* "(TLSv1.3 TLS_AES_256_GCM_SHA384)": OpenSSL's names have a _ or a - in them. */
		struct span words = rest, word = span_word(&words);
		if (!cipher.n && !span_trim(words).n && (span_chr(word, '_') > 0 || span_chr(word, '-') > 0))
			cipher = word;
		r->tls = true;
		set_once(&r->tls_version, version);
		set_once(&r->tls_cipher, cipher);
		return true;
	}
	return false;
}

/* What stands in parentheses behind "from": the address, the name of the address, the HELO name. */
static void read_client(struct received *r, struct span c)
{
	static const char *const helo[] = { "helo=", "HELO ", "EHLO " };
	struct span rest = c, word;
	for (bool first = true; (word = span_word(&rest)).n; first = false) {
		struct span ip = find_ip(word);
		if (ip.n)
			set_once(&r->ip, ip);
		bool name = first && !ip.n && word.p[0] != '[' && span_chr(word, '=') < 0 && span_chr(word, '.') >= 0;
		if (name)
			set_once(&r->rdns, word);
	}
	for (size_t i = 0; i < sizeof helo / sizeof *helo; i++) {
		ptrdiff_t at = span_ifind(c, span_str(helo[i]));
		if (at < 0 || (at > 0 && !ascii_isblank(c.p[at - 1])))
			continue;
		/* qmail, Exim and Yahoo: the first word was the address's name, the client's own stands here. */
		rest = span_from(c, (size_t)at + strlen(helo[i]));
		word = span_word(&rest);
		if (word.n && !find_ip(r->from).n && !span_ieqs(r->from, "unknown"))
			set_once(&r->rdns, r->from);
		if (word.n)
			r->from = word;
		return;
	}
}

static void read_comment(struct reader *rd, struct span c)
{
	struct received *r = rd->r;
	if (rd->clause == CLAUSE_WITH || rd->clause == CLAUSE_VIA)
		rd->clause = CLAUSE_NONE; /* a value of several words ends here */
	struct span from = value_after(c, "envelope-from ");
	if (from.n)
		set_once(&r->envelope_from, without_brackets(from));
	else if (read_tls(r, c))
		return;
	else if (rd->clause == CLAUSE_FROM)
		read_client(r, c);
	else if (rd->clause == CLAUSE_BY || span_istarts(c, "exim ") || span_istarts(c, "qmail "))
		set_once(&r->software, !c.n || !ascii_isalnum(c.p[0]) || find_ip(c).n ? span_str("") : c);
}

static enum clause keyword(struct span word)
{
	static const char *const names[] = { [CLAUSE_FROM] = "from",
		[CLAUSE_BY] = "by",
		[CLAUSE_VIA] = "via",
		[CLAUSE_WITH] = "with",
		[CLAUSE_ID] = "id",
		[CLAUSE_FOR] = "for",
		[CLAUSE_TLS] = "tls" };
	for (int i = CLAUSE_FROM; i <= CLAUSE_TLS; i++)
		if (span_ieqs(word, names[i]))
			return (enum clause)i;
	return CLAUSE_NONE;
}

/* From the first to the last word of a value of several: they stand in one text. */
static void extend(struct span *slot, struct span word)
{
	if (!slot->n)
		*slot = word;
	else
		slot->n = (size_t)(word.p + word.n - slot->p);
}

static void read_value(struct reader *rd, struct span word)
{
	struct received *r = rd->r;
	bool first = !rd->more;
	rd->more = true;
	switch (rd->clause) {
	case CLAUSE_FROM:
		if (first && !r->from.n)
			r->from = rd->first = word;
		break;
	case CLAUSE_BY:
		if (first)
			set_once(&r->by, word);
		break;
	case CLAUSE_ID:
		if (first)
			set_once(&r->id, without_brackets(word));
		break;
	case CLAUSE_FOR:
		if (first)
			set_once(&r->rcpt, without_brackets(word));
		break;
	case CLAUSE_TLS:
		r->tls = true;
		if (first)
			set_once(&r->tls_cipher, word);
		break;
	case CLAUSE_VIA:
		extend(&r->via, word);
		break;
	case CLAUSE_WITH:
		extend(&r->with, word);
		break;
	case CLAUSE_NONE:
		break;
	}
}

static void read_word(struct reader *rd, struct span word)
{
	while (word.n && word.p[word.n - 1] == ';')
		word.n--;
	if (!word.n)
		return;
	enum clause k = keyword(word);
	if (k == CLAUSE_NONE) {
		read_value(rd, word);
		return;
	}
	rd->clause = rd->seen & 1u << k ? CLAUSE_NONE : k;
	rd->seen |= 1u << k;
	rd->more = false;
}

/* A word ends at a blank or a comment; quotes and angle brackets keep theirs. */
static size_t word_length(struct span s)
{
	char until = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (until) {
			if (c == '\\')
				i++;
			else if (c == until)
				until = 0;
		} else if (ascii_isblank(c) || c == '(') {
			return i;
		} else if (c == '"' || (c == '<' && span_chr(span_from(s, i), '>') > 0)) {
			until = c == '<' ? '>' : c;
		}
	}
	return s.n;
}

static void read_clauses(struct reader *rd, struct span s)
{
	for (;;) {
		s = span_trim(s);
		if (!s.n)
			return;
		size_t n;
		if (s.p[0] == '(') {
			n = header_comment_length(s);
			read_comment(rd, span_trim(span_slice(s, 1, n == s.n && s.p[n - 1] != ')' ? n : n - 1)));
		} else {
			n = word_length(s);
			read_word(rd, span_slice(s, 0, n));
		}
		s = span_from(s, n ? n : 1);
	}
}

/* RFC 3848 and RFC 6531 4.3: SMTP, ESMTP, ESMTPS, ESMTPSA, LMTP..., UTF8SMTPS... in any case. */
static void read_protocol(struct received *r)
{
	struct span rest = r->with, name = span_word(&rest);
	ptrdiff_t at = span_ifind(name, SPAN("MTP"));
	struct span marks = at < 0 ? span_str("") : span_from(name, (size_t)at + 3);
	if (span_ieqs(marks, "s") || span_ieqs(marks, "sa"))
		r->tls = true;
	r->auth = span_ieqs(marks, "a") || span_ieqs(marks, "sa");
}

bool received_parse(struct arena *a, struct span value, struct received *out)
{
	struct span none = span_str("");
	struct buf text;
	*out = (struct received){ .from = none,
		.rdns = none,
		.ip = none,
		.by = none,
		.software = none,
		.via = none,
		.with = none,
		.id = none,
		.rcpt = none,
		.envelope_from = none,
		.tls_version = none,
		.tls_cipher = none };
	buf_init(&text, LIMIT_HEADER_FIELD);
	header_unfold(span_slice(value, 0, FIELD_BYTES), &text);
	struct span s = arena_span(a, buf_span(&text));
	buf_free(&text);
	ptrdiff_t semicolon = date_semicolon(s);
	if (semicolon >= 0) {
		out->has_time = date_parse(span_from(s, (size_t)semicolon + 1), &out->time, &out->zone_min);
		/* FreeBSD's Postfix writes the envelope sender behind the date. */
		struct span late = value_after(span_from(s, (size_t)semicolon + 1), "envelope-from ");
		out->envelope_from = without_brackets(late);
		s = span_slice(s, 0, (size_t)semicolon);
	}
	struct reader rd = { .r = out, .first = none };
	read_clauses(&rd, s);
	read_protocol(out);
	set_once(&out->ip, find_ip(rd.first));
	return out->from.n || out->by.n || out->software.n || out->has_time;
}
