/* SPDX-License-Identifier: ISC
 *
 * Reading one command with its literals (RFC 3501 4.3, LITERAL+ RFC 7888), within limits that are checked before a
 * byte is kept or a continuation is asked for.
 */
#include <errno.h>

#include "base/limits.h"
#include "imap_session.h"
#include "io/trace.h"

static size_t command_max(const struct imap *s)
{
	return s->state == IMAP_NONAUTH ? LIMIT_IMAP_NONAUTH : LIMIT_IMAP_COMMAND;
}

static int64_t idle_time(const struct imap *s)
{
	if (s->x->c->idle_ms)
		return s->x->c->idle_ms;
	/* Before login nobody has a reason to linger. */
	return s->state == IMAP_NONAUTH ? TIME_IMAP_LOGIN : TIME_IMAP_IDLE;
}

static void bye(struct imap *s, const char *text)
{
	imap_untagged(s, "BYE %s", text);
	s->state = IMAP_LOGOUT;
}

/* What a line that did not end as it should means. READ_SKIP: the command is answered, go on. */
static enum imap_read broken_line(struct imap *s, const struct line *l, struct err *err)
{
	switch (l->end) {
	case LINE_EOF:
		return IMAP_READ_END;
	case LINE_TIMEOUT:
		bye(s, maa_stopping(s->x) ? "[UNAVAILABLE] shutting down" : "[INUSE] you were silent for too long");
		err_set(err, ERR_TEMP, "the client was silent for too long");
		return IMAP_READ_END;
	case LINE_ERROR:
		*err = *stream_err(s->s);
		return IMAP_READ_END;
	case LINE_TOO_LONG:
		break;
	default:
		if (imap_line_literal(l->text, &s->literal))
			break;
		stream_puts(s->s, "* BAD a line ends with CR LF and holds neither NUL nor CR\r\n");
		return IMAP_READ_SKIP;
	}
	/* A literal may follow, which must not be taken for commands. */
	bye(s, "[TOOBIG] line too long or malformed");
	return IMAP_READ_END;
}

static bool whole(const struct imap *s, const struct line *l)
{
	return (l->end == LINE_CRLF || (l->end == LINE_LF && stream_is_local(s->s))) && !l->has_nul && !l->has_bare_cr;
}

static struct span tag_of(struct span command)
{
	struct imap_in in;
	struct span tag;
	imap_in_init(&in, command, NULL);
	return imap_tag(&in, &tag) && imap_sp(&in) ? tag : SPAN("*");
}

/* The literal would make the command too large. */
static enum imap_read refuse_literal(struct imap *s, const struct imap_literal *l)
{
	if (!l->sync) {
		/* It is on its way already, and more may follow: out of step is worse than out (RFC 7888 4). */
		bye(s, "[TOOBIG] literal too large");
		return IMAP_READ_END;
	}
	/* No continuation: the client does not send it. */
	stream_printf(s->s, "%.*s BAD [TOOBIG] literal too large\r\n", SPAN_FMT(tag_of(buf_span(&s->command))));
	return IMAP_READ_SKIP;
}

static enum imap_read read_literal(struct imap *s, const struct imap_literal *l)
{
	size_t max = command_max(s);
	if (l->size > max || s->command.len + l->size + 2 > max)
		return refuse_literal(s, l);
	buf_add(&s->command, "\r\n", 2);
	if (l->sync)
		stream_puts(s->s, "+ go ahead\r\n");
	char *p = buf_room(&s->command, (size_t)l->size + 1);
	if (!p || stream_read_full(s->s, p, (size_t)l->size) < 0)
		return IMAP_READ_END;
	buf_grew(&s->command, (size_t)l->size);
	return IMAP_READ_OK;
}

enum imap_read imap_read_command(struct imap *s, struct err *err)
{
	buf_reset(&s->command);
	s->pending = false;
	for (;;) {
		struct line l;
		stream_set_timeout(s->s, idle_time(s));
		stream_line(s->s, s->state == IMAP_NONAUTH ? LIMIT_IMAP_NONAUTH : LIMIT_IMAP_LINE, &l);
		if (!whole(s, &l))
			return broken_line(s, &l, err);
		/* What follows a literal may be LOGIN's password. */
		trace_line('<', l.text, s->state == IMAP_NONAUTH && s->command.len > 0);
		if (s->command.len + l.text.n > command_max(s)) {
			bye(s, "[TOOBIG] command too long");
			return IMAP_READ_END;
		}
		buf_addspan(&s->command, l.text);
		if (!imap_line_literal(l.text, &s->literal))
			return IMAP_READ_OK;
		if (imap_append_ready(s)) {
			s->pending = true;
			return IMAP_READ_OK;
		}
		enum imap_read r = read_literal(s, &s->literal);
		if (r != IMAP_READ_OK)
			return r;
	}
}

bool imap_read_tail(struct imap *s)
{
	struct line l;
	stream_line(s->s, LIMIT_IMAP_LINE, &l);
	s->pending = false;
	/* A second literal may be on its way already, which must not be taken for commands. */
	if (!whole(s, &l) || (imap_line_literal(l.text, &s->literal) && !s->literal.sync)) {
		bye(s, "only one message may be appended at a time");
		return imap_fail(&s->in, "nothing may follow the message");
	}
	return l.text.n == 0 || imap_fail(&s->in, "nothing may follow the message");
}

bool imap_skip(struct imap *s, uint64_t n)
{
	while (n > 0) {
		struct span have;
		if (stream_peek(s->s, &have) <= 0)
			return false;
		size_t k = have.n < n ? have.n : (size_t)n;
		stream_consume(s->s, k);
		n -= k;
	}
	return true;
}

bool imap_read_line(struct imap *s, size_t max, bool secret, struct span *out)
{
	struct line l;
	stream_line(s->s, max, &l);
	*out = l.text;
	if (!whole(s, &l)) {
		s->state = IMAP_LOGOUT;
		return false;
	}
	trace_line('<', l.text, secret);
	return true;
}
