/* SPDX-License-Identifier: ISC
 *
 * Hearing an IMAP server: responses of several lines and literals are put together in memory, but for message bodies,
 * which flow to the sink as they come and leave an empty string in their place.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "imap/client_int.h"
#include "io/trace.h"

int imap_broken(struct imap_client *c)
{
	c->alive = false;
	if (c->body_begun && c->sink)
		c->sink->abort(c->sink->arg);
	c->body_begun = false;
	return -1;
}

static int protocol(struct imap_client *c, struct err *err, const char *what)
{
	err_set(err, ERR_PROTO, "the server broke the protocol: %s", what);
	return imap_broken(c);
}

static int stream_broken(struct imap_client *c, struct err *err)
{
	if (err)
		*err = *stream_err(c->s);
	return imap_broken(c);
}

/* ---- one response in memory ---- */

static int read_line(struct imap_client *c, struct err *err)
{
	struct line l;
	switch (stream_line(c->s, LIMIT_IMAP_LINE, &l)) {
	case LINE_CRLF:
		break;
	case LINE_EOF:
		err_set(err, ERR_TEMP, "the server closed the connection");
		return imap_broken(c);
	case LINE_TIMEOUT:
	case LINE_ERROR:
		return stream_broken(c, err);
	case LINE_LF:
		if (stream_is_local(c->s))
			break;
		return protocol(c, err, "a line without CRLF");
	default:
		return protocol(c, err, "a line that is too long");
	}
	if (l.has_nul || l.has_bare_cr)
		return protocol(c, err, "a NUL or CR in a line");
	trace_line('<', l.text, c->authenticating && span_starts(l.text, "+ "));
	buf_addspan(&c->resp, l.text);
	return c->resp.bad ? protocol(c, err, "a response that is too long") : 0;
}

/* Is the literal that the text ends with (its header cut off here) the body that was asked for? */
static bool is_wanted_body(struct imap_client *c, struct span before)
{
	ptrdiff_t item = span_rchr(before, '[');
	return c->sink && !c->body_begun && span_iends(before, "BODY[] ") && item > 4 &&
	       (before.p[item - 5] == ' ' || before.p[item - 5] == '(');
}

static int read_body(struct imap_client *c, uint64_t size, struct err *err)
{
	c->body_begun = true;
	if (c->sink->begin(c->sink->arg, size, err))
		return imap_broken(c);
	while (size) {
		struct span got;
		int r = stream_peek(c->s, &got);
		if (r < 0)
			return stream_broken(c, err);
		if (r == 0) {
			err_set(err, ERR_TEMP, "the server closed the connection in the middle of a message");
			return imap_broken(c);
		}
		got = span_slice(got, 0, size < got.n ? (size_t)size : got.n);
		if (c->sink->data(c->sink->arg, got, err))
			return imap_broken(c);
		stream_consume(c->s, got.n);
		size -= got.n;
	}
	buf_adds(&c->resp, "\"\"");
	return 0;
}

static int read_literal(struct imap_client *c, uint64_t size, struct err *err)
{
	buf_adds(&c->resp, "\r\n");
	char *room = size <= IMAP_RESPONSE_MAX ? buf_room(&c->resp, (size_t)size) : NULL;
	if (!room)
		return protocol(c, err, "a literal that is too long");
	if (stream_read_full(c->s, room, (size_t)size))
		return stream_broken(c, err);
	buf_grew(&c->resp, (size_t)size);
	return 0;
}

static int read_response(struct imap_client *c, struct err *err)
{
	struct imap_literal lit;
	buf_reset(&c->resp);
	for (;;) {
		size_t from = c->resp.len;
		if (read_line(c, err))
			return -1;
		struct span piece = span_from(buf_span(&c->resp), from);
		if (!imap_line_literal(piece, &lit))
			return 0;
		size_t header = c->resp.len - (size_t)span_rchr(buf_span(&c->resp), '{') + (lit.binary ? 1 : 0);
		struct span before = span_slice(buf_span(&c->resp), 0, c->resp.len - header);
		bool body = is_wanted_body(c, before);
		if (body)
			buf_truncate(&c->resp, before.n);
		if (body ? read_body(c, lit.size, err) : read_literal(c, lit.size, err))
			return -1;
	}
}

/* ---- what always counts ---- */

void imap_set_caps(struct imap_client *c, struct span words)
{
	struct span word;
	buf_reset(&c->caps);
	buf_addc(&c->caps, ' ');
	while ((word = span_word(&words)).n) {
		for (size_t i = 0; i < word.n; i++)
			buf_addc(&c->caps, ascii_upper(word.p[i]));
		buf_addc(&c->caps, ' ');
	}
	c->caps_known = true;
}

