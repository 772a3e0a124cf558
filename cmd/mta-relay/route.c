/* SPDX-License-Identifier: ISC */
#include "mta-relay/route.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "dns/dns.h"
#include "io/net.h"

struct entry {
	struct span domain; /* lower case A-labels; ".x" for below x, "*" */
	struct route route;
};

struct routes {
	struct arena *arena;
	struct domains *local;
	const char *mda;
	struct entry *entry; /* sorted by domain */
	size_t n, cap;
	struct route smarthost;
	bool have_smarthost;
};

static int by_domain(const void *a, const void *b)
{
	return span_cmp(((const struct entry *)a)->domain, ((const struct entry *)b)->domain);
}

/* "error:550 5.1.2 text": code and status may be left out. */
static void parse_error(struct arena *a, struct span text, struct route *out)
{
	uint64_t code = 550;
	struct span rest = text, word = span_word(&rest);
	if (word.n == 3 && span_u64(word, 599, &code) && code >= 400)
		text = span_trim(rest);
	else
		code = 550;
	rest = text;
	word = span_word(&rest);
	bool status = word.n >= 5 && word.n < 12 && (word.p[0] == '4' || word.p[0] == '5') && word.p[1] == '.';
	char enh[12] = "5.1.2";
	if (status)
		memcpy(enh, arena_str(a, word), word.n + 1);
	else if (code < 500)
		enh[0] = '4';
	err_reply(&out->error, (int)code, enh, "%s", arena_str(a, span_trim(status ? rest : text)));
}

static int parse_url_target(struct arena *a, struct span text, struct route *out, struct err *err)
{
	struct url u;
	out->target = arena_str(a, text);
	if (url_parse(out->target, &u, err) < 0)
		return -1;
	bool ok = (!strcmp(u.scheme, "smtp") || !strcmp(u.scheme, "smtps")) && *u.host;
	url_free(&u);
	return ok ? 0 : err_set(err, ERR_USAGE, "'%s' is not smtp://[USER@]HOST[:PORT] or smtps://...", out->target);
}

static int parse_target(struct arena *a, struct span text, struct route *out, struct err *err)
{
	*out = (struct route){ .key = arena_str(a, text) };
	if (text.n >= ROUTE_KEY_MAX)
		return err_set(err, ERR_CONFIG, "the destination is too long");
	if (span_starts(text, "error:")) {
		out->kind = ROUTE_ERROR;
		parse_error(a, span_from(text, 6), out);
	} else if (span_starts(text, "lmtp:")) {
		out->kind = ROUTE_LMTP;
		out->target = out->key;
	} else if (span_eqs(text, "mx")) {
		out->kind = ROUTE_MX;
	} else {
		out->kind = ROUTE_SMTP;
		return parse_url_target(a, text, out, err);
	}
	return 0;
}

/* The words after the destination. lmtp:|COMMAND and error: take the whole line. */
static int parse_settings(struct arena *a, struct span rest, struct route *out, struct err *err)
{
	for (struct span word; (word = span_word(&rest)).n;) {
		if (!span_starts(word, "password-file="))
			return err_set(err, ERR_CONFIG, "'%s' is not password-file=FILE", arena_str(a, word));
		out->password_file = arena_str(a, span_from(word, 14));
	}
	return 0;
}

static bool entry_domain(struct arena *a, struct span word, struct span *out)
{
	struct buf ascii;
	bool below = span_starts(word, "."), ok = true;
	buf_init(&ascii, LIMIT_DOMAIN + 2);
	if (below)
		buf_addc(&ascii, '.');
	if (span_eqs(word, "*") || span_starts(word, "["))
		buf_addspan(&ascii, word);
	else
		ok = dns_to_ascii(below ? span_from(word, 1) : word, &ascii);
	*out = arena_span(a, buf_span(&ascii));
	buf_free(&ascii);
	return ok;
}

static int add_entry(struct routes *r, struct span line, struct err *err)
{
	struct entry e = { 0 };
	struct span word = span_word(&line);
	if (!entry_domain(r->arena, word, &e.domain))
		return err_set(err, ERR_CONFIG, "'%s' is no domain", arena_str(r->arena, word));
	line = span_trim(line);
	bool whole = span_starts(line, "error:") || span_starts(line, "lmtp:|");
	struct span rest = line, target = whole ? line : span_word(&rest);
	if (!target.n)
		return err_set(err, ERR_CONFIG, "expected DOMAIN DESTINATION");
	if (parse_target(r->arena, target, &e.route, err) < 0 ||
	    (!whole && parse_settings(r->arena, rest, &e.route, err) < 0)) {
		if (err)
			err->class = ERR_CONFIG;
		return -1;
	}
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->entry = xreallocarray(r->entry, r->cap, sizeof *r->entry);
	}
	r->entry[r->n++] = e;
	return 0;
}

