/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/route.h"

#include <errno.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/net.h"
#include "mta-relay/hop/next_hop.h"
#include "mta-relay/hop/route_table.h"

struct routes {
	struct domains *local;
	const char *mda;
	char *file; /* our copy */
	struct route_table table;
	struct route smarthost;
	bool have_smarthost;
	struct route_settings defaults;
	enum route_starttls starttls;
	struct rewrite_rules generic; /* both: NULL when there are none */
};

static int read_file(struct routes *r, const char *path, struct err *err)
{
	struct buf text;
	unsigned number = 0;
	buf_init(&text, LIMIT_CONFIG_FILE);
	int rc = config_slurp(path, &text, err);
	if (rc < 0 && err && err->sys != EIO)
		err->class = ERR_CONFIG;
	for (struct span rest = buf_span(&text); rc == 0 && rest.n;)
		if ((rc = route_table_line(&r->table, span_cut(&rest, '\n'), ++number, err)) < 0)
			err_prefix(err, "%s:%u", path, number);
	buf_free(&text);
	if (rc == 0 && (rc = route_table_sort(&r->table, &number, err)) < 0)
		err_prefix(err, "%s:%u", path, number);
	return rc;
}

static int take_smarthost(struct routes *r, const char *text, struct err *err)
{
	int rc = route_parse_target(r->table.arena, span_str(text), &r->smarthost, err);
	if (rc == 0 && r->smarthost.kind != ROUTE_SMTP && r->smarthost.kind != ROUTE_MX)
		rc = err_set(err, ERR_USAGE, "'%s' is not smtp://[USER@]HOST[:PORT] or smtps://...", text);
	r->have_smarthost = true;
	return rc < 0 ? err_prefix(err, "smarthost") : 0;
}

static int take_defaults(struct routes *r, const struct route_config *c, struct err *err)
{
	r->defaults = (struct route_settings){
		.tls = c->tls ? c->tls : ROUTE_TLS_MAY,
		.tls_ca = c->tls_ca,
		.has_family = true,
		.family = (enum mx_family)c->family,
	};
	r->starttls = (enum route_starttls)c->starttls;
	if (!c->source || route_source(span_str(c->source), &r->defaults, err) == 0)
		return 0;
	err->class = ERR_USAGE;
	return -1;
}

struct routes *routes_open(const struct route_config *c, struct err *err)
{
	struct routes *r = xcalloc(1, sizeof *r);
	route_table_init(&r->table);
	r->mda = c->mda;
	r->file = c->file ? xstrdup(c->file) : NULL;
	r->generic.delimiters = "+";
	if ((c->generic && !(r->generic.both = table_open(c->generic, err))) ||
	    (c->domains && !(r->local = domains_open(c->domains, err))) || take_defaults(r, c, err) < 0 ||
	    (c->smarthost && take_smarthost(r, c->smarthost, err) < 0) || (c->file && read_file(r, c->file, err) < 0)) {
		routes_close(r);
		return NULL;
	}
	return r;
}

const struct rewrite_rules *routes_generic(struct routes *r)
{
	struct err err = { 0 };
	if (!r->generic.both)
		return NULL;
	if (table_refresh(r->generic.both, &err) < 0)
		log_err("table error=%s why=\"the old rows stay\"", log_quote(span_str(err.text)));
	return &r->generic;
}

void routes_close(struct routes *r)
{
	if (!r)
		return;
	domains_free(r->local);
	table_close(r->generic.both);
	route_table_free(&r->table);
	free(r->file);
	free(r);
}

static void each_of(const struct route *first, void (*fn)(void *arg, const struct route *r), void *arg)
{
	for (const struct route *at = first; at; at = at->next)
		fn(arg, at);
}

void routes_each(const struct routes *r, void (*fn)(void *arg, const struct route *r), void *arg)
{
	const struct route_list *lists[] = { &r->table.recipients, &r->table.senders };
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			each_of(&lists[k]->v[i].route, fn, arg);
	if (r->have_smarthost)
		each_of(&r->smarthost, fn, arg);
}

