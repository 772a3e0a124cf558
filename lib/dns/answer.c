/* SPDX-License-Identifier: ISC */
#include "dns/answer.h"

#include <arpa/nameser.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"

enum {
	HEADER_BYTES = 12,
	NAME_OCTETS = 255,           /* RFC 1035 2.3.4 */
	NAME_TEXT = NAME_OCTETS * 4, /* each octet may become \DDD */
	FLAG_QR = 0x8000,
	FLAG_TC = 0x0200,
	FLAG_AD = 0x0020, /* RFC 4035 3.2.3 */
};

static unsigned byte_at(struct span p, size_t at)
{
	return (unsigned char)p.p[at];
}

static unsigned u16_at(struct span p, size_t at)
{
	return byte_at(p, at) << 8 | byte_at(p, at + 1);
}

static uint32_t u32_at(struct span p, size_t at)
{
	return (uint32_t)u16_at(p, at) << 16 | u16_at(p, at + 2);
}

/* Letters, digits, '-' and '_' as they are; the rest so that no label can look like two. */
static void add_label(struct buf *out, struct span label)
{
	for (size_t i = 0; i < label.n; i++) {
		char c = ascii_lower(label.p[i]);
		if (ascii_isalnum(c) || c == '-' || c == '_' || c == '/' || c == '*')
			buf_addc(out, c);
		else
			buf_addf(out, "\\%03u", (unsigned)(unsigned char)c);
	}
}

bool answer_name(struct span packet, size_t *at, struct buf *out)
{
	size_t here = *at, end = 0, octets = 0, hops = 0, start = out->len;
	for (;;) {
		if (here >= packet.n)
			return false;
		unsigned len = byte_at(packet, here);
		if (len >= 0xc0) { /* RFC 1035 4.1.4: "a prior occurrence" */
			size_t to = here + 1 < packet.n ? u16_at(packet, here) & 0x3fff : here;
			if (to >= here)
				return false;
			if (!end)
				end = here + 2;
			here = to;
			/* No name of at most 255 octets has more pieces. */
			if (hops++ > NAME_OCTETS)
				return false;
			continue;
		}
		octets += len + 1;
		if (len > 63 || octets > NAME_OCTETS || len >= packet.n - here)
			return false;
		here += 1 + len;
		if (!len)
			break;
		if (out->len > start)
			buf_addc(out, '.');
		add_label(out, span_slice(packet, here - len, here));
	}
	*at = end ? end : here;
	return !out->bad;
}

struct cursor {
	struct span packet;
	size_t at;
	struct buf name; /* of the record in hand */
};

struct record {
	unsigned type, class;
	uint32_t ttl;
	size_t data, len; /* where its rdata stands */
};

/* The next record's owner into c->name, the rest into r; false when malformed. */
static bool next_record(struct cursor *c, struct record *r)
{
	buf_reset(&c->name);
	if (!answer_name(c->packet, &c->at, &c->name) || c->packet.n - c->at < 10)
		return false;
	r->type = u16_at(c->packet, c->at);
	r->class = u16_at(c->packet, c->at + 2);
	r->ttl = u32_at(c->packet, c->at + 4);
	r->len = u16_at(c->packet, c->at + 8);
	r->data = c->at + 10;
	if (r->len > c->packet.n - r->data)
		return false;
	c->at = r->data + r->len;
	return true;
}

/* A name inside rdata, which it must not pass. */
static bool name_in(struct arena *a, const struct cursor *c, const struct record *r, size_t skip, struct span *out)
{
	struct buf text;
	buf_init(&text, NAME_TEXT);
	size_t at = r->data + skip;
	bool ok = skip < r->len && answer_name(c->packet, &at, &text) && at <= r->data + r->len;
	if (ok)
		*out = arena_span(a, buf_span(&text));
	buf_free(&text);
	return ok;
}

/* TXT: its character-strings joined (RFC 7208 3.3). */
static bool read_txt(struct arena *a, struct span data, struct span *out)
{
	char *joined = arena_alloc(a, data.n + 1);
	size_t n = 0;
	while (data.n) {
		size_t len = byte_at(data, 0);
		if (len + 1 > data.n)
			return false;
		memcpy(joined + n, data.p + 1, len);
		n += len;
		data = span_from(data, len + 1);
	}
	*out = span_of(joined, n);
	return true;
}

static bool read_address(struct span data, int family, struct net_addr *out)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	*out = (struct net_addr){ 0 };
	if (family == AF_INET && data.n == 4) {
		memcpy(&v4.sin_addr, data.p, 4);
		memcpy(&out->sa, &v4, sizeof v4);
		out->len = sizeof v4;
	} else if (family == AF_INET6 && data.n == 16) {
		memcpy(&v6.sin6_addr, data.p, 16);
		memcpy(&out->sa, &v6, sizeof v6);
		out->len = sizeof v6;
	}
	return out->len > 0;
}