static int read_file(struct routes *r, const char *path, struct err *err)
{
	struct buf text;
	unsigned number = 0;
	buf_init(&text, LIMIT_CONFIG_FILE);
	int rc = config_slurp(path, &text, err);
	if (rc < 0 && err && err->sys != EIO)
		err->class = ERR_CONFIG;
	for (struct span rest = buf_span(&text); rc == 0 && rest.n;) {
		struct span line = span_trim(span_cut(&rest, '\n'));
		number++;
		if (line.n && line.p[0] != '#' && (rc = add_entry(r, line, err)) < 0)
			err_prefix(err, "%s:%u", path, number);
	}
	buf_free(&text);
	if (r->n)
		qsort(r->entry, r->n, sizeof *r->entry, by_domain);
	return rc;
}

struct routes *routes_open(const struct route_config *c, struct err *err)
{
	struct routes *r = xcalloc(1, sizeof *r);
	int rc = 0;
	r->arena = arena_new();
	if (c->mda)
		r->mda = arena_str(r->arena, span_str(c->mda));
	if (c->domains)
		rc = (r->local = domains_open(c->domains, err)) ? 0 : -1;
	if (rc == 0 && c->smarthost) {
		r->have_smarthost = true;
		rc = parse_target(r->arena, span_str(c->smarthost), &r->smarthost, err);
		if (rc < 0)
			err_prefix(err, "smarthost");
		r->smarthost.why = arena_printf(r->arena, "everything goes to the smarthost %s", c->smarthost);
	}
	if (rc == 0 && c->file)
		rc = read_file(r, c->file, err);
	if (rc == 0)
		return r;
	routes_close(r);
	return NULL;
}

void routes_close(struct routes *r)
{
	if (!r)
		return;
	domains_free(r->local);
	free(r->entry);
	arena_free(r->arena);
	free(r);
}

struct span route_domain(struct span address)
{
	ptrdiff_t at = span_rchr(address, '@');
	return at < 0 ? span_of(NULL, 0) : span_from(address, (size_t)at + 1);
}

static const struct entry *find_entry(const struct routes *r, struct span domain)
{
	struct entry key = { .domain = domain };
	return r->n ? bsearch(&key, r->entry, r->n, sizeof key, by_domain) : NULL;
}

/* The domain itself, then ".parent" from the nearest, then "*". */
static const struct entry *find_nearest(const struct routes *r, struct span domain)
{
	const struct entry *e = find_entry(r, domain);
	for (struct span rest = domain; !e && rest.n && rest.p[0] != '[';) {
		ptrdiff_t dot = span_chr(span_from(rest, rest.p[0] == '.'), '.');
		if (dot < 0)
			break;
		rest = span_from(rest, (size_t)dot + (rest.p[0] == '.'));
		e = find_entry(r, rest);
	}
	return e ? e : find_entry(r, SPAN("*"));
}

static void to_mda(const struct routes *r, struct arena *a, struct span domain, struct route *out)
{
	*out = (struct route){ .kind = ROUTE_LMTP, .key = r->mda, .target = r->mda };
	if (domain.n)
		out->why = arena_printf(a, "%s is one of our domains: its mail goes to the MDA", arena_str(a, domain));
	else
		out->why = "an address without a domain is local: its mail goes to the MDA";
	if (r->mda)
		return;
	*out = (struct route){ .kind = ROUTE_ERROR, .key = "error:no mda", .why = out->why };
	err_reply(&out->error, 451, "4.3.5", "no MDA is configured for local mail (--mda)");
}

static void to_mx(struct arena *a, struct span domain, struct route *out)
{
	out->kind = ROUTE_MX;
	out->target = arena_str(a, domain);
	out->key = arena_printf(a, "mx:%s", out->target);
	out->rfc = "5321#5.1";
	out->why = arena_printf(a, "nothing else is configured for %s: its MX records decide", out->target);
}

void route_find(const struct routes *r, struct arena *a, struct span address, struct route *out)
{
	struct buf ascii;
	struct span domain = route_domain(address);
	*out = (struct route){ .kind = ROUTE_ERROR,
		.key = "error:bad domain",
		.why = "its domain is no domain name",
		.rfc = "5321#4.1.2" };
	buf_init(&ascii, LIMIT_DOMAIN + 1);
	if (!domain.n || domains_match(r->local, domain)) {
		to_mda(r, a, domain, out);
	} else if (domain.p[0] == '[' ? (buf_addspan(&ascii, domain), ascii.bad) : !dns_to_ascii(domain, &ascii)) {
		err_reply(&out->error, 550, "5.1.2", "the address has no valid domain");
	} else {
		const struct entry *e = find_nearest(r, buf_span(&ascii));
		if (e && e->route.kind != ROUTE_MX)
			*out = e->route;
		else if (!e && r->have_smarthost)
			*out = r->smarthost;
		else
			to_mx(a, buf_span(&ascii), out);
		if (e)
			out->why = arena_printf(a, "the routes file has '%.*s' for it", SPAN_FMT(e->domain));
	}
	buf_free(&ascii);
}
