/* SPDX-License-Identifier: ISC
 *
 * A policy service's answers.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "mta-relay/hooks/policyd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size), action;
	struct policyd_action act;
	struct buf b;
	if (policyd_reply_parse(in, &action) && policyd_action_parse(action, &act)) {
		if (span_has_ctl(act.text) && span_chr(act.text, '\n') >= 0)
			abort();
		if ((act.verb == POLICYD_REFUSE) != (act.verb == POLICYD_REFUSE && act.code >= 400 && act.code <= 599))
			abort();
	}
	buf_init(&b, 1 << 20);
	policyd_attribute(&b, "name", in);
	if (!b.bad && span_chr(buf_span(&b), '\n') != (ptrdiff_t)b.len - 1)
		abort();
	buf_free(&b);
	return 0;
}
