/* SPDX-License-Identifier: ISC
 *
 * Whatever a uidlist holds, what we write of it reads back as the same records, with ascending UIDs below UIDNEXT.
 */
#include <stdint.h>
#include <stdlib.h>

#include "store/uidlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct uidlist *u)
{
	uint32_t last = 0;
	for (size_t i = 0; i < u->n; i++) {
		if (u->rec[i].uid <= last || u->rec[i].uid >= u->uidnext ||
		    uidlist_find(u, u->rec[i].name) != &u->rec[i])
			abort();
		last = u->rec[i].uid;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uidlist u, again;
	uidlist_init(&u);
	uidlist_init(&again);
	buf_add(&u.text, data, size);
	if (uidlist_parse(&u)) {
		check(&u);
		uidlist_format(&u, &again.text);
		if (!uidlist_parse(&again) || again.n != u.n || again.uidvalidity != u.uidvalidity ||
		    again.uidnext != u.uidnext)
			abort();
		check(&again);
		for (size_t i = 0; i < u.n; i++)
			if (!span_eq(u.rec[i].name, again.rec[i].name) || !span_eq(u.rec[i].ext, again.rec[i].ext))
				abort();
	}
	uidlist_free(&u);
	uidlist_free(&again);
	return 0;
}
