/* SPDX-License-Identifier: ISC
 *
 * What a client says of itself and what the DNS says of it, asked when a recipient would be accepted: not before, since
 * most strangers ask for recipients that do not exist, and users log in first. In this order: what needs no DNS, lists,
 * the client's names, the sender's domain, the recipient's domain. The answers about a client are kept for the
 * conversation, those about a sender for the transaction.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "mta-relay/guard/guard_look.h"

/* ---- --check ---- */

static const char *const names[] = { "helo-fqdn", "helo-own", "helo-resolves", "client-ptr", "client-fcrdns",
	"sender-domain", "recipient-domain" };
enum {
	HELO_FQDN = 1,
	HELO_OWN = 2,
	HELO_RESOLVES = 4,
	CLIENT_PTR = 8,
	CLIENT_FCRDNS = 16,
	SENDER_DOMAIN = 32,
	RECIPIENT_DOMAIN = 64,
};

static int read_checks(const char *text, unsigned *out, struct err *err)
{
	struct span rest = span_str(text);
	*out = 0;
	while (rest.n) {
		struct span word = span_trim(span_cut(&rest, ','));
		size_t i = 0, n = sizeof names / sizeof *names;
		while (i < n && !span_eqs(word, names[i]))
			i++;
		if (i == n && word.n)
			return err_set(
			    err, ERR_USAGE, "--check: there is no '%.*s'", SPAN_FMT(span_slice(word, 0, 40)));
		if (word.n)
			*out |= 1u << i;
	}
	return 0;
}

/* ---- a client's own words ---- */

/* RFC 5321 2.3.5: a name of two labels or more whose last one is no number, or an address literal (4.1.3). */
static bool qualified(struct span helo)
{
	struct net_addr a;
	char text[64];
	ptrdiff_t dot = span_rchr(helo, '.');
	if (helo.n > 2 && helo.p[0] == '[' && helo.p[helo.n - 1] == ']') {
		struct span in = span_slice(helo, 1, helo.n - 1);
		if (span_istarts(in, "IPv6:"))
			in = span_from(in, 5);
		snprintf(text, sizeof text, "%.*s", SPAN_FMT(span_slice(in, 0, sizeof text - 1)));
		return net_addr_parse(text, 0, &a);
	}
	if (dot <= 0 || span_find(helo, SPAN("..")) >= 0 || helo.p[0] == '.')
		return false;
	struct span last = span_from(helo, (size_t)dot + 1);
	return last.n && !ascii_isdigit(last.p[0]);
}

static bool ours(const struct relay_server *rs, struct span helo)
{
	return span_ieqs(helo, rs->hostname) || domains_match(rs->domains, helo);
}

static void check_helo(const struct relay_session *s, const struct smtp_session *x, struct smtp_answer *a)
{
	unsigned checks = s->rs->guard->checks;
	struct span helo = span_slice(x->helo, 0, 200);
	if (checks & HELO_FQDN && !qualified(x->helo))
		smtp_answer(a, 504, "5.5.2", "<%.*s>: a greeting has a fully qualified name or an address in brackets",
		    SPAN_FMT(helo));
	else if (checks & HELO_OWN && ours(s->rs, x->helo))
		smtp_answer(a, 550, "5.7.1", "<%.*s>: that is not you but us", SPAN_FMT(helo));
}

/* ---- a client ---- */

static void check_lists(struct look *k, const struct guard_client *c, struct list_score *score, struct smtp_answer *a)
{
	char zones[256];
	if (!c->addr.len)
		return;
	*score = lists_of_client(k, &c->addr);
	lists_names(k->g->clients.v, k->g->clients.n, score, zones, sizeof zones);
	if (score->score >= (int)k->o->dnsbl_threshold)
		smtp_answer(a, 550, "5.7.1", "Client host [%s] is listed by %s", c->ip, zones);
}

