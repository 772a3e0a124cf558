/* SPDX-License-Identifier: ISC */
#include "mta-relay/guard/guard_dnsbl.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>

static void allow(uint8_t set[32], uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		set[i / 8] |= (uint8_t)(1u << (i % 8));
}

static bool in_set(const uint8_t set[32], uint8_t n)
{
	return set[n / 8] >> (n % 8) & 1;
}

/* "4..11" or "2" */
static bool item(struct span text, uint8_t set[32])
{
	uint64_t from, to;
	ptrdiff_t dots = span_find(text, SPAN(".."));
	struct span first = dots < 0 ? text : span_slice(text, 0, (size_t)dots);
	if (!span_u64(first, 255, &from))
		return false;
	to = from;
	if (dots >= 0 && (!span_u64(span_from(text, (size_t)dots + 2), 255, &to) || to < from))
		return false;
	allow(set, from, to);
	return true;
}

/* One octet, which leaves *rest with the dot after it. */
static bool octet(struct span *rest, bool last, uint8_t set[32])
{
	struct span text;
	if (rest->n && rest->p[0] == '[') {
		ptrdiff_t end = span_chr(*rest, ']');
		if (end < 0)
			return false;
		struct span list = span_slice(*rest, 1, (size_t)end);
		*rest = span_from(*rest, (size_t)end + 1);
		do
			if (!item(span_cut(&list, ';'), set))
				return false;
		while (list.n);
	} else {
		size_t n = 0;
		while (n < rest->n && ascii_isdigit(rest->p[n]))
			n++;
		text = span_slice(*rest, 0, n);
		*rest = span_from(*rest, n);
		if (!item(text, set))
			return false;
	}
	if (last)
		return rest->n == 0;
	bool dot = rest->n && rest->p[0] == '.';
	*rest = span_from(*rest, dot);
	return dot;
}

static bool weight(struct span text, int *out)
{
	uint64_t n;
	bool minus = text.n && text.p[0] == '-';
	if (!span_u64(span_from(text, minus), DNSBL_WEIGHT_MAX, &n) || !n)
		return false;
	*out = minus ? -(int)n : (int)n;
	return true;
}

static bool zone_ok(struct span zone)
{
	if (!zone.n || zone.n > 200)
		return false;
	while (zone.n) {
		bool more = span_chr(zone, '.') >= 0;
		struct span label = span_cut(&zone, '.');
		if (!label.n || label.n > 63 || (more && !zone.n))
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!ascii_isalnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
				return false;
	}
	return true;
}

int dnsbl_parse(const char *text, struct dnsbl *out, struct err *err)
{
	struct span rest = span_trim(span_str(text));
	*out = (struct dnsbl){ .weight = 1 };
	ptrdiff_t star = span_rchr(rest, '*');
	bool ok = star < 0 || weight(span_from(rest, (size_t)star + 1), &out->weight);
	if (star >= 0)
		rest = span_slice(rest, 0, (size_t)star);
	ptrdiff_t equals = span_chr(rest, '=');
	struct span zone = equals < 0 ? rest : span_slice(rest, 0, (size_t)equals);
	ok = ok && zone_ok(zone);
	if (equals >= 0) {
		struct span codes = span_from(rest, (size_t)equals + 1);
		out->codes = true;
		for (size_t i = 0; i < 4 && ok; i++)
			ok = octet(&codes, i == 3, out->octet[i]);
	}
	if (!ok)
		return err_set(err, ERR_USAGE, "'%.100s' is no ZONE[=CODES][*WEIGHT]", text);
	for (size_t i = 0; i < zone.n; i++)
		out->zone[i] = ascii_lower(zone.p[i]);
	return 0;
}

static bool counts(const struct dnsbl *b, const uint8_t ip[4])
{
	if (!b->codes)
		return ip[0] == 127 && !(ip[1] == 255 && ip[2] == 255);
	for (size_t i = 0; i < 4; i++)
		if (!in_set(b->octet[i], ip[i]))
			return false;
	return true;
}

bool dnsbl_listed(const struct dnsbl *b, const struct dns_answer *a)
{
	for (size_t i = 0; a->status == DNS_OK && i < a->n; i++) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)&a->rr[i].addr.sa;
		uint8_t ip[4];
		if (a->rr[i].type != ns_t_a || sin->sin_family != AF_INET)
			continue;
		memcpy(ip, &sin->sin_addr, 4);
		if (counts(b, ip))
			return true;
	}
	return false;
}