static bool read_rdata(struct arena *a, const struct cursor *c, const struct record *r, struct dns_rr *rr)
{
	struct span data = span_slice(c->packet, r->data, r->data + r->len);
	rr->type = (uint16_t)r->type;
	rr->ttl = r->ttl;
	rr->name = rr->data = span_str("");
	switch (r->type) {
	case ns_t_a:
		return read_address(data, AF_INET, &rr->addr);
	case ns_t_aaaa:
		return read_address(data, AF_INET6, &rr->addr);
	case ns_t_mx:
		rr->preference = data.n >= 2 ? (uint16_t)u16_at(data, 0) : 0;
		return name_in(a, c, r, 2, &rr->name);
	case ns_t_cname:
	case ns_t_ptr:
		return name_in(a, c, r, 0, &rr->name);
	case ns_t_srv:
		if (data.n < 6)
			return false;
		rr->preference = (uint16_t)u16_at(data, 0);
		rr->weight = (uint16_t)u16_at(data, 2);
		rr->port = (uint16_t)u16_at(data, 4);
		return name_in(a, c, r, 6, &rr->name);
	case ns_t_txt:
		return read_txt(a, data, &rr->data);
	default:
		rr->data = arena_span(a, data);
		return true;
	}
}

__attribute__((format(printf, 3, 4))) static void say(struct dns_answer *out, enum dns_status st, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(out->why, sizeof out->why, fmt, ap);
	va_end(ap);
	out->status = st;
}

static void malformed(struct dns_answer *out)
{
	out->n = 0;
	say(out, DNS_SERVFAIL, "the DNS server's answer is malformed");
}

/* One pass over the answer section for the records at `name`: those of `type`, or else its CNAME. */
static bool collect(struct arena *a, struct cursor *c, unsigned count, struct span name, int type,
    struct dns_answer *out, struct span *alias)
{
	for (unsigned i = 0; i < count; i++) {
		struct record r;
		struct dns_rr rr = { 0 };
		if (!next_record(c, &r))
			return false;
		bool wanted = (int)r.type == type, is_alias = r.type == ns_t_cname && !wanted;
		if (r.class != ns_c_in || (!wanted && !is_alias) || !span_ieq(buf_span(&c->name), name))
			continue;
		if (!read_rdata(a, c, &r, &rr))
			return false;
		if (is_alias)
			*alias = rr.name;
		else if (out->n < LIMIT_DNS_RECORDS)
			out->rr[out->n++] = rr;
	}
	return true;
}

static bool skip_questions(struct cursor *c, unsigned count)
{
	while (count--) {
		buf_reset(&c->name);
		if (!answer_name(c->packet, &c->at, &c->name) || c->packet.n - c->at < 4)
			return false;
		c->at += 4;
	}
	return true;
}

/* Follows aliases inside the answer; the resolver has put the whole chain there (RFC 1034 4.3.2). */
static bool follow(struct arena *a, struct cursor *c, struct span name, int type, struct dns_answer *out)
{
	unsigned count = u16_at(c->packet, 6);
	if (!skip_questions(c, u16_at(c->packet, 4)))
		return false;
	size_t answers = c->at;
	for (unsigned hops = 0; hops <= LIMIT_DNS_CNAMES; hops++) {
		struct span alias = span_str("");
		c->at = answers;
		if (!collect(a, c, count, name, type, out, &alias))
			return false;
		if (out->n || !alias.n)
			return true;
		out->cname = name = alias;
	}
	say(out, DNS_SERVFAIL, "more than %d aliases, or aliases in a circle", LIMIT_DNS_CNAMES);
	return true;
}

static const char *rcode_name(unsigned rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };
	return rcode < sizeof names / sizeof *names ? names[rcode] : "an unknown code";
}

static void judge(unsigned rcode, struct span name, struct dns_answer *out)
{
	char text[64];
	snprintf(text, sizeof text, "%.*s%s", (int)(name.n < 50 ? name.n : 50), name.p, name.n > 50 ? "..." : "");
	if (out->status != DNS_OK)
		return;
	if (rcode != ns_r_noerror)
		out->n = 0;
	if (rcode == ns_r_nxdomain)
		say(out, DNS_NXDOMAIN, "%s%s does not exist", text, out->cname.n ? "'s alias" : "");
	else if (rcode != ns_r_noerror)
		say(out, DNS_SERVFAIL, "the DNS server says %s about %s", rcode_name(rcode), text);
	else if (!out->n)
		say(out, DNS_NODATA, "%s has no such record", text);
	else
		say(out, DNS_OK, "%zu record%s at %s", out->n, out->n == 1 ? "" : "s", text);
}

void answer_parse(struct arena *a, struct span packet, struct span name, int type, struct dns_answer *out)
{
	*out = (struct dns_answer){ .cname = span_str("") };
	if (packet.n < HEADER_BYTES || !(u16_at(packet, 2) & FLAG_QR)) {
		malformed(out);
		return;
	}
	unsigned flags = u16_at(packet, 2), rcode = flags & 0xf, count = u16_at(packet, 6);
	size_t room = count < LIMIT_DNS_RECORDS ? count : LIMIT_DNS_RECORDS;
	struct cursor c = { .packet = packet, .at = HEADER_BYTES };
	out->ad = flags & FLAG_AD;
	if (flags & FLAG_TC) {
		say(out, DNS_SERVFAIL, "the DNS server's answer is cut off, over TCP too");
		return;
	}
	/* A record takes 11 octets at least: the count alone must not make us allocate. */
	if (room > packet.n / 11)
		room = packet.n / 11;
	out->rr = arena_alloc(a, (room + 1) * sizeof *out->rr);
	buf_init(&c.name, NAME_TEXT);
	bool ok = (rcode != ns_r_noerror && rcode != ns_r_nxdomain) || follow(a, &c, name, type, out);
	buf_free(&c.name);
	if (!ok)
		malformed(out);
	else
		judge(rcode, name, out);
}
