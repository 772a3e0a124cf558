/* SPDX-License-Identifier: ISC
 *
 * Who is there, and what can be done: CAPABILITY, ID (RFC 2971), ENABLE (RFC 5161), STARTTLS, LOGIN, AUTHENTICATE with
 * an initial response (RFC 4959).
 */
#include "base/limits.h"
#include "base/log.h"
#include "imap_session.h"
#include "io/trace.h"
#include "msg/codec.h"

enum {
	ID_PAIRS = 30
}; /* RFC 2971 3.3 */

static void put_auth_capabilities(struct imap *s, struct buf *out)
{
	struct buf mechs;
	buf_init(&mechs, LIMIT_DOMAIN);
	if (s->x->c->tls && !s->x->tls)
		buf_adds(out, " STARTTLS");
	if (!maa_plaintext_ok(s->x))
		buf_adds(out, " LOGINDISABLED");
	maa_mechs(s->x, &mechs);
	struct span rest = buf_span(&mechs), word;
	while ((word = span_word(&rest)).n)
		buf_addf(out, " AUTH=%.*s", SPAN_FMT(word));
	buf_free(&mechs);
}

void imap_put_capabilities(struct imap *s, struct buf *out)
{
	buf_adds(out, "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE");
	if (s->state == IMAP_NONAUTH)
		put_auth_capabilities(s, out);
	else
		buf_adds(out, " NAMESPACE CHILDREN UIDPLUS UNSELECT IDLE MOVE");
}

void imap_cmd_capability(struct imap *s)
{
	struct buf caps;
	if (!imap_end(&s->in))
		return;
	buf_init(&caps, LIMIT_IMAP_LINE);
	imap_put_capabilities(s, &caps);
	imap_untagged(s, "%s", caps.p);
	buf_free(&caps);
}

/* "(" string SP nstring ... ")" or NIL; read for its grammar, and for the log. */
static bool read_id(struct imap *s)
{
	struct span name, value;
	bool nil;
	if (imap_eat_word(&s->in, "NIL"))
		return true;
	if (!imap_expect(&s->in, '('))
		return false;
	for (unsigned i = 0; !imap_eat(&s->in, ')'); i++) {
		if (i == ID_PAIRS)
			return imap_fail(&s->in, "too many ID fields");
		if ((i && !imap_sp(&s->in)) || !imap_string(&s->in, &name) || !imap_sp(&s->in) ||
		    !imap_nstring(&s->in, &value, &nil))
			return false;
		log_debug("client-id %s=%s", log_quote(name), log_quote(value));
	}
	return true;
}

void imap_cmd_id(struct imap *s)
{
	if (imap_sp(&s->in) && read_id(s) && imap_end(&s->in))
		imap_untagged(s, "ID (\"name\" \"waypost\" \"version\" \"%s\")", WAYPOST_VERSION);
}

/* Nothing here needs enabling: what is asked for is read, and nothing is named as enabled (RFC 5161 3.1). */
void imap_cmd_enable(struct imap *s)
{
	struct span word;
	do {
		if (!imap_sp(&s->in) || !imap_atom(&s->in, &word))
			return;
	} while (imap_peek(&s->in) == ' ');
	if (imap_end(&s->in))
		imap_untagged(s, "ENABLED");
}

void imap_cmd_starttls(struct imap *s)
{
	struct err why;
	struct span tag = span_slice(s->in.text, 0, (size_t)span_chr(s->in.text, ' '));
	if (!imap_end(&s->in))
		return;
	if (!s->x->c->tls || s->x->tls) {
		imap_fail(&s->in, s->x->tls ? "TLS is on already" : "TLS is not configured");
		return;
	}
	if (stream_has_input(s->s)) {
		/* RFC 3501 11.1: what came in the clear must not be taken for something said under TLS. */
		imap_fail(&s->in, "nothing may follow STARTTLS in the clear");
		s->state = IMAP_LOGOUT;
		return;
	}
	/* The tagged answer goes before the handshake, so the loop's must be swallowed. */
	stream_printf(s->s, "%.*s OK begin TLS\r\n", SPAN_FMT(tag));
	s->answered = true;
	if (maa_starttls(s->x, &why) < 0) {
		trace_why("tls", err_result(&why), "3501#6.2.1", "TLS: %s", why.text);
		s->state = IMAP_LOGOUT;
	}
}

static void entered(struct imap *s)
{
	struct buf caps;
	maa_login_result(s->x, s->x->user.name, NULL);
	s->state = IMAP_AUTH;
	buf_init(&caps, LIMIT_IMAP_LINE);
	imap_put_capabilities(s, &caps);
	imap_ok(s, caps.p, "logged in");
	buf_free(&caps);
}

