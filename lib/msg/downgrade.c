/* SPDX-License-Identifier: ISC */
#include "msg/downgrade.h"

#include "base/arena.h"
#include "msg/addr.h"
#include "msg/charset.h"
#include "msg/codec.h"
#include "msg/encword.h"
#include "msg/header.h"
#include "msg/mime.h"
#include "msg/param2231.h"
#include "msg/transfer.h"

enum {
	LINE_MAX_BYTES = 998
};

static bool has_eightbit(struct span s)
{
	unsigned char all = 0;
	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return all & 0x80;
}

/* The next line without its LF; *ended: there was one. */
static struct span next_line(struct span *rest, bool *ended)
{
	ptrdiff_t lf = span_chr(*rest, '\n');
	*ended = lf >= 0;
	return span_cut(rest, '\n');
}

static bool ends_with_cr(struct span line)
{
	return line.n && line.p[line.n - 1] == '\r';
}

static void scan(struct span text, struct msg_needs *n)
{
	n->eightbit |= has_eightbit(text);
	n->nul |= span_chr(text, '\0') >= 0;
	while (text.n) {
		bool ended;
		struct span line = next_line(&text, &ended);
		ptrdiff_t cr = span_chr(line, '\r');
		n->bare_cr |= cr >= 0 && (!ended || (size_t)cr + 1 < line.n);
		n->long_line |= line.n - ends_with_cr(line) > LINE_MAX_BYTES;
	}
}

void msg_scan(struct span msg, struct msg_needs *out)
{
	struct span body;
	*out = (struct msg_needs){ 0 };
	scan(header_of(msg, &body), out);
	out->eightbit_header = out->eightbit;
	scan(body, out);
}

bool msg_is_crlf(struct span text)
{
	while (text.n) {
		bool ended;
		struct span line = next_line(&text, &ended);
		ptrdiff_t cr = span_chr(line, '\r');
		if (ended ? cr < 0 || (size_t)cr + 1 != line.n : cr >= 0)
			return false;
	}
	return true;
}

size_t msg_wire_size(struct span msg)
{
	size_t n = msg.n;
	for (struct span rest = msg; rest.n;) {
		ptrdiff_t lf = span_chr(rest, '\n');
		if (lf < 0)
			return n + 2;
		n += lf == 0 || rest.p[lf - 1] != '\r';
		rest = span_from(rest, (size_t)lf + 1);
	}
	return n;
}

struct downgrade {
	unsigned how; /* enum msg_how */
	struct arena *arena;
	struct buf *out;
	const char *eol;
	const char *at; /* copied so far, up to here */
	struct err *err;
};

static bool has_bare_lf(struct span s)
{
	for (struct span rest = s; rest.n;) {
		ptrdiff_t lf = span_chr(rest, '\n');
		if (lf < 0)
			return false;
		if (rest.p + lf == s.p || rest.p[lf - 1] != '\r') /* UNSAFE: a byte of s stands before it */
			return true;
		rest = span_from(rest, (size_t)lf + 1);
	}
	return false;
}

/* Does it hold bytes that are no lines of text? */
static bool is_binary(const struct downgrade *d, struct span s, const struct msg_needs *n)
{
	return n->nul || n->bare_cr || ((d->how & MSG_FROM_BINARY) && has_bare_lf(s));
}

/* Can't it stay as it is? */
static bool must_encode(const struct downgrade *d, struct span s, struct msg_needs *n)
{
	*n = (struct msg_needs){ 0 };
	scan(s, n);
	return is_binary(d, s, n) || n->long_line || (n->eightbit && !(d->how & MSG_KEEP_8BIT));
}

static bool high_bytes(const struct downgrade *d, struct span s)
{
	return !(d->how & MSG_KEEP_8BIT) && has_eightbit(s);
}

static void add_ascii(struct span s, struct buf *out)
{
	if (!has_eightbit(s)) {
		buf_addspan(out, s);
		return;
	}
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, (unsigned char)s.p[i] >= 0x80 ? '?' : s.p[i]);
}

/* What lies between the leaves. High bytes there belong to nothing that is shown. */
static void copy_up_to(struct downgrade *d, const char *end)
{
	struct span between = span_of(d->at, (size_t)(end - d->at));
	if (d->how & MSG_KEEP_8BIT)
		buf_addspan(d->out, between);
	else
		add_ascii(between, d->out);
	d->at = end;
}

