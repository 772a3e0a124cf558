/* SPDX-License-Identifier: ISC */
#include "mua-send/server.h"

#include <stdlib.h>

#include "base/span.h"
#include "base/xalloc.h"
#include "io/net.h"

static const struct scheme {
	const char *name;
	bool lmtp, tls;
	uint16_t port; /* RFC 6409 3.1, RFC 8314 3.3, RFC 2033 */
} schemes[] = {
	{ "smtp", false, false, 587 },
	{ "submission", false, false, 587 },
	{ "smtps", false, true, 465 },
	{ "submissions", false, true, 465 },
	{ "lmtp", true, false, 24 },
};

static int from_url(const char *text, struct server *out, struct err *err)
{
	struct url u;
	const struct scheme *s = NULL;
	if (url_parse(text, &u, err))
		return -1;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (span_ieqs(span_str(u.scheme), schemes[i].name))
			s = &schemes[i];
	if (!s || *u.path || !*u.host) {
		err_set(err, ERR_USAGE,
		    "server: '%.200s' is none of smtp://[USER@]HOST[:PORT], smtps://..., lmtp://...", text);
		url_free(&u);
		return -1;
	}
	*out = (struct server){
		.lmtp = s->lmtp,
		.implicit_tls = s->tls,
		.host = xstrdup(u.host),
		.user = xstrdup(u.user),
		.port = u.port ? u.port : s->port,
	};
	url_free(&u);
	return 0;
}

int server_parse(const char *text, struct server *out, struct err *err)
{
	char host[256];
	uint16_t port;
	*out = (struct server){ 0 };
	struct span s = span_str(text);
	if (!span_starts(s, "lmtp:") || span_starts(s, "lmtp://"))
		return from_url(text, out, err);
	if (span_starts(s, "lmtp:unix:/")) {
		*out = (struct server){
			.lmtp = true, .unix_socket = true, .host = xstrdup(text + 10), .user = xstrdup("")
		};
		return 0;
	}
	if (net_split_port(text + 5, 24, host, &port, err))
		return err_prefix(err, "server");
	*out = (struct server){ .lmtp = true, .host = xstrdup(host), .user = xstrdup(""), .port = port };
	return 0;
}

void server_free(struct server *s)
{
	free(s->host);
	free(s->user);
	*s = (struct server){ 0 };
}
