/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/route_table.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/net.h"

void route_table_init(struct route_table *t)
{
	*t = (struct route_table){ .arena = arena_new() };
}

void route_table_free(struct route_table *t)
{
	free(t->recipients.v);
	free(t->senders.v);
	arena_free(t->arena);
	*t = (struct route_table){ 0 };
}

/* ---- What stands on the right ---- */

/* "error:550 5.1.2 text": code and status may be left out. A status alone says by its class whether it is for good, as
 * it does elsewhere; where the two are at odds the code counts. */
static void parse_error(struct arena *a, struct span text, struct route *out)
{
	uint64_t code = 550;
	struct span rest = text, word = span_word(&rest);
	bool coded = word.n == 3 && span_u64(word, 599, &code) && code >= 400;
	if (coded)
		text = span_trim(rest);
	rest = text;
	word = span_word(&rest);
	bool status = word.n >= 5 && word.n < 12 && (word.p[0] == '4' || word.p[0] == '5') && word.p[1] == '.';
	char enh[12] = "5.1.2";
	if (status)
		memcpy(enh, arena_str(a, word), word.n + 1);
	if (!coded)
		code = enh[0] == '4' ? 450 : 550;
	enh[0] = code < 500 ? '4' : '5';
	err_reply(&out->error, (int)code, enh, "%s", arena_str(a, span_trim(status ? rest : text)));
}

static int parse_url_target(struct arena *a, struct span text, struct route *out, struct err *err)
{
	struct url u;
	out->kind = ROUTE_SMTP;
	out->target = arena_str(a, text);
	if (url_parse(out->target, &u, err) < 0)
		return -1;
	bool ok = (!strcmp(u.scheme, "smtp") || !strcmp(u.scheme, "smtps")) && *u.host;
	url_free(&u);
	return ok ? 0 : err_set(err, ERR_USAGE, "'%s' is not smtp://[USER@]HOST[:PORT] or smtps://...", out->target);
}

/* "mx" for the recipient's own domain, "mx:DOMAIN" for another's hosts. */
static int parse_mx_target(struct arena *a, struct span text, struct route *out, struct err *err)
{
	struct buf ascii;
	struct span domain = span_from(text, 3);
	out->kind = ROUTE_MX;
	out->target = "";
	if (text.n == 2)
		return 0;
	buf_init(&ascii, LIMIT_DOMAIN);
	bool ok = dns_to_ascii(domain, &ascii);
	out->target = arena_str(a, buf_span(&ascii));
	buf_free(&ascii);
	return ok ? 0 : err_set(err, ERR_USAGE, "'%s' is no domain", arena_str(a, domain));
}

static int parse_link(struct arena *a, struct span text, struct route *out, struct err *err)
{
	out->own = "";
	if (span_eqs(text, "mx") || span_starts(text, "mx:"))
		return parse_mx_target(a, text, out, err);
	return parse_url_target(a, text, out, err);
}

int route_parse_target(struct arena *a, struct span text, struct route *out, struct err *err)
{
	*out = (struct route){ .key = arena_str(a, text), .target = "", .own = "" };
	if (text.n > ROUTE_TEXT_MAX)
		return err_set(err, ERR_CONFIG, "the destination is too long");
	if (span_starts(text, "error:")) {
		out->kind = ROUTE_ERROR;
		parse_error(a, span_from(text, 6), out);
		return 0;
	}
	if (span_starts(text, "lmtp:")) {
		out->kind = ROUTE_LMTP;
		out->target = out->key;
		return 0;
	}
	struct route *link = out;
	for (unsigned n = 1;; n++) {
		if (n > ROUTE_LINKS)
			return err_set(err, ERR_CONFIG, "more than %d destinations", ROUTE_LINKS);
		if (parse_link(a, span_cut(&text, ','), link, err) < 0)
			return -1;
		if (!text.n)
			return 0;
		struct route *next = arena_alloc(a, sizeof *next);
		link->next = next;
		link = next;
	}
}

static bool with_tls_from_the_start(const struct route *r)
{
	for (; r; r = r->next)
		if (r->kind == ROUTE_SMTP && span_istarts(span_str(r->target), "smtps:"))
			return true;
	return false;
}