static void check_names(
    struct look *k, const struct smtp_session *x, const struct guard_client *c, struct smtp_answer *a)
{
	unsigned checks = k->g->checks;
	enum name_verdict v;
	struct span helo = span_slice(x->helo, 0, 200);
	if (checks & HELO_RESOLVES && (v = name_of_host(k, x->helo)) != NAME_GOOD)
		smtp_answer(a, v == NAME_UNKNOWN ? 450 : 550, v == NAME_UNKNOWN ? "4.7.1" : "5.7.1",
		    "<%.*s>: the greeting's name %s", SPAN_FMT(helo),
		    v == NAME_UNKNOWN ? "can't be looked up now" : "does not exist");
	if (a->code || !c->addr.len || !(checks & (CLIENT_PTR | CLIENT_FCRDNS)))
		return;
	v = name_of_client(k, &c->addr, checks & CLIENT_FCRDNS);
	/* RFC 7372 3.3 */
	if (v != NAME_GOOD)
		smtp_answer(a, v == NAME_UNKNOWN ? 450 : 550, v == NAME_UNKNOWN ? "4.7.25" : "5.7.25",
		    "Client host [%s] %s", c->ip,
		    v == NAME_UNKNOWN        ? "has a name that can't be looked up now"
		    : checks & CLIENT_FCRDNS ? "has no name that has this address"
					     : "has no name");
}

static struct guard_dns_memo *memo(struct relay_session *s)
{
	if (!s->guard->dns)
		s->guard->dns = arena_alloc(s->arena, sizeof *s->guard->dns);
	return s->guard->dns;
}

/* Kept for as long as the client calls itself so. */
static void about_client(struct relay_session *s, struct smtp_session *x, struct look *k, struct smtp_answer *a)
{
	struct guard_dns_memo *m = memo(s);
	const struct guard_client *c = &s->guard->client;
	if (!m->client_known || strcmp(m->ip, c->ip) != 0 || !span_eqs(x->helo, m->helo)) {
		m->client = (struct smtp_answer){ 0 };
		m->helo = arena_str(s->arena, x->helo);
		snprintf(m->ip, sizeof m->ip, "%s", c->ip);
		check_helo(s, x, &m->client);
		if (!m->client.code)
			check_lists(k, c, &m->score, &m->client);
		if (!m->client.code)
			check_names(k, x, c, &m->client);
		m->client_known = m->client.code < 400 || m->client.code >= 500;
	}
	if (m->client.code)
		*a = m->client;
}

/* ---- a sender ---- */

static void check_sender(
    struct look *k, const struct guard_dns_memo *m, const struct smtp_session *x, struct smtp_answer *a)
{
	char zones[256];
	struct span from = span_slice(x->env.from, 0, 200), domain = x->env.from_addr.domain;
	struct list_score l = lists_of_domain(k, domain);
	lists_names(k->g->domains.v, k->g->domains.n, &l, zones, sizeof zones);
	/* What is known of the client counts too: much is forgiven a good one. */
	if (l.by && l.score + m->score.score >= (int)k->o->dnsbl_threshold) {
		smtp_answer(a, 550, "5.7.1", "<%.*s>: the sender's domain is listed by %s", SPAN_FMT(from), zones);
		return;
	}
	switch (k->g->checks & SENDER_DOMAIN ? name_of_mail(k, domain) : NAME_GOOD) {
	case NAME_GOOD:
		break;
	case NAME_NULL_MX: /* RFC 7505 4.2 */
		smtp_answer(a, 550, "5.7.27", "<%.*s>: the sender's domain takes no mail", SPAN_FMT(from));
		break;
	case NAME_NONE:
		smtp_answer(a, 550, "5.1.8", "<%.*s>: the sender's domain does not exist", SPAN_FMT(from));
		break;
	case NAME_UNKNOWN:
		smtp_answer(a, 450, "4.1.8", "<%.*s>: the sender's domain can't be looked up now", SPAN_FMT(from));
		break;
	}
}

