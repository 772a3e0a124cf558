/* SPDX-License-Identifier: ISC
 *
 * What an address leads to: rows of the virtual table, then the aliases of the local domains, each again for what comes
 * out.
 */
#include "base/limits.h"
#include "mta-relay/policy/policy_int.h"
#include "users/alias_set.h"

/* One expansion. */
struct expansion {
	struct judge *j;
	struct alias_list *out;
	struct smtp_answer *answer;
	struct alias_set seen;
	unsigned depth;
	size_t lost; /* of what came out: addresses of virtual domains without a row */
};

static void look(struct judge *j, struct table *t, struct span key, bool *found, struct span *value)
{
	struct err err = { 0 };
	enum table_result r = table_get(t, j->arena, key, value, &err);
	*found = r == TABLE_FOUND;
	if (r == TABLE_ERROR && j->trouble.class == ERR_NONE)
		j->trouble = err;
}

static bool look_address(struct judge *j, struct table *t, struct span local, struct span domain, struct span *value)
{
	struct buf key;
	bool found = false;
	buf_init(&key, LIMIT_SMTP_PATH);
	if (table_key_address(local, domain, &key))
		look(j, t, buf_span(&key), &found, value);
	buf_free(&key);
	return found;
}

static struct span without_detail(struct span local, const char *delimiters)
{
	for (size_t i = 1; i < local.n; i++)
		if (local.p[i] && strchr(delimiters, local.p[i]))
			return span_slice(local, 0, i);
	return local;
}

enum judge_row judge_row(struct judge *j, struct table *t, struct span local, struct span domain, struct span *value)
{
	struct span base = without_detail(local, j->p->delimiters);
	if (!t || !domain.n)
		return ROW_NONE;
	if (look_address(j, t, local, domain, value))
		return ROW_ADDRESS;
	if (base.n < local.n && look_address(j, t, base, domain, value))
		return ROW_BASE;
	return look_address(j, t, SPAN(""), domain, value) ? ROW_DOMAIN : ROW_NONE;
}

bool judge_row_of_domain(struct judge *j, struct table *t, struct span domain)
{
	struct buf key;
	struct span value;
	bool found = false;
	if (!t || !domain.n)
		return false;
	buf_init(&key, LIMIT_SMTP_PATH);
	if (domain_normalise(domain, &key))
		look(j, t, buf_span(&key), &found, &value);
	buf_free(&key);
	return found || look_address(j, t, SPAN(""), domain, &value);
}

bool judge_error(struct span value, struct smtp_answer *answer)
{
	struct alias_error e;
	if (!alias_error_parse(value, &e))
		return false;
	smtp_answer(answer, e.code, e.enh, "%.*s", (int)(e.text.n > 300 ? 300 : e.text.n), e.text.p);
	return true;
}

/* Notes that this step was taken for the address; false when it was before, or too many were. */
static bool note(struct expansion *x, char step, struct span local, struct span domain)
{
	struct buf key;
	buf_init(&key, LIMIT_SMTP_PATH + 8);
	table_key_address(local, domain, &key);
	buf_addc(&key, step);
	bool fresh = alias_set_add(&x->seen, buf_span(&key));
	buf_free(&key);
	return fresh;
}

/* False when it is there already. */
static bool add(struct expansion *x, const struct alias_dest *d)
{
	bool fresh = note(x, '.', d->local, d->domain);
	if (fresh)
		alias_list_add(x->out, x->j->arena, d);
	return fresh;
}

static void expand(struct expansion *x, const struct alias_dest *d);

static enum judge_row row_of(struct judge *j, struct span local, struct span domain, struct span *value)
{
	return j->p->tables ? judge_row(j, j->p->tables->virtual, local, domain, value) : ROW_NONE;
}

static bool virtual_row(struct judge *j, struct span local, struct span domain, struct span *value)
{
	return row_of(j, local, domain, value) != ROW_NONE;
}

static bool same(const struct alias_dest *a, const struct alias_dest *b)
{
	return span_ieq(a->local, b->local) && span_ieq(a->domain, b->domain);
}

/* The aliases of a local address; it stands for itself without any. */
static void through_aliases(struct expansion *x, const struct alias_dest *d)
{
	struct judge *j = x->j;
	struct alias_context c = { j->p->delimiters, judge_place, j };
	struct alias_list l;
	struct err err = { 0 };
	if (!note(x, 'a', d->local, d->domain))
		return;
	switch (aliases_expand(j->p->aliases, j->arena, &c, d->local, d->domain, &l, &err)) {
	case ALIASES_ERROR:
		smtp_answer(x->answer, err.code, err.enh, "%s", err.text);
		return;
	case ALIASES_NONE:
		add(x, d);
		return;
	case ALIASES_FOUND:
		break;
	}
	for (size_t i = 0; i < l.n && !x->answer->code; i++) {
		struct alias_dest to = l.v[i];
		struct span value;
		bool done = same(&to, d) || to.kind != ALIAS_TO_ADDRESS || to.final;
		if (!to.owner.n)
			to.owner = d->owner;
		if (!done && virtual_row(j, to.local, to.domain, &value))
			expand(x, &to);
		else
			add(x, &to);
	}
}

