/* SPDX-License-Identifier: ISC */
#include "mta-relay/run_hop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/spawn.h"
#include "io/trace.h"
#include "msg/downgrade.h"
#include "mta-relay/handoff.h"
#include "mta-relay/route_site.h"
#include "mta-relay/run_secret.h"

enum {
	PORT_SMTP = 25,
	PORT_SUBMISSION = 587,
	PORT_SUBMISSIONS = 465,
	TRIES = 10,       /* addresses of a domain in one attempt */
	PER_SESSION = 100 /* messages: a peer may want to spread its load */
};

struct hop {
	const struct hop_config *c;
	struct dns *dns;
	struct tls_ctx *any, *verified; /* made when first needed */
	char *key;                      /* of the destination that is connected */
	struct smtp_client *client;
	struct mda *mda;
	char relay[320];
	char site[SITE_SIZE]; /* of the destination last looked up */
	unsigned sent;
};

struct hop *hop_new(const struct hop_config *c, struct err *err)
{
	struct hop *h = xcalloc(1, sizeof *h);
	h->c = c;
	h->dns = dns_open(c->resolver, false, 0, err);
	if (h->dns)
		return h;
	free(h);
	return NULL;
}

void hop_hang_up(struct hop *h)
{
	if (h->client) {
		smtp_client_close(h->client, true);
		trace_end();
	}
	mda_free(h->mda);
	free(h->key);
	h->client = NULL;
	h->mda = NULL;
	h->key = NULL;
	h->sent = 0;
}

void hop_free(struct hop *h)
{
	if (!h)
		return;
	hop_hang_up(h);
	dns_close(h->dns);
	tls_ctx_free(h->any);
	tls_ctx_free(h->verified);
	free(h);
}

static struct tls_ctx *tls_for(struct hop *h, bool verify, struct err *err)
{
	struct tls_ctx **ctx = verify ? &h->verified : &h->any;
	struct tls_client_config c = { .verify = verify ? TLS_VERIFY_NAME : TLS_VERIFY_NONE,
		.ca_file = verify ? h->c->tls_ca : NULL };
	if (!*ctx)
		*ctx = tls_client_new(&c, err);
	return *ctx;
}

/* What is known about the server that is called. */
struct call {
	const char *host;
	struct net_addr addr;
	enum starttls_policy starttls;
	bool implicit_tls, verify;
	const struct sasl_client_config *auth;
};

static void name_relay(struct hop *h, const struct call *call)
{
	char ip[64];
	net_addr_text(&call->addr, ip, sizeof ip);
	snprintf(h->relay, sizeof h->relay, "%.240s[%s]:%u", call->host, ip, net_addr_port(&call->addr));
}

static int greet(struct hop *h, const struct call *call, int fd, enum starttls_policy starttls, struct err *err)
{
	struct smtp_client_config c = { .helo = h->c->hostname,
		.starttls = starttls,
		.implicit_tls = call->implicit_tls,
		.host = call->host,
		.auth = call->auth };
	if ((starttls != STARTTLS_NEVER || call->implicit_tls) && !(c.tls = tls_for(h, call->verify, err))) {
		stream_abandon(stream_from_fds(fd, fd));
		return -1;
	}
	trace_begin(h->relay);
	trace_why("conn.open", "ok", NULL, "connected to %s", h->relay);
	h->client = smtp_client_open(stream_from_fds(fd, fd), &c, err);
	if (!h->client)
		trace_end();
	return h->client ? 0 : -1;
}

/* One address. Encryption that nobody promised is better than none, and none better than no mail: a handshake that
 * fails is followed by a conversation in the clear (RFC 7435). */
static int call_address(struct hop *h, const struct call *call, struct err *err)
{
	enum starttls_policy starttls = call->starttls;
	name_relay(h, call);
	for (;;) {
		int fd = net_connect(&call->addr, NULL, TIME_CONNECT, err);
		if (fd < 0)
			return err_prefix(err, "%s", h->relay);
		if (greet(h, call, fd, starttls, err) == 0)
			return 0;
		bool again = starttls == STARTTLS_TRY && !call->implicit_tls && !strcmp(err->enh, "4.7.5");
		if (!again)
			return err_prefix(err, "%s", h->relay);
		trace_why("tls", "temp", "7435#4.4", "STARTTLS with %s failed: once more without", h->relay);
		starttls = STARTTLS_NEVER;
	}
}

static int no_host(const struct mx_result *mx, struct err *err)
{
	if (mx->kind == MX_NULL) /* RFC 7505 4.2 */
		return err_reply(err, 556, "5.1.10", "%s", mx->why);
	if (mx->status == DNS_SERVFAIL || mx->status == DNS_TIMEOUT)
		return err_reply(err, 451, "4.4.3", "%s", mx->why);
	if (mx->status == DNS_NODATA)
		return err_reply(err, 550, "5.4.4", "%s", mx->why);
	return err_reply(err, 550, "5.1.2", "%s", mx->why);
}

/* RFC 5321 5.1: ourselves among the hosts, and those that are no nearer to the destination than we are, are passed
 * over. */
