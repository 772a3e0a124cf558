/* SPDX-License-Identifier: ISC */
#include "mta-relay/policy/rewrite.h"

#include "base/limits.h"
#include "msg/header.h"

/* ---- One address ---- */

static int look(
    struct table *t, struct arena *arena, struct span local, struct span domain, struct span *value, struct err *err)
{
	struct buf key;
	enum table_result r = TABLE_NONE;
	buf_init(&key, LIMIT_SMTP_PATH);
	if (table_key_address(local, domain, &key))
		r = table_get(t, arena, buf_span(&key), value, err);
	buf_free(&key);
	return r == TABLE_FOUND ? 1 : r == TABLE_NONE ? 0 : -1;
}

static size_t detail_at(struct span local, const char *delimiters)
{
	for (size_t i = 1; i < local.n; i++)
		if (local.p[i] && strchr(delimiters, local.p[i]))
			return i;
	return local.n;
}

static int bad_value(struct table *t, struct span value, struct err *err)
{
	return err_set(
	    err, ERR_CONFIG, "%s: '%.*s' is no address", table_spec(t), (int)(value.n > 100 ? 100 : value.n), value.p);
}

/* The table's value for *a, whose detail was cut off for the look-up or not. */
static int take(
    struct table *t, struct arena *arena, struct span value, struct span detail, struct addr *a, struct err *err)
{
	struct addr new;
	if (span_starts(value, "@") && addr_domain_ok(span_from(value, 1), true)) {
		a->domain = arena_span(arena, span_from(value, 1));
		return 1;
	}
	if (!addr_parse_mailbox(value, true, false, &new, arena))
		return bad_value(t, value, err);
	a->local = detail.n ? span_str(arena_printf(arena, "%.*s%.*s", SPAN_FMT(new.local), SPAN_FMT(detail)))
			    : arena_span(arena, new.local);
	a->domain = arena_span(arena, new.domain);
	return 1;
}

static int by_table(struct table *t, struct arena *arena, const char *delimiters, struct addr *a, struct err *err)
{
	struct span value, none = SPAN("");
	size_t cut = detail_at(a->local, delimiters);
	if (!t || !a->domain.n)
		return 0;
	int rc = look(t, arena, a->local, a->domain, &value, err);
	if (rc > 0)
		return take(t, arena, value, none, a, err);
	if (rc == 0 && cut < a->local.n)
		rc = look(t, arena, span_slice(a->local, 0, cut), a->domain, &value, err);
	if (rc > 0)
		return take(t, arena, value, span_from(a->local, cut), a, err);
	if (rc == 0)
		rc = look(t, arena, none, a->domain, &value, err);
	return rc > 0 ? take(t, arena, value, none, a, err) : rc;
}

/* host.sub.example becomes the longest suffix that is in the list. */
static int mask(const struct rewrite_rules *r, struct arena *arena, struct addr *a, struct err *err)
{
	struct span value, domain = a->domain;
	struct buf key;
	enum table_result exposed = TABLE_NONE;
	if (!r->masquerade || !domain.n || domain.p[0] == '[' || domains_match(r->masquerade, domain))
		return 0;
	for (size_t i = 1; i < domain.n; i++) {
		struct span rest = span_from(domain, i + 1);
		if (domain.p[i] != '.' || !domains_match(r->masquerade, rest))
			continue;
		buf_init(&key, LIMIT_SMTP_PATH);
		if (r->exposed && table_key(a->local, &key))
			exposed = table_get(r->exposed, arena, buf_span(&key), &value, err);
		buf_free(&key);
		if (exposed == TABLE_NONE)
			a->domain = rest;
		return exposed == TABLE_NONE ? 1 : exposed == TABLE_FOUND ? 0 : -1;
	}
	return 0;
}

int rewrite_address(
    const struct rewrite_rules *r, struct arena *arena, enum rewrite_role role, struct addr *a, struct err *err)
{
	struct addr new = *a;
	int changed = 0;
	if (!new.local.n)
		return 0;
	if (!new.domain.n && r->append) {
		new.domain = span_str(r->append);
		changed = 1;
	}
	int rc = by_table(r->by_role[role], arena, r->delimiters, &new, err);
	if (rc >= 0) {
		changed |= rc;
		rc = by_table(r->both, arena, r->delimiters, &new, err);
	}
	if (rc >= 0) {
		changed |= rc;
		rc = mask(r, arena, &new, err);
	}
	if (rc < 0)
		return -1;
	changed |= rc;
	if (changed)
		*a = new;
	return changed;
}

/* ---- A field ---- */

/* Where the thing that begins at i ends: a quoted string, a comment (they nest), a domain literal; the value's end when
 * it never does. */
static size_t past(struct span v, size_t i)
{
	char open = v.p[i], close = open == '(' ? ')' : open == '[' ? ']' : '"';
	size_t depth = 1;
	for (i++; i < v.n && depth; i++) {
		if (v.p[i] == '\\')
			i++;
		else if (v.p[i] == close)
			depth--;
		else if (v.p[i] == open && open == '(')
			depth++;
	}
	return i < v.n ? i : v.n;
}

