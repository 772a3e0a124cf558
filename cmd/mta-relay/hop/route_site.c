/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/route_site.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* A literal's host has no name: its address is one. */
static bool host_name(const struct mx_host *h, char out[LIMIT_DOMAIN + 1])
{
	out[0] = '\0';
	if (h->name.n)
		snprintf(out, LIMIT_DOMAIN + 1, "%.*s", SPAN_FMT(h->name));
	else if (h->n_addr)
		net_addr_text(&h->addr[0], out, LIMIT_DOMAIN + 1);
	for (char *p = out; *p; p++)
		*p = ascii_lower(*p);
	return *out;
}

void route_site(const struct mx_result *mx, char out[SITE_SIZE])
{
	static char name[LIMIT_MX_HOSTS][LIMIT_DOMAIN + 1];
	struct buf text;
	size_t n = 0;
	for (size_t i = 0; i < mx->n && n < LIMIT_MX_HOSTS && mx->host[i].preference == mx->host[0].preference; i++)
		n += host_name(&mx->host[i], name[n]);
	qsort(name, n, sizeof *name, by_name);
	buf_init(&text, LIMIT_MX_HOSTS * (LIMIT_DOMAIN + 2));
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "%s%s", i ? " " : "", name[i]);
	if (text.len < SITE_SIZE)
		memcpy(out, text.p, text.len + 1);
	else
		snprintf(out, SITE_SIZE, "#%016" PRIx64, span_hash(SPAN_HASH, buf_span(&text)));
	buf_free(&text);
}
