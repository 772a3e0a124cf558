/* SPDX-License-Identifier: ISC
 *
 * A milter's bytes: packets one after another, each taken for a reply, an answer to negotiation and a reply code.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "mta-relay/hooks/milter_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct span part, struct span whole)
{
	return !part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void reply(char what, struct span data)
{
	struct milter_reply r;
	if (!milter_reply_parse(what, data, &r))
		return;
	if ((char)r.what != what || !within(r.a, data) || !within(r.b, data))
		abort();
	if (r.what != MILTER_REPLACE_BODY && (span_chr(r.a, '\0') >= 0 || span_chr(r.b, '\0') >= 0))
		abort();
}

static void negotiation(struct span data)
{
	struct milter_wants w;
	if (!milter_wants_parse(data, &w))
		return;
	for (size_t i = 0; i < MILTER_STAGES; i++) {
		if (w.listed[i] && !within(w.macros[i], data))
			abort();
		milter_macro_listed(w.macros[i], "{auth_type}");
	}
}

static void code(struct span data)
{
	struct buf text;
	int n;
	char enh[12];
	buf_init(&text, 4096);
	if (milter_reply_code(data, &n, enh, &text) && (n < 400 || n > 599))
		abort();
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	while (in.n >= MILTER_HEAD) {
		char what;
		size_t n;
		if (!milter_head(in.p, &what, &n))
			break;
		struct span body = span_slice(in, MILTER_HEAD, MILTER_HEAD + n);
		reply(what, body);
		negotiation(body);
		code(body);
		in = span_from(in, MILTER_HEAD + n);
	}
	return 0;
}
