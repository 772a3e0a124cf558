/* SPDX-License-Identifier: ISC */
#include "smtp/param.h"

static int syntax(struct err *err, const char *what)
{
	return err_reply(err, 501, "5.5.4", "%s", what);
}

/* Offset of the '>' that closes the path: outside quoted strings. -1 when there is none. */
static ptrdiff_t path_end(struct span s)
{
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && quoted)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == '>' && !quoted)
			return (ptrdiff_t)i;
	}
	return -1;
}

/* RFC 5321 4.1.2: A-d-l = At-domain *( "," At-domain ) ":". */
static bool skip_route(struct span *path)
{
	if (!span_starts(*path, "@"))
		return true;
	struct span rest = *path, route = span_cut(&rest, ':');
	if (!rest.n)
		return false;
	while (route.n) {
		struct span hop = span_cut(&route, ',');
		if (hop.n < 2 || hop.p[0] != '@')
			return false;
	}
	*path = rest;
	return true;
}

/* RFC 5321 4.1.2: esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"); esmtp-value = 1*(%d33-60 / %d62-126), UTF-8
 * by RFC 6531. */
static bool param_ok(const struct smtp_param *p)
{
	if (!p->name.n || p->name.p[0] == '-' || (p->has_value && !p->value.n))
		return false;
	for (size_t i = 0; i < p->name.n; i++)
		if (!ascii_isalnum(p->name.p[i]) && p->name.p[i] != '-')
			return false;
	for (size_t i = 0; i < p->value.n; i++) {
		unsigned char c = (unsigned char)p->value.p[i];
		if (c < 33 || c == '=' || c == 127)
			return false;
	}
	return true;
}

static int parse_params(struct span rest, struct smtp_args *out, struct err *err)
{
	for (struct span word; (word = span_word(&rest)).n;) {
		if (out->n == SMTP_PARAMS_MAX)
			return syntax(err, "Too many parameters");
		ptrdiff_t eq = span_chr(word, '=');
		struct smtp_param p = { .name = word, .value = SPAN("") };
		if (eq >= 0)
			p = (struct smtp_param){ span_slice(word, 0, (size_t)eq), span_from(word, (size_t)eq + 1),
				true };
		if (!param_ok(&p))
			return syntax(err, "Malformed parameter");
		for (size_t i = 0; i < out->n; i++)
			if (span_ieq(out->v[i].name, p.name))
				return syntax(err, "Parameter given twice");
		out->v[out->n++] = p;
	}
	return 0;
}

int smtp_args_parse(struct span arg, struct smtp_args *out, struct err *err)
{
	arg = span_trim(arg);
	out->n = 0;
	if (!span_starts(arg, "<"))
		return syntax(err, "The address must stand in angle brackets");
	arg = span_from(arg, 1);
	ptrdiff_t end = path_end(arg);
	if (end < 0)
		return syntax(err, "No closing angle bracket");
	out->path = span_slice(arg, 0, (size_t)end);
	struct span rest = span_from(arg, (size_t)end + 1);
	if (rest.n && !ascii_isblank(rest.p[0]))
		return syntax(err, "A blank must stand after the address");
	if (!skip_route(&out->path))
		return syntax(err, "Malformed source route");
	return parse_params(rest, out, err);
}

static bool xtext_walk(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];
		if (c < 33 || c > 126 || c == '=')
			return false;
		if (c == '+') {
			if (i + 2 >= s.n || ascii_hex(s.p[i + 1]) < 0 || ascii_hex(s.p[i + 2]) < 0)
				return false;
			c = ascii_hex(s.p[i + 1]) * 16 + ascii_hex(s.p[i + 2]);
			i += 2;
		}
		if (c < 32 || c == 127)
			return false;
		if (out)
			buf_addc(out, (char)c);
	}
	return true;
}

bool xtext_decode(struct span s, struct buf *out)
{
	return xtext_walk(s, out);
}

void xtext_encode(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 33 || c > 126 || c == '+' || c == '=')
			buf_addf(out, "+%02X", c);
		else
			buf_addc(out, (char)c);
	}
}

static int set_size(const struct smtp_param *p, struct smtp_mail_params *out)
{
	out->has_size = true;
	/* RFC 1870 5: at most 20 digits. */
	return p->value.n <= 20 && span_u64(p->value, UINT64_MAX, &out->size) ? 0 : -1;
}

static int set_body(const struct smtp_param *p, struct smtp_mail_params *out)
{
	out->eightbit = span_ieqs(p->value, "8BITMIME");
	out->binary = span_ieqs(p->value, "BINARYMIME");
	return out->eightbit || out->binary || span_ieqs(p->value, "7BIT") ? 0 : -1;
}

static int set_utf8(const struct smtp_param *p, struct smtp_mail_params *out)
{
	out->utf8 = true;
	return p->has_value ? -1 : 0;
}

static int set_prdr(const struct smtp_param *p, struct smtp_mail_params *out)
{
	out->prdr = true;
	return p->has_value ? -1 : 0;
}

static int set_requiretls(const struct smtp_param *p, struct smtp_mail_params *out)
{
	out->requiretls = true;
	return p->has_value ? -1 : 0;
}

static int set_hold_for(const struct smtp_param *p, struct smtp_mail_params *out)
{
	bool both = out->hold.n;
	out->hold = p->value;
	return !both && when_hold_for(p->value, &out->hold_for) ? 0 : -1;
}

