/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "msg/charset.h"
#include "msg/encword.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_encoded(struct span text, bool phrase)
{
	struct buf words;
	buf_init(&words, 16 * text.n + 100);
	encword_encode(text, phrase, &words);
	if (words.bad || span_has_ctl(buf_span(&words)))
		abort();
	for (size_t i = 0; i < words.len; i++)
		if ((unsigned char)words.p[i] > 126)
			abort();
	buf_free(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of((const char *)data, size);
	struct buf out;
	buf_init(&out, 4 * size + 100);
	encword_decode(s, &out);
	if (out.bad || !utf8_valid(buf_span(&out)) || memchr(out.p, '\n', out.len))
		abort();
	check_encoded(buf_span(&out), false);
	check_encoded(buf_span(&out), true);
	check_encoded(s, true);
	buf_free(&out);
	return 0;
}
