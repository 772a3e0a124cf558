/* SPDX-License-Identifier: ISC
 *
 * The selected mailbox: SELECT to UNSELECT, EXPUNGE, IDLE (RFC 2177), and telling the client what others changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "imap_session.h"

enum {
	SCAN_INTERVAL = 1000,
	IDLE_POLL = 3000,
	IDLE_LINE = 100
};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void imap_leave(struct imap *s)
{
	if (s->f)
		maildir_deselect(s->f);
	s->f = NULL;
	free(s->told);
	free(s->mailbox_mem);
	s->told = NULL;
	s->mailbox_mem = NULL;
	s->mailbox = span_of("", 0);
	s->shown = s->told_cap = s->recent_told = 0;
	s->n_keywords_told = 0;
	s->resume.uid = 0;
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_AUTH;
}

/* ---- what the client knows */

static void put_keywords(struct imap *s, const char *lead, const char *tail)
{
	stream_printf(s->s, "%s(\\Answered \\Flagged \\Deleted \\Seen \\Draft", lead);
	for (unsigned i = 0; i < s->f->n_keywords; i++)
		if (s->f->keyword[i][0])
			stream_printf(s->s, " %s", s->f->keyword[i]);
	stream_puts(s->s, tail);
}

static bool keywords_full(const struct imap *s)
{
	for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
		if (i >= s->f->n_keywords || !s->f->keyword[i][0])
			return false;
	return true;
}

void imap_tell_keywords(struct imap *s)
{
	put_keywords(s, "* FLAGS ", ")\r\n");
	if (s->read_only)
		stream_puts(s->s, "* OK [PERMANENTFLAGS ()] read-only\r\n");
	else
		put_keywords(s, "* OK [PERMANENTFLAGS ",
		    keywords_full(s) ? ")] flags are kept\r\n" : " \\*)] flags are kept\r\n");
	s->n_keywords_told = s->f->n_keywords;
}

static void remember(struct imap *s, size_t place)
{
	const struct maildir_msg *m = &s->f->msg[place];
	s->told[place] = (struct imap_shown){ m->flags, m->keywords };
}

/* Messages that came since: from now on they have numbers. */
static void tell_new(struct imap *s, bool always)
{
	if (s->f->n == s->shown && !always)
		return;
	if (s->f->n > s->told_cap) {
		s->told_cap = s->f->n + s->f->n / 4 + 16;
		s->told = xreallocarray(s->told, s->told_cap, sizeof *s->told);
	}
	for (size_t i = s->shown; i < s->f->n; i++)
		remember(s, i);
	s->shown = s->f->n;
	s->recent_told = s->f->recent;
	stream_printf(s->s, "* %zu EXISTS\r\n* %zu RECENT\r\n", s->shown, s->f->recent);
}

void imap_report_gone(struct imap *s)
{
	size_t kept = 0, dropped = 0;
	/* From the end, so that each number is right when it is read. */
	for (size_t i = s->shown; i-- > 0;) {
		if (!s->f->msg[i].gone)
			continue;
		stream_printf(s->s, "* %zu EXPUNGE\r\n", i + 1);
		dropped++;
	}
	for (size_t i = 0; dropped && i < s->shown; i++)
		if (!s->f->msg[i].gone)
			s->told[kept++] = s->told[i];
	if (dropped)
		s->shown = kept;
	maildir_forget(s->f);
}

static void tell_flags(struct imap *s)
{
	for (size_t i = 0; i < s->shown; i++) {
		const struct maildir_msg *m = &s->f->msg[i];
		if (m->gone || (m->flags == s->told[i].flags && m->keywords == s->told[i].keywords))
			continue;
		imap_tell_flags(s, i);
		remember(s, i);
	}
}

void imap_sync(struct imap *s, bool expunges, bool now)
{
	struct err err;
	int64_t t = now_ms();
	if (now || t - s->last_scan >= SCAN_INTERVAL) {
		if (maildir_rescan(s->f, &err) < 0)
			log_warn("rescan mailbox=%s why=\"%s\"", log_quote(s->mailbox), err.text);
		s->last_scan = t;
	}
	if (expunges)
		imap_report_gone(s);
	if (s->f->n_keywords != s->n_keywords_told)
		imap_tell_keywords(s);
	tell_flags(s);
	tell_new(s, false);
}

/* ---- commands */

static void put_unseen(struct imap *s)
{
	for (size_t i = 0; i < s->f->n; i++) {
		if (s->f->msg[i].flags & FLAG_SEEN)
			continue;
		stream_printf(s->s, "* OK [UNSEEN %zu] first unseen message\r\n", i + 1);
		return;
	}
}