/* The words of a mailbox, from the first to behind the last; empty: to <= from. */
struct extent {
	size_t from, to;
	bool gap; /* blanks or a comment between them */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void extend(struct extent *e, size_t from, size_t to)
{
	if (e->to > e->from && from > e->to)
		e->gap = true;
	if (e->to <= e->from)
		e->from = from;
	e->to = to;
}

/* Up to any of `ends` outside quotes, comments and literals. */
static size_t words(struct span v, size_t i, const char *ends, struct extent *e)
{
	while (i < v.n && !(v.p[i] && strchr(ends, v.p[i]))) {
		size_t next = i + 1;
		if (v.p[i] == '(') {
			next = past(v, i);
		} else if (v.p[i] == '"' || v.p[i] == '[') {
			next = past(v, i);
			extend(e, i, next);
		} else if (!is_blank(v.p[i])) {
			extend(e, i, next);
		}
		i = next;
	}
	return i;
}

/* One mailbox from i on, to the ',' or ';' behind it, or the ':' behind a group's name. *e is its address. */
static size_t mailbox(struct span v, size_t i, struct extent *e)
{
	struct extent name = { 0 };
	*e = (struct extent){ 0 };
	i = words(v, i, ",;:<", e);
	if (i == v.n || v.p[i] == ',' || v.p[i] == ';')
		return i;
	*e = (struct extent){ 0 };
	if (v.p[i] == ':')
		return i;
	i = words(v, i + 1, ">", e);
	if (i == v.n)
		*e = (struct extent){ 0 }; /* it never ends */
	return words(v, i < v.n ? i + 1 : i, ",;", &name);
}

int rewrite_value(struct span value, rewrite_fn *fn, void *arg, struct buf *out)
{
	size_t done = 0;
	int changed = 0;
	for (size_t i = 0; i < value.n; i++) {
		struct extent e;
		i = mailbox(value, i, &e);
		if (e.to <= e.from || e.gap)
			continue;
		size_t before = out->len;
		buf_addspan(out, span_slice(value, done, e.from));
		int rc = fn(arg, span_slice(value, e.from, e.to), out);
		if (rc < 0)
			return -1;
		if (rc == 0)
			buf_truncate(out, before);
		else
			done = e.to;
		changed |= rc;
	}
	buf_addspan(out, span_from(value, done));
	return changed;
}

bool rewrite_role_of(struct span field, enum rewrite_role *role)
{
	static const char *const names[2][10] = {
		[REWRITE_SENDER] = { "From", "Sender", "Reply-To", "Errors-To", "Return-Receipt-To",
		    "Disposition-Notification-To", "Resent-From", "Resent-Sender", "Resent-Reply-To" },
		[REWRITE_RECIPIENT] = { "To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc", "Apparently-To" },
	};
	for (int r = 0; r < 2; r++)
		for (size_t i = 0; i < 10 && names[r][i]; i++)
			if (span_ieqs(field, names[r][i])) {
				*role = (enum rewrite_role)r;
				return true;
			}
	return false;
}

struct field {
	const struct rewrite_rules *rules;
	struct arena *arena;
	enum rewrite_role role;
	struct err *err;
};

static int one_mailbox(void *arg, struct span text, struct buf *out)
{
	const struct field *f = arg;
	struct addr a = { .local = text, .domain = SPAN("") };
	bool bare = span_chr(text, '@') < 0 && text.p[0] != '"' && text.n <= LIMIT_SMTP_LOCALPART;
	if (!bare && !addr_parse_mailbox(text, true, false, &a, f->arena))
		return 0;
	for (size_t i = 0; bare && i < text.n; i++)
		bare = ascii_isalnum(text.p[i]) || (text.p[i] && strchr("!#$%&'*+-/=?^_`{|}~.", text.p[i]));
	if (!bare && !a.domain.n)
		return 0;
	int rc = rewrite_address(f->rules, f->arena, f->role, &a, f->err);
	if (rc > 0)
		addr_format(&a, out);
	return rc;
}

int rewrite_field_value(const struct rewrite_rules *r, struct arena *arena, enum rewrite_role role, struct span value,
    struct buf *out, struct err *err)
{
	struct field f = { r, arena, role, err };
	return rewrite_value(value, one_mailbox, &f, out);
}

int rewrite_header(
    const struct rewrite_rules *r, struct arena *arena, struct span header, struct buf *out, struct err *err)
{
	struct span rest = header;
	struct header_field h;
	enum rewrite_role role;
	int changed = 0;
	while (header_next(&rest, &h)) {
		if (!rewrite_role_of(h.name, &role)) {
			buf_addspan(out, h.raw);
			continue;
		}
		/* The value stands in the field. */
		size_t at = (size_t)(h.value.p - h.raw.p);
		buf_addspan(out, span_slice(h.raw, 0, at));
		int rc = rewrite_field_value(r, arena, role, h.value, out, err);
		if (rc < 0)
			return -1;
		buf_addspan(out, span_from(h.raw, at + h.value.n));
		changed |= rc;
	}
	/* The blank line, which header_next takes away. */
	size_t seen = header.n - rest.n, fields = 0;
	struct span again = header;
	while (header_next(&again, &h))
		fields += h.raw.n;
	buf_addspan(out, span_slice(header, fields, seen));
	buf_addspan(out, rest);
	return changed;
}
