/* SPDX-License-Identifier: ISC */
#include "mta-relay/hook_reply.h"

#include <stdint.h>
#include <stdio.h>

bool hook_take_enhanced(struct span *rest, int code, char enh[12])
{
	struct span after = *rest, word = span_word(&after), parts = word;
	for (int i = 0; i < 3; i++) {
		uint64_t n;
		if (!span_u64(span_cut(&parts, '.'), 999, &n) || (i == 0 && n != (uint64_t)code / 100))
			return false;
	}
	if (parts.n || span_ends(word, ".") || word.n > 11)
		return false;
	snprintf(enh, 12, "%.*s", SPAN_FMT(word));
	*rest = span_trim(after);
	return true;
}
