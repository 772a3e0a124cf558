/* SPDX-License-Identifier: ISC
 *
 * A conversation made of whole commands, against a model of what must come of it. Each byte of the input chooses a
 * command or a piece of content; what the engine gives to its callbacks must be the messages that the model has, no
 * more, no fewer, byte for byte: nothing in content is ever a command, nor the other way. First byte: how the input is
 * cut, the second one options.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MAX = 1 << 22,
	COMMANDS = 300, /* in one conversation */
	RCPTS = 3
};

struct model {
	const uint8_t *in, *end;
	struct buf sent, want,
	    got; /* the client's bytes; messages as they must be, and as they were taken, each with a \1 behind */
	struct buf content; /* of the transaction */
	bool greeted, mail, bdat, odd, closed;
	unsigned rcpt;
	/* the callbacks' */
	struct buf taking;
	bool mends;
};

static unsigned next(struct model *m)
{
	return m->in < m->end ? *m->in++ : 0;
}

static void forget(struct model *m)
{
	m->mail = m->bdat = m->odd = false;
	m->rcpt = 0;
	buf_reset(&m->content);
}

/* Content from a few bytes, most of them those that matter. */
static void make_content(struct model *m, struct buf *out)
{
	static const char *const pieces[] = { "\r\n", ".", "\r\n.\r\n", "\n", "\r", "x", "\r\n..\r\n",
		"MAIL FROM:<a@x>\r\n", "QUIT\r\n", "\r\n.", "Subject: x\r\n\r\n", ".\r\n", "DATA\r\n", "RSET\r\n",
		"BDAT 3 LAST\r\n", "" };
	for (unsigned n = next(m) % 12; n > 0; n--) {
		unsigned k = next(m);
		if (k % 17 == 16)
			buf_addc(out, '\0');
		else
			buf_adds(out, pieces[k % 16]);
	}
}

/* RFC 5321 2.3.8, the slow way. */
static bool is_odd(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] || (s.p[i] == '\n' && (!i || s.p[i - 1] != '\r')) ||
		    (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')))
			return true;
	return false;
}

static void message(struct model *m)
{
	if (m->odd)
		return;
	buf_addspan(&m->want, buf_span(&m->content));
	if (m->content.len && !span_ends(buf_span(&m->content), "\r\n"))
		buf_adds(&m->want, "\r\n");
	buf_addc(&m->want, '\1');
}

/* What the client sends as content, up to the first CRLF.CRLF in it: what is behind that are commands already, which is
 * no matter of the model. */
static void send_data(struct model *m)
{
	struct buf raw;
	buf_init(&raw, MAX);
	make_content(m, &raw);
	struct span text = buf_span(&raw);
	ptrdiff_t end = span_starts(text, ".\r\n") ? 0 : span_find(text, SPAN("\r\n.\r\n"));
	if (end >= 0)
		text = span_slice(text, 0, (size_t)end + (span_starts(text, ".\r\n") ? 0 : 2));
	else if (span_ends(text, "\r\n."))
		text.n--;
	else if (span_eqs(text, "."))
		text.n = 0;
	bool whole = !text.n || span_ends(text, "\r\n");
	buf_addspan(&m->sent, text);
	buf_adds(&m->sent, whole ? ".\r\n" : "\r\n.\r\n");
	for (size_t i = 0; i < text.n; i++) {
		bool begins = !i || (i > 1 && text.p[i - 2] == '\r' && text.p[i - 1] == '\n');
		if (!begins || text.p[i] != '.')
			buf_addc(&m->content, text.p[i]);
	}
	if (!whole)
		buf_adds(&m->content, "\r\n");
	/* Judged as it came: the dot that goes has nothing to do with it. */
	struct buf all;
	buf_init(&all, MAX);
	buf_addspan(&all, text);
	buf_adds(&all, whole ? "" : "\r\n");
	m->odd = is_odd(buf_span(&all));
	m->closed = m->odd;
	buf_free(&all);
	buf_free(&raw);
}

static void data(struct model *m)
{
	buf_adds(&m->sent, "DATA\r\n");
	if (!m->greeted || !m->rcpt || m->bdat)
		return;
	send_data(m);
	message(m);
	forget(m);
}

static void bdat(struct model *m, bool last)
{
	struct buf raw;
	buf_init(&raw, MAX);
	make_content(m, &raw);
	buf_addf(&m->sent, "BDAT %zu%s\r\n", raw.len, last ? " LAST" : "");
	buf_addspan(&m->sent, buf_span(&raw));
	if (m->greeted && m->rcpt) {
		buf_addspan(&m->content, buf_span(&raw));
		m->bdat = true;
		/* A CR at the end of a chunk may go on. */
		struct span so_far = buf_span(&m->content);
		if (!last && span_ends(so_far, "\r"))
			so_far.n--;
		m->odd = is_odd(so_far);
		if (last)
			message(m);
		if (last || m->odd)
			forget(m);
	}
	buf_free(&raw);
}

