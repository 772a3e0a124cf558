/* SPDX-License-Identifier: ISC
 *
 * Any text as a routes file. What was accepted has a destination and short keys, and is found again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "mta-relay/hop/route_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct route_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct route *r = &l->v[i].route;
		unsigned links = 0;
		if (route_table_find(l, l->v[i].key) != &l->v[i])
			abort();
		for (const struct route *at = r; at; at = at->next)
			links++;
		if (links > ROUTE_LINKS || (links > 1 && r->kind != ROUTE_MX && r->kind != ROUTE_SMTP))
			abort();
		if ((r->kind == ROUTE_MX || r->kind == ROUTE_SMTP) && strlen(r->key) + strlen(r->own) > ROUTE_TEXT_MAX)
			abort();
		if (r->kind == ROUTE_ERROR && (r->error.code < 400 || r->error.code > 599 || !*r->error.enh))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of((const char *)data, size);
	struct route_table t;
	struct err err = { 0 };
	unsigned line = 0;
	route_table_init(&t);
	while (rest.n)
		if (route_table_line(&t, span_cut(&rest, '\n'), ++line, &err) < 0 && err.class != ERR_CONFIG)
			abort();
	/* A second line of the same pattern is an error of the whole file. */
	if (route_table_sort(&t, &line, &err) == 0) {
		check(&t.recipients);
		check(&t.senders);
	}
	route_table_free(&t);
	return 0;
}
