/* SPDX-License-Identifier: ISC
 *
 * Responses: everything that the IMAP server sends goes through here or straight to the stream from a handler's loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "imap/format.h"
#include "imap_session.h"
#include "io/trace.h"
#include "store/mutf7.h"

static void set_reply(struct imap *s, enum imap_status status, const char *code, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void set_reply(struct imap *s, enum imap_status status, const char *code, const char *fmt, va_list ap)
{
	s->reply.status = status;
	s->reply.code = code ? arena_str(s->arena, span_str(code)) : NULL;
	vsnprintf(s->reply.text, sizeof s->reply.text, fmt, ap);
	/* An error's text may quote a file name: it must stay one line of plain text. */
	for (char *c = s->reply.text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
}

void imap_ok(struct imap *s, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set_reply(s, IMAP_OK, code, fmt, ap);
	va_end(ap);
}

void imap_no(struct imap *s, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set_reply(s, IMAP_NO, code, fmt, ap);
	va_end(ap);
}

/* RFC 5530 3. */
static const char *code_of(const struct err *e)
{
	switch (e->sys) {
	case ENOENT:
		return "NONEXISTENT";
	case EEXIST:
		return "ALREADYEXISTS";
	case EDQUOT:
	case ENOSPC:
		return "OVERQUOTA";
	case ENOTEMPTY:
		return "HASCHILDREN";
	case EACCES:
	case EPERM:
		return "NOPERM";
	default:
		break;
	}
	switch (e->class) {
	case ERR_LIMIT:
		return "LIMIT";
	case ERR_ACCESS:
		return "NOPERM";
	case ERR_PERM:
	case ERR_DATA:
	case ERR_USAGE:
		return "CANNOT";
	case ERR_BUG:
		return "SERVERBUG";
	default:
		return "UNAVAILABLE";
	}
}

void imap_no_err(struct imap *s, const struct err *err)
{
	imap_no(s, code_of(err), "%s", err->text);
}

void imap_untagged(struct imap *s, const char *fmt, ...)
{
	struct buf line;
	va_list ap;
	buf_init(&line, LIMIT_IMAP_LINE);
	buf_adds(&line, "* ");
	va_start(ap, fmt);
	buf_addv(&line, fmt, ap);
	va_end(ap);
	stream_span(s->s, buf_span(&line));
	stream_puts(s->s, "\r\n");
	if (trace_on())
		trace_line('>', buf_span(&line), false);
	buf_free(&line);
}

void imap_put_string(struct stream *o, struct span text, bool atom_ok)
{
	struct buf b;
	buf_init(&b, 3 * LIMIT_IMAP_LINE);
	imap_add_string(&b, text, atom_ok);
	stream_span(o, buf_span(&b));
	buf_free(&b);
}

void imap_put_mailbox(struct stream *o, struct span name)
{
	struct buf coded;
	buf_init(&coded, LIMIT_IMAP_LINE);
	/* A name on disk that is no UTF-8 never gets here: the store gives only names that have both forms. */
	if (mutf7_encode(name, &coded) && !coded.bad)
		imap_put_string(o, buf_span(&coded), true);
	else
		imap_put_string(o, name, false);
	buf_free(&coded);
}

void imap_put_flags(struct imap *s, unsigned flags, uint64_t keywords)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { FLAG_ANSWERED, "\\Answered" }, { FLAG_FLAGGED, "\\Flagged" }, { FLAG_DELETED, "\\Deleted" },
		{ FLAG_SEEN, "\\Seen" }, { FLAG_DRAFT, "\\Draft" }, { FLAG_RECENT, "\\Recent" } };
	const char *sep = "(";
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!(flags & names[i].bit))
			continue;
		stream_puts(s->s, sep);
		stream_puts(s->s, names[i].name);
		sep = " ";
	}
	for (unsigned i = 0; keywords && i < s->f->n_keywords; i++) {
		if (!(keywords >> i & 1) || !s->f->keyword[i][0])
			continue;
		stream_puts(s->s, sep);
		stream_puts(s->s, s->f->keyword[i]);
		sep = " ";
	}
	stream_puts(s->s, *sep == '(' ? "()" : ")");
}

void imap_put_set(struct buf *out, const uint32_t *v, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t k = i;
		while (k + 1 < n && v[k + 1] == v[k] + 1)
			k++;
		buf_addf(out, "%s%" PRIu32, i ? "," : "", v[i]);
		if (k > i)
			buf_addf(out, ":%" PRIu32, v[k]);
		i = k + 1;
	}
}
