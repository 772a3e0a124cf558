/* SPDX-License-Identifier: ISC */
#include "pop3_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "crlf.h"
#include "io/trace.h"
#include "msg/header.h"

void pop3_open(struct pop3 *p)
{
	struct err why;
	p->f = maildir_select(p->x->store, SPAN("INBOX"), false, &why);
	if (!p->f) {
		log_err("select user=%s why=\"%s\"", log_quote(p->x->user.name), why.text);
		pop3_err(p, "[SYS/TEMP] the mailbox cannot be opened");
		p->state = POP3_ENDED;
		return;
	}
	p->msg = xcalloc(p->f->n ? p->f->n : 1, sizeof *p->msg);
	for (size_t i = 0; i < p->f->n; i++)
		if (!p->f->msg[i].gone)
			p->msg[p->n++].m = &p->f->msg[i];
	p->state = POP3_TRANSACTION;
	pop3_ok(p, "%zu message%s", p->n, p->n == 1 ? "" : "s");
}

void pop3_release(struct pop3 *p)
{
	free(p->msg);
	p->msg = NULL;
	if (p->f)
		maildir_deselect(p->f);
	p->f = NULL;
}

static uint64_t octets(struct pop3 *p, struct pop3_msg *m)
{
	struct err why;
	if (m->m->vsize == UINT64_MAX && maildir_sizes(p->f, m->m, &why) < 0)
		/* Vanished or unreadable: it keeps its number, RETR will say so. */
		m->m->vsize = m->m->size = 0;
	return m->m->vsize;
}

/* Message numbers are decimal, from 1, and must not name a deleted one (RFC 1939 5). NULL after an answer. */
static struct pop3_msg *number(struct pop3 *p, struct span text)
{
	uint64_t n;
	if (!span_u64(text, UINT32_MAX, &n))
		pop3_err(p, "that is no message number");
	else if (n < 1 || n > p->n)
		pop3_err(p, "no such message, there are %zu", p->n);
	else if (p->msg[n - 1].deleted)
		pop3_err(p, "message %" PRIu64 " is deleted", n);
	else
		return &p->msg[n - 1];
	return NULL;
}

void pop3_stat(struct pop3 *p, struct span arg)
{
	(void)arg;
	size_t n = 0;
	uint64_t sum = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->msg[i].deleted)
			continue;
		n++;
		sum += octets(p, &p->msg[i]);
	}
	pop3_ok(p, "%zu %" PRIu64, n, sum);
}

void pop3_list(struct pop3 *p, struct span arg)
{
	if (arg.n) {
		struct pop3_msg *m = number(p, arg);
		if (m)
			pop3_ok(p, "%zu %" PRIu64, (size_t)(m - p->msg) + 1, octets(p, m));
		return;
	}
	pop3_ok(p, "scan listing follows");
	for (size_t i = 0; i < p->n; i++)
		if (!p->msg[i].deleted)
			stream_printf(p->s, "%zu %" PRIu64 "\r\n", i + 1, octets(p, &p->msg[i]));
	stream_puts(p->s, ".\r\n");
}

/* UID and UIDVALIDITY as Dovecot's default pop3_uidl_format writes them, so that nobody who comes from there (or goes
 * back) downloads all mail again. */
static const char *uidl(const struct pop3 *p, const struct pop3_msg *m, char out[17])
{
	snprintf(out, 17, "%08x%08x", (unsigned)m->m->uid, (unsigned)p->f->uidvalidity);
	return out;
}

void pop3_uidl(struct pop3 *p, struct span arg)
{
	char id[17];
	if (arg.n) {
		struct pop3_msg *m = number(p, arg);
		if (m)
			pop3_ok(p, "%zu %s", (size_t)(m - p->msg) + 1, uidl(p, m, id));
		return;
	}
	pop3_ok(p, "unique-id listing follows");
	for (size_t i = 0; i < p->n; i++)
		if (!p->msg[i].deleted)
			stream_printf(p->s, "%zu %s\r\n", i + 1, uidl(p, &p->msg[i], id));
	stream_puts(p->s, ".\r\n");
}

