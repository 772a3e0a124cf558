/* SPDX-License-Identifier: ISC
 *
 * For the client's tests only: a dialogue with a server as a row of a table, played whole and one byte at a time.
 */
#ifndef WP_SMTP_CLIENT_DIALOGUE_H
#define WP_SMTP_CLIENT_DIALOGUE_H

#include <stdio.h>
#include <stdlib.h>

#include "smtp/client.h"

enum {
	RCPTS = 3
};

struct content {
	const char *text;
	bool given;
};

static inline int read_content(void *arg, struct span *out, struct err *err)
{
	struct content *c = arg;
	if (!c->text)
		return err_set(err, ERR_TEMP, "the disk is gone");
	*out = span_str(c->text);
	bool first = !c->given;
	c->given = true;
	return first && out->n;
}

struct dialogue {
	const char *name, *server, *client;
	const char *rcpt[RCPTS];
	int code[RCPTS]; /* of each result: 250 delivered, 0 no code */
	int rc;          /* of the transaction; 2: the session did not open */
	enum err_class class;
	const char *text; /* the content, "Subject: x\n\nhi\n" by default */
	const char *from, *notify, *envid, *extra, *hold;
	struct smtp_by by;
	const char *priority; /* a number */
	bool requiretls;
	bool lmtp, utf8, eightbit, alive;
	uint64_t size;
	bool exact, binary; /* of EXACT_SIZE bytes by default */
};

#define BASIC "220 mx.example ESMTP\r\n250 mx.example\r\n"
#define PIPE "220 mx.example ESMTP\r\n250-mx.example\r\n250 PIPELINING\r\n"
#define HELLO "EHLO me.example\r\n"
#define CONTENT "Subject: x\r\n\r\nhi\r\n.\r\n"
#define CHUNK "220 mx.example\r\n250-mx.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define LHLO "LHLO me.example\r\n"
#define EXACT "Subject: x\r\n\r\n.i\r\n"
#define BDAT "BDAT 18 LAST\r\n" EXACT

static inline void play(const struct dialogue *d, size_t chunk)
{
	struct stream *s = stream_from_mem(span_str(d->server), chunk);
	struct smtp_client_config config = { .helo = "me.example", .starttls = STARTTLS_NEVER, .lmtp = d->lmtp };
	struct err err = { 0 };
	struct smtp_rcpt rcpt[RCPTS] = { 0 };
	struct content content = { .text = d->text ? d->text : d->exact || d->binary ? EXACT : "Subject: x\n\nhi\n" };
	struct smtp_message m = { .from = d->from ? d->from : "me@y",
		.rcpt = rcpt,
		.utf8 = d->utf8,
		.eightbit = d->eightbit,
		.size = (d->exact || d->binary) && !d->size ? sizeof EXACT - 1 : d->size,
		.exact = d->exact,
		.binary = d->binary,
		.envid = d->envid,
		.ret = d->envid ? "HDRS" : NULL,
		.extra = d->extra,
		.hold = d->hold,
		.by = d->by,
		.has_priority = d->priority,
		.priority = d->priority ? (int)strtol(d->priority, NULL, 10) : 0,
		.requiretls = d->requiretls,
		.read = read_content,
		.arg = &content };
	for (; m.n_rcpt < RCPTS && d->rcpt[m.n_rcpt]; m.n_rcpt++)
		rcpt[m.n_rcpt] = (struct smtp_rcpt){ .address = d->rcpt[m.n_rcpt], .notify = d->notify };
	struct smtp_client *c = smtp_client_open(s, &config, &err);
	if (d->rc == 2) {
		assert_null(c);
		assert_int_equal(err.class, d->class);
		return;
	}
	assert_non_null(c);
	assert_int_equal(smtp_client_send(c, &m, &err), d->rc);
	assert_int_equal(err.class, d->class);
	struct span said = stream_mem_output(s);
	assert_int_equal(said.n, strlen(d->client));
	assert_memory_equal(said.p, d->client, said.n);
	for (size_t i = 0; i < m.n_rcpt; i++) {
		int code = d->code[i];
		bool good = code / 100 == 2;
		assert_int_equal(rcpt[i].result.class == ERR_NONE, good);
		assert_int_equal(good ? rcpt[i].result.code / 100 : rcpt[i].result.code, good ? 2 : code);
		if (!good && code)
			assert_int_equal(rcpt[i].result.class, code >= 500   ? ERR_PERM
							       : code >= 400 ? ERR_TEMP
									     : ERR_PROTO);
		if (!good && !code && d->rc == -1)
			assert_int_equal(rcpt[i].result.class, d->class);
	}
	assert_int_equal(smtp_client_alive(c), d->alive);
	smtp_client_close(c, false);
}

static inline void play_all(const struct dialogue *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (getenv("VERBOSE"))
			print_message("%s\n", d[i].name);
		play(&d[i], 0);
		play(&d[i], 1);
	}
}

static inline struct smtp_client *open_mem(
    const char *server, const struct smtp_client_config *config, struct stream **s, struct err *err)
{
	*s = stream_from_mem(span_str(server), 0);
	return smtp_client_open(*s, config, err);
}

static inline struct smtp_message one_message(struct smtp_rcpt *rcpt, struct content *content)
{
	*content = (struct content){ .text = "hi\n" };
	*rcpt = (struct smtp_rcpt){ .address = "a@x" };
	return (struct smtp_message){ .from = "me@y", .rcpt = rcpt, .n_rcpt = 1, .read = read_content, .arg = content };
}

#endif
