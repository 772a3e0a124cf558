/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "base/limits.h"
#include "io/trace.h"
#include "smtp/server_int.h"

static bool over(uint64_t n, uint64_t max)
{
	return max && n > max;
}

/* RFC 3030 3: what is binary has no lines. */
static uint64_t line_limit(const struct server *sv)
{
	return sv->x->env.binary ? 0 : sv->c->max_line;
}

static bool too_much(const struct server *sv)
{
	return over(sv->content, sv->c->max_size) || over(sv->shape.header, sv->c->max_header) ||
	       over(sv->shape.longest, line_limit(sv));
}

/* After ops->chunk failed, or what came is bad or too much, the rest is read and dropped. */
static void piece(void *arg, struct span content)
{
	struct server *sv = arg;
	sv->content += content.n;
	content_shape_add(&sv->shape, content, line_limit(sv));
	bool wanted = sv->started && !sv->chunk_failed && !sv->dot.bad && !too_much(sv);
	if (wanted && sv->ops->chunk && sv->ops->chunk(sv->x, content) < 0)
		sv->chunk_failed = true;
}

/* A read failed within the content: there is nobody left to answer, or nothing to wait for. */
static void lost(struct server *sv)
{
	const struct err *why = stream_err(sv->x->s);
	sv->closing = true;
	server_event("refuse", 421, "the connection broke within the content");
	if (why->sys == ETIMEDOUT)
		server_reply(sv, 421, "4.4.2", "Timed out waiting for the content");
	err_set(sv->err, ERR_TEMP, "the content broke off: %s", why->class == ERR_NONE ? "end of file" : why->text);
}

/* Reads the content to its end; false when the connection broke. */
static bool read_content(struct server *sv)
{
	struct span in;
	while (!sv->dot.ended) {
		if (stream_peek(sv->x->s, &in) <= 0) {
			lost(sv);
			return false;
		}
		stream_consume(sv->x->s, dot_decode(&sv->dot, in, piece, sv));
	}
	return true;
}

/* One answer for the whole message. At its end (of DATA, or BDAT LAST) LMTP says it once for each recipient: RFC 2033
 * 4.2, 4.3. */
static void answer_whole(struct server *sv, const struct smtp_answer *a, bool at_end)
{
	size_t n = at_end && sv->c->lmtp ? sv->x->env.n_rcpt : 1;
	server_event("refuse", a->code, a->text);
	for (size_t i = 0; i < n; i++)
		server_answer(sv, a);
}

/* Content that no server may take: RFC 5321 2.3.8, 4.5.2. True after the refusal. */
static bool refused_content(struct server *sv, bool at_end)
{
	static const char *const what[] = { "", "a bare CR", "a bare LF", "a bare CR and a bare LF" };
	struct smtp_answer a = { 0 };
	if (sv->dot.bad)
		smtp_answer(&a, 550, "5.6.0", "The message has %s: a line ends with CRLF and holds neither",
		    sv->dot.bad & 3 ? what[sv->dot.bad & 3] : "a NUL");
	else if (over(sv->content, sv->c->max_size))
		smtp_answer(&a, 552, "5.3.4", "A message may have %llu bytes", (unsigned long long)sv->c->max_size);
	else if (over(sv->shape.header, sv->c->max_header))
		smtp_answer(&a, 552, "5.3.4", "The header of a message may have %llu bytes",
		    (unsigned long long)sv->c->max_header);
	else if (over(sv->shape.longest, line_limit(sv)))
		/* RFC 5321 4.5.3.1.6, 4.5.3.1.9 */
		smtp_answer(
		    &a, 552, "5.6.0", "A line of a message may have %llu bytes", (unsigned long long)sv->c->max_line);
	else
		return false;
	answer_whole(sv, &a, at_end);
	return true;
}

static void say_done(struct server *sv, const struct smtp_answer *a, const struct smtp_env_rcpt *r)
{
	int code = a->code ? a->code : sv->chunk_failed ? 451 : 250;
	server_event(code < 400 ? "accept" : "refuse", code, a->code ? a->text : "the message was taken");
	if (a->code)
		server_answer(sv, a);
	else if (code != 250)
		server_reply(sv, code, "4.3.0", "The message could not be taken");
	else if (r)
		server_reply(sv, 250, "2.1.5", "<%.*s> Ok", SPAN_FMT(r->text));
	else
		server_reply(sv, 250, "2.0.0", "Ok");
}

