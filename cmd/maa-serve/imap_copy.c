/* SPDX-License-Identifier: ISC
 *
 * COPY (RFC 3501 6.4.7), MOVE (RFC 6851), both with COPYUID (RFC 4315 3).
 */
#include <errno.h>
#include <inttypes.h>

#include "base/limits.h"
#include "base/log.h"
#include "imap_session.h"

static size_t count(const struct imap_set *places)
{
	size_t n = 0;
	for (size_t i = 0; i < places->n; i++)
		n += places->v[i].last - places->v[i].first + 1;
	return n;
}

/* The messages meant. One that vanished meanwhile is left out of a UID command, and fails the other kind (RFC 2180
 * 4.4). */
static bool gather(struct imap *s, const struct imap_set *places, struct maildir_copy *c)
{
	size_t n = count(places);
	c->msg = arena_alloc(s->arena, (n + 1) * sizeof(struct maildir_msg *));
	c->uid = arena_alloc(s->arena, (n + 1) * sizeof *c->uid);
	c->n = 0;
	for (size_t i = 0; i < places->n; i++) {
		for (uint32_t k = places->v[i].first; k <= places->v[i].last; k++) {
			struct maildir_msg *m = &s->f->msg[k - 1];
			if (!m->gone)
				c->msg[c->n++] = m;
			else if (!s->uid)
				return false;
		}
	}
	return true;
}

/* A message that turns out to be gone on the way is left out, and all is done again without it. */
static int copy(
    struct imap *s, const struct imap_set *places, struct span mailbox, struct maildir_copy *c, struct err *err)
{
	for (;;) {
		if (!gather(s, places, c)) {
			err_set(err, ERR_TEMP, "some of the messages are gone");
			err->sys = ESTALE;
			return -1;
		}
		size_t before = c->n;
		if (maildir_copy(s->f, mailbox, c, err) == 0)
			return 0;
		gather(s, places, c);
		/* Each round has one message less, so that it comes to an end. */
		if (err->sys != ENOENT || c->n >= before)
			return -1;
	}
}

/* "COPYUID validity from to"; of a MOVE those that it moved. */
static void copyuid(struct imap *s, const struct maildir_copy *c, struct buf *out)
{
	uint32_t *from = arena_alloc(s->arena, (c->n + 1) * sizeof *from);
	uint32_t *to = arena_alloc(s->arena, (c->n + 1) * sizeof *to);
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->moving && !c->msg[i]->gone)
			continue;
		from[n] = c->msg[i]->uid;
		to[n++] = c->uid[i];
	}
	if (!n || !to[0])
		return;
	buf_addf(out, "COPYUID %" PRIu32 " ", c->uidvalidity);
	imap_put_set(out, from, n);
	buf_addc(out, ' ');
	imap_put_set(out, to, n);
}

/* With MOVE it must come before the EXPUNGEs, so it is untagged there (RFC 6851 4.3). */
static void tell_copied(struct imap *s, const struct maildir_copy *c)
{
	struct buf code;
	buf_init(&code, LIMIT_IMAP_COMMAND);
	copyuid(s, c, &code);
	bool any = code.len && !code.bad;
	if (any && c->moving)
		stream_printf(s->s, "* OK [%s] copied\r\n", code.p);
	else if (any)
		imap_ok(s, code.p, "copied");
	buf_free(&code);
}

/* The sources go only when all copies are safe; the copy of one that stays goes again (RFC 6851 3.3). */
static void remove_sources(struct imap *s, struct maildir_copy *c, struct span mailbox)
{
	struct err err;
	if (maildir_moved(s->f, c, &err) == 0)
		return;
	if (c->in_both) {
		log_err("move user=%s from=%s to=%s messages=%zu error=%s why=\"can't be taken back: in both\"",
		    log_quote(s->x->user.name), log_quote(s->mailbox), log_quote(mailbox), c->in_both,
		    log_quote(span_str(err.text)));
		err_prefix(&err, "%zu of the messages may be in both mailboxes now", c->in_both);
	}
	imap_no_err(s, &err);
}

static void copy_or_move(struct imap *s, bool move)
{
	struct maildir_copy c = { .moving = move };
	struct imap_set places;
	struct span mailbox;
	struct err err = { 0 };
	if (!imap_sp(&s->in) || !imap_places(s, &places) || !imap_sp(&s->in) || !imap_mailbox(s, &mailbox) ||
	    !imap_end(&s->in))
		return;
	if (move && s->read_only) {
		imap_no(s, NULL, "the mailbox is read-only");
		return;
	}
	if (copy(s, &places, mailbox, &c, &err) < 0) {
		if (err.sys == ENOENT)
			imap_no(s, "TRYCREATE", "there is no such mailbox");
		else if (err.sys == ESTALE)
			imap_no(s, "EXPUNGEISSUED", "some of the messages are gone");
		else
			imap_no_err(s, &err);
		return;
	}
	if (move)
		remove_sources(s, &c, mailbox);
	tell_copied(s, &c);
	/* RFC 3501 6.4.7: who has the target selected is told at once. */
	if (span_eq(s->mailbox, mailbox))
		s->last_scan = 0;
}

void imap_cmd_copy(struct imap *s)
{
	copy_or_move(s, false);
}

void imap_cmd_move(struct imap *s)
{
	copy_or_move(s, true);
}
