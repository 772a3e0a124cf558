/* SPDX-License-Identifier: ISC
 *
 * Any text as a rate, a list of what is exempt, and a DNS list: read or refused; a DNS list's zone can be asked for.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "mta-relay/guard/guard_dnsbl.h"
#include "mta-relay/guard/guard_list.h"
#include "mta-relay/guard/guard_rate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void list(const char *text)
{
	struct err err = { 0 };
	/* A file's name is none of ours. */
	if (*text == '/' || *text == '.')
		return;
	struct guard_list *l = guard_list_open(text, &err);
	if (!l)
		return;
	guard_list_address(l, span_str(text));
	guard_list_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rate r;
	struct dnsbl b;
	struct err err = { 0 };
	char *text = xstrndup((const char *)data, size);
	if (rate_parse(text, &r, &err) == 0 && r.n && r.life < 1)
		abort();
	if (dnsbl_parse(text, &b, &err) == 0 && (!b.zone[0] || !b.weight || strlen(b.zone) > 200))
		abort();
	list(text);
	free(text);
	return 0;
}