static bool is_address_field(struct span name)
{
	static const char *const names[] = { "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Return-Path",
		"Disposition-Notification-To" };
	if (span_istarts(name, "Resent-"))
		name = span_from(name, 7);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_ieqs(name, names[i]))
			return true;
	return false;
}

static void format_address(const struct addr *a, struct buf *out)
{
	if (a->name.n) {
		struct buf name;
		buf_init(&name, 4 * a->name.n + 64);
		encword_decode(a->name, &name);
		encword_encode(buf_span(&name), true, out);
		buf_addc(out, ' ');
		buf_free(&name);
	}
	buf_addc(out, '<');
	addr_format(a, out);
	buf_addc(out, '>');
}

/* "Group: a, b;" keeps its form. */
static int address_value(struct downgrade *d, struct span value, struct buf *out)
{
	struct addr_list list;
	struct span group = span_str("");
	addr_parse_list(d->arena, value, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct addr *a = &list.v[i];
		bool same = group.p == a->group.p && group.n == a->group.n;
		if (addr_needs_utf8(a->local) || addr_needs_utf8(a->domain))
			return err_reply(
			    d->err, 550, "5.6.7", "an address in the header is not ASCII and needs SMTPUTF8");
		if (!same && group.n)
			buf_addc(out, ';');
		if (i)
			buf_adds(out, !same && group.n ? " " : ", ");
		if (!same && a->group.n) {
			encword_encode(a->group, true, out);
			buf_adds(out, ": ");
		}
		group = a->group;
		if (a->local.n || a->domain.n)
			format_address(a, out);
	}
	if (group.n)
		buf_addc(out, ';');
	return 0;
}

static void structured_value(struct downgrade *d, struct span value, struct buf *out)
{
	struct mime_params params;
	struct span first;
	mime_parse_params(d->arena, value, &first, &params);
	add_ascii(first, out);
	for (size_t i = 0; i < params.n; i++)
		if (!has_eightbit(params.v[i].name))
			param2231_add(arena_str(d->arena, params.v[i].name), params.v[i].value, NULL, out);
}

static int field(struct downgrade *d, const struct header_field *f)
{
	struct buf value;
	int rc = 0;
	if (!high_bytes(d, f->raw)) {
		buf_addspan(d->out, f->raw);
		return 0;
	}
	if (!f->name.n || has_eightbit(f->name)) {
		/* A line that is no field, or one with a name that can't be: its high bytes can't be saved. */
		add_ascii(f->raw, d->out);
		return 0;
	}
	buf_init(&value, d->out->max);
	if (is_address_field(f->name)) {
		rc = address_value(d, f->value, &value);
	} else if (span_ieqs(f->name, "Content-Type") || span_ieqs(f->name, "Content-Disposition")) {
		structured_value(d, f->value, &value);
	} else {
		struct buf text;
		buf_init(&text, d->out->max);
		encword_decode(f->value, &text);
		encword_encode(buf_span(&text), false, &value);
		buf_free(&text);
	}
	header_fold(arena_str(d->arena, f->name), buf_span(&value), d->eol, d->out);
	buf_free(&value);
	return rc;
}

/* A part's header with encoding as its only Content-Transfer-Encoding; NULL: none. */
static int header(struct downgrade *d, const struct mime_part *p, const char *encoding)
{
	struct span rest = p->header;
	struct header_field f;
	/* A message within the message says for itself what it is. */
	bool top = !p->parent || p->parent->kind == MIME_MESSAGE, typed = !top, versioned = !top;
	int rc = 0;
	copy_up_to(d, p->header.p);
	while (rc == 0 && header_next(&rest, &f)) {
		typed |= span_ieqs(f.name, "Content-Type");
		versioned |= span_ieqs(f.name, "MIME-Version");
		if (!span_ieqs(f.name, "Content-Transfer-Encoding"))
			rc = field(d, &f);
	}
	if (encoding && !versioned)
		buf_addf(d->out, "MIME-Version: 1.0%s", d->eol);
	if (encoding && !typed)
		buf_addf(d->out, "Content-Type: text/plain; charset=%s%s",
		    utf8_valid(p->body) ? "utf-8" : "unknown-8bit", d->eol);
	if (encoding)
		buf_addf(d->out, "Content-Transfer-Encoding: %s%s", encoding, d->eol);
	buf_adds(d->out, d->eol);
	d->at = p->header.p + p->header.n;
	return rc;
}

