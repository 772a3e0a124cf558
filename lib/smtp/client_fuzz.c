/* SPDX-License-Identifier: ISC
 *
 * A whole dialogue with a hostile server. The first byte chooses LMTP, authentication, the pieces' size and what the
 * message needs; two transactions are tried. No recipient may count as delivered without a 2xx, and nothing that
 * isn't a line of ours may be written.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int content(void *arg, struct span *out, struct err *err)
{
	(void)err;
	int *given = arg;
	*out = SPAN("Subject: x\n\n.\nhi\r.\r\n");
	return !(*given)++;
}

#define EXACT "Subject: x\r\n\r\n.\r\nhi\r\n"
static int exact(void *arg, struct span *out, struct err *err)
{
	(void)err;
	int *given = arg;
	*out = SPAN(EXACT);
	return !(*given)++;
}

static void check_written(struct span out)
{
	for (size_t i = 0; i < out.n; i++)
		if ((out.p[i] == '\n') != (i > 0 && out.p[i - 1] == '\r'))
			abort();
}

static void transaction(struct smtp_client *c, unsigned how)
{
	int given = 0;
	struct smtp_rcpt rcpt[3] = { { .address = "a@x" }, { .address = "b@x", .notify = "NEVER" },
		{ .address = "c@x" } };
	struct smtp_message m = { .from = "me@y",
		.rcpt = rcpt,
		.n_rcpt = 3,
		.size = 30,
		.utf8 = how & 8,
		.eightbit = how & 16,
		.envid = "e",
		.read = content,
		.arg = &given };
	if (how & 64) {
		m.exact = true;
		m.size = sizeof EXACT - 1;
		m.read = exact;
	}
	int rc = smtp_client_send(c, &m, NULL);
	for (int i = 0; i < 3; i++) {
		if (rcpt[i].result.class == ERR_NONE && rcpt[i].reply[0] != '2')
			abort();
		if (rcpt[i].result.class != ERR_NONE && !rcpt[i].result.text[0])
			abort();
	}
	if (rc < 0 && smtp_client_alive(c))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	unsigned how = data[0];
	struct sasl_client_config auth = { .user = "u", .password = "p", .allow_plaintext = true };
	struct smtp_client_config config = {
		.helo = "me.example", .starttls = STARTTLS_NEVER, .lmtp = how & 1, .auth = how & 2 ? &auth : NULL
	};
	struct stream *s = stream_from_mem(span_of((const char *)data + 1, size - 1), how & 4 ? 1 : 0);
	struct smtp_client *c = smtp_client_open(s, &config, NULL);
	if (c) {
		transaction(c, how);
		transaction(c, how);
		check_written(stream_mem_output(s));
		smtp_client_close(c, true);
	}
	return 0;
}
