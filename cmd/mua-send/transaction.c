/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "io/trace.h"
#include "mua-send/mua.h"

/* The content in pieces: header and body, or all of it re-encoded. */
struct pieces {
	struct span piece[2];
	size_t at;
	bool *begun;
};

static int next_piece(void *arg, struct span *out, struct err *err)
{
	struct pieces *p = arg;
	(void)err;
	*p->begun = true;
	while (p->at < 2) {
		*out = p->piece[p->at++];
		if (out->n)
			return 1;
	}
	return 0;
}

/* RFC 6152 3: what a server without 8BITMIME can't take is re-encoded. */
static int downgrade(const struct mail *m, struct buf *out, struct pieces *p, struct err *err)
{
	struct buf whole;
	size_t n = m->head.len + m->body.n;
	buf_init(&whole, n + 1);
	buf_addspan(&whole, buf_span(&m->head));
	buf_addspan(&whole, m->body);
	buf_init(out, 4 * n + 65536);
	int rc = msg_downgrade(buf_span(&whole), 0, out, err);
	buf_free(&whole);
	p->piece[0] = buf_span(out);
	p->piece[1] = SPAN("");
	trace_why("compose", rc ? "perm" : "ok", "6152#3", "re-encoded: the server takes 7-bit lines only");
	return rc;
}

static int demand_tls(const struct mail *m, struct smtp_client *c, struct err *err)
{
	const struct tls_info *tls = stream_tls(smtp_client_stream(c));
	if (!m->o->requiretls)
		return 0;
	if (!tls || !tls->verified)
		return err_reply(
		    err, 550, "5.7.10", "REQUIRETLS needs TLS with a verified certificate (RFC 8689 4.2.1)");
	if (!(smtp_client_exts(c) & SMTP_REQUIRETLS))
		return err_reply(err, 550, "5.7.30", "the server does not support REQUIRETLS (RFC 8689)");
	return 0;
}

static void decide_all(struct smtp_rcpt *rcpt, size_t n, const struct err *why)
{
	for (size_t i = 0; i < n; i++) {
		rcpt[i].result = *why;
		snprintf(rcpt[i].reply, sizeof rcpt[i].reply, "%.*s", (int)sizeof rcpt[i].reply - 1, why->text);
	}
}

/* RFC 5321 4.5.3.1.10: a server's limit of recipients. */
static bool too_many(const struct smtp_rcpt *r)
{
	return r->result.code == 452 && (!*r->result.enh || !strcmp(r->result.enh, "4.5.3"));
}

/* Moves those that the server has not room for, in this transaction, to the front of rest. */
static size_t left_over(struct smtp_rcpt **batch, size_t n)
{
	size_t left = 0;
	for (size_t i = 0; i < n; i++)
		if (too_many(batch[i]))
			batch[left++] = batch[i];
	return left < n ? left : 0; /* none was taken: no use in another try */
}

static int send_batch(
    struct smtp_client *c, struct smtp_message *msg, struct smtp_rcpt **batch, size_t n, struct err *err)
{
	struct smtp_rcpt *v = xcalloc(n, sizeof *v);
	for (size_t i = 0; i < n; i++)
		v[i] = *batch[i];
	msg->rcpt = v;
	msg->n_rcpt = n;
	int rc = smtp_client_send(c, msg, err);
	for (size_t i = 0; i < n; i++)
		*batch[i] = v[i];
	free(v);
	return rc;
}

static int send_all(struct smtp_client *c, struct smtp_message *msg, struct smtp_rcpt *rcpt, size_t n, struct err *err)
{
	struct pieces *p = msg->arg;
	struct smtp_rcpt **batch = xcalloc(n, sizeof *batch);
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		batch[i] = &rcpt[i];
	for (size_t left = n; rc == 0 && left;) {
		p->at = 0;
		rc = send_batch(c, msg, batch, left, err);
		left = left_over(batch, left);
	}
	free(batch);
	return rc;
}

int mail_transact(struct mail *m, struct smtp_client *c, struct smtp_rcpt *rcpt, size_t n, bool *begun, struct err *err)
{
	unsigned exts = smtp_client_exts(c);
	struct err why = { 0 };
	struct buf seven;
	struct pieces p = { .piece = { buf_span(&m->head), m->body }, .begun = begun };
	struct smtp_message msg = { .from = m->from,
		.ret = m->ret,
		.envid = m->envid,
		.eightbit = m->needs.eightbit,
		.utf8 = m->utf8,
		.requiretls = m->o->requiretls,
		.hold = m->hold,
		.by = m->by,
		.has_priority = m->has_priority,
		.priority = m->priority,
		.read = next_piece,
		.arg = &p };
	buf_init(&seven, 0);
	int rc = demand_tls(m, c, &why);
	if (rc == 0 && msg.eightbit && !(exts & SMTP_8BITMIME) && !(m->utf8 && !(exts & SMTP_UTF8))) {
		rc = downgrade(m, &seven, &p, &why);
		msg.eightbit = false;
	}
	if (rc < 0) {
		decide_all(rcpt, n, &why);
		buf_free(&seven);
		return 0;
	}
	msg.size = msg_wire_size(p.piece[0]) + msg_wire_size(p.piece[1]);
	rc = send_all(c, &msg, rcpt, n, err);
	buf_free(&seven);
	return rc;
}