static size_t before_ourselves(const struct hop *h, const struct mx_result *mx)
{
	size_t n = mx->n;
	for (size_t i = 0; i < mx->n && n == mx->n; i++)
		if (span_ieqs(mx->host[i].name, h->c->hostname))
			n = i;
	while (n < mx->n && n > 0 && mx->host[n - 1].preference == mx->host[n].preference)
		n--;
	return n;
}

/* What the tries have in common: the worst for good only when nothing may pass. */
struct tries {
	unsigned n;
	bool temporary;
	struct err first;
};

static void tried(struct tries *t, const struct err *err)
{
	if (err->class != ERR_PERM)
		t->temporary = true;
	if (!t->n || (t->first.class == ERR_PERM && err->class != ERR_PERM))
		t->first = *err;
	t->n++;
}

static int call_host(struct hop *h, const struct mx_host *host, struct arena *a, struct tries *t)
{
	struct call call = { .host = arena_str(a, host->name), .starttls = STARTTLS_TRY };
	for (size_t i = 0; i < host->n_addr && t->n < TRIES; i++) {
		struct err err = { 0 };
		char ip[64];
		net_addr_text(&host->addr[i], ip, sizeof ip);
		net_addr_parse(ip, h->c->port, &call.addr);
		if (!*call.host)
			call.host = arena_str(a, span_str(ip));
		if (call_address(h, &call, &err) == 0)
			return 0;
		tried(t, &err);
	}
	if (host->status != DNS_OK) {
		struct err err = { 0 };
		bool pass = host->status == DNS_SERVFAIL || host->status == DNS_TIMEOUT;
		err_reply(&err, pass ? 451 : 550, pass ? "4.4.3" : "5.4.4", "no address of %s: %s", call.host,
		    dns_status_text(host->status));
		tried(t, &err);
	}
	return -1;
}

static int call_mx(struct hop *h, const char *domain, struct err *err)
{
	struct arena *a = arena_new();
	struct tries t = { 0 };
	struct mx_result mx;
	int rc = -1;
	mx_lookup(h->dns, a, span_str(domain), MX_ANY, &mx);
	route_site(&mx, h->site);
	size_t n = before_ourselves(h, &mx);
	if (mx.kind == MX_NULL || mx.kind == MX_NONE)
		no_host(&mx, err);
	else if (mx.n && !n)
		err_reply(err, 554, "5.4.6", "mail for %s loops back to us: its best MX is %s", domain, h->c->hostname);
	else
		for (size_t i = 0; i < n && rc < 0; i++)
			rc = call_host(h, &mx.host[i], a, &t);
	if (rc < 0 && t.n) {
		*err = t.first;
		if (t.temporary || err->class != ERR_PERM)
			err->class = ERR_TEMP;
	}
	arena_free(a);
	return rc;
}

static int call_addresses(struct hop *h, struct call *call, uint16_t port, struct err *err)
{
	int fd = net_connect_host(call->host, port, TIME_CONNECT, &call->addr, err);
	if (fd < 0)
		return -1;
	name_relay(h, call);
	if (greet(h, call, fd, call->starttls, err) == 0)
		return 0;
	if (call->starttls == STARTTLS_TRY && !call->implicit_tls && !strcmp(err->enh, "4.7.5"))
		return call_address(h,
		    &(struct call){
			.host = call->host, .addr = call->addr, .starttls = STARTTLS_NEVER, .auth = call->auth },
		    err);
	return err_prefix(err, "%s", h->relay);
}

static enum starttls_policy policy(const struct hop *h, bool with_user)
{
	if (h->c->starttls >= 0)
		return (enum starttls_policy)h->c->starttls;
	return with_user ? STARTTLS_REQUIRE : STARTTLS_TRY;
}

static int call_url(struct hop *h, const struct route *r, struct err *err)
{
	struct url u;
	struct buf secret;
	if (url_parse(r->target, &u, err) < 0)
		return -1;
	bool user = *u.user, tls = !strcmp(u.scheme, "smtps");
	uint16_t port = u.port ? u.port : tls ? PORT_SUBMISSIONS : user ? PORT_SUBMISSION : PORT_SMTP;
	struct call call = { .host = u.host, .implicit_tls = tls, .starttls = tls ? STARTTLS_NEVER : policy(h, user) };
	call.verify = tls || user || call.starttls == STARTTLS_REQUIRE;
	struct sasl_client_config auth = { .user = u.user, .host = u.host, .port = port };
	buf_init(&secret, LIMIT_SECRET);
	int rc = user ? run_secret(r->password_file ? r->password_file : h->c->password_file,
			    r->password_file ? NULL : h->c->password_command, &secret, err)
		      : 0;
	if (rc == 0) {
		auth.password = secret.p;
		call.auth = user ? &auth : NULL;
		rc = call_addresses(h, &call, port, err);
	}
	explicit_bzero(secret.p, secret.len);
	buf_free(&secret);
	url_free(&u);
	/* What is wrong between the smarthost and us is not the message's fault. */
	if (rc < 0)
		err->class = ERR_TEMP;
	return rc;
}

