/* SPDX-License-Identifier: ISC
 *
 * A server's replies chosen one by one, against a model of what they mean: a recipient has the message if, and only if,
 * MAIL, his RCPT, DATA and the end of the content (his own in LMTP) were answered with yes. First byte: what EHLO
 * offers; second: the envelope; third: how replies are cut; then a byte for each reply.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RCPTS = 5,
	GONE = -1 /* no reply, or none that counts: the session ends */
};

struct model {
	const uint8_t *in, *end;
	struct buf out;
	bool over; /* the server has said its last */
};

static unsigned next(struct model *m)
{
	return m->in < m->end ? *m->in++ : 0;
}

/* One reply to a step where `good` is a yes; its code, or GONE. */
static int reply(struct model *m, int good)
{
	static const struct {
		int code; /* 0: the good one */
		const char *text;
	} kinds[] = { { 0, "@ 2.0.0 ok\r\n" }, { 0, "@\r\n" }, { 0, "@-first\r\n@ second\r\n" },
		{ 0, "@ ok 550 no\r\n" }, { 450, "450 4.2.1 later\r\n" }, { 550, "550 5.1.1 no\r\n" },
		{ 552, "552-5.2.2 full\r\n552 5.2.2 250 ok\r\n" }, { GONE, "421 4.3.2 bye\r\n" },
		{ GONE, "@-first\r\n550 second\r\n" }, { GONE, "@ ok\n" }, { GONE, "ok\r\n" }, { GONE, "" },
		{ GONE, "1@ ok\r\n" }, { GONE, "@_ok\r\n" }, { GONE, "@ o\0k\r\n" }, { GONE, "+OK\r\n" } };
	unsigned k = next(m);
	/* Mostly yes: else few inputs would come far. */
	k = k < 128 ? k % 4 : k % (sizeof kinds / sizeof *kinds);
	if (m->over)
		return GONE;
	if (k == 14)
		buf_add(&m->out, "250 o\0k\r\n", 9);
	else
		for (const char *p = kinds[k].text; *p; p++)
			buf_addf(&m->out, *p == '@' ? "%d" : "%c", *p == '@' ? good : *p);
	m->over = kinds[k].code == GONE;
	return kinds[k].code ? kinds[k].code : good;
}

static void greet(struct model *m, unsigned exts)
{
	static const char *const words[] = { "8BITMIME", "SMTPUTF8", "DSN", "SIZE 1000000", "CHUNKING",
		"ENHANCEDSTATUSCODES" };
	buf_adds(&m->out, "220 mx.example\r\n250-mx.example\r\n");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (exts & 1u << i)
			buf_addf(&m->out, "250-%s\r\n", words[i]);
	/* With it the order of replies is the commands', whatever they are. */
	buf_adds(&m->out, "250 PIPELINING\r\n");
}

#define TEXT "Subject: x\r\n\r\n.\r\nhi\r\n"

static int content(void *arg, struct span *out, struct err *err)
{
	(void)err;
	int *given = arg;
	*out = SPAN(TEXT);
	return !(*given)++;
}

/* Who must have the message when all replies to the transaction are as the model makes them. */
static void transaction(struct model *m, size_t n, bool lmtp, bool bdat, bool has[RCPTS])
{
	bool rcpt[RCPTS] = { false };
	size_t taken = 0;
	int mail = reply(m, 250);
	for (size_t i = 0; i < n; i++) {
		int code = reply(m, 250);
		rcpt[i] = mail == 250 && code == 250;
		taken += rcpt[i];
	}
	bool go = bdat || reply(m, 354) == 354;
	/* Without a recipient there is a lone dot after 354, answered once, or in LMTP not at all. */
	size_t finals = !go ? 0 : lmtp ? taken : 1;
	for (size_t i = 0, k = 0; k < finals; i++) {
		if (lmtp && !rcpt[i])
			continue;
		int code = reply(m, 250);
		for (size_t j = lmtp ? i : 0; j < (lmtp ? i + 1 : n); j++)
			has[j] = rcpt[j] && code == 250;
		k++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	struct model m = { .in = data + 3, .end = data + size };
	bool lmtp = data[1] & 8, exact = data[1] & 16, has[RCPTS] = { false };
	size_t n = 1 + data[1] % RCPTS;
	int given = 0;
	buf_init(&m.out, 1 << 16);
	greet(&m, data[0]);
	transaction(&m, n, lmtp, exact && data[0] & 16, has);
	struct smtp_rcpt rcpt[RCPTS] = { { .address = "a@x", .notify = "NEVER" }, { .address = "b@x" },
		{ .address = "c@x" }, { .address = "\"d d\"@x", .orcpt = "rfc822;d" }, { .address = "e@x" } };
	struct smtp_message msg = { .from = data[1] & 32 ? "" : "me@y",
		.rcpt = rcpt,
		.n_rcpt = n,
		.size = sizeof TEXT - 1,
		.exact = exact,
		.envid = "e",
		.ret = "HDRS",
		.read = content,
		.arg = &given };
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .lmtp = lmtp };
	struct stream *s = stream_from_mem(buf_span(&m.out), data[2]);
	struct smtp_client *c = smtp_client_open(s, &config, NULL);
	if (!c)
		abort();
	struct err err = { 0 };
	int rc = smtp_client_send(c, &msg, &err);
	for (size_t i = 0; i < n; i++)
		if ((rcpt[i].result.class == ERR_NONE) != has[i])
			abort();
	if ((rc < 0 || m.over) == smtp_client_alive(c))
		abort();
	smtp_client_close(c, true);
	buf_free(&m.out);
	return 0;
}