/* All destinations of a line have its settings. */
static int parse_settings(struct arena *a, struct span rest, struct route *out, struct err *err)
{
	struct route_settings s = { 0 };
	struct buf text;
	struct span word = span_word(&rest);
	if (word.n && out->kind == ROUTE_LMTP)
		return err_set(err, ERR_CONFIG, "'%s': an lmtp destination has no settings", arena_str(a, word));
	for (; word.n; word = span_word(&rest))
		if (route_setting(a, word, &s, err) < 0)
			return -1;
	if (route_settings_check(&s, err) < 0)
		return -1;
	if ((s.tls == ROUTE_TLS_NONE || s.tls == ROUTE_TLS_MAY) && with_tls_from_the_start(out))
		return err_set(
		    err, ERR_CONFIG, "smtps:// is TLS from the start: tls=%s contradicts it", route_tls_names[s.tls]);
	buf_init(&text, ROUTE_TEXT_MAX - strlen(out->key) + 1);
	route_settings_text(&s, &text);
	const char *own = arena_str(a, buf_span(&text));
	bool fits = !text.bad;
	buf_free(&text);
	for (struct route *r = out; r; r = r->next) {
		r->s = s;
		r->own = own;
	}
	return fits ? 0 : err_set(err, ERR_CONFIG, "the destination and its settings are too long");
}

/* lmtp:|COMMAND and error: take the whole line. */
static int parse_right(struct arena *a, struct span line, struct route *out, struct err *err)
{
	bool whole = span_starts(line, "error:") || span_starts(line, "lmtp:|");
	struct span rest = line, target = whole ? line : span_word(&rest);
	if (!target.n)
		return err_set(err, ERR_CONFIG, "expected PATTERN DESTINATION");
	if (route_parse_target(a, target, out, err) < 0)
		return -1;
	return whole ? 0 : parse_settings(a, rest, out, err);
}

/* ---- What stands on the left ---- */

bool route_address_key(struct span address, struct buf *out)
{
	struct span domain = route_domain(address);
	for (size_t i = 0; i + domain.n < address.n; i++)
		buf_addc(out, ascii_lower(address.p[i]));
	if (span_starts(domain, "["))
		buf_addspan(out, domain);
	else if (!dns_to_ascii(domain, out))
		return false;
	return !out->bad;
}

static bool recipient_key(struct span word, struct buf *out)
{
	if (span_eqs(word, "*")) {
		buf_addc(out, '*');
		return true;
	}
	ptrdiff_t at = span_rchr(word, '@');
	if (at == 0)
		return false;
	if (at > 0)
		return route_address_key(word, out);
	if (span_starts(word, ".")) {
		buf_addc(out, '.');
		word = span_from(word, 1);
	}
	if (span_starts(word, "[")) {
		buf_addspan(out, word);
		return !out->bad;
	}
	return dns_to_ascii(word, out);
}

/* "user@domain", "@domain", "<>". A domain alone would look like a recipient's and is refused. */
static bool sender_key(struct span word, struct buf *out)
{
	if (span_eqs(word, "<>"))
		return true;
	return span_chr(word, '@') >= 0 && route_address_key(word, out);
}

static struct route_entry *add_entry(struct route_list *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->v = xreallocarray(l->v, l->cap, sizeof *l->v);
	}
	l->v[l->n] = (struct route_entry){ 0 };
	return &l->v[l->n++];
}

int route_table_line(struct route_table *t, struct span line, unsigned number, struct err *err)
{
	struct buf key;
	line = span_trim(line);
	if (!line.n || line.p[0] == '#')
		return 0;
	struct span word = span_word(&line);
	bool sender = span_starts(word, "from:");
	buf_init(&key, ROUTE_ADDRESS_MAX);
	bool ok = sender ? sender_key(span_from(word, 5), &key) : recipient_key(word, &key);
	struct route_entry e = { .key = arena_span(t->arena, buf_span(&key)), .line = number };
	buf_free(&key);
	if (!ok)
		return err_set(err, ERR_CONFIG,
		    sender ? "'%s' is not from:USER@DOMAIN, from:@DOMAIN or from:<>"
			   : "'%s' is no domain, .DOMAIN, USER@DOMAIN or *",
		    arena_str(t->arena, word));
	if (parse_right(t->arena, span_trim(line), &e.route, err) < 0) {
		if (err)
			err->class = ERR_CONFIG;
		return -1;
	}
	*add_entry(sender ? &t->senders : &t->recipients) = e;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return span_cmp(((const struct route_entry *)a)->key, ((const struct route_entry *)b)->key);
}

static int sort_list(struct route_list *l, unsigned *line, struct err *err)
{
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_key);
	for (size_t i = 1; i < l->n; i++) {
		unsigned x = l->v[i - 1].line, y = l->v[i].line;
		if (!span_eq(l->v[i - 1].key, l->v[i].key))
			continue;
		*line = x > y ? x : y;
		return err_set(err, ERR_CONFIG, "what line %u says already", x > y ? y : x);
	}
	return 0;
}

int route_table_sort(struct route_table *t, unsigned *line, struct err *err)
{
	return sort_list(&t->recipients, line, err) < 0 ? -1 : sort_list(&t->senders, line, err);
}

const struct route_entry *route_table_find(const struct route_list *l, struct span key)
{
	struct route_entry wanted = { .key = key };
	return l->n ? bsearch(&wanted, l->v, l->n, sizeof wanted, by_key) : NULL;
}
