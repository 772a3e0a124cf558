/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/received.h"

#include <stdio.h>

#include "msg/date.h"
#include "mta-relay/serve/serve_client.h"

enum {
	FOR_MAX = 256 /* a longer address would make a line that is too long; the clause is optional */
};

/* RFC 3848, RFC 6531 4.3: the protocol's name tells TLS and AUTH. */
static void protocol(const struct smtp_session *x, struct buf *out)
{
	const char *base = x->env.utf8 ? (x->lmtp ? "UTF8LMTP" : "UTF8SMTP")
			   : x->lmtp   ? "LMTP"
			   : x->esmtp  ? "ESMTP"
				       : "SMTP";
	bool extended = x->esmtp || x->lmtp || x->env.utf8;
	buf_adds(out, base);
	if (extended && x->tls)
		buf_addc(out, 'S');
	if (extended && x->user.n)
		buf_addc(out, 'A');
}

/* TCP-info: "(name [192.0.2.1])"; what is no IP address is said as a comment. */
static void client(const struct smtp_session *x, struct buf *out)
{
	const char *ip = x->peer_ip;
	bool v6 = strchr(ip, ':'), v4 = !v6 && ascii_isdigit(ip[0]);
	buf_addf(out, "from %.*s (", SPAN_FMT(x->helo));
	if (x->peer_name && *x->peer_name)
		buf_addf(out, "%s ", x->peer_name);
	if (v4 || v6)
		buf_addf(out, "[%s%s]", v6 ? "IPv6:" : "", ip);
	else
		buf_adds(out, ip);
	buf_adds(out, ")\r\n\t");
}

void received_field(
    const struct smtp_session *x, const char *by, const char *id, int64_t when, bool hidden, struct buf *out)
{
	const struct tls_info *tls = hidden ? NULL : stream_tls(x->s);
	buf_adds(out, "Received: ");
	if (!hidden)
		client(x, out);
	buf_addf(out, "by %s (waypost) with ", by);
	protocol(x, out);
	buf_addf(out, " id %s", id);
	if (tls)
		buf_addf(out, "\r\n\t(%s %s)", tls->version, tls->cipher);
	struct span forwarded = hidden ? SPAN("") : client_forwarded(x);
	if (forwarded.n)
		buf_addf(out, "\r\n\t(on behalf of %.*s)", SPAN_FMT(forwarded));
	/* RFC 5321 7.2: one recipient only, so that none learns of another. */
	if (x->env.n_rcpt == 1 && x->env.rcpt[0].text.n <= FOR_MAX)
		buf_addf(out, "\r\n\tfor <%.*s>", SPAN_FMT(x->env.rcpt[0].text));
	/* RFC 6710 4.1 */
	if (x->env.has_priority)
		buf_addf(out, "\r\n\tPRIORITY %d", x->env.priority);
	buf_addf(out, ";\r\n\t%s\r\n", date_here(when));
}