static void open_mailbox(struct imap *s, bool read_only)
{
	struct span name;
	struct err err;
	if (!imap_sp(&s->in) || !imap_mailbox(s, &name) || !imap_end(&s->in))
		return;
	/* RFC 3501 6.3.1: what was selected is left, even if this fails. */
	imap_leave(s);
	s->f = maildir_select(s->x->store, name, read_only, &err);
	if (!s->f) {
		imap_no_err(s, &err);
		return;
	}
	maildir_forget(s->f);
	s->mailbox_mem = xstrndup(name.p, name.n);
	s->mailbox = span_of(s->mailbox_mem, name.n);
	s->read_only = read_only;
	s->state = IMAP_SELECTED;
	s->last_scan = now_ms();
	imap_tell_keywords(s);
	tell_new(s, true);
	put_unseen(s);
	stream_printf(s->s,
	    "* OK [UIDVALIDITY %" PRIu32 "] UIDs are valid\r\n* OK [UIDNEXT %" PRIu32 "] the next UID\r\n",
	    s->f->uidvalidity, s->f->uidnext);
	imap_ok(s, read_only ? "READ-ONLY" : "READ-WRITE", "selected");
}

void imap_cmd_select(struct imap *s)
{
	open_mailbox(s, false);
}

void imap_cmd_examine(struct imap *s)
{
	open_mailbox(s, true);
}

/* Removes messages marked \Deleted; of the places in `only` when given. False: NO was said. */
static bool expunge(struct imap *s, const struct imap_set *only)
{
	size_t failed = 0;
	struct err err = { 0 }, one;
	for (size_t i = 0; i < s->shown; i++) {
		struct maildir_msg *m = &s->f->msg[i];
		if (m->gone || !(m->flags & FLAG_DELETED) || (only && !imap_set_has(only, (uint32_t)i + 1)))
			continue;
		if (maildir_expunge(s->f, m, &one) == 0 || one.sys == ENOENT) {
			m->gone = true;
			continue;
		}
		err = one;
		failed++;
	}
	if (maildir_expunged(s->f, &one) < 0) {
		err = one;
		failed++;
	}
	if (failed)
		imap_no_err(s, &err);
	return failed == 0;
}

void imap_cmd_close(struct imap *s)
{
	if (!imap_end(&s->in))
		return;
	if (!s->read_only)
		expunge(s, NULL);
	imap_leave(s);
}

void imap_cmd_unselect(struct imap *s)
{
	if (imap_end(&s->in))
		imap_leave(s);
}

void imap_cmd_expunge(struct imap *s)
{
	struct imap_set set;
	/* UID EXPUNGE (RFC 4315 2.1) names the messages. */
	if (s->uid && (!imap_sp(&s->in) || !imap_places(s, &set)))
		return;
	if (!imap_end(&s->in))
		return;
	if (s->read_only)
		imap_no(s, NULL, "the mailbox is read-only");
	else
		expunge(s, s->uid ? &set : NULL);
}

/* ---- IDLE */

/* True while it goes on. */
static bool idle_step(struct imap *s, int64_t end)
{
	struct span line;
	int watch = s->f ? maildir_watch(s->f) : -1;
	int r = stream_wait(s->s, watch, IDLE_POLL);
	if (r > 0 && (r & STREAM_READY)) {
		if (imap_read_line(s, IDLE_LINE, false, &line) && !span_ieqs(line, "DONE"))
			imap_fail(&s->in, "DONE expected");
		return false;
	}
	if (r < 0 || stream_err(s->s)->class != ERR_NONE) {
		s->state = IMAP_LOGOUT;
		return false;
	}
	if (now_ms() >= end || maa_stopping(s->x)) {
		imap_untagged(s, "BYE %s", maa_stopping(s->x) ? "[UNAVAILABLE] shutting down" : "idle for too long");
		s->state = IMAP_LOGOUT;
		return false;
	}
	/* The watch is a hint of this host only: others' changes are found by looking every few seconds. */
	if (s->f)
		imap_sync(s, true, true);
	return true;
}

void imap_cmd_idle(struct imap *s)
{
	if (!imap_end(&s->in))
		return;
	int64_t end = now_ms() + (s->x->c->idle_ms ? s->x->c->idle_ms : TIME_IMAP_IDLE);
	stream_puts(s->s, "+ idling\r\n");
	if (s->f)
		imap_sync(s, true, true);
	while (idle_step(s, end))
		continue;
}
