/* SPDX-License-Identifier: ISC
 *
 * A message's content goes to a milter, and what it wants changed is done when its last word was yes: all of it, or
 * when it breaks off nothing.
 *
 * A milter sees the header and body as they will be delivered, less our own Received field. Fields are inserted at an
 * index that counts that one too: 0 is above it, 1 right below; they are changed by their number among those of one
 * name, which does not count it. That is what Sendmail and Postfix do.
 */
#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/content/content_edit.h"
#include "mta-relay/hooks/serve_milter.h"

/* LF alone within a folded value; with the blanks before it only for those who asked for them. */
static void header_data(const struct header_field *f, bool blanks, struct buf *b)
{
	struct span value = f->value;
	while (!blanks && value.n && ascii_isblank(value.p[0]))
		value = span_from(value, 1);
	milter_text(b, f->name);
	for (bool first = true; first || value.n; first = false) {
		struct span line = span_cut(&value, '\n');
		if (!first)
			buf_addc(b, '\n');
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		while (line.n)
			buf_addspan(b, span_cut(&line, '\0'));
	}
	buf_addc(b, '\0');
}

struct talk {
	struct milter_seat *seat;
	struct content_edit *e;
	struct smtp_answer *said;
	struct err *err;
	bool ended; /* the end of the message was told */
};

static enum milter_verdict send_header(struct talk *t)
{
	enum milter_verdict v = MILTER_GO;
	struct milter *m = t->seat->m;
	bool blanks = milter_wants(m, MILTER_LEADING_SPACE), unwanted = milter_wants(m, MILTER_NO_HEADERS);
	struct buf b;
	buf_init(&b, LIMIT_HEADER_FIELD + LIMIT_HEADER_FIELD / 8);
	for (size_t i = 0; i < t->e->n && v == MILTER_GO && !unwanted; i++) {
		struct header_field f;
		content_edit_field(t->e, i, &f);
		if (!f.name.n)
			continue;
		buf_reset(&b);
		header_data(&f, blanks, &b);
		v = milter_ask(m, MILTER_HEADER, buf_span(&b), NULL, t->said, t->err);
	}
	buf_free(&b);
	return v;
}

static enum milter_verdict send_body(struct talk *t)
{
	enum milter_verdict v = MILTER_GO;
	struct milter *m = t->seat->m;
	struct span piece;
	int rc = 0;
	if (milter_wants(m, MILTER_NO_BODY))
		return v;
	content_edit_rewind(t->e);
	while (v == MILTER_GO && (rc = content_edit_read(t->e, &piece, t->err)) > 0)
		for (size_t at = 0; at < piece.n && v == MILTER_GO; at += MILTER_CHUNK)
			v = milter_ask(m, MILTER_BODY, span_slice(piece, at, at + MILTER_CHUNK), NULL, t->said, t->err);
	return rc < 0 ? MILTER_BROKEN : v;
}

static int keep_body(void *arg, struct span piece, struct err *err)
{
	return content_edit_body(arg, piece, err);
}

static enum milter_verdict send_all(struct talk *t, const struct milter_macros *macros, struct milter_edits *edits)
{
	enum milter_verdict v = send_header(t);
	if (v == MILTER_GO)
		v = milter_ask(t->seat->m, MILTER_EOH, SPAN(""), macros, t->said, t->err);
	if (v == MILTER_GO)
		v = send_body(t);
	t->ended = v == MILTER_GO || v == MILTER_ENOUGH;
	return t->ended ? milter_finish(t->seat->m, macros, edits, t->said, t->err) : v;
}

/* Number 0 is taken for 1; a field that is not there is added, unless it was to be deleted. */
static int change_field(struct content_edit *e, const struct milter_reply *r, bool exact, struct err *err)
{
	ptrdiff_t at = content_edit_find(e, r->a, r->index ? r->index - 1 : 0);
	if (at >= 0 && !r->b.n)
		content_edit_delete(e, (size_t)at);
	else if (at >= 0)
		return content_edit_change(e, (size_t)at, r->a, r->b, exact, err);
	else if (r->b.n)
		return content_edit_insert(e, e->n, r->a, r->b, exact, err);
	return 0;
}

