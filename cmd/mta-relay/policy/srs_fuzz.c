/* SPDX-License-Identifier: ISC
 *
 * local@domain from the input: what srs_forward makes of it leads back to it; as it is, nobody but we can have made it.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "mta-relay/policy/srs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct srs *s;
	struct span text = span_of((const char *)data, size), domain = text, local = span_cut(&domain, '\n');
	struct buf made, back;
	struct err err = { 0 };
	if (!s)
		s = srs_new("srs.example", SPAN("a secret of the fuzzer\n"), &err);
	buf_init(&made, LIMIT_SMTP_PATH);
	buf_init(&back, LIMIT_SMTP_PATH);
	/* 40 bits are not guessed. */
	if (srs_reverse(s, local, 1700000000, &back, &err) == 0)
		abort();
	buf_reset(&back);
	if (srs_forward(s, local, domain, 1700000000, &made) && made.len > LIMIT_SMTP_LOCALPART_SRS)
		abort();
	srs_reverse(s, buf_span(&made), 1700000000, &back, &err);
	buf_free(&made);
	buf_free(&back);
	return 0;
}
