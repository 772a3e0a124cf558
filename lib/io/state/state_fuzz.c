/* SPDX-License-Identifier: ISC
 *
 * Any bytes as a record of a state file, as a key's parts, and as the URL of a server: what is read is what is written
 * again, a key fits and has no control character, and no error has the URL's password.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "io/state/state_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void record(struct span in)
{
	struct state_record r, again;
	char text[STATE_RECORD];
	if (!state_record_parse(in, &r))
		return;
	if (r.key.n > STATE_KEY_MAX)
		abort();
	if (r.expires > 99999999999)
		abort();
	state_record_format(&r, text);
	if (memchr(r.key.p, '\0', r.key.n))
		return; /* none of ours */
	if (!state_record_parse(span_of(text, sizeof text), &again) || again.n != r.n || again.expires != r.expires ||
	    !span_eq(again.key, r.key))
		abort();
}

static void key(struct span in)
{
	struct buf b;
	struct span parts[2] = { span_cut(&in, '\n'), in };
	buf_init(&b, STATE_KEY_MAX);
	state_key(&b, "class", parts, 2);
	if (b.bad)
		abort();
	for (size_t i = 0; i < b.len; i++)
		if ((unsigned char)b.p[i] < ' ' || (unsigned char)b.p[i] > 126)
			abort();
	buf_free(&b);
}

static void url(struct span in)
{
	struct state_url u;
	struct err err = { 0 };
	char *text = xasprintf("redis://u:OPENSESAME@%.*s", SPAN_FMT(in));
	if (state_url_parse(text, &u, &err) == 0)
		state_url_free(&u);
	else if (span_find(in, SPAN("OPENSESAME")) < 0 && strstr(err.text, "OPENSESAME"))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	record(in);
	key(in);
	url(in);
	return 0;
}