static int set_hold_until(const struct smtp_param *p, struct smtp_mail_params *out)
{
	bool both = out->hold.n;
	out->hold = p->value;
	return !both && when_date(p->value, &out->hold_until) && out->hold_until > 0 ? 0 : -1;
}

static int set_by(const struct smtp_param *p, struct smtp_mail_params *out)
{
	return when_by(p->value, &out->by) ? 0 : -1;
}

/* RFC 6710 7: a digit with a sign or without. */
static int set_priority(const struct smtp_param *p, struct smtp_mail_params *out)
{
	struct span v = p->value;
	bool minus = span_starts(v, "-");
	if (minus)
		v = span_from(v, 1);
	if (v.n != 1 || !ascii_isdigit(v.p[0]) || (minus && v.p[0] == '0'))
		return -1;
	out->has_priority = true;
	out->priority = minus ? '0' - v.p[0] : v.p[0] - '0';
	return 0;
}

static int set_ret(const struct smtp_param *p, struct smtp_mail_params *out)
{
	bool full = span_ieqs(p->value, "FULL");
	out->ret = full ? SPAN("FULL") : SPAN("HDRS");
	return full || span_ieqs(p->value, "HDRS") ? 0 : -1;
}

static int set_envid(const struct smtp_param *p, struct smtp_mail_params *out)
{
	out->envid = p->value;
	return p->has_value && p->value.n <= SMTP_ENVID_MAX && xtext_walk(p->value, NULL) ? 0 : -1;
}

/* RFC 4954 5; whether it is a mailbox is for who believes it. */
static int set_auth(const struct smtp_param *p, struct smtp_mail_params *out)
{
	bool nobody = span_eqs(p->value, "<>");
	out->auth = nobody ? SPAN("") : p->value;
	return p->has_value && (nobody || xtext_walk(p->value, NULL)) ? 0 : -1;
}

static int unknown_param(const struct smtp_param *p, struct err *err)
{
	return err_reply(
	    err, 555, "5.5.4", "Unsupported parameter %.*s", (int)(p->name.n > 60 ? 60 : p->name.n), p->name.p);
}

int smtp_mail_params(const struct smtp_args *a, struct smtp_mail_params *out, struct err *err)
{
	static const struct {
		const char *name;
		int (*set)(const struct smtp_param *p, struct smtp_mail_params *out);
	} known[] = { { "SIZE", set_size }, { "BODY", set_body }, { "SMTPUTF8", set_utf8 }, { "RET", set_ret },
		{ "ENVID", set_envid }, { "AUTH", set_auth }, { "PRDR", set_prdr }, { "REQUIRETLS", set_requiretls },
		{ "HOLDFOR", set_hold_for }, { "HOLDUNTIL", set_hold_until }, { "BY", set_by },
		{ "MT-PRIORITY", set_priority } };
	enum {
		N = sizeof known / sizeof *known
	};
	*out = (struct smtp_mail_params){ .ret = SPAN(""), .envid = SPAN(""), .hold = SPAN(""), .auth = SPAN("") };
	for (size_t i = 0; i < a->n; i++) {
		size_t k = 0;
		while (k < N && !span_ieqs(a->v[i].name, known[k].name))
			k++;
		if (k == N)
			return unknown_param(&a->v[i], err);
		if (known[k].set(&a->v[i], out) < 0)
			return err_reply(err, 501, "5.5.4", "Bad value of %s", known[k].name);
	}
	return 0;
}

/* RFC 3461 4.1 */
static bool notify_ok(struct span v)
{
	static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
	unsigned seen = 0;
	if (span_ieqs(v, "NEVER"))
		return true;
	if (!v.n || v.p[v.n - 1] == ',')
		return false;
	while (v.n) {
		struct span word = span_cut(&v, ',');
		unsigned k = 0;
		while (k < 3 && !span_ieqs(word, words[k]))
			k++;
		if (k == 3 || seen & 1u << k)
			return false;
		seen |= 1u << k;
	}
	return true;
}

/* RFC 3461 4.2: addr-type ";" xtext; RFC 6533 3 adds raw UTF-8 to the address when the type is utf-8. */
static bool orcpt_ok(struct span v, bool utf8)
{
	struct span rest = v, type = span_cut(&rest, ';');
	if (!type.n || type.n == v.n || !rest.n || v.n > SMTP_ORCPT_MAX)
		return false;
	for (size_t i = 0; i < type.n; i++)
		if (!ascii_isalnum(type.p[i]) && type.p[i] != '-')
			return false;
	if (!utf8 || !span_ieqs(type, "utf-8"))
		return xtext_walk(rest, NULL);
	for (size_t i = 0; i < rest.n; i++) {
		unsigned char c = (unsigned char)rest.p[i];
		if (c < 33 || c == 127)
			return false;
	}
	return true;
}

int smtp_rcpt_params(const struct smtp_args *a, bool utf8, struct smtp_rcpt_params *out, struct err *err)
{
	*out = (struct smtp_rcpt_params){ SPAN(""), SPAN("") };
	for (size_t i = 0; i < a->n; i++) {
		const struct smtp_param *p = &a->v[i];
		if (span_ieqs(p->name, "NOTIFY")) {
			out->notify = p->value;
			if (!notify_ok(p->value))
				return syntax(err, "Bad value of NOTIFY");
		} else if (span_ieqs(p->name, "ORCPT")) {
			out->orcpt = p->value;
			if (!orcpt_ok(p->value, utf8))
				return syntax(err, "Bad value of ORCPT");
		} else {
			return unknown_param(p, err);
		}
	}
	return 0;
}
