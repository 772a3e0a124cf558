/* SPDX-License-Identifier: ISC
 *
 * Any dialogue: each line's first byte is its direction. A secret behind a verb that carries one never comes out.
 */
#include <stdint.h>
#include <stdlib.h>

#include "io/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Does the line begin with a verb, or with a tag and one of IMAP's? Written anew, so that both must agree. */
static bool carries_secret(struct span line)
{
	static const char *const verbs[] = { "AUTH", "PASS", "APOP", "LOGIN" }, *const tagged[] = { "AUTHENTICATE",
		"LOGIN" };
	struct span rest = line, first = span_word(&rest), second = span_word(&rest);
	for (size_t i = 0; i < 4; i++)
		if (span_istarts(first, verbs[i]))
			return true;
	return span_istarts(second, tagged[0]) || span_istarts(second, tagged[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redact r = { 0 };
	struct span text = span_of((const char *)data, size);
	while (text.n) {
		struct span line = span_cut(&text, '\n');
		char dir = line.n ? line.p[0] : '<';
		struct buf in, out;
		line = span_from(line, 1);
		buf_init(&in, line.n + 16);
		buf_init(&out, line.n + 32);
		buf_addspan(&in, line);
		buf_adds(&in, " OPENSESAME");
		bool secret = carries_secret(line) && span_find(line, SPAN("OPENSESAME")) < 0;
		redact_line(&r, dir, buf_span(&in), &out);
		if (out.bad || (secret && span_find(buf_span(&out), SPAN("OPENSESAME")) >= 0))
			abort();
		buf_free(&in);
		buf_free(&out);
	}
	return 0;
}
