/* SPDX-License-Identifier: ISC
 *
 * A users file's lines, and a location expanded for each row.
 */
#include <stdint.h>
#include <stdlib.h>

#include "users/users.h"
#include "users/users_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of((const char *)data, size);
	struct buf path;
	buf_init(&path, 4096);
	while (rest.n) {
		struct user u;
		struct err err = { 0 };
		if (users_row_parse(span_cut(&rest, '\n'), &u, &err) != 1)
			continue;
		enum location_kind kind;
		if (location_expand(SPAN("maildir:/m/%d/%n"), &u, &kind, &path, &err) == 0 && strstr(path.p, "/../"))
			abort();
		location_expand(u.mail, &u, &kind, &path, &err);
		struct scram_keys keys;
		if (span_starts(u.secret, "{SCRAM"))
			users_scram_keys(u.secret, &keys);
	}
	buf_free(&path);
	return 0;
}
