/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "io/trace.h"
#include "msg/header.h"
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

bool mail_is_binary(const struct mail *m)
{
	return (m->needs.nul || m->needs.bare_cr) && msg_is_crlf(buf_span(&m->head));
}

int mail_check_lines(const struct mail *m, struct err *err)
{
	struct header_field f;
	bool said =
	    header_find(buf_span(&m->head), "Content-Transfer-Encoding", &f) && span_ieqs(span_trim(f.value), "binary");
	if ((!m->needs.nul && !m->needs.bare_cr) || said || mail_is_binary(m))
		return 0;
	return err_set(err, ERR_DATA, "the message holds a %s: RFC 5321 2.3.8 forbids it",
	    m->needs.nul ? "NUL byte" : "CR without LF");
}

/* RFC 6152 3, RFC 3030 3: what the server can't take as it is. */
static int downgrade(const struct mail *m, unsigned exts, struct buf *out, struct smtp_message *msg, struct err *err)
{
	struct pieces *p = msg->arg;
	struct msg_needs needs;
	struct buf whole;
	size_t n = m->head.len + m->body.n;
	unsigned how =
	    (exts & SMTP_8BITMIME ? (unsigned)MSG_KEEP_8BIT : 0) | (mail_is_binary(m) ? (unsigned)MSG_FROM_BINARY : 0);
	buf_init(&whole, n + 1);
	buf_addspan(&whole, buf_span(&m->head));
	buf_addspan(&whole, m->body);
	buf_init(out, 4 * n + 65536);
	int rc = msg_downgrade(buf_span(&whole), how, out, err);
	buf_free(&whole);
	trace_why("compose", rc ? "perm" : "ok", "6152#3", "re-encoded: %s",
	    exts & SMTP_8BITMIME ? "the server takes lines of text only" : "the server takes 7-bit lines only");
	if (rc < 0)
		return -1;
	msg_scan(buf_span(out), &needs);
	msg->eightbit = needs.eightbit;
	p->piece[0] = buf_span(out);
	p->piece[1] = SPAN("");
	return 0;
}

/* The content as this server can take it. */
static int fit(const struct mail *m, unsigned exts, struct buf *out, struct smtp_message *msg, struct err *err)
{
	unsigned binary = SMTP_BINARYMIME | SMTP_CHUNKING;
	bool eightbit = msg->eightbit && !(exts & SMTP_8BITMIME) && !(m->utf8 && !(exts & SMTP_UTF8));
	bool lines = !m->needs.nul && !m->needs.bare_cr;
	bool good_lines = lines && !m->needs.long_line;
	if ((exts & binary) == binary && !good_lines && msg_is_crlf(buf_span(&m->head))) {
		msg->binary = true;
		msg->size = m->head.len + m->body.n;
		return 0;
	}
	/* Nearly everybody takes lines of any length: they are worth no broken signature. */
	int rc = lines && !eightbit ? 0 : downgrade(m, exts, out, msg, err);
	struct pieces *p = msg->arg;
	msg->size = msg_wire_size(p->piece[0]) + msg_wire_size(p->piece[1]);
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
	struct buf encoded;
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
	buf_init(&encoded, 0);
	int rc = demand_tls(m, c, &why);
	if (rc == 0)
		rc = fit(m, exts, &encoded, &msg, &why);
	if (rc < 0) {
		decide_all(rcpt, n, &why);
		buf_free(&encoded);
		return 0;
	}
	rc = send_all(c, &msg, rcpt, n, err);
	buf_free(&encoded);
	return rc;
}