/* RFC 1847 2.1: what is signed is kept to the byte, the name of its encoding too. */
static bool is_signed(const struct mime_part *p)
{
	while ((p = p->parent))
		if (p->kind == MIME_MULTIPART && span_eqs(p->subtype, "signed"))
			return true;
	return false;
}

/* Its body may stay; its header and what that says of the body may not. */
static int label_leaf(struct downgrade *d, const struct mime_part *p, bool eightbit)
{
	struct span encoding = p->encoding;
	bool claims = span_eqs(encoding, "binary") && !is_signed(p);
	if (!claims && !high_bytes(d, p->header))
		return 0;
	bool plain = !encoding.n || p->codec == CODEC_IDENTITY || has_eightbit(encoding);
	return header(d, p, !plain ? arena_str(d->arena, encoding) : eightbit ? "8bit" : NULL);
}

static int leaf(struct downgrade *d, const struct mime_part *p)
{
	struct msg_needs n;
	if (!must_encode(d, p->body, &n))
		return label_leaf(d, p, n.eightbit);
	struct buf decoded;
	struct span content = p->body;
	buf_init(&decoded, 2 * p->body.n + 64);
	if (p->codec == CODEC_QP || p->codec == CODEC_BASE64) {
		codec_decode(p->codec, p->body, &decoded);
		content = buf_span(&decoded);
	}
	bool exact = (d->how & MSG_FROM_BINARY) && is_binary(d, content, &n);
	bool text = span_eqs(p->type, "text") && !exact;
	enum codec codec = transfer_choose(text, content);
	int rc = header(d, p, transfer_name(codec));
	transfer_encode(codec, text || (span_eqs(p->type, "message") && !exact), content, d->eol, d->out);
	d->at = p->body.p + p->body.n;
	buf_free(&decoded);
	return rc;
}

/* Containers may only be 7bit, 8bit or binary, and are 7bit when their leaves are (RFC 2045 6.4). */
static int container(struct downgrade *d, const struct mime_part *p)
{
	bool claims = span_eqs(p->encoding, "8bit") || span_eqs(p->encoding, "binary");
	bool keep = d->how & MSG_KEEP_8BIT;
	claims = claims && !is_signed(p);
	return claims || high_bytes(d, p->header) ? header(d, p, claims && keep ? "8bit" : NULL) : 0;
}

static bool signed_and_needy(const struct downgrade *d, const struct mime_part *p)
{
	struct msg_needs n;
	return p->kind == MIME_MULTIPART && span_eqs(p->subtype, "signed") && must_encode(d, p->body, &n);
}

/* Bytes around the parts, in a header or a preamble, that are no lines: nothing can encode them. */
static bool left_binary(const struct downgrade *d, struct span done)
{
	struct msg_needs n = { 0 };
	if (!(d->how & MSG_FROM_BINARY))
		return false;
	scan(done, &n);
	return is_binary(d, done, &n);
}

int msg_downgrade(struct span msg, unsigned how, struct buf *out, struct err *err)
{
	ptrdiff_t lf = span_chr(msg, '\n');
	size_t start = out->len;
	struct downgrade d = { .how = how,
		.arena = arena_new(),
		.out = out,
		.at = msg.p,
		.err = err,
		.eol = lf > 0 && msg.p[lf - 1] == '\r' ? "\r\n" : "\n" };
	int rc = 0;
	for (struct mime_part *p = mime_parse(d.arena, msg); p && rc == 0; p = mime_next(p)) {
		if (signed_and_needy(&d, p))
			rc = err_reply(err, 554, "5.6.3",
			    "the server takes %s lines only, and re-encoding would break the message's signature",
			    how & MSG_KEEP_8BIT ? "text" : "7-bit");
		else
			rc = p->kind == MIME_LEAF ? leaf(&d, p) : container(&d, p);
	}
	copy_up_to(&d, msg.p + msg.n);
	arena_free(d.arena);
	if (rc == 0 && out->bad)
		return err_set(err, ERR_LIMIT, "the message grows too large when it is encoded");
	if (rc == 0 && left_binary(&d, span_from(buf_span(out), start)))
		return err_reply(err, 554, "5.6.3", "bytes that are no text belong to no part and can't be encoded");
	return rc;
}