static void about_sender(struct relay_session *s, struct smtp_session *x, struct look *k, struct smtp_answer *a)
{
	struct guard_dns_memo *m = memo(s);
	if (!x->env.from_addr.domain.n || domains_match(s->rs->domains, x->env.from_addr.domain))
		return;
	if (!m->sender_known) {
		m->sender = (struct smtp_answer){ 0 };
		check_sender(k, m, x, &m->sender);
		m->sender_known = true;
	}
	if (m->sender.code)
		*a = m->sender;
}

/* ---- a recipient ---- */

static void about_recipient(
    const struct relay_session *s, struct look *k, const struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct span to = span_slice(r->text, 0, 200), domain = r->addr.domain;
	if (!domain.n || domains_match(s->rs->domains, domain) || domains_match(s->rs->relay_to, domain))
		return;
	switch (name_of_mail(k, domain)) {
	case NAME_GOOD:
		break;
	case NAME_NULL_MX: /* RFC 7505 4.1 */
		smtp_answer(a, 556, "5.1.10", "<%.*s>: the domain takes no mail", SPAN_FMT(to));
		break;
	case NAME_NONE:
		smtp_answer(a, 550, "5.1.2", "<%.*s>: the domain does not exist", SPAN_FMT(to));
		break;
	case NAME_UNKNOWN:
		smtp_answer(a, 450, "4.4.3", "<%.*s>: the domain can't be looked up now", SPAN_FMT(to));
		break;
	}
}

static void dns_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct guard *g = s->rs->guard;
	if (!g || !guard_dns_wanted(g) || !guard_watches(s, x))
		return;
	struct look k = look_begin(s, x);
	if (guard_stranger(s, x)) {
		about_client(s, x, &k, a);
		if (!a->code)
			about_sender(s, x, &k, a);
	}
	if (!a->code && g->checks & RECIPIENT_DOMAIN)
		about_recipient(s, &k, r, a);
}

static void dns_reset(struct relay_session *s, struct smtp_session *x)
{
	(void)x;
	if (s->guard && s->guard->dns)
		s->guard->dns->sender_known = false;
}

/* ---- set up ---- */

static int read_lists(const char *name, const struct opt_list *list, struct guard_lists *out, struct err *err)
{
	struct guard_key key;
	struct buf all;
	if (list->n > DNSBL_MAX)
		return err_set(err, ERR_USAGE, "%s: %d lists at most", name, DNSBL_MAX);
	out->v = xcalloc(list->n + 1, sizeof *out->v);
	buf_init(&all, 65536);
	for (size_t i = 0; i < list->n; i++) {
		if (dnsbl_parse(list->v[i], &out->v[i], err) < 0) {
			buf_free(&all);
			return err_prefix(err, "%s", name);
		}
		buf_addf(&all, "%s ", list->v[i]);
	}
	out->n = list->n;
	/* Answers are remembered as answers to these lists: the end of a key that is too long is its hash. */
	for (size_t i = all.len; i < 4 * STATE_KEY_MAX; i++)
		buf_addc(&all, '.');
	struct span text = guard_key(&key, "", buf_span(&all), SPAN(""));
	snprintf(out->hash, sizeof out->hash, "%.*s", 8, text.p + text.n - 8);
	buf_free(&all);
	return 0;
}

int guard_dns_read(const struct guard_settings *o, struct guard *g, struct err *err)
{
	g->clients.class = "dnsbl";
	g->domains.class = "rhsbl";
	return read_checks(o->check, &g->checks, err) < 0 || read_lists("--dnsbl", &o->dnsbl, &g->clients, err) < 0 ||
		       read_lists("--rhsbl", &o->rhsbl, &g->domains, err) < 0
		   ? -1
		   : 0;
}

bool guard_dns_wanted(const struct guard *g)
{
	return g->checks || g->clients.n || g->domains.n;
}

const struct serve_check dns_check = {
	.name = "dns",
	.rcpt = dns_rcpt,
	.reset = dns_reset,
};
