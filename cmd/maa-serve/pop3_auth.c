/* SPDX-License-Identifier: ISC */
#include "pop3_session.h"

#include "base/limits.h"
#include "io/trace.h"
#include "msg/codec.h"

/* RFC 2449; the list before login and after it may differ (5). */
void pop3_capa(struct pop3 *p, struct span arg)
{
	(void)arg;
	struct buf mechs;
	buf_init(&mechs, LIMIT_DOMAIN);
	maa_mechs(p->x, &mechs);
	pop3_ok(p, "capabilities follow");
	stream_puts(p->s, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n");
	if (p->state == POP3_AUTHORIZATION) {
		if (p->x->c->tls && !p->x->tls)
			stream_puts(p->s, "STLS\r\n");
		if (maa_plaintext_ok(p->x))
			stream_puts(p->s, "USER\r\n");
		if (mechs.len)
			stream_printf(p->s, "SASL %s\r\n", mechs.p);
	}
	stream_puts(p->s, "IMPLEMENTATION waypost\r\n.\r\n");
	buf_free(&mechs);
}

void pop3_stls(struct pop3 *p, struct span arg)
{
	(void)arg;
	struct err why;
	if (!p->x->c->tls || p->x->tls) {
		pop3_err(p, p->x->tls ? "TLS is on already" : "TLS is not configured");
		return;
	}
	if (stream_has_input(p->s)) {
		/* RFC 2595 4: what came in the clear must not be taken for something said under TLS. */
		pop3_err(p, "nothing may follow STLS in the clear");
		p->state = POP3_ENDED;
		return;
	}
	pop3_ok(p, "begin TLS");
	p->have_name = false;
	if (maa_starttls(p->x, &why) < 0) {
		trace_why("tls", err_result(&why), "2595#4", "TLS: %s", why.text);
		p->state = POP3_ENDED;
	}
}

/* Says how a login ended, and ends the conversation after too many. */
static void refused(struct pop3 *p, struct span name, const struct err *why)
{
	bool over = maa_login_result(p->x, name, why);
	p->have_name = false;
	/* RFC 3206: AUTH is the user's fault, SYS/TEMP ours; neither says whether the name exists. */
	if (why->class == ERR_ACCESS || why->class == ERR_PROTO)
		pop3_err(p, "[AUTH] name or password is wrong");
	else
		pop3_err(p, "[SYS/TEMP] login is not possible now");
	if (over)
		p->state = POP3_ENDED;
}

void pop3_user(struct pop3 *p, struct span arg)
{
	if (!maa_plaintext_ok(p->x)) {
		pop3_err(p, "[AUTH] no passwords in the clear, use STLS");
		return;
	}
	p->name = arena_span(p->x->arena, arg);
	p->have_name = true;
	pop3_ok(p, "and the password");
}

void pop3_pass(struct pop3 *p, struct span arg)
{
	struct err why;
	if (!p->have_name) {
		pop3_err(p, "USER comes first");
		return;
	}
	if (maa_login(p->x, p->name, arg, &why) < 0) {
		refused(p, p->name, &why);
		return;
	}
	maa_login_result(p->x, p->x->user.name, NULL);
	pop3_open(p);
}

/* A line of the exchange, base64 decoded; false (and an answer) when it is none. */
static bool decode(struct pop3 *p, struct span text, struct buf *out)
{
	buf_reset(out);
	if (span_eqs(text, "*")) {
		pop3_err(p, "cancelled");
		return false;
	}
	if (!base64_decode_strict(text, out) || out->bad) {
		pop3_err(p, "that is no base64");
		return false;
	}
	return true;
}

static bool read_response(struct pop3 *p, struct buf *in)
{
	struct line l;
	stream_line(p->s, LIMIT_SMTP_AUTH_LINE, &l);
	if (l.end == LINE_TOO_LONG) {
		pop3_err(p, "line too long");
		return false;
	}
	if (l.end != LINE_CRLF && !(l.end == LINE_LF && stream_is_local(p->s))) {
		p->state = POP3_ENDED;
		return false;
	}
	trace_line('<', l.text, true);
	return decode(p, l.text, in);
}

static void challenge(struct pop3 *p, const struct buf *raw)
{
	struct buf b64;
	buf_init(&b64, 2 * LIMIT_SMTP_AUTH_LINE);
	base64_encode(buf_span(raw), NULL, &b64);
	stream_printf(p->s, "+ %s\r\n", b64.p);
	trace_line('>', SPAN("+ "), true);
	buf_free(&b64);
}

static enum sasl_result exchange(
    struct pop3 *p, struct sasl_server *sasl, bool have_in, struct buf *in, struct err *why)
{
	struct buf out;
	buf_init(&out, LIMIT_SMTP_AUTH_LINE);
	enum sasl_result r;
	for (;;) {
		buf_reset(&out);
		r = sasl_server_step(sasl, have_in, buf_span(in), &out, why);
		/* RFC 5034 has no room for data in +OK: it goes in one more challenge, answered by an empty line. */
		if (r == SASL_FAIL || (r == SASL_OK && out.len == 0))
			break;
		challenge(p, &out);
		have_in = read_response(p, in);
		if (!have_in) {
			err_clear(why);
			r = SASL_FAIL;
			break;
		}
		if (r == SASL_OK)
			break;
	}
	buf_free(&out);
	return r;
}

static void authenticate(struct pop3 *p, struct sasl_server *sasl, bool have_in, struct buf *in)
{
	struct err why = { 0 };
	enum sasl_result r = exchange(p, sasl, have_in, in, &why);
	if (r == SASL_OK && maa_enter(p->x, sasl_server_user(sasl), &why) == 0) {
		maa_login_result(p->x, p->x->user.name, NULL);
		pop3_open(p);
	} else if (why.class != ERR_NONE) {
		refused(p, sasl_server_user(sasl), &why);
	}
}

/* AUTH alone lists the mechanisms (RFC 1734 had it, Outlook and fetchmail ask so). */
static void list_mechs(struct pop3 *p)
{
	struct buf mechs;
	buf_init(&mechs, LIMIT_DOMAIN);
	maa_mechs(p->x, &mechs);
	pop3_ok(p, "mechanisms follow");
	struct span rest = buf_span(&mechs), word;
	while ((word = span_word(&rest)).n)
		stream_printf(p->s, "%.*s\r\n", SPAN_FMT(word));
	stream_puts(p->s, ".\r\n");
	buf_free(&mechs);
}

void pop3_auth(struct pop3 *p, struct span arg)
{
	struct buf in;
	if (!arg.n) {
		list_mechs(p);
		return;
	}
	struct span mech = span_word(&arg), initial = span_trim(arg);
	struct sasl_server *sasl = maa_sasl_new(p->x, mech);
	if (!sasl) {
		pop3_err(p, "[AUTH] this mechanism is not offered%s", maa_plaintext_ok(p->x) ? "" : " without TLS");
		return;
	}
	buf_init(&in, LIMIT_SMTP_AUTH_LINE);
	/* RFC 5034 4: "=" is an empty initial response. */
	bool empty = span_eqs(initial, "=");
	if (empty || !initial.n || decode(p, initial, &in))
		authenticate(p, sasl, initial.n > 0, &in);
	explicit_bzero(in.p, in.len);
	sasl_server_free(sasl);
	buf_free(&in);
}
