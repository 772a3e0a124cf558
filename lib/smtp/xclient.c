/* SPDX-License-Identifier: ISC */
#include "smtp/xclient.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "io/net.h"
#include "smtp/param.h"

typedef bool check_fn(struct span v);

static bool host_ok(struct span v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!ascii_isalnum(v.p[i]) && !memchr("-_.", v.p[i], 3))
			return false;
	return v.n <= LIMIT_DOMAIN && v.p[0] != '.' && v.p[0] != '-';
}

/* As what was said in EHLO: it will stand in Received. */
static bool helo_ok(struct span v)
{
	for (size_t i = 0; i < v.n; i++)
		if (!ascii_isalnum(v.p[i]) && !memchr("-_.:[]", v.p[i], 6))
			return false;
	return v.n <= LIMIT_DOMAIN;
}

static bool addr_ok(struct span v)
{
	char text[64];
	struct net_addr addr;
	if (v.n >= sizeof text || span_chr(v, '%') >= 0 || span_chr(v, '[') >= 0)
		return false;
	snprintf(text, sizeof text, "%.*s", SPAN_FMT(v));
	return net_addr_parse(text, 0, &addr);
}

static bool port_ok(struct span v)
{
	uint64_t n;
	return span_u64(v, 65535, &n) && n > 0;
}

static bool proto_ok(struct span v)
{
	return span_ieqs(v, "SMTP") || span_ieqs(v, "ESMTP");
}

static bool text_ok(struct span v)
{
	for (size_t i = 0; i < v.n; i++)
		if ((unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f)
			return false;
	return v.n <= LIMIT_DOMAIN;
}

static bool source_ok(struct span v)
{
	return span_ieqs(v, "LOCAL") || span_ieqs(v, "REMOTE");
}

static const struct attr {
	const char *name;
	check_fn *ok;
	bool xclient, xforward;
} attrs[XCLIENT_ATTRS] = {
	[XCLIENT_NAME] = { "NAME", host_ok, true, true },
	[XCLIENT_ADDR] = { "ADDR", addr_ok, true, true },
	[XCLIENT_PORT] = { "PORT", port_ok, true, true },
	[XCLIENT_PROTO] = { "PROTO", proto_ok, true, true },
	[XCLIENT_HELO] = { "HELO", helo_ok, true, true },
	[XCLIENT_LOGIN] = { "LOGIN", text_ok, true, false },
	[XCLIENT_DESTADDR] = { "DESTADDR", addr_ok, true, false },
	[XCLIENT_DESTPORT] = { "DESTPORT", port_ok, true, false },
	[XCLIENT_IDENT] = { "IDENT", text_ok, false, true },
	[XCLIENT_SOURCE] = { "SOURCE", source_ok, false, true },
};

static const struct attr *find(struct span name, bool forward)
{
	for (size_t i = 0; i < XCLIENT_ATTRS; i++)
		if (span_ieqs(name, attrs[i].name) && (forward ? attrs[i].xforward : attrs[i].xclient))
			return &attrs[i];
	return NULL;
}

static bool unavailable(struct span v)
{
	return span_ieqs(v, "[UNAVAILABLE]") || span_ieqs(v, "[TEMPUNAVAIL]");
}

static int bad(const char *what, struct span word, struct err *err)
{
	char shown[64];
	snprintf(shown, sizeof shown, "%.*s", SPAN_FMT(span_slice(word, 0, 60)));
	for (char *p = shown; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return err_reply(err, 501, "5.5.4", "%s %s", what, shown);
}

static int one(struct span word, bool forward, struct arena *a, struct xclient *x, struct err *err)
{
	struct span rest = word, name = span_cut(&rest, '=');
	const struct attr *at = find(name, forward);
	struct buf value;
	int rc = -1;
	if (!at)
		return bad("Unknown attribute", name, err);
	buf_init(&value, LIMIT_SMTP_COMMAND);
	if (span_chr(word, '=') < 0 || !rest.n || !xtext_decode(rest, &value)) {
		bad("Malformed attribute", name, err);
	} else {
		struct span v = unavailable(buf_span(&value)) ? SPAN("") : buf_span(&value);
		bool is_addr = at->ok == addr_ok;
		if (is_addr && span_istarts(v, "IPV6:"))
			v = span_from(v, 5);
		if (v.n && !at->ok(v)) {
			bad("Bad value of", name, err);
		} else {
			x->given |= 1u << (at - attrs);
			x->v[at - attrs] = arena_span(a, v);
			rc = 0;
		}
	}
	buf_free(&value);
	return rc;
}

int xclient_parse(struct span arg, bool forward, struct arena *a, struct xclient *x, struct err *err)
{
	struct xclient all = *x;
	for (size_t i = 0; i < XCLIENT_ATTRS; i++)
		if (!all.v[i].p)
			all.v[i] = SPAN("");
	struct span word;
	bool any = false;
	while ((word = span_word(&arg)).n) {
		if (one(word, forward, a, &all, err) < 0)
			return -1;
		any = true;
	}
	if (!any)
		return err_reply(err, 501, "5.5.4", "An attribute is missing");
	*x = all;
	return 0;
}

unsigned xclient_port(const struct xclient *x, enum xclient_attr which)
{
	uint64_t n = 0;
	span_u64(x->v[which], 65535, &n);
	return (unsigned)n;
}