static int call_route(struct hop *h, const struct route *r, struct err *err)
{
	hop_hang_up(h);
	*h->relay = *h->site = '\0';
	int rc = 0;
	if (r->kind == ROUTE_LMTP)
		rc = (h->mda = mda_new(r->target, h->c->hostname, h->c->mda_timeout, err)) ? 0 : -1;
	else
		rc = r->kind == ROUTE_MX ? call_mx(h, r->target, err) : call_url(h, r, err);
	if (rc < 0)
		return -1;
	if (h->mda)
		snprintf(h->relay, sizeof h->relay, "%s", mda_name(h->mda));
	h->key = xstrdup(r->key);
	return 0;
}

static bool connected(const struct hop *h, const struct route *r)
{
	return h->key && !strcmp(h->key, r->key) && (h->mda || (smtp_client_alive(h->client) && h->sent < PER_SESSION));
}

/* Content that was re-encoded for a next hop without 8BITMIME. */
struct reencoded {
	struct hop_message *original;
	struct buf text;
	bool given;
};

static int read_reencoded(void *arg, struct span *out, struct err *err)
{
	struct reencoded *x = arg;
	if (x->given)
		return 0;
	/* The original's reader notes that sending has begun. */
	if (x->original->m.read(x->original->m.arg, out, err) < 0)
		return -1;
	x->given = true;
	*out = buf_span(&x->text);
	return 1;
}

static int reencode(struct hop_message *m, struct buf *text, struct err *err)
{
	struct buf whole;
	struct span piece;
	int rc;
	buf_init(&whole, text->max);
	m->rewind(m->m.arg);
	while ((rc = m->m.read(m->m.arg, &piece, err)) > 0)
		buf_addspan(&whole, piece);
	m->rewind(m->m.arg);
	if (rc == 0)
		rc = whole.bad ? err_set(err, ERR_LIMIT, "too large to be re-encoded")
			       : msg_downgrade(buf_span(&whole), text, err);
	buf_free(&whole);
	return rc;
}

/* RFC 6152 3: 8-bit content for a server that takes 7-bit lines only. What can't be re-encoded without harm is offered
 * as it is, and so refused for every recipient with 5.6.3 before anything is sent. */
static int send_eightbit(struct hop *h, struct hop_message *m, struct err *err)
{
	struct reencoded x = { .original = m };
	struct err why;
	struct smtp_message plain = m->m;
	buf_init(&x.text, LIMIT_REENCODED);
	plain.eightbit = reencode(m, &x.text, &why) < 0;
	if (!plain.eightbit) {
		plain.read = read_reencoded;
		plain.arg = &x;
		plain.size = x.text.len;
		trace_why("route", "ok", "6152#3", "the next hop has no 8BITMIME: the content was re-encoded");
	}
	int rc = smtp_client_send(h->client, &plain, err);
	buf_free(&x.text);
	return rc;
}

static int send_client(struct hop *h, struct hop_message *m, struct err *err)
{
	h->sent++;
	if (!(smtp_client_exts(h->client) & SMTP_8BITMIME) && m->has_eightbit(m->m.arg))
		return send_eightbit(h, m, err);
	return smtp_client_send(h->client, &m->m, err);
}

/* The conversation was kept from an earlier message and had ended meanwhile: nothing was said about this one. */
static bool went_stale(const struct hop_message *m, bool reused, const struct err *err)
{
	return reused && !err->code && err->sys != ETIMEDOUT && !*m->begun;
}

static int send_smtp(struct hop *h, const struct route *r, struct hop_message *m, bool reused, struct err *err)
{
	int rc = send_client(h, m, err);
	if (rc < 0 && went_stale(m, reused, err)) {
		m->rewind(m->m.arg);
		if (call_route(h, r, err) < 0)
			return -1;
		rc = send_client(h, m, err);
	}
	return rc;
}

/* An MDA of ours takes bytes as they are, whatever it announces. */
static int send_mda(struct hop *h, struct hop_message *m, struct err *err)
{
	m->m.eightbit = false;
	return mda_send(h->mda, &m->m, m->rewind, err);
}

int hop_send(struct hop *h, const struct route *r, struct hop_message *m, struct hop_result *out, struct err *err)
{
	bool reused = connected(h, r);
	*out = (struct hop_result){ 0 };
	if (!reused && call_route(h, r, err) < 0) {
		out->unreachable = err->class != ERR_PERM;
		snprintf(out->relay, sizeof out->relay, "%s", h->relay);
		memcpy(out->site, h->site, sizeof out->site);
		return -1;
	}
	int rc = h->mda ? send_mda(h, m, err) : send_smtp(h, r, m, reused, err);
	snprintf(out->relay, sizeof out->relay, "%s", h->relay);
	memcpy(out->site, h->site, sizeof out->site);
	out->final = h->mda;
	out->dsn = h->client && (smtp_client_exts(h->client) & SMTP_DSN);
	out->unreachable = rc < 0 && h->mda;
	if (rc < 0 || (h->client && !smtp_client_alive(h->client)))
		hop_hang_up(h);
	return rc;
}
