/* SPDX-License-Identifier: ISC */
#include "mta-relay/inject/inject_text.h"

#include <errno.h>
#include <unistd.h>

#include "base/limits.h"
#include "io/trace.h"
#include "msg/downgrade.h"
#include "msg/header.h"

enum {
	PIECE = 65536,
	HEADER_ROOM = 65536, /* what new addresses add at the most */
};

static void take(struct inject_text *t, struct span text)
{
	t->head = header_of(text, &t->body);
}

static int read_all(struct buf *out, int fd, uint64_t max, struct err *err)
{
	ssize_t n = 1;
	while (n != 0) {
		char *at = buf_room(out, PIECE);
		n = at ? read(fd, at, PIECE) : -1;
		if (n > 0)
			buf_grew(out, (size_t)n);
		else if (n < 0 && at && errno != EINTR)
			return err_sys(err, "stdin");
		if (out->len > max || out->bad)
			return err_set(
			    err, ERR_LIMIT, "the message is larger than %llu bytes", (unsigned long long)max);
	}
	return 0;
}

int inject_text_read(struct inject_text *t, int fd, uint64_t max, struct err *err)
{
	size_t most = max < SIZE_MAX / 8 ? (size_t)max : SIZE_MAX / 8;
	*t = (struct inject_text){ 0 };
	buf_init(&t->whole, most + 2 * (size_t)PIECE);
	buf_init(&t->encoded, LIMIT_REENCODED);
	buf_init(&t->header, 0);
	if (read_all(&t->whole, fd, max, err) < 0)
		return -1;
	struct span text = buf_span(&t->whole);
	if (!text.n)
		return err_set(err, ERR_DATA, "the message is empty");
	if (span_starts(text, "From ") && span_chr(text, '\n') >= 0)
		span_cut(&text, '\n');
	take(t, text);
	return 0;
}

void inject_text_free(struct inject_text *t)
{
	buf_free(&t->whole);
	buf_free(&t->encoded);
	buf_free(&t->header);
}

static struct span text_of(const struct inject_text *t)
{
	return span_of(t->head.p, t->head.n + t->body.n);
}

static int take_binary(struct inject_text *t, struct spool_envelope *env, struct err *err)
{
	if (!msg_is_crlf(t->head))
		return err_set(err, ERR_DATA, "the header of a message in BINARYMIME must be lines that end with CRLF");
	env->binary = true;
	return 0;
}

int inject_text_fit(struct inject_text *t, bool binary, struct spool_envelope *env, struct err *err)
{
	struct msg_needs needs;
	if (binary)
		return take_binary(t, env, err);
	msg_scan(text_of(t), &needs);
	if (needs.nul || needs.bare_cr) {
		if (msg_downgrade(text_of(t), MSG_KEEP_8BIT, &t->encoded, err) < 0) {
			err->class = ERR_DATA;
			return -1;
		}
		trace_why("compose", "ok", "2045#6", "re-encoded: it holds bytes that are no text");
		take(t, buf_span(&t->encoded));
		msg_scan(text_of(t), &needs);
	}
	env->eightbit = needs.eightbit;
	return 0;
}

int inject_text_rewrite(struct inject_text *t, const struct rewrite_rules *rules, struct arena *arena, struct err *err)
{
	buf_init(&t->header, 4 * t->head.n + HEADER_ROOM);
	int rc = rewrite_header(rules, arena, t->head, &t->header, err);
	if (rc > 0 && t->header.bad)
		return err_set(err, ERR_LIMIT, "the header grows too large");
	if (rc > 0)
		t->head = buf_span(&t->header);
	return rc < 0 ? -1 : 0;
}
