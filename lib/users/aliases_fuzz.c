/* SPDX-License-Identifier: ISC
 *
 * An aliases file from the input, and every row's name expanded. Included files are not reached: the input's are
 * renamed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "users/aliases_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct err err = { 0 };
	if (!text)
		return 0;
	for (size_t i = 0; i < size; i++)
		text[i] = data[i] == '/' ? '_' : (char)data[i];
	struct alias_table *t = aliases_read_text(span_of(text, size), "input", size % 4, &err);
	for (size_t i = 0; t && i < t->n; i++)
		if (!t->row[i].n || (i && span_cmp(t->row[i - 1].key, t->row[i].key) >= 0))
			abort();
	aliases_table_free(t);
	free(text);
	return 0;
}