struct span route_domain(struct span address)
{
	ptrdiff_t at = span_rchr(address, '@');
	return at < 0 ? span_of(NULL, 0) : span_from(address, (size_t)at + 1);
}

/* ---- The table's answer ---- */

/* The address itself, its domain, then ".parent" from the nearest. */
static const struct route_entry *find_recipient(const struct routes *r, struct span address, struct span domain)
{
	const struct route_list *l = &r->table.recipients;
	const struct route_entry *e = NULL;
	struct buf key;
	buf_init(&key, ROUTE_ADDRESS_MAX);
	if (l->n && route_address_key(address, &key))
		e = route_table_find(l, buf_span(&key));
	buf_free(&key);
	if (!e)
		e = route_table_find(l, domain);
	for (struct span rest = domain; !e && rest.n && rest.p[0] != '[';) {
		ptrdiff_t dot = span_chr(span_from(rest, rest.p[0] == '.'), '.');
		if (dot < 0)
			break;
		rest = span_from(rest, (size_t)dot + (rest.p[0] == '.'));
		e = route_table_find(l, rest);
	}
	return e;
}

/* The sender's address, then "@domain"; the null sender has a line of its own. */
static const struct route_entry *find_sender(const struct routes *r, struct span from)
{
	const struct route_list *l = &r->table.senders;
	const struct route_entry *e = NULL;
	struct buf key;
	if (!l->n || !from.n)
		return l->n ? route_table_find(l, from) : NULL;
	buf_init(&key, ROUTE_ADDRESS_MAX);
	if (span_chr(from, '@') >= 0 && route_address_key(from, &key)) {
		struct span whole = buf_span(&key);
		e = route_table_find(l, whole);
		if (!e)
			e = route_table_find(l, span_from(whole, (size_t)span_rchr(whole, '@')));
	}
	buf_free(&key);
	return e;
}

/* What is asked of the table; domain as A-labels or a literal. */
struct question {
	const struct routes *r;
	struct arena *a;
	struct span from, address, domain;
};

/* As Postfix: what is said of a sender overrides the smarthost but not what is said of a recipient. */
static const struct route_entry *find_entry(const struct question *q, bool *by_sender)
{
	const struct route_entry *e = find_recipient(q->r, q->address, q->domain);
	*by_sender = !e && (e = find_sender(q->r, q->from));
	return e ? e : route_table_find(&q->r->table.recipients, SPAN("*"));
}

/* ---- Made fit for this recipient ---- */

/* A destination with a user gets our password, and smtps promises a server with a name: both are verified unless the
 * line or --starttls says otherwise. */
static enum route_tls default_tls(const struct routes *r, const struct route *link)
{
	static const enum route_tls by_starttls[] = {
		[ROUTE_STARTTLS_REQUIRE] = ROUTE_TLS_VERIFY,
		[ROUTE_STARTTLS_TRY] = ROUTE_TLS_MAY,
		[ROUTE_STARTTLS_NEVER] = ROUTE_TLS_NONE,
	};
	struct url u;
	if (link->kind != ROUTE_SMTP || url_parse(link->target, &u, NULL) < 0)
		return r->defaults.tls;
	bool smtps = !strcmp(u.scheme, "smtps"), user = *u.user;
	url_free(&u);
	if (!smtps && r->starttls != ROUTE_STARTTLS_UNSET)
		return by_starttls[r->starttls];
	return smtps || user ? ROUTE_TLS_VERIFY : r->defaults.tls;
}

static void fill_link(const struct question *q, const struct route *line, struct route *out)
{
	*out = *line;
	out->next = NULL;
	if (out->kind == ROUTE_MX && !*out->target)
		out->target = arena_str(q->a, q->domain);
	if (!out->s.tls)
		out->s.tls = default_tls(q->r, out);
	route_settings_fill(&out->s, &q->r->defaults);
}