/* "[CODE args] text": the codes that matter anywhere. Without a code all of it is text. */
static void response_code(struct imap_client *c, struct span text)
{
	if (!span_starts(text, "["))
		return;
	struct span rest = span_from(text, 1), code = span_cut(&rest, ']');
	struct span args = code, word = span_cut(&args, ' ');
	uint64_t n;
	if (span_ieqs(word, "CAPABILITY"))
		imap_set_caps(c, args);
	else if (span_ieqs(word, "UIDVALIDITY") && span_u64(args, UINT32_MAX, &n))
		c->box.uidvalidity = (uint32_t)n;
	else if (span_ieqs(word, "UIDNEXT") && span_u64(args, UINT32_MAX, &n))
		c->box.uidnext = (uint32_t)n;
}

/* The text after "* ". */
static int untagged(struct imap_client *c, struct span text, struct err *err)
{
	struct span rest = text, word = span_cut(&rest, ' ');
	uint64_t n;
	if (span_ieqs(word, "CAPABILITY")) {
		imap_set_caps(c, rest);
	} else if (span_ieqs(word, "OK") || span_ieqs(word, "NO") || span_ieqs(word, "BAD")) {
		response_code(c, rest);
	} else if (span_ieqs(word, "BYE")) {
		c->bye = true;
	} else if (span_u64(word, UINT32_MAX, &n) && span_ieqs(rest, "EXISTS")) {
		c->box.exists = (uint32_t)n;
	}
	if (!c->untagged)
		return c->body_begun ? protocol(c, err, "a message that was not asked for") : 0;
	struct imap_in in;
	arena_reset(c->arena);
	imap_in_init(&in, text, c->arena);
	if (c->untagged(c, &in, err))
		return imap_broken(c);
	return c->body_begun ? protocol(c, err, "a body outside of a FETCH response") : 0;
}

static enum imap_kind tagged(struct imap_client *c, enum imap_status *status, struct span *rest, struct err *err)
{
	char want[16];
	struct span text = buf_span(&c->resp), tag = span_cut(&text, ' '), word;
	snprintf(want, sizeof want, "a%u", c->tag);
	word = span_cut(&text, ' ');
	if (!span_eqs(tag, want)) {
		protocol(c, err, "a response that belongs to no command");
		return IMAP_BROKEN;
	}
	*rest = text;
	response_code(c, text);
	if (span_ieqs(word, "OK")) {
		*status = IMAP_OK;
	} else if (span_ieqs(word, "NO") || span_ieqs(word, "BAD")) {
		*status = span_ieqs(word, "NO") ? IMAP_NO : IMAP_BAD;
		err_set(err, ERR_PERM, "the server says: %.*s", (int)(text.n < 300 ? text.n : 300), text.p);
	} else {
		protocol(c, err, "a tagged response that is neither OK, NO nor BAD");
		return IMAP_BROKEN;
	}
	return IMAP_TAGGED;
}

enum imap_kind imap_hear(struct imap_client *c, enum imap_status *status, struct span *rest, struct err *err)
{
	if (!c->alive || read_response(c, err))
		return IMAP_BROKEN;
	struct span text = buf_span(&c->resp);
	if (span_starts(text, "+")) {
		*rest = span_from(text, span_starts(text, "+ ") ? 2 : 1);
		return IMAP_CONTINUE;
	}
	if (!span_starts(text, "* "))
		return tagged(c, status, rest, err);
	*rest = span_from(text, 2);
	return untagged(c, *rest, err) ? IMAP_BROKEN : IMAP_UNTAGGED;
}

/* ---- commands ---- */

void imap_say_line(struct imap_client *c, struct span line, bool secret)
{
	trace_line('>', line, secret);
	stream_span(c->s, line);
	stream_puts(c->s, "\r\n");
}

void imap_say(struct imap_client *c, struct span command)
{
	struct buf line;
	buf_init(&line, LIMIT_SECRET * 3);
	buf_addf(&line, "a%u ", ++c->tag);
	buf_addspan(&line, command);
	imap_say_line(c, buf_span(&line), false);
	explicit_bzero(line.p, line.len);
	buf_free(&line);
}

int imap_finish(struct imap_client *c, struct err *err)
{
	enum imap_status status;
	struct span rest;
	for (;;) {
		switch (imap_hear(c, &status, &rest, err)) {
		case IMAP_UNTAGGED:
			break;
		case IMAP_TAGGED:
			return status == IMAP_OK ? 0 : -1;
		case IMAP_CONTINUE:
			return protocol(c, err, "a continuation that was not asked for");
		case IMAP_BROKEN:
			return -1;
		}
	}
}

int imap_command(struct imap_client *c, struct span command, struct err *err)
{
	imap_say(c, command);
	return imap_finish(c, err);
}
