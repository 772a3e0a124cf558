/* SPDX-License-Identifier: ISC */
#include "dns/dns.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "dns/answer.h"
#include "dns/dns_int.h"
#include "io/trace.h"

enum {
	DNS_PORT = 53,
	DNS_TRY_MS = 5000,
	DNS_TRIES = 2,
	NAME_TEXT_MAX = 253, /* RFC 1035 2.3.4's 255 octets, written as text */
};

const char *dns_status_text(enum dns_status st)
{
	static const char *const text[] = {
		[DNS_OK] = "ok",
		[DNS_NXDOMAIN] = "nxdomain",
		[DNS_NODATA] = "nodata",
		[DNS_SERVFAIL] = "servfail",
		[DNS_TIMEOUT] = "timeout",
		[DNS_BADNAME] = "badname",
	};
	return text[st];
}

/* The only server of this resolver; libresolv keeps IPv6 ones in an extension, and frees it. */
static void set_server(struct dns *d, const struct net_addr *server)
{
	d->res.nscount = 1;
	if (server->sa.ss_family == AF_INET) {
		memcpy(&d->res.nsaddr_list[0], &server->sa, sizeof d->res.nsaddr_list[0]);
		return;
	}
	struct sockaddr_in6 *v6 = xmalloc(sizeof *v6);
	memcpy(v6, &server->sa, sizeof *v6);
	d->res.nsaddr_list[0].sin_family = 0;
	free(d->res._u._ext.nsaddrs[0]);
	d->res._u._ext.nsaddrs[0] = v6;
	d->res._u._ext.nscount = 1;
}

/* Every server that may be asked is on this host: nobody in between can have set the AD bit. */
static bool all_loopback(const struct dns *d)
{
	for (int i = 0; i < d->res.nscount; i++) {
		struct net_addr a = { .len = sizeof d->res.nsaddr_list[i] };
		if (d->res.nsaddr_list[i].sin_family == AF_INET) {
			memcpy(&a.sa, &d->res.nsaddr_list[i], sizeof d->res.nsaddr_list[i]);
		} else if (d->res._u._ext.nsaddrs[i]) {
			a.len = sizeof *d->res._u._ext.nsaddrs[i];
			memcpy(&a.sa, d->res._u._ext.nsaddrs[i], a.len);
		}
		if (!net_addr_is_loopback(&a))
			return false;
	}
	return d->res.nscount > 0;
}

static int use_server(struct dns *d, const char *server, struct err *err)
{
	char host[256];
	uint16_t port;
	struct net_addr addr;
	if (net_split_port(server, DNS_PORT, host, &port, err) < 0)
		return -1;
	if (!net_addr_parse(host, port, &addr))
		return err_set(err, ERR_USAGE, "the DNS server '%s' is no IP address", host);
	set_server(d, &addr);
	return 0;
}

struct dns *dns_open(const char *server, bool trust_ad, int64_t timeout_ms, struct err *err)
{
	struct dns *d = xcalloc(1, sizeof *d);
	if (res_ninit(&d->res) < 0) {
		err_set(err, ERR_TEMP, "the resolver can't be set up");
		free(d);
		return NULL;
	}
	if (server && use_server(d, server, err) < 0) {
		dns_close(d);
		return NULL;
	}
	/* trust-ad in resolv.conf is about that file's servers. */
	d->trusted = trust_ad || all_loopback(d) || (!server && (d->res.options & RES_TRUSTAD));
	d->res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
	d->res.options |= RES_USE_EDNS0 | RES_USE_DNSSEC | RES_TRUSTAD;
	d->res.retrans = (int)(((timeout_ms ? timeout_ms : DNS_TRY_MS) + 999) / 1000);
	d->res.retry = DNS_TRIES;
	return d;
}

void dns_close(struct dns *d)
{
	if (!d)
		return;
	res_nclose(&d->res);
	free(d);
}

/* Labels of letters, digits, '-' and, as in _25._tcp, '_' (or '/' of RFC 2317), 1 to 63 each. */
static bool queryable(struct span name)
{
	if (!name.n || name.n > NAME_TEXT_MAX)
		return false;
	while (name.n) {
		bool more = span_chr(name, '.') >= 0;
		struct span label = span_cut(&name, '.');
		if (!label.n || label.n > 63 || (more && !name.n))
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!ascii_isalnum(label.p[i]) && !memchr("-_/", label.p[i], 3))
				return false;
	}
	return true;
}

__attribute__((format(printf, 3, 4))) static void fail(struct dns_answer *out, enum dns_status st, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	*out = (struct dns_answer){ .status = st, .cname = span_str("") };
	vsnprintf(out->why, sizeof out->why, fmt, ap);
	va_end(ap);
}

/* res_nquery gives no length and one code for many failures, but leaves the last reply in our buffer, which was zero:
 * its header tells a server that refused from one that never answered. */
static void judge_failure(struct dns *d, int sys, struct arena *a, struct span name, int type, struct dns_answer *out)
{
	const unsigned char *h = d->answer;
	bool replied = h[2] & 0x80;
	if (replied) {
		answer_parse(a, span_of((const char *)h, sizeof d->answer), name, type, out);
		if (out->status != DNS_OK)
			return;
		fail(out, DNS_SERVFAIL, "the DNS server's answer was not accepted");
	} else if (sys == ECONNREFUSED || sys == ENETUNREACH || sys == EHOSTUNREACH) {
		fail(out, DNS_TIMEOUT, "no DNS server can be reached: %s", strerror(sys));
	} else {
		fail(out, DNS_TIMEOUT, "no DNS server answered in time");
	}
}

void dns_query(struct dns *d, struct arena *a, struct span name, int type, struct dns_answer *out)
{
	char text[NAME_TEXT_MAX + 1];
	if (!queryable(name)) {
		fail(out, DNS_BADNAME, "not a domain name");
		return;
	}
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	memset(d->answer, 0, 12);
	errno = 0;
	int n = res_nquery(&d->res, text, ns_c_in, type, d->answer, sizeof d->answer);
	int sys = errno;
	if (n > 0)
		answer_parse(a, span_of((const char *)d->answer, (size_t)n), name, type, out);
	else
		judge_failure(d, sys, a, name, type, out);
	out->ad = out->ad && d->trusted;
}