static int content(struct pop3 *p, struct pop3_msg *m, struct span *out)
{
	struct err why;
	if (maildir_content(p->f, m->m, out, &why) == 0)
		return 0;
	if (why.sys == ENOENT)
		pop3_err(p, "this message was removed by another session");
	else
		pop3_err(p, "[SYS/TEMP] the message cannot be read");
	return -1;
}

void pop3_retr(struct pop3 *p, struct span arg)
{
	struct span msg;
	struct pop3_msg *m = number(p, arg);
	if (!m || content(p, m, &msg) < 0)
		return;
	pop3_ok(p, "%" PRIu64 " octets", octets(p, m));
	crlf_send_dots(p->s, msg);
	stream_puts(p->s, ".\r\n");
	m->seen = true;
	maa_trace_fetch(msg, m->m->uid);
}

/* The header, the blank line, and the first n lines of the body. */
static struct span top_of(struct span msg, uint64_t n)
{
	struct span body;
	struct span head = header_of(msg, &body);
	size_t at = 0;
	for (; n > 0 && at < body.n; n--) {
		const char *lf = memchr(body.p + at, '\n', body.n - at);
		at = lf ? (size_t)(lf - body.p) + 1 : body.n;
	}
	return span_slice(msg, 0, head.n + at);
}

void pop3_top(struct pop3 *p, struct span arg)
{
	struct span msg, which = span_word(&arg);
	uint64_t lines;
	if (!span_u64(span_trim(arg), UINT32_MAX, &lines)) {
		pop3_err(p, "TOP takes a message number and a number of lines");
		return;
	}
	struct pop3_msg *m = number(p, which);
	if (!m || content(p, m, &msg) < 0)
		return;
	pop3_ok(p, "top of message follows");
	crlf_send_dots(p->s, top_of(msg, lines));
	stream_puts(p->s, ".\r\n");
}

void pop3_dele(struct pop3 *p, struct span arg)
{
	struct pop3_msg *m = number(p, arg);
	if (!m)
		return;
	m->deleted = true;
	pop3_ok(p, "marked, QUIT will remove it");
}

void pop3_rset(struct pop3 *p, struct span arg)
{
	(void)arg;
	for (size_t i = 0; i < p->n; i++)
		p->msg[i].deleted = false;
	pop3_ok(p, "%zu message%s", p->n, p->n == 1 ? "" : "s");
}

/* A message that was read by POP3 should not look unread in IMAP. It is a courtesy: failing is no error. */
static void mark_seen(struct pop3 *p, struct pop3_msg *m)
{
	struct err why;
	if (!(m->m->flags & FLAG_SEEN))
		maildir_set_flags(p->f, m->m, (m->m->flags & ~(unsigned)FLAG_RECENT) | FLAG_SEEN, m->m->keywords, &why);
}

void pop3_update(struct pop3 *p)
{
	size_t removed = 0, failed = 0;
	struct err why = { 0 }, one;
	for (size_t i = 0; i < p->n; i++) {
		struct pop3_msg *m = &p->msg[i];
		if (!m->deleted) {
			if (m->seen)
				mark_seen(p, m);
			continue;
		}
		if (maildir_expunge(p->f, m->m, &one) == 0 || one.sys == ENOENT) {
			removed++;
			continue;
		}
		failed++;
		why = one;
	}
	if (maildir_expunged(p->f, &one) < 0) {
		failed += removed;
		why = one;
	}
	if (!failed) {
		pop3_ok(p, "%zu message%s removed", removed, removed == 1 ? "" : "s");
		return;
	}
	log_err("expunge user=%s failed=%zu why=\"%s\"", log_quote(p->x->user.name), failed, why.text);
	/* RFC 1939 6: some deleted messages not removed. */
	pop3_err(p, "[SYS/TEMP] %zu deleted messages not removed", failed);
}
