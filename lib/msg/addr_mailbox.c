/* SPDX-License-Identifier: ISC
 *
 * SMTP's strict Mailbox (RFC 5321 4.1.2, RFC 6531 3.3) and its writing.
 */
#include "msg/addr.h"

#include <arpa/inet.h>

#include "base/limits.h"
#include "msg/charset.h"

enum {
	LABEL_MAX = 63 /* RFC 1035 2.3.4, in octets of the ASCII form */
};

int addr_order(struct span a, struct span b)
{
	ptrdiff_t i = span_rchr(a, '@'), k = span_rchr(b, '@');
	size_t na = i < 0 ? a.n : (size_t)i, nb = k < 0 ? b.n : (size_t)k;
	int order = span_cmp(span_slice(a, 0, na), span_slice(b, 0, nb));
	return order ? order : span_icmp(span_from(a, na), span_from(b, nb));
}

bool addr_needs_utf8(struct span s)
{
	return span_eightbit(s);
}

/* RFC 5322 3.2.3 atext; UTF-8 is judged elsewhere. */
static bool is_atext(char c)
{
	return ascii_isalnum(c) || (unsigned char)c > 127 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool is_dot_string(struct span s)
{
	bool atom = false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '.' && !is_atext(s.p[i]))
			return false;
		if (s.p[i] == '.' && !atom)
			return false;
		atom = s.p[i] != '.';
	}
	return atom;
}

/* UTF8-non-ascii of RFC 6531 3.3, less the C1 controls: no mailbox needs them, and terminals obey them. */
static bool utf8_ok(struct span s)
{
	uint32_t c;
	for (size_t i = 0, n; i < s.n; i += n) {
		n = utf8_decode(s.p + i, s.n - i, &c);
		if (!n || (c >= 0x80 && c < 0xa0))
			return false;
	}
	return true;
}

static bool ipv4_ok(struct span s)
{
	char text[16];
	struct in_addr in;
	if (s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return strlen(text) == s.n && inet_pton(AF_INET, text, &in) == 1;
}

static bool ipv6_ok(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr in;
	if (s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return strlen(text) == s.n && inet_pton(AF_INET6, text, &in) == 1;
}

/* RFC 5321 4.1.3. No tag but IPv6 was ever registered, so another one is no address that mail could go to. */
static bool literal_ok(struct span s)
{
	if (s.n < 2 || s.p[s.n - 1] != ']')
		return false;
	s = span_slice(s, 1, s.n - 1);
	return span_istarts(s, "IPv6:") ? ipv6_ok(span_from(s, 5)) : ipv4_ok(s);
}

/* A host's name has no underscore (RFC 5321 2.3.5), but there are hosts with one, and mail from them; nothing reads it
 * in two ways. */
static bool label_ok(struct span label)
{
	bool ascii = !addr_needs_utf8(label);
	if (!label.n || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];
		if (!ascii_isalnum(c) && c != '-' && c != '_' && (unsigned char)c < 128)
			return false;
	}
	return !ascii || label.n <= LABEL_MAX;
}

bool addr_domain_ok(struct span domain, bool utf8)
{
	if (!domain.n || domain.n > LIMIT_DOMAIN)
		return false;
	if (domain.p[0] == '[')
		return literal_ok(domain);
	if (addr_needs_utf8(domain) && (!utf8 || !utf8_ok(domain)))
		return false;
	if (domain.p[domain.n - 1] == '.')
		return false;
	while (domain.n)
		if (!label_ok(span_cut(&domain, '.')))
			return false;
	return true;
}

/* Where the local part ends: offset of its '@', 0 when there is none. */
static size_t local_length(struct span s)
{
	size_t i = 0;
	if (s.n && s.p[0] == '"') {
		for (i = 1; i < s.n && s.p[i] != '"'; i++)
			if (s.p[i] == '\\')
				i++;
		i++;
	} else {
		ptrdiff_t at = span_chr(s, '@');
		i = at < 0 ? s.n : (size_t)at;
	}
	return i < s.n && s.p[i] == '@' ? i : 0;
}

/* Quoted-string of RFC 5321 without its quotes, unescaped into the arena. */
static bool unquote(struct span s, struct arena *a, struct span *out)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 1; i + 1 < s.n; i++) {
		bool escaped = s.p[i] == '\\';
		i += escaped;
		/* qtextSMTP and quoted-pairSMTP: printable, blank included, no tab; a quoted pair is ASCII. */
		unsigned char c = (unsigned char)s.p[i];
		if (i + 1 >= s.n || c < 32 || c == 127 || (escaped && c > 127))
			return false;
		p[n++] = s.p[i];
	}
	*out = span_of(p, n);
	return true;
}

static bool local_ok(struct span local, struct arena *a, struct span *out)
{
	/* RFC 5321 4.5.3.1: no limit would be best. The senders of lists that write to each member by himself have a
	 * whole address in their local part, as have rewritten ones. */
	if (local.n > LIMIT_SMTP_LOCALPART)
		return false;
	if (local.p[0] == '"')
		return local.n >= 2 && unquote(local, a, out);
	*out = local;
	return is_dot_string(local);
}

bool addr_parse_mailbox(struct span s, bool utf8, bool allow_bare, struct addr *out, struct arena *a)
{
	*out = (struct addr){ .name = SPAN(""), .local = SPAN(""), .domain = SPAN(""), .group = SPAN("") };
	if (s.n > LIMIT_SMTP_PATH - 2)
		return false;
	/* RFC 5321 4.5.1: the one mailbox that needs no domain. */
	if (allow_bare && span_ieqs(s, "postmaster")) {
		out->local = s;
		return true;
	}
	if (addr_needs_utf8(s) && (!utf8 || !utf8_ok(s)))
		return false;
	size_t n = local_length(s);
	if (!n || !local_ok(span_slice(s, 0, n), a, &out->local))
		return false;
	out->domain = span_from(s, n + 1);
	return addr_domain_ok(out->domain, utf8);
}

struct span addr_unquoted(struct span address, struct arena *a)
{
	size_t n = address.n && address.p[0] == '"' ? local_length(address) : 0;
	struct span local;
	if (n < 2 || !unquote(span_slice(address, 0, n), a, &local))
		return address;
	return span_str(arena_printf(a, "%.*s%.*s", SPAN_FMT(local), SPAN_FMT(span_from(address, n))));
}

void addr_format(const struct addr *a, struct buf *out)
{
	if (is_dot_string(a->local)) {
		buf_addspan(out, a->local);
	} else {
		buf_addc(out, '"');
		for (size_t i = 0; i < a->local.n; i++) {
			char c = a->local.p[i];
			/* Controls can't be written in any mailbox, and a line end here would be an injection. */
			if ((c >= 0 && c < 32) || c == 127)
				continue;
			if (c == '"' || c == '\\')
				buf_addc(out, '\\');
			buf_addc(out, c);
		}
		buf_addc(out, '"');
	}
	if (!a->domain.n)
		return;
	buf_addc(out, '@');
	for (size_t i = 0; i < a->domain.n; i++)
		if ((unsigned char)a->domain.p[i] > 32 && a->domain.p[i] != 127)
			buf_addc(out, a->domain.p[i]);
}
