/* SPDX-License-Identifier: ISC
 *
 * SCRAM's messages from a hostile peer: the first byte chooses the side, NUL separates the messages.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sasl/mech.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	(void)arg;
	(void)err;
	*out = (struct user){ .name = name, .secret = span_str("{PLAIN}sesame") };
	return name.n % 2 ? USERS_OK : USERS_UNKNOWN;
}

static void fuzz_server(struct span rest, const struct stream *s)
{
	static const struct sasl_server_ops ops = { .lookup = lookup };
	struct sasl_server *x = sasl_server_new(SPAN("SCRAM-SHA-256"), s, true, &ops, NULL);
	enum sasl_result r = SASL_CONTINUE;
	struct buf out;
	buf_init(&out, SCRAM_MESSAGE);
	memset(x->nonce, 'n', SCRAM_NONCE); /* so that an input can get past the nonce */
	while (rest.n && r == SASL_CONTINUE) {
		buf_reset(&out);
		r = sasl_server_step(x, true, span_cut(&rest, '\0'), &out, NULL);
	}
	sasl_server_free(x);
	buf_free(&out);
}

static void fuzz_client(struct span rest, const struct stream *s)
{
	struct sasl_client_config c = { .user = "user", .password = "pencil" };
	struct sasl_client *x = sasl_client_new(&c, SPAN("SCRAM-SHA-256"), s, NULL);
	struct buf out;
	buf_init(&out, SCRAM_MESSAGE);
	memset(x->nonce, 'n', SCRAM_NONCE);
	enum sasl_result r = sasl_client_step(x, SPAN(""), &out, NULL);
	while (rest.n && r == SASL_CONTINUE) {
		struct span message = span_cut(&rest, '\0');
		/* More iterations than this cost time and nothing else. */
		if (span_find(message, SPAN("i=4096")) < 0 && x->step == 1)
			break;
		buf_reset(&out);
		r = sasl_client_step(x, message, &out, NULL);
	}
	sasl_client_free(x);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct span rest = span_of((const char *)data + 1, size - 1);
	if (data[0] == 's')
		fuzz_server(rest, s);
	else
		fuzz_client(rest, s);
	stream_close(s);
	return 0;
}
