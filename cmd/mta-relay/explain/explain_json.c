/* SPDX-License-Identifier: ISC
 *
 * `mta-relay explain --json`: the same facts as data, one object for each address.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "io/net.h"
#include "msg/charset.h"
#include "mta-relay/explain/explain_int.h"
#include "mta-relay/policy/generic.h"

/* JSON is UTF-8; bytes that are none become U+FFFD. */
static void set(json_t *o, const char *name, struct span s)
{
	struct buf text;
	buf_init(&text, 3 * s.n + 1);
	charset_to_utf8(SPAN("utf-8"), s, &text);
	json_t *value = json_stringn(text.p, text.len);
	buf_free(&text);
	json_object_set_new(o, name, value ? value : json_string(""));
}

static void set_text(json_t *o, const char *name, const char *text)
{
	if (text && *text)
		set(o, name, span_str(text));
}

static json_t *answer_of(int code, const char *enh, const char *text)
{
	json_t *o = json_object();
	json_object_set_new(o, "code", json_integer(code));
	set_text(o, "status", enh);
	set_text(o, "text", text);
	return o;
}

static void add_mx(json_t *o, const struct mx_result *mx)
{
	json_t *hosts = json_array();
	for (size_t i = 0; i < mx->n; i++) {
		const struct mx_host *h = &mx->host[i];
		json_t *one = json_object(), *addresses = json_array();
		json_object_set_new(one, "preference", json_integer(h->preference));
		set(one, "name", h->name);
		for (size_t k = 0; k < h->n_addr; k++) {
			char ip[64];
			net_addr_text(&h->addr[k], ip, sizeof ip);
			json_array_append_new(addresses, json_string(ip));
		}
		if (!h->n_addr)
			set_text(one, "trouble", dns_status_text(h->status));
		json_object_set_new(one, "addresses", addresses);
		json_array_append_new(hosts, one);
	}
	json_object_set_new(o, "mx", hosts);
	set_text(o, "mx-why", mx->why);
}

static void add_calls(json_t *o, const struct route *r, const struct hop_targets *t)
{
	json_t *calls = json_array();
	for (size_t i = 0; i < t->n; i++) {
		const struct net_addr *to = &t->v[i].addr;
		const struct net_addr *source = to->sa.ss_family == AF_INET ? &r->s.source4 : &r->s.source6;
		json_t *one = json_object();
		char ip[64];
		net_addr_text(to, ip, sizeof ip);
		set_text(one, "host", t->v[i].host);
		set_text(one, "address", ip);
		json_object_set_new(one, "port", json_integer(net_addr_port(to)));
		if (source->len) {
			net_addr_text(source, ip, sizeof ip);
			set_text(one, "source", ip);
		}
		json_array_append_new(calls, one);
	}
	json_object_set_new(o, "calls", calls);
	if (t->absent.class)
		set_text(o, "trouble", t->absent.text);
	set_text(o, "tls", route_tls_names[r->s.tls]);
	json_object_set_new(o, "tls-from-the-start", json_boolean(t->implicit_tls));
	set_text(o, "tls-name", r->s.tls_name);
	set_text(o, "tls-ca", r->s.tls_ca);
	set_text(o, "helo", r->s.helo);
}

static void add_user(json_t *o, const struct route *r)
{
	struct url u;
	if (r->kind != ROUTE_SMTP || url_parse(r->target, &u, NULL) < 0)
		return;
	set_text(o, "user", u.user);
	if (*u.user || r->s.auth)
		set_text(o, "auth", r->s.auth);
	url_free(&u);
}

/* False when the mail is returned at once. */
static bool add_link(struct explain *x, const struct route *r, json_t *links)
{
	struct hop_targets t;
	struct err err = { 0 };
	json_t *o = json_object();
	int rc = hop_targets(x->hop, r, &t, &err);
	set_text(o, "target", r->target);
	if (t.mx)
		add_mx(o, t.mx);
	if (rc < 0)
		json_object_set_new(o, "error", answer_of(err.code, err.enh, err.text));
	else
		add_calls(o, r, &t);
	add_user(o, r);
	json_array_append_new(links, o);
	return rc == 0 || r->kind != ROUTE_MX || err.class != ERR_PERM;
}

static void add_generic(struct explain *x, const struct route *r, const char *address, json_t *o)
{
	const char *from, *to;
	struct err err = { 0 };
	int rc = explain_generic(x, r, address, &from, &to, &err);
	if (rc < 0)
		json_object_set_new(o, "generic-error", answer_of(err.code, err.enh, err.text));
	if (rc <= 0)
		return;
	set(o, "generic-from", span_str(from));
	set(o, "generic-to", span_str(to));
}

static json_t *route_of(struct explain *x, const char *address)
{
	static const char *const kinds[] = {
		[ROUTE_MX] = "mx", [ROUTE_SMTP] = "smtp", [ROUTE_LMTP] = "lmtp", [ROUTE_ERROR] = "error"
	};
	json_t *o = json_object(), *links = json_array();
	struct route r;
	route_find(x->routes, x->arena, x->from, span_str(address), &r);
	set_text(o, "kind", kinds[r.kind]);
	set_text(o, "target", r.target);
	set_text(o, "why", r.why);
	set_text(o, "rfc", r.rfc);
	if (r.kind == ROUTE_ERROR)
		json_object_set_new(o, "error", answer_of(r.error.code, r.error.enh, r.error.text));
	add_generic(x, &r, address, o);
	bool waits = r.kind != ROUTE_LMTP && r.kind != ROUTE_ERROR;
	for (const struct route *at = &r; at && waits; at = at->next)
		waits = add_link(x, at, links);
	json_object_set_new(o, "hops", links);
	return o;
}

static json_t *target_of(struct explain *x, const struct relay_target *t)
{
	json_t *o = json_object();
	set_text(o, "address", t->addr);
	if (t->original.n)
		set(o, "original", t->original);
	if (t->owner.n)
		set(o, "sender", t->owner);
	json_object_set_new(o, "local", json_boolean(t->local));
	json_object_set_new(o, "route", route_of(x, t->addr));
	return o;
}

void explain_json_address(struct explain *x, const struct explained *e, json_t *all)
{
	json_t *o = json_object(), *targets = json_array();
	set_text(o, "address", e->address);
	set(o, "from", x->from);
	set_text(o, "sender-written", e->sender_written);
	set_text(o, "written", e->written);
	if (e->table.class)
		json_object_set_new(o, "error", answer_of(451, "4.3.0", e->table.text));
	if (e->stranger.code)
		json_object_set_new(o, "stranger", answer_of(e->stranger.code, e->stranger.enh, e->stranger.text));
	if (e->trusted.code)
		json_object_set_new(o, "trusted", answer_of(e->trusted.code, e->trusted.enh, e->trusted.text));
	set_text(o, "standing", e->standing);
	for (size_t i = 0; i < e->to.n; i++)
		json_array_append_new(targets, target_of(x, &e->to.v[i]));
	json_object_set_new(o, "targets", targets);
	json_array_append_new(all, o);
}

int explain_json_print(const struct explain *x, json_t *all)
{
	json_t *o = json_object();
	json_object_set_new(o, "addresses", all);
	if (x->o.message) {
		json_t *m = json_object();
		json_object_set_new(m, "size", json_integer((json_int_t)x->message.size));
		json_object_set_new(m, "eightbit", json_boolean(x->message.eightbit));
		json_object_set_new(m, "too-large", json_boolean(x->o.max_size && x->message.size > x->o.max_size));
		json_object_set_new(o, "message", m);
	}
	int rc = json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
	return rc;
}
