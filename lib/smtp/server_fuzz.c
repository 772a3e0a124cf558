/* SPDX-License-Identifier: ISC
 *
 * A whole conversation from the client's bytes. First byte: options and how the input is cut. Holds the engine to what
 * its callbacks rely on: no done without an accepted recipient, content with CRLF line ends only.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct buf content;
	bool started;
};

static void on_rcpt(struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	if (span_has_ctl(r->text) || span_has_ctl(x->env.from) || span_has_ctl(r->orcpt))
		abort();
	if (span_starts(r->text, "u"))
		smtp_answer(a, 550, "5.1.1", "%.*s", SPAN_FMT(r->text));
}

static void on_xclient(struct smtp_session *x, const struct xclient *c, struct smtp_answer *a)
{
	for (int i = 0; i < XCLIENT_ATTRS; i++)
		if (span_has_ctl(c->v[i]))
			abort();
	if (x->env.n_rcpt || x->env.from.n)
		abort();
	if (span_starts(c->v[XCLIENT_NAME], "no"))
		smtp_answer(a, 550, "5.7.0", "no");
}

static void on_data(struct smtp_session *x, struct smtp_answer *a)
{
	struct seen *seen = x->arg;
	if (!x->env.n_rcpt || seen->started)
		abort();
	seen->started = true;
	if (span_starts(x->env.rcpt[0].text, "no"))
		smtp_answer(a, 451, "4.3.0", "later");
}

static int on_chunk(struct smtp_session *x, struct span piece)
{
	struct seen *seen = x->arg;
	if (!seen->started)
		abort();
	buf_addspan(&seen->content, piece);
	return piece.n == 13 ? -1 : 0;
}

static void on_done(struct smtp_session *x, struct smtp_answer *answers, size_t n)
{
	struct seen *seen = x->arg;
	if (!seen->started || !n || ((x->lmtp || x->env.prdr) && n != x->env.n_rcpt))
		abort();
	struct span text = buf_span(&seen->content);
	ptrdiff_t header = x->env.binary ? span_find(text, SPAN("\r\n\r\n")) : -1;
	if (x->env.binary && span_starts(text, "\r\n"))
		header = 0;
	for (size_t i = 0; i < (header < 0 ? text.n : (size_t)header); i++)
		if (seen->content.p[i] == '\n' && (!i || seen->content.p[i - 1] != '\r'))
			abort();
	answers[0].whole = seen->content.len == 7;
	answers[n - 1] = (struct smtp_answer){ .code = seen->content.len % 3 ? 0 : 452, .text = "a\nb" };
}

/* What MAIL says of times is in its range, and what is kept of it is plain text. */
static void on_mail(struct smtp_session *x, struct smtp_answer *a)
{
	const struct smtp_env *e = &x->env;
	(void)a;
	if (e->priority < -9 || e->priority > 9 || (e->by.mode == 'R' && e->by.seconds <= 0) || e->requiretls)
		abort();
	if (e->hold && span_has_ctl(span_str(e->hold)))
		abort();
}

static void on_expn(struct smtp_session *x, struct span what, struct buf *lines, struct smtp_answer *a)
{
	(void)x, (void)a;
	buf_addf(lines, "<%.*s>\n", SPAN_FMT(what));
}

static void on_etrn(struct smtp_session *x, struct span node, struct smtp_answer *a)
{
	struct seen *seen = x->arg;
	if (seen->started)
		abort();
	smtp_answer(a, 253, "2.0.0", "%.*s", SPAN_FMT(node));
}

static void on_reset(struct smtp_session *x)
{
	struct seen *seen = x->arg;
	seen->started = false;
	buf_reset(&seen->content);
}

/* Every reply line is three digits, '-' or ' ', and text without control characters. */
static void check_output(struct span out)
{
	while (out.n) {
		struct span line = span_cut(&out, '\n');
		if (line.n < 5 || line.p[line.n - 1] != '\r' || (line.p[3] != ' ' && line.p[3] != '-'))
			abort();
		if (line.p[0] < '2' || line.p[0] > '5' || span_has_ctl(span_slice(line, 0, line.n - 1)))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct smtp_server_ops ops = { .mail = on_mail,
		.expn = on_expn,
		.etrn = on_etrn,
		.rcpt = on_rcpt,
		.xclient = on_xclient,
		.data = on_data,
		.chunk = on_chunk,
		.done = on_done,
		.reset = on_reset };
	if (size < 1)
		return 0;
	unsigned o = data[0];
	struct smtp_server_config c = { .security = &smtp_server_security,
		.hostname = "mx.example",
		.lmtp = o & 1,
		.bare_lf_ok = o & 2,
		.early_input_ok = !(o & 4),
		.max_size = o & 8 ? 100 : 0,
		.prdr = true,
		.xclient = true,
		.xforward = true,
		.binary = true,
		.deliver_by = true,
		.priority = true,
		.priority_trusted = o & 16,
		.requiretls = true,
		.hold_max = 86400,
		.max_rcpt = 3 };
	struct seen seen = { 0 };
	buf_init(&seen.content, 1 << 24);
	struct smtp_session x = { .s = stream_from_mem(span_of((const char *)data + 1, size - 1), o >> 4),
		.peer_ip = "192.0.2.1",
		.peer_name = "",
		.arg = &seen };
	smtp_server_run(&c, &ops, &x, NULL);
	check_output(stream_mem_output(x.s));
	stream_close(x.s);
	buf_free(&seen.content);
	return 0;
}
