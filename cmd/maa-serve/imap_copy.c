/* SPDX-License-Identifier: ISC
 *
 * COPY (RFC 3501 6.4.7), MOVE (RFC 6851), both with COPYUID (RFC 4315 3).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "imap_session.h"

struct copied {
	uint32_t from, to; /* UIDs */
	size_t place;
	char *file; /* of the copy */
};
struct copy {
	struct imap *s;
	struct span mailbox;
	uint32_t uidvalidity;
	struct copied *v;
	size_t n, cap;
};

static void keyword_spans(const struct imap *s, uint64_t bits, struct span out[MAILDIR_KEYWORDS], size_t *n)
{
	*n = 0;
	for (unsigned i = 0; i < s->f->n_keywords; i++)
		if ((bits >> i & 1) && s->f->keyword[i][0])
			out[(*n)++] = span_str(s->f->keyword[i]);
}

static void add(struct copy *x, struct copied c)
{
	if (x->n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 16;
		x->v = xreallocarray(x->v, x->cap, sizeof *x->v);
	}
	x->v[x->n++] = c;
}

static int copy_one(struct copy *x, size_t place, struct err *err)
{
	struct imap *s = x->s;
	struct maildir_msg *m = &s->f->msg[place];
	struct span content, keywords[MAILDIR_KEYWORDS];
	struct maildir_commit c = { .flags = m->flags & ~(unsigned)FLAG_RECENT, .in_cur = true, .want_uid = true };
	if (maildir_content(s->f, m, &content, err) < 0 || maildir_internal_date(s->f, m, &c.internal_date, err) < 0) {
		m->gone |= err->sys == ENOENT;
		return -1;
	}
	keyword_spans(s, m->keywords, keywords, &c.n_keywords);
	c.keywords = keywords;
	struct maildir_writer *w = maildir_begin(s->x->store, x->mailbox, err);
	if (!w)
		return -1;
	maildir_write(w, content);
	if (maildir_commit(w, &c, err) < 0)
		return -1;
	x->uidvalidity = c.uidvalidity;
	add(x, (struct copied){ m->uid, c.uid, place, c.name });
	return 0;
}

/* RFC 3501 6.4.7: all or nothing. The copies are newer than any session's view of the target, so that taking them back
 * is no expunge that somebody must be told of. */
static void undo(struct copy *x)
{
	for (size_t i = 0; i < x->n; i++)
		unlink(x->v[i].file);
}

/* A message that vanished meanwhile is left out of a UID command, and fails the other kind (RFC 2180 4.4). */
static int copy_all(struct copy *x, const struct imap_set *places, struct err *err)
{
	for (size_t i = 0; i < places->n; i++) {
		for (uint32_t k = places->v[i].first; k <= places->v[i].last; k++) {
			const struct maildir_msg *m = &x->s->f->msg[k - 1];
			if (!m->gone && copy_one(x, k - 1, err) == 0)
				continue;
			if (!m->gone)
				return -1;
			if (!x->s->uid)
				return err_set(err, ERR_TEMP, "some of the messages are gone");
		}
	}
	return 0;
}

/* Before anything is copied. */
static bool target_exists(struct copy *x)
{
	struct err err;
	struct maildir_writer *w = maildir_begin(x->s->x->store, x->mailbox, &err);
	if (w)
		maildir_abort(w);
	else if (err.sys == ENOENT)
		imap_no(x->s, "TRYCREATE", "there is no such mailbox");
	else
		imap_no_err(x->s, &err);
	return w != NULL;
}

/* "COPYUID validity from to" */
static void copyuid(const struct copy *x, struct buf *out)
{
	uint32_t *from = xreallocarray(NULL, x->n, sizeof *from), *to = xreallocarray(NULL, x->n, sizeof *to);
	for (size_t i = 0; i < x->n; i++) {
		from[i] = x->v[i].from;
		to[i] = x->v[i].to;
	}
	buf_addf(out, "COPYUID %" PRIu32 " ", x->uidvalidity);
	imap_put_set(out, from, x->n);
	buf_addc(out, ' ');
	imap_put_set(out, to, x->n);
	free(from);
	free(to);
}

/* The sources go only when all copies are safe. */
static void remove_sources(struct copy *x)
{
	struct err err;
	for (size_t i = 0; i < x->n; i++) {
		struct maildir_msg *m = &x->s->f->msg[x->v[i].place];
		if (maildir_expunge(x->s->f, m, &err) == 0 || err.sys == ENOENT)
			m->gone = true;
		else
			imap_no_err(x->s, &err);
	}
}

/* With MOVE it must come before the EXPUNGEs, so it is untagged there (RFC 6851 4.3). */
static void tell_copied(struct copy *x, bool move)
{
	struct buf code;
	bool known = x->n > 0;
	for (size_t i = 0; i < x->n; i++)
		known &= x->v[i].to != 0;
	if (!known)
		return;
	buf_init(&code, LIMIT_IMAP_COMMAND);
	copyuid(x, &code);
	if (!move)
		imap_ok(x->s, code.bad ? NULL : code.p, "copied");
	else if (!code.bad)
		stream_printf(x->s->s, "* OK [%s] copied\r\n", code.p);
	buf_free(&code);
}

static void copy_or_move(struct imap *s, bool move)
{
	struct copy x = { .s = s };
	struct imap_set places;
	struct err err = { 0 };
	if (!imap_sp(&s->in) || !imap_places(s, &places) || !imap_sp(&s->in) || !imap_mailbox(s, &x.mailbox) ||
	    !imap_end(&s->in))
		return;
	if (move && s->read_only) {
		imap_no(s, NULL, "the mailbox is read-only");
		return;
	}
	if (!target_exists(&x))
		return;
	if (copy_all(&x, &places, &err) < 0) {
		undo(&x);
		imap_no_err(s, &err);
	} else {
		tell_copied(&x, move);
		if (move)
			remove_sources(&x);
		if (span_eq(s->mailbox, x.mailbox))
			s->last_scan = 0;
	}
	for (size_t i = 0; i < x.n; i++)
		free(x.v[i].file);
	free(x.v);
}

void imap_cmd_copy(struct imap *s)
{
	copy_or_move(s, false);
}

void imap_cmd_move(struct imap *s)
{
	copy_or_move(s, true);
}