static void mail(struct model *m)
{
	static const char *const from[] = { "<a@x>", "<>", "<a@x> SIZE=10", "<a@x> BODY=8BITMIME SMTPUTF8", "a@x",
		"<a@@x>", "<a@x> FOO=1", "<a@x> ENVID=a+0A" };
	unsigned k = next(m) % 8;
	buf_addf(&m->sent, "MAIL FROM:%s\r\n", from[k]);
	if (m->greeted && !m->mail && k < 4)
		m->mail = true;
}

static void rcpt(struct model *m)
{
	static const char *const to[] = { "<b@y>", "<\"b c\"@y>", "<postmaster>", "<u@y>", "<@a,@b:c@y>", "<>",
		"<b@y> NOTIFY=X", "<b@@y>" };
	unsigned k = next(m) % 8;
	bool good = k < 3 || k == 4;
	buf_addf(&m->sent, "RCPT TO:%s\r\n", to[k]);
	if (m->greeted && m->mail && !m->bdat && good && m->rcpt < RCPTS)
		m->rcpt++;
}

static void other(struct model *m, unsigned k)
{
	static const char *const lines[] = { "NOOP\r\n", "VRFY a\r\n", "HELP\r\n", "STARTTLS\r\n",
		"AUTH PLAIN AAAA\r\n", "FOO bar\r\n", "\r\n", "NOOP\nRSET\nQUIT\nMAIL FROM:<a@x>\r\n", "RSET now\r\n",
		"NO\0OP\r\n", "QUIT now\r\n", "EHLO a b\r\n" };
	static const size_t lengths[] = { 6, 8, 6, 10, 17, 9, 2, 32, 10, 7, 10, 10 };
	k %= sizeof lines / sizeof *lines;
	buf_add(&m->sent, lines[k], lengths[k]);
}

static void command(struct model *m)
{
	unsigned k = next(m);
	switch (k % 10) {
	case 0:
		buf_adds(&m->sent, k & 16 ? "EHLO a\r\n" : "HELO a\r\n");
		m->greeted = true;
		forget(m);
		break;
	case 1:
	case 2:
		mail(m);
		break;
	case 3:
	case 4:
		rcpt(m);
		break;
	case 5:
		data(m);
		break;
	case 6:
	case 7:
		bdat(m, k % 10 == 7);
		break;
	case 8:
		buf_adds(&m->sent, "RSET\r\n");
		forget(m);
		break;
	default:
		other(m, k / 10);
	}
}

static void on_rcpt(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	(void)x;
	if (span_starts(r->text, "u"))
		smtp_answer(a, 550, "5.1.1", "no");
}

static int on_chunk(struct smtp_session *x, struct span piece)
{
	struct model *m = x->arg;
	buf_addspan(&m->taking, piece);
	return 0;
}

static void on_done(struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct model *m = x->arg;
	(void)answers;
	if (!n || !x->env.n_rcpt)
		abort();
	buf_addspan(&m->got, buf_span(&m->taking));
	buf_addc(&m->got, '\1');
}

static void on_reset(struct smtp_session *x)
{
	struct model *m = x->arg;
	buf_reset(&m->taking);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static const struct smtp_server_ops ops = {
		.rcpt = on_rcpt, .chunk = on_chunk, .done = on_done, .reset = on_reset
	};
	if (size < 2)
		return 0;
	struct model m = { .in = input + 1, .end = input + size };
	struct buf *const all[] = { &m.sent, &m.want, &m.got, &m.content, &m.taking };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		buf_init(all[i], MAX);
	for (int n = 0; n < COMMANDS && m.in < m.end && !m.closed; n++)
		command(&m);
	struct smtp_server_config c = { .security = &smtp_server_security,
		.hostname = "mx.example",
		.early_input_ok = true,
		.max_rcpt = RCPTS,
		.max_errors = COMMANDS * 10,
		.max_commands_junk = COMMANDS * 10,
		.max_line = 1 << 20,
		.max_header = 1 << 20 };
	struct smtp_session x = {
		.s = stream_from_mem(buf_span(&m.sent), input[0]), .peer_ip = "192.0.2.1", .peer_name = "", .arg = &m
	};
	smtp_server_run(&c, &ops, &x, NULL);
	if (!span_eq(buf_span(&m.want), buf_span(&m.got)))
		abort();
	stream_close(x.s);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		buf_free(all[i]);
	return 0;
}