/* draft-hall-prdr 4.5: 353, a reply for each recipient, and one for the message, which a client takes for the last
 * word: yes if it is taken for anybody. */
static void say_each(struct server *sv, const struct smtp_answer *answers, size_t n)
{
	size_t taken = 0, temporary = 0;
	struct smtp_answer last = answers[n];
	server_reply(sv, 353, NULL, "Content analysis has started: a reply for each recipient follows");
	for (size_t i = 0; i < n; i++) {
		say_done(sv, &answers[i], &sv->x->env.rcpt[i]);
		taken += sv->last_code < 400;
		temporary += sv->last_code / 100 == 4;
	}
	if (!taken && temporary)
		smtp_answer(&last, 450, "4.0.0", "Taken for no recipient");
	else if (!taken)
		smtp_answer(&last, 550, "5.0.0", "Taken for no recipient");
	else if (taken < n && !last.code)
		smtp_answer(&last, 250, "2.0.0", "Ok: taken for %zu of %zu recipients", taken, n);
	say_done(sv, &last, NULL);
}

/* The whole content is there and good: what the ops say, once, or once for each recipient (RFC 2033 4.2). */
static void finish(struct server *sv)
{
	struct smtp_env *env = &sv->x->env;
	env->prdr = sv->prdr && env->n_rcpt > 1;
	size_t n = sv->c->lmtp || env->prdr ? env->n_rcpt : 1;
	struct smtp_answer *answers = arena_alloc(env->arena, (n + 1) * sizeof *answers);
	if (sv->ops->done)
		sv->ops->done(sv->x, answers, n);
	if (env->prdr && !answers[0].whole)
		say_each(sv, answers, n);
	else
		for (size_t i = 0; i < (sv->c->lmtp ? n : 1); i++)
			say_done(sv, &answers[i], sv->c->lmtp ? &env->rcpt[i] : NULL);
	if (sv->last_code < 400) {
		sv->errors = sv->junk = sv->put_off = 0;
		server_clock_message(sv);
	}
}

/* Calls ops->data; false after its refusal. at_end: it is the answer to the whole message. */
static bool start(struct server *sv, bool at_end)
{
	struct smtp_answer a = { 0 };
	if (sv->ops->data)
		sv->ops->data(sv->x, &a);
	sv->started = true;
	if (!a.code)
		return true;
	answer_whole(sv, &a, at_end);
	server_reset(sv);
	return false;
}

/* RFC 2920 3.1: pipelining clients find out here that no recipient was accepted. */
static bool has_rcpt(struct server *sv)
{
	if (sv->state != ST_MAIL)
		return true;
	if (sv->rcpt_refused)
		server_reply(sv, 554, "5.5.1", "No valid recipients");
	else
		server_reply(sv, 503, "5.5.1", "Send RCPT first");
	return false;
}

static void begin_content(struct server *sv, enum dot_mode mode)
{
	dot_init(&sv->dot, mode);
	content_shape_init(&sv->shape);
	if (sv->ops->mend)
		sv->dot.mend = sv->ops->mend(sv->x);
}

/* May the content come by DATA? False after a reply. */
static bool data_allowed(struct server *sv)
{
	if (sv->x->env.binary) {
		/* RFC 3030 3 */
		server_reply(sv, 503, "5.5.1", "A message in BINARYMIME is sent by BDAT");
		return false;
	}
	return has_rcpt(sv) && start(sv, false);
}

