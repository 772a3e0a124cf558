/* SPDX-License-Identifier: ISC
 *
 * A table as text: of a file, in an option, as a list; the key that each says is its first must be found.
 */
#include <stdint.h>
#include <stdlib.h>

#include "users/table_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size), value;
	for (int i = 0; i < 3; i++) {
		struct err err = { 0 };
		struct table_rows *r = i == 0   ? table_rows_text(text, "input", &err)
				       : i == 1 ? table_rows_inline(text, &err)
						: table_rows_list(text, &err);
		if (r && table_rows_first(r).n && !table_rows_find(r, table_rows_first(r), &value))
			abort();
		if (!r && err.class == ERR_NONE)
			abort();
		table_rows_free(r);
	}
	return 0;
}
