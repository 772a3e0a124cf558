/* SPDX-License-Identifier: ISC */
#include "io/redact.h"

#define HIDDEN "***"

/* Verbs by prefix, so that PASSsecret and "PASS\tsecret" are hidden too. mech: the word after it names a mechanism and
 * a response may follow on lines of its own (RFC 4954 4, RFC 9051 6.2.2, RFC 5034 4, RFC 5804 2.1). */
static const struct verb {
	const char *name;
	bool tagged; /* IMAP: stands behind a tag as well */
	bool mech;
} verbs[] = {
	{ "AUTHENTICATE", true, true },
	{ "AUTH", false, true },
	{ "LOGIN", true, false },
	{ "PASS", false, false },
	{ "APOP", false, false },
};

static const char *const mechanisms[] = { "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS",
	"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "XOAUTH2", "OAUTHBEARER",
	"EXTERNAL", "ANONYMOUS", "GSSAPI", "NTLM" };

static size_t skip_blanks(struct span s, size_t at)
{
	while (at < s.n && ascii_isblank(s.p[at]))
		at++;
	return at;
}

static size_t skip_word(struct span s, size_t at)
{
	while (at < s.n && !ascii_isblank(s.p[at]))
		at++;
	return at;
}

static const struct verb *verb_at(struct span line, size_t at, bool tagged)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if ((!tagged || verbs[i].tagged) && span_istarts(span_from(line, at), verbs[i].name))
			return &verbs[i];
	return NULL;
}

/* The verb of a line that carries credentials, and where it ends. An EHLO reply's "250-AUTH PLAIN" is none: behind a
 * tag only IMAP's verbs count. */
static const struct verb *find_verb(struct span line, size_t *end)
{
	size_t at = skip_blanks(line, 0);
	const struct verb *v = verb_at(line, at, false);
	if (!v) {
		at = skip_blanks(line, skip_word(line, at));
		v = verb_at(line, at, true);
	}
	if (v)
		*end = at + strlen(v->name);
	return v;
}

/* Where a known mechanism's name ends that stands at `at`, with or without quotes; `at` when none does: an unknown word
 * may be the secret itself. */
static size_t mechanism_end(struct span line, size_t at)
{
	size_t from = skip_blanks(line, at);
	if (from == at)
		return at;
	size_t to = skip_word(line, from);
	struct span word = span_slice(line, from, to);
	if (word.n > 2 && word.p[0] == '"' && word.p[word.n - 1] == '"')
		word = span_slice(word, 1, word.n - 1);
	for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
		if (span_ieqs(word, mechanisms[i]))
			return to;
	return at;
}

static bool ends_in_literal(struct span line)
{
	return span_ends(span_trim(line), "}");
}

/* The server's side of an exchange: 334, "+ ", a quoted string or a literal ask for another response. */
static bool is_challenge(struct span line)
{
	return span_starts(line, "334") || span_starts(line, "+ ") || span_eqs(line, "+") || span_starts(line, "\"") ||
	       span_starts(line, "{");
}

/* True when the line is a response that an earlier line has announced. */
static bool is_response(struct redact *r, char dir, struct span line)
{
	if (!r->secret_dir)
		return false;
	if (dir != r->secret_dir) {
		if (!is_challenge(line))
			r->secret_dir = 0;
		return false;
	}
	if (r->literals && !ends_in_literal(line))
		r->secret_dir = 0;
	return true;
}

void redact_line(struct redact *r, char dir, struct span line, struct buf *out)
{
	size_t end;
	if (is_response(r, dir, line)) {
		buf_adds(out, HIDDEN);
		return;
	}
	const struct verb *v = find_verb(line, &end);
	if (!v) {
		buf_addspan(out, line);
		return;
	}
	bool literal = ends_in_literal(line);
	if (v->mech || literal) {
		r->secret_dir = dir;
		r->literals = !v->mech;
	}
	if (v->mech)
		end = mechanism_end(line, end);
	buf_addspan(out, span_slice(line, 0, end));
	if (span_trim(span_from(line, end)).n)
		buf_adds(out, " " HIDDEN);
}
