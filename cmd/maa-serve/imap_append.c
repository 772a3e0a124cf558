/* SPDX-License-Identifier: ISC
 *
 * APPEND (RFC 3501 6.3.11, UIDPLUS RFC 4315 3): the message goes from the socket to its file in pieces, and OK means
 * that it is on disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "imap_session.h"

struct append_args {
	struct span raw, mailbox;
	struct imap_words flags;
	int64_t date; /* 0: now */
	struct imap_literal literal;
};

/* Everything up to the message's literal, whose header ends the text. */
static bool read_args(struct imap *s, struct append_args *a)
{
	size_t len;
	*a = (struct append_args){ 0 };
	if (!imap_sp(&s->in) || !imap_astring(&s->in, &a->raw) || !imap_sp(&s->in))
		return false;
	if (imap_peek(&s->in) == '(' && (!imap_flag_list(&s->in, &a->flags) || !imap_sp(&s->in)))
		return false;
	if (imap_peek(&s->in) == '"' && (!imap_date_time(&s->in, &a->date) || !imap_sp(&s->in)))
		return false;
	if (!imap_literal_header(s->in.text, s->in.at, &a->literal, &len) || a->literal.binary)
		return imap_fail(&s->in, "the message as a literal expected");
	s->in.at += len;
	return imap_end(&s->in);
}

bool imap_append_ready(struct imap *s)
{
	struct span word;
	struct append_args a;
	if (!(s->state & (IMAP_AUTH | IMAP_SELECTED)))
		return false;
	imap_in_init(&s->in, buf_span(&s->command), s->arena);
	return imap_tag(&s->in, &word) && imap_sp(&s->in) && imap_atom(&s->in, &word) && span_ieqs(word, "APPEND") &&
	       read_args(s, &a);
}

static bool commit_flags(struct imap *s, const struct imap_words *names, struct maildir_commit *c)
{
	struct span *keywords = arena_alloc(s->arena, (names->n + 1) * sizeof *keywords);
	for (size_t i = 0; i < names->n; i++) {
		unsigned bit = imap_flag_bit(names->v[i]);
		c->flags |= bit;
		if (bit)
			continue;
		if (names->v[i].p[0] == '\\')
			return imap_fail(&s->in, "unknown system flag");
		keywords[c->n_keywords++] = names->v[i];
	}
	c->keywords = keywords;
	return true;
}

/* The literal into the writer. False: the conversation is over. */
static bool receive(struct imap *s, struct maildir_writer *w, uint64_t left)
{
	while (left > 0) {
		struct span have;
		if (stream_peek(s->s, &have) <= 0)
			return false;
		size_t n = have.n < left ? have.n : (size_t)left;
		/* A failure is told by the commit: the rest must be read in any case. */
		maildir_write(w, span_slice(have, 0, n));
		stream_consume(s->s, n);
		left -= n;
	}
	return true;
}

static void publish(struct imap *s, struct maildir_writer *w, const struct append_args *a, struct maildir_commit *c)
{
	struct err err;
	char code[64];
	c->internal_date = a->date;
	c->want_uid = true;
	if (maildir_commit(w, c, &err) < 0) {
		imap_no_err(s, &err);
		return;
	}
	free(c->name);
	snprintf(code, sizeof code, "APPENDUID %" PRIu32 " %" PRIu32, c->uidvalidity, c->uid);
	imap_ok(s, c->uid ? code : NULL, "stored");
	/* RFC 3501 6.3.11: who has it selected is told at once. */
	if (s->f && span_eq(s->mailbox, a->mailbox))
		s->last_scan = 0;
}

/* NO before a byte of the message is asked for. NULL when it was said. */
static struct maildir_writer *begin(struct imap *s, const struct append_args *a)
{
	struct err err;
	if (a->literal.size > s->x->c->max_size) {
		imap_no(s, "TOOBIG", "the message is larger than %" PRIu64 " bytes", s->x->c->max_size);
		return NULL;
	}
	if (a->literal.size == 0) {
		imap_no(s, "CANNOT", "an empty message cannot be stored");
		return NULL;
	}
	struct maildir_writer *w = maildir_begin(s->x->store, a->mailbox, &err);
	if (!w && err.sys == ENOENT)
		imap_no(s, "TRYCREATE", "there is no such mailbox");
	else if (!w)
		imap_no_err(s, &err);
	return w;
}

void imap_cmd_append(struct imap *s)
{
	struct append_args a;
	struct maildir_commit c = { 0 };
	if (!read_args(s, &a) || !imap_mailbox_name(s, a.raw, &a.mailbox) || !commit_flags(s, &a.flags, &c))
		return;
	struct maildir_writer *w = begin(s, &a);
	if (!w)
		return;
	if (a.literal.sync)
		stream_puts(s->s, "+ send the message\r\n");
	s->pending = false;
	if (!receive(s, w, a.literal.size)) {
		maildir_abort(w);
		s->state = IMAP_LOGOUT;
		return;
	}
	if (imap_read_tail(s))
		publish(s, w, &a, &c);
	else
		maildir_abort(w);
}
