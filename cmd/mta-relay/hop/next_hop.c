/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/next_hop.h"

#include <stdio.h>

#include "base/limits.h"
#include "io/net.h"
#include "msg/addr.h"

enum {
	PATH_MOST = 107, /* of a Unix socket */
	SMTP_PORT = 25,
	LMTP_PORT = 24,
};

/* "[HOST]:PORT" and what may be left out of it. */
static bool split(struct span text, struct span *host, uint64_t *port)
{
	ptrdiff_t close = span_starts(text, "[") ? span_chr(text, ']') : -1;
	struct span rest = text;
	if (close >= 0) {
		*host = span_slice(text, 1, (size_t)close);
		rest = span_from(text, (size_t)close + 1);
	} else {
		*host = span_cut(&rest, ':');
		rest = span_from(text, host->n);
	}
	if (!rest.n)
		return true;
	return span_starts(rest, ":") && rest.n > 1 && span_u64(span_from(rest, 1), 65535, port) && *port;
}

/* An address is written in brackets where it has colons itself. */
static bool add_host(struct span host, struct buf *out)
{
	struct net_addr a;
	char text[LIMIT_DOMAIN + 1];
	if (span_istarts(host, "IPv6:"))
		host = span_from(host, 5);
	if (!host.n || host.n >= sizeof text || span_has_ctl(host))
		return false;
	snprintf(text, sizeof text, "%.*s", SPAN_FMT(host));
	bool address = net_addr_parse(text, 0, &a);
	if (!address && !addr_domain_ok(host, false))
		return false;
	bool colons = span_chr(host, ':') >= 0;
	buf_addf(out, "%s%s%s", colons ? "[" : "", text, colons ? "]" : "");
	return true;
}

static bool add_unix(struct span path, struct buf *out)
{
	if (!span_starts(path, "/") || path.n > PATH_MOST || span_has_ctl(path) || span_chr(path, ' ') >= 0)
		return false;
	buf_adds(out, "lmtp:unix:");
	buf_addspan(out, path);
	return true;
}

bool next_hop_parse(struct span text, struct buf *out)
{
	struct span transport = span_cut(&text, ':'), host;
	bool lmtp = span_eqs(transport, "lmtp");
	uint64_t port = lmtp ? LMTP_PORT : SMTP_PORT;
	if (!lmtp && !span_eqs(transport, "smtp") && !span_eqs(transport, "relay"))
		return false;
	if (lmtp && span_starts(text, "unix:"))
		return add_unix(span_from(text, 5), out) && !out->bad;
	if (!split(text, &host, &port))
		return false;
	buf_adds(out, lmtp ? "lmtp:" : "smtp://");
	if (!add_host(host, out))
		return false;
	buf_addf(out, ":%u", (unsigned)port);
	return !out->bad;
}

bool next_hop_ok(struct span target)
{
	struct buf again;
	bool smtp = span_starts(target, "smtp://");
	buf_init(&again, LIMIT_SMTP_PATH);
	if (smtp)
		buf_adds(&again, "smtp:");
	buf_addspan(&again, smtp ? span_from(target, 7) : target);
	struct buf out;
	buf_init(&out, LIMIT_SMTP_PATH);
	bool ok = !again.bad && next_hop_parse(buf_span(&again), &out) && span_eq(buf_span(&out), target);
	buf_free(&again);
	buf_free(&out);
	return ok;
}