static int apply(struct relay_session *s, struct smtp_session *x, const char *name, struct content_edit *e,
    const struct milter_reply *r, bool exact, struct err *err)
{
	switch (r->what) {
	case MILTER_ADD_HEADER:
		return content_edit_insert(e, e->n, r->a, r->b, exact, err);
	case MILTER_INSERT_HEADER:
		return r->index ? content_edit_insert(e, r->index - 1, r->a, r->b, exact, err)
				: content_edit_above(e, r->a, r->b, exact, err);
	case MILTER_CHANGE_HEADER:
		return change_field(e, r, exact, err);
	case MILTER_ADD_RCPT:
	case MILTER_ADD_RCPT_ARGS:
		return change_add_rcpt(s, x, r->a, r->b, err);
	case MILTER_DELETE_RCPT:
		if (!change_delete_rcpt(s, x, r->a))
			err_set(err, ERR_DATA, "there is no such recipient");
		return err->class == ERR_NONE ? 0 : -1;
	case MILTER_CHANGE_FROM:
		return change_sender(s, x, r->a, r->b, err);
	case MILTER_QUARANTINE:
		change_hold(s, x, name, r->a);
		return 0;
	default:
		return 0;
	}
}

/* One that can't be done is left out, and the log tells of it: the others were meant, too. */
static void apply_all(struct relay_session *s, struct smtp_session *x, const struct milter_seat *seat,
    struct content_edit *e, const struct milter_edits *edits)
{
	bool exact = milter_wants(seat->m, MILTER_LEADING_SPACE);
	const char *name = milter_name(seat->m);
	for (size_t i = 0; i < edits->n; i++) {
		const struct milter_reply *r = &edits->v[i];
		struct err err = { 0 };
		int rc = apply(s, x, name, e, r, exact, &err);
		if (rc < 0)
			log_warn("milter name=%s qid=%s change='%c' subject=%s error=%s", log_quote(span_str(name)),
			    s->id, (char)r->what, log_quote(r->a), log_quote(span_str(err.text)));
		else
			log_debug("milter name=%s qid=%s change='%c' subject=%s", log_quote(span_str(name)), s->id,
			    (char)r->what, log_quote(r->a));
		trace_why("milter", rc < 0 ? "temp" : "ok", NULL, "%s changes the message: '%c' %.*s", name,
		    (char)r->what, SPAN_FMT(span_slice(r->a, 0, 200)));
	}
}

/* Is there anything above 127 now? Then it must travel as what it is. */
static bool is_8bit(struct content *c)
{
	struct span piece;
	struct err err = { 0 };
	content_rewind(c);
	while (content_read(c, &piece, &err) > 0)
		if (span_eightbit(piece))
			return true;
	return false;
}

static int commit(struct relay_session *s, struct smtp_session *x, struct content_edit *e, struct err *err)
{
	struct content *c = &s->rs->content;
	if (content_edit_commit(e, err) < 0)
		return -1;
	x->env.eightbit = x->env.eightbit || is_8bit(c);
	content_look(c, &s->facts);
	return 0;
}

static void failed(struct content_edit *e, const struct err *err, struct smtp_answer *a)
{
	content_edit_end(e);
	log_err("content error=%s", log_quote(span_str(err->text)));
	smtp_answer(a, err->class == ERR_LIMIT ? 552 : 451, err->class == ERR_LIMIT ? "5.3.4" : "4.3.0",
	    "The message could not be filtered");
}

void milter_message(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct content_edit e;
	struct smtp_answer said = { 0 };
	struct err err = { 0 };
	if (content_edit_begin(&e, &s->rs->content, x->env.arena, &err) < 0) {
		failed(&e, &err, a);
		return;
	}
	struct talk t = { seat, &e, &said, &err, false };
	struct milter_macros macros = milter_macros_of(seat, s, x, NULL, NULL);
	struct milter_edits edits = {
		.arena = x->env.arena, .body = keep_body, .arg = &e, .body_max = s->rs->o.max_size
	};
	enum milter_verdict v = send_all(&t, &macros, &edits);
	/* What ended before the end of the message is aborted by the reset. */
	milter_obey(seat, s, x, "END-OF-MESSAGE", v, &said, &err, a);
	if (t.ended)
		seat->in_message = false;
	bool yes = v == MILTER_GO || v == MILTER_TAKE || v == MILTER_ENOUGH;
	if (yes)
		apply_all(s, x, seat, &e, &edits);
	if (!yes || (!edits.n && !e.new))
		content_edit_end(&e);
	else if (commit(s, x, &e, &err) < 0)
		failed(&e, &err, a);
}