/* The line's destinations with the recipient's domain and the defaults, and their common key. */
static void fill(const struct question *q, const struct route *line, struct route *out)
{
	if (line->kind == ROUTE_ERROR || line->kind == ROUTE_LMTP) {
		*out = *line;
		return;
	}
	const char *key = "";
	for (struct route *at = out;; at = at->next) {
		fill_link(q, line, at);
		key =
		    arena_printf(q->a, "%s%s%s%s", key, *key ? "," : "", at->kind == ROUTE_MX ? "mx:" : "", at->target);
		line = line->next;
		if (!line)
			break;
		at->next = arena_alloc(q->a, sizeof *at->next);
	}
	out->key = arena_printf(q->a, "%s%s", key, out->own);
}

static void to_mda(const struct routes *r, struct arena *a, struct span domain, struct route *out)
{
	*out = (struct route){ .kind = ROUTE_LMTP, .key = r->mda, .target = r->mda, .own = "" };
	if (domain.n)
		out->why = arena_printf(a, "%s is one of our domains: its mail goes to the MDA", arena_str(a, domain));
	else
		out->why = "an address without a domain is local: its mail goes to the MDA";
	if (r->mda)
		return;
	*out = (struct route){ .kind = ROUTE_ERROR, .key = "error:no mda", .why = out->why };
	err_reply(&out->error, 451, "4.3.5", "no MDA is configured for local mail (--mda)");
}

/* Elsewhere than to the MDA. */
static void to_others(const struct question *q, struct route *out)
{
	static const struct route mx = { .kind = ROUTE_MX, .target = "", .own = "" };
	const struct routes *r = q->r;
	bool by_sender;
	const struct route_entry *e = find_entry(q, &by_sender);
	fill(q, e ? &e->route : r->have_smarthost ? &r->smarthost : &mx, out);
	if (out->kind == ROUTE_MX)
		out->rfc = "5321#5.1";
	if (e)
		out->why = arena_printf(q->a, "%s:%u: the routes file has '%s%s' for %s", r->file, e->line,
		    by_sender ? "from:" : "", e->key.n ? e->key.p : "<>", by_sender ? "its sender" : "it");
	else if (r->have_smarthost)
		out->why = arena_printf(q->a, "everything goes to the smarthost %s", r->smarthost.key);
	else
		out->why = arena_printf(q->a, "nothing else is configured for %s: its MX records decide", out->target);
}

void route_named(const struct routes *r, struct arena *a, struct span target, struct route *out)
{
	struct err err = { 0 };
	struct route line = { 0 };
	if (next_hop_ok(target) && route_parse_target(a, target, &line, &err) == 0) {
		fill(&(struct question){ .r = r, .a = a, .domain = SPAN("") }, &line, out);
		out->why = "the message has a next hop of its own (FILTER)";
		return;
	}
	*out = (struct route){ .kind = ROUTE_ERROR, .key = "error:bad next hop", .why = "its next hop is none" };
	err_reply(&out->error, 451, "4.3.5", "the message's own next hop is none");
}

/* Whether the domain is ours can't be looked up: to treat it as another's could bounce our mail. */
static void unknown_domain(struct arena *a, const struct err *err, struct route *out)
{
	*out = (struct route){ .kind = ROUTE_ERROR,
		.key = "error:no table",
		.why = arena_printf(a, "the local domains can't be looked up: %s", err->text) };
	err_reply(&out->error, 451, "4.3.0", "the local domains can't be looked up");
}

void route_find(const struct routes *r, struct arena *a, struct span from, struct span address, struct route *out)
{
	struct buf ascii;
	struct span domain = route_domain(address);
	struct err err = { 0 };
	int local = domain.n ? domains_find(r->local, domain, &err) : 1;
	*out = (struct route){ .kind = ROUTE_ERROR,
		.key = "error:bad domain",
		.why = "its domain is no domain name",
		.rfc = "5321#4.1.2" };
	buf_init(&ascii, LIMIT_DOMAIN + 1);
	if (local > 0)
		to_mda(r, a, domain, out);
	else if (local < 0)
		unknown_domain(a, &err, out);
	else if (domain.p[0] == '[' ? (buf_addspan(&ascii, domain), ascii.bad) : !dns_to_ascii(domain, &ascii))
		err_reply(&out->error, 550, "5.1.2", "the address has no valid domain");
	else
		to_others(&(struct question){ r, a, from, address, buf_span(&ascii) }, out);
	buf_free(&ascii);
}
