/* SPDX-License-Identifier: ISC */
#include "base/limits.h"
#include "smtp/client_int.h"
#include "smtp/param.h"

enum {
	LINE_MOST = 500, /* RFC 5321 4.5.3.1.4, without CRLF */
	VALUE_MAX = 255
};

static const char *const names[] = { "NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE" };
enum {
	NAMES = sizeof names / sizeof *names
};

unsigned client_forwards(struct span attributes)
{
	unsigned bits = 0;
	struct span word;
	while ((word = span_word(&attributes)).n)
		for (size_t i = 0; i < NAMES; i++)
			if (span_ieqs(word, names[i]))
				bits |= 1u << i;
	return bits;
}

static void add(struct buf *line, const char *name, struct span value)
{
	if (!value.n || value.n > VALUE_MAX)
		value = SPAN("[UNAVAILABLE]");
	buf_addf(line, " %s=", name);
	xtext_encode(value, line);
}

static int say(struct smtp_client *c, struct buf *line, struct err *err)
{
	int rc = client_command(c, buf_span(line), TIME_SMTP_COMMAND, err);
	buf_reset(line);
	buf_adds(line, "XFORWARD");
	return rc;
}

int smtp_client_xforward(struct smtp_client *c, const struct smtp_xforward *x, struct err *err)
{
	struct buf line, one;
	int rc = 0;
	if (!c->forwards || !c->alive)
		return 0;
	buf_init(&one, 16);
	if (x->port)
		buf_addf(&one, "%u", x->port);
	struct span values[NAMES] = { x->name, x->addr, buf_span(&one), x->proto, x->helo, x->ident, x->source };
	buf_init(&line, 4 * LINE_MOST);
	buf_adds(&line, "XFORWARD");
	size_t empty = line.len;
	for (size_t i = 0; i < NAMES && rc == 0; i++) {
		size_t before = line.len;
		if (!(c->forwards & 1u << i))
			continue;
		add(&line, names[i], values[i]);
		if (line.len <= LINE_MOST || before == empty)
			continue;
		buf_truncate(&line, before);
		rc = say(c, &line, err);
		add(&line, names[i], values[i]);
	}
	if (rc == 0 && line.len > empty)
		rc = say(c, &line, err);
	buf_free(&line);
	buf_free(&one);
	return rc;
}
