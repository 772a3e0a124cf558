/* SPDX-License-Identifier: ISC
 *
 * Any bytes as a trace file or message: read, joined, and shown both ways. Nothing that a terminal would act on may
 * come out.
 */
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>

#include "mailtrace/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_harmless(const struct buf *out)
{
	for (size_t i = 0; i < out->len; i++)
		if (((unsigned char)out->p[i] < ' ' && out->p[i] != '\n') || out->p[i] == 127)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .a = arena_new() };
	struct stories all;
	struct buf out;
	setlocale(LC_CTYPE, "C.UTF-8");
	buf_init(&out, 64 << 20);
	input_bytes(&in, "input", span_of((const char *)data, size));
	join_stories(&in, &all);
	show_text(&all, 80, true, &out);
	check_harmless(&out);
	buf_reset(&out);
	show_json(&in, &all, true, &out);
	check_harmless(&out);
	buf_free(&out);
	free(all.v);
	free(in.event);
	free(in.mail);
	arena_free(in.a);
	return 0;
}
