/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What can be made out is written so that it is read again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t t, again;
	int zone, zone_again;
	struct buf out;
	if (!date_parse(span_of((const char *)data, size), &t, &zone))
		return 0;
	buf_init(&out, 100);
	date_format(t, zone, &out);
	if (!date_parse(buf_span(&out), &again, &zone_again) || again != t || zone_again != zone)
		abort();
	buf_free(&out);
	return 0;
}
