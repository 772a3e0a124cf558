/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned line;
};

/* Lines come in order, keys are never empty, and nothing holds a line end. */
static int check(void *arg, const struct config_line *line, struct err *err)
{
	struct seen *seen = arg;
	(void)err;
	if (line->line <= seen->line || !line->key.n || memchr(line->value.p, '\n', line->value.n) ||
	    memchr(line->key.p, 0, line->key.n) || memchr(line->value.p, 0, line->value.n))
		abort();
	seen->line = line->line;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { 0 };
	struct err err = { 0 };
	int rc = config_read_text(span_of((const char *)data, size), "fuzz", check, &seen, &err);
	if ((rc < 0) != (err.class == ERR_CONFIG))
		abort();
	return 0;
}