static void settle(struct expansion *x, const struct alias_dest *d)
{
	if (judge_domain(x->j, x->j->p->domains, d->domain)) {
		through_aliases(x, d);
		return;
	}
	/* It will be refused when it comes back to us: so the sender is told, while the others have the message. */
	if (add(x, d))
		x->lost += !judge_domain(x->j, x->j->p->relay_to, d->domain) && x->j->p->tables &&
			   judge_row_of_domain(x->j, x->j->p->tables->virtual, d->domain);
}

/* The next of a list: commas or blanks outside quotes end it. */
static struct span next_dest(struct span *rest)
{
	bool quoted = false;
	size_t from = 0, i;
	while (from < rest->n && (rest->p[from] == ',' || ascii_isblank(rest->p[from])))
		from++;
	for (i = from; i < rest->n && (quoted || (rest->p[i] != ',' && !ascii_isblank(rest->p[i]))); i++) {
		if (quoted && rest->p[i] == '\\')
			i++;
		else if (rest->p[i] == '"')
			quoted = !quoted;
	}
	struct span s = span_slice(*rest, from, i);
	*rest = span_from(*rest, i);
	return s;
}

/* local@domain, @domain for the same local part there, name for the same domain. */
static bool read_dest(struct expansion *x, struct span text, const struct alias_dest *from, struct alias_dest *to)
{
	struct addr a;
	*to = (struct alias_dest){ .local = from->local, .domain = from->domain, .owner = from->owner };
	if (text.p[0] == '@') {
		to->domain = span_from(text, 1);
		return addr_domain_ok(to->domain, true);
	}
	if (text.p[0] != '"' && span_chr(text, '@') < 0) {
		to->local = text;
		return text.n <= LIMIT_SMTP_LOCALPART && !strchr("|/:\\", text.p[0]);
	}
	if (!addr_parse_mailbox(text, true, false, &a, x->j->arena))
		return false;
	to->local = a.local;
	to->domain = a.domain;
	return true;
}

/* What was behind the delimiter goes on to an address of ours; whether others know of such things is not known. */
static void keep_detail(struct expansion *x, struct span detail, struct alias_dest *to)
{
	struct judge *j = x->j;
	bool has_one = without_detail(to->local, j->p->delimiters).n < to->local.n;
	if (detail.n && !has_one &&
	    (judge_domain(j, j->p->domains, to->domain) || judge_row_of_domain(j, j->p->tables->virtual, to->domain)))
		to->local = span_str(arena_printf(j->arena, "%.*s%.*s", SPAN_FMT(to->local), SPAN_FMT(detail)));
}

static void through_row(struct expansion *x, const struct alias_dest *d, struct span value, struct span detail)
{
	struct span rest = value, text;
	if (judge_error(value, x->answer))
		return;
	while ((text = next_dest(&rest)).n && !x->answer->code) {
		struct alias_dest to;
		if (!read_dest(x, text, d, &to)) {
			if (x->j->trouble.class == ERR_NONE)
				err_set(&x->j->trouble, ERR_CONFIG, "%s: '%.*s' is no address",
				    table_spec(x->j->p->tables->virtual), (int)(text.n > 100 ? 100 : text.n), text.p);
			return;
		}
		keep_detail(x, detail, &to);
		if (same(&to, d))
			settle(x, &to);
		else
			expand(x, &to);
	}
}

static void expand(struct expansion *x, const struct alias_dest *d)
{
	struct span value;
	if (alias_set_full(&x->seen)) {
		smtp_answer(x->answer, 550, "5.5.3", "An address leads to too many recipients");
		return;
	}
	if (x->depth >= ALIASES_DEPTH) {
		smtp_answer(x->answer, 550, "5.4.6", "Addresses lead too far");
		return;
	}
	x->depth++;
	enum judge_row how = row_of(x->j, d->local, d->domain, &value);
	size_t base = how == ROW_BASE ? without_detail(d->local, x->j->p->delimiters).n : d->local.n;
	if (how == ROW_NONE)
		settle(x, d);
	else if (note(x, 'v', d->local, d->domain))
		through_row(x, d, value, span_from(d->local, base));
	x->depth--;
}

bool judge_expand(
    struct judge *j, struct span local, struct span domain, struct alias_list *out, struct smtp_answer *answer)
{
	struct expansion x = { .j = j, .out = out, .answer = answer };
	const struct alias_dest d = { .local = local, .domain = domain, .owner = SPAN("") };
	struct alias_context c = { j->p->delimiters, judge_place, j };
	struct span value;
	*out = (struct alias_list){ 0 };
	bool any = virtual_row(j, local, domain, &value) ||
		   (judge_domain(j, j->p->domains, domain) && aliases_has(j->p->aliases, &c, local, domain));
	if (!any || j->trouble.class != ERR_NONE)
		return false;
	alias_set_init(&x.seen, j->arena);
	expand(&x, &d);
	alias_set_free(&x.seen);
	if (out->n && out->n <= x.lost && !answer->code)
		smtp_answer(answer, 550, "5.1.1", "The address leads to none that exists");
	if (!out->n && !answer->code)
		smtp_answer(answer, 550, "5.4.6", "Addresses lead in a circle");
	return true;
}