void cmd_data(struct server *sv, struct span arg)
{
	(void)arg;
	if (!data_allowed(sv)) {
		sv->closing |= sv->c->data_is_last && stream_has_input(sv->x->s);
		return;
	}
	server_reply(sv, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	begin_content(sv, sv->c->bare_lf_ok ? DOT_LF : DOT_DATA);
	server_data_clock(sv, true);
	bool whole = read_content(sv);
	server_data_clock(sv, false);
	if (whole && refused_content(sv, true)) {
		/* What follows a message that was built to be cut elsewhere is not listened to. */
		if (sv->dot.bad)
			sv->closing = true;
	} else if (whole) {
		finish(sv);
	}
	server_reset(sv);
}

/* BDAT: RFC 3030 2. */

static bool bdat_args(struct span arg, uint64_t *size, bool *last)
{
	struct span word = span_word(&arg), mark = span_word(&arg);
	*last = span_ieqs(mark, "LAST");
	return span_u64(word, UINT64_MAX, size) && (!mark.n || *last) && !span_word(&arg).n;
}

/* The header of a binary message is made of lines as any other. How many bytes belong to it, of a piece: all of it, up
 * to the empty line. */
static size_t header_part(struct server *sv, struct span in)
{
	enum {
		LINE, /* at the start of one */
		TEXT,
		LINE_CR, /* an empty one, or a bare CR */
		TEXT_CR,
		OVER
	};
	size_t i = 0;
	for (; i < in.n && sv->head != OVER; i++) {
		if (in.p[i] == '\r')
			sv->head = sv->head == LINE ? LINE_CR : TEXT_CR;
		else if (in.p[i] == '\n' && sv->head >= LINE_CR)
			sv->head = sv->head == LINE_CR ? OVER : LINE;
		else
			sv->head = TEXT;
	}
	return i;
}

static void take_bytes(struct server *sv, struct span in)
{
	size_t lines = sv->x->env.binary ? header_part(sv, in) : in.n;
	struct span rest = span_from(in, lines);
	dot_decode(&sv->dot, span_slice(in, 0, lines), piece, sv);
	if (rest.n)
		piece(sv, rest);
}

/* size bytes; with `take` into the message. False when the connection broke. */
static bool read_chunk(struct server *sv, uint64_t size, bool take)
{
	struct span in;
	while (size > 0) {
		if (stream_peek(sv->x->s, &in) <= 0) {
			lost(sv);
			return false;
		}
		if (in.n > size)
			in.n = (size_t)size;
		if (take)
			take_bytes(sv, in);
		stream_consume(sv->x->s, in.n);
		size -= in.n;
	}
	return true;
}

void server_skip_bdat(struct server *sv, struct span arg)
{
	uint64_t size;
	bool last;
	server_data_clock(sv, true);
	if (bdat_args(arg, &size, &last))
		read_chunk(sv, size, false);
	else
		sv->closing = true; /* where the next command begins is not known */
	server_data_clock(sv, false);
}

static void last_chunk(struct server *sv)
{
	dot_finish(&sv->dot, piece, sv); /* a message is made of whole lines on its further way */
	if (!refused_content(sv, true))
		finish(sv);
	server_reset(sv);
}

static void take_chunk(struct server *sv, uint64_t size, bool last)
{
	server_data_clock(sv, true);
	bool whole = read_chunk(sv, size, true);
	server_data_clock(sv, false);
	if (!whole) {
		server_reset(sv);
	} else if (last) {
		last_chunk(sv);
	} else if (refused_content(sv, false)) {
		server_reset(sv);
	} else {
		server_enter(sv, ST_BDAT);
		sv->junk += !size; /* empty chunks could go on for ever */
		server_reply(sv, 250, "2.0.0", "%llu bytes received", (unsigned long long)size);
	}
}

void cmd_bdat(struct server *sv, struct span arg)
{
	uint64_t size;
	bool last;
	if (!bdat_args(arg, &size, &last)) {
		server_reply(sv, 501, "5.5.4", "Syntax: BDAT size [LAST]");
		sv->closing = true;
		return;
	}
	if (sv->state != ST_BDAT) {
		/* RFC 2033 4.3: as many replies as recipients, and that is none. */
		bool silent = sv->c->lmtp && last && sv->state == ST_MAIL;
		if (silent || !has_rcpt(sv) || !start(sv, last)) {
			server_skip_bdat(sv, arg);
			return;
		}
		begin_content(sv, DOT_RAW);
	}
	take_chunk(sv, size, last);
}