static void refused(struct imap *s, struct span name, const struct err *why)
{
	bool over = maa_login_result(s->x, name, why);
	/* RFC 5530 3: whether the name or the password was wrong is not told. */
	if (why->class == ERR_ACCESS || why->class == ERR_PROTO)
		imap_no(s, "AUTHENTICATIONFAILED", "name or password is wrong");
	else
		imap_no(s, "UNAVAILABLE", "login is not possible now");
	if (over) {
		imap_untagged(s, "BYE too many refused logins");
		s->state = IMAP_LOGOUT;
	}
}

void imap_cmd_login(struct imap *s)
{
	struct span name, password;
	struct err why = { 0 };
	if (!imap_sp(&s->in) || !imap_astring(&s->in, &name) || !imap_sp(&s->in) || !imap_astring(&s->in, &password) ||
	    !imap_end(&s->in))
		return;
	if (!maa_plaintext_ok(s->x))
		imap_no(s, "PRIVACYREQUIRED", "no passwords in the clear, use STARTTLS");
	else if (maa_login(s->x, name, password, &why) == 0)
		entered(s);
	else
		refused(s, name, &why);
}

/* A line of the exchange; false when the client cancels (BAD) or is gone. */
static bool read_response(struct imap *s, struct buf *in)
{
	struct span text;
	if (!imap_read_line(s, LIMIT_SMTP_AUTH_LINE, true, &text))
		return false;
	buf_reset(in);
	if (span_eqs(text, "*"))
		return imap_fail(&s->in, "cancelled");
	return (base64_decode_strict(text, in) && !in->bad) || imap_fail(&s->in, "that is no base64");
}

static void challenge(struct imap *s, const struct buf *raw)
{
	struct buf b64;
	buf_init(&b64, 2 * LIMIT_SMTP_AUTH_LINE);
	base64_encode(buf_span(raw), NULL, &b64);
	stream_printf(s->s, "+ %s\r\n", b64.p);
	trace_line('>', SPAN("+ "), true);
	buf_free(&b64);
}

static enum sasl_result exchange(
    struct imap *s, struct sasl_server *sasl, bool have_in, struct buf *in, struct err *why)
{
	struct buf out;
	enum sasl_result r;
	buf_init(&out, LIMIT_SMTP_AUTH_LINE);
	for (;;) {
		buf_reset(&out);
		r = sasl_server_step(sasl, have_in, buf_span(in), &out, why);
		/* The tagged OK has no room for data: it goes in one more challenge, answered by an empty line. */
		if (r == SASL_FAIL || (r == SASL_OK && out.len == 0))
			break;
		challenge(s, &out);
		have_in = read_response(s, in);
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

static void authenticate(struct imap *s, struct sasl_server *sasl, bool have_in, struct buf *in)
{
	struct err why = { 0 };
	enum sasl_result r = exchange(s, sasl, have_in, in, &why);
	if (r == SASL_OK && maa_enter(s->x, sasl_server_user(sasl), &why) == 0)
		entered(s);
	else if (why.class != ERR_NONE)
		refused(s, sasl_server_user(sasl), &why);
}

/* RFC 4959 3: "=" is an empty initial response. Base64's own '=' is no atom's end. */
static bool read_initial(struct imap *s, struct buf *in, bool *have)
{
	*have = imap_eat(&s->in, ' ');
	if (!*have)
		return imap_end(&s->in);
	struct span text = span_from(s->in.text, s->in.at);
	s->in.at = s->in.text.n;
	if (span_eqs(text, "="))
		return true;
	return (text.n && base64_decode_strict(text, in) && !in->bad) || imap_fail(&s->in, "that is no base64");
}

void imap_cmd_authenticate(struct imap *s)
{
	struct span mech;
	struct buf in;
	bool have;
	if (!imap_sp(&s->in) || !imap_atom(&s->in, &mech))
		return;
	buf_init(&in, LIMIT_SMTP_AUTH_LINE);
	if (read_initial(s, &in, &have)) {
		struct sasl_server *sasl = maa_sasl_new(s->x, mech);
		if (sasl)
			authenticate(s, sasl, have, &in);
		else
			imap_no(
			    s, maa_plaintext_ok(s->x) ? "CANNOT" : "PRIVACYREQUIRED", "this mechanism is not offered");
		sasl_server_free(sasl);
	}
	explicit_bzero(in.p, in.len);
	buf_free(&in);
}
