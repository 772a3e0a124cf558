/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/hop_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/hop/reencode.h"
#include "mta-relay/hop/resend.h"

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
	free(h->own);
	h->client = NULL;
	h->mda = NULL;
	h->key = h->own = NULL;
	h->by_mx = false;
	h->sent = 0;
}

void hop_free(struct hop *h)
{
	if (!h)
		return;
	hop_hang_up(h);
	dns_close(h->dns);
	hop_tls_free(h);
	hop_mx_free(h);
	free(h);
}

static int open_mda(struct hop *h, const struct route *r, struct err *err)
{
	h->mda = mda_new(r->target, h->c->hostname, h->c->mda_timeout, err);
	if (h->mda && h->c->broker && mda_command(h->mda))
		mda_start_by(h->mda, h->c->broker, broker_find(h->c->broker, mda_command(h->mda)));
	return h->mda ? 0 : -1;
}

static int call_route(struct hop *h, const struct route *r, struct err *err)
{
	hop_hang_up(h);
	*h->relay = *h->site = *h->tls = '\0';
	int rc = 0;
	if (r->kind == ROUTE_LMTP)
		rc = open_mda(h, r, err);
	else
		rc = hop_call(h, r, err);
	if (rc < 0)
		return -1;
	if (h->mda)
		snprintf(h->relay, sizeof h->relay, "%s", mda_name(h->mda));
	h->key = xstrdup(r->key);
	h->own = xstrdup(r->own);
	return 0;
}

static bool usable(const struct hop *h)
{
	unsigned most = h->client ? smtp_client_max_mail(h->client) : 0;
	if (!most || most > HOP_PER_SESSION)
		most = HOP_PER_SESSION;
	return h->key && (h->mda || (smtp_client_alive(h->client) && h->sent < most));
}

/* Is the server that we talk to one of the best hosts of this domain too? By name and address: what was verified is the
 * name. */
static bool serves(const struct hop *h, const struct mx_result *mx)
{
	char ours[64], ip[64];
	size_t n = hop_before_ourselves(h, mx);
	net_addr_text(&h->server.addr, ours, sizeof ours);
	for (size_t i = 0; i < n && mx->host[i].preference == mx->host[0].preference; i++) {
		const struct mx_host *host = &mx->host[i];
		for (size_t k = 0; k < host->n_addr; k++) {
			net_addr_text(&host->addr[k], ip, sizeof ip);
			if (!strcmp(ip, ours) && span_ieqs(host->name.n ? host->name : span_str(ip), h->server.host))
				return true;
		}
	}
	return false;
}

/* Another domain, in the same way, at the same server: the conversation becomes that domain's. */
static bool rolls_up(struct hop *h, const struct route *r)
{
	if (r->kind != ROUTE_MX || !h->by_mx || strcmp(h->own, r->own) != 0)
		return false;
	const struct mx_result *mx = hop_mx_find(h, r->target, r->s.family);
	if ((mx->kind != MX_RECORDS && mx->kind != MX_IMPLICIT) || !serves(h, mx))
		return false;
	route_site(mx, h->site);
	free(h->key);
	h->key = xstrdup(r->key);
	trace_why(
	    "route", "ok", "5321#5.1", "%s is a host of %s as well: the conversation goes on", h->relay, r->target);
	return true;
}

static bool connected(struct hop *h, const struct route *r)
{
	return usable(h) && (!strcmp(h->key, r->key) || rolls_up(h, r));
}

/* RFC 6152 3, RFC 3030 3: content that the server can't take as it is. What can't be re-encoded without harm is offered
 * so all the same, and refused for every recipient with 5.6.3 before anything is sent. */
static int send_reencoded(struct hop *h, struct hop_message *m, struct err *err)
{
	struct reencoded x;
	struct err why = { 0 };
	bool eight = smtp_client_exts(h->client) & SMTP_8BITMIME;
	unsigned how = (eight ? MSG_KEEP_8BIT : 0u) | (m->m.binary ? MSG_FROM_BINARY : 0u);
	struct smtp_message plain = m->m;
	plain.eightbit = true;
	if (reencode(&m->m, m->rewind, how, &x, &why) == 0) {
		plain = x.m;
		trace_why("route", "ok", m->m.binary ? "3030#3" : "6152#3",
		    "the next hop has no %s: the content was re-encoded", m->m.binary ? "BINARYMIME" : "8BITMIME");
	} else if (why.class == ERR_TEMP) { /* not read: that says nothing about the content */
		*err = why;
		reencode_free(&x);
		return -1;
	}
	int rc = smtp_client_send(h->client, &plain, err);
	reencode_free(&x);
	return rc;
}

static bool takes_as_it_is(struct hop *h, struct hop_message *m)
{
	unsigned exts = smtp_client_exts(h->client), binary = SMTP_BINARYMIME | SMTP_CHUNKING;
	if (m->m.binary)
		return (exts & binary) == binary;
	return exts & SMTP_8BITMIME || !m->has_eightbit(m->m.arg);
}

static int send_client(struct hop *h, struct hop_message *m, struct err *err)
{
	h->sent++;
	if (m->suit && m->suit(&m->m, smtp_client_exts(h->client), err) < 0)
		return -1;
	if (!takes_as_it_is(h, m))
		return send_reencoded(h, m, err);
	/* What MAIL said of content that turned out to be 7-bit asks for nothing. */
	struct smtp_message msg = m->m;
	msg.eightbit = msg.eightbit && (msg.binary || smtp_client_exts(h->client) & SMTP_8BITMIME);
	return smtp_client_send(h->client, &msg, err);
}

/* The conversation was kept from an earlier message and had ended meanwhile: nothing was said about this one. */
static bool went_stale(const struct hop_message *m, bool reused, const struct err *err)
{
	return reused && !err->code && err->sys != ETIMEDOUT && !*m->begun;
}

struct again {
	struct hop *h;
	const struct route *r;
	const struct hop_message *m;
};

static int send_again(void *arg, struct smtp_message *rest, struct err *err)
{
	const struct again *x = arg;
	struct hop_message m = *x->m;
	m.m = *rest;
	m.rewind(m.m.arg);
	if (call_route(x->h, x->r, err) == 0)
		return send_client(x->h, &m, err);
	for (size_t i = 0; i < rest->n_rcpt; i++)
		rest->rcpt[i].result = *err;
	return -1;
}

/* A 421 refuses what was sent, the content too: nothing can come twice. */
static int send_smtp(struct hop *h, const struct route *r, struct hop_message *m, bool reused, struct err *err)
{
	int rc = send_client(h, m, err);
	bool stale = rc < 0 && went_stale(m, reused, err), left = reused && resend_left(&m->m);
	if (!stale && !left)
		return rc;
	struct again x = { h, r, m };
	return resend_rest(&m->m, send_again, &x, err);
}

/* An MDA of ours takes 8-bit lines as they are, whatever it announces. */
static int send_mda(struct hop *h, struct hop_message *m, struct err *err)
{
	m->m.eightbit = m->m.requiretls = false;
	m->m.by.mode = 0;
	return mda_send(h->mda, &m->m, m->rewind, err);
}

static void tell_hop(const struct hop *h, struct hop_result *out)
{
	snprintf(out->relay, sizeof out->relay, "%s", h->relay);
	memcpy(out->tls, h->tls, sizeof out->tls);
	memcpy(out->site, h->site, sizeof out->site);
}

static int send_to(
    struct hop *h, const struct route *r, struct hop_message *m, bool reused, struct hop_result *out, struct err *err)
{
	*out = (struct hop_result){ 0 };
	if (!reused && call_route(h, r, err) < 0) {
		out->unreachable = err->class != ERR_PERM;
		tell_hop(h, out);
		return -1;
	}
	int rc = h->mda ? send_mda(h, m, err) : send_smtp(h, r, m, reused, err);
	tell_hop(h, out);
	out->final = h->mda;
	out->dsn = h->client && (smtp_client_exts(h->client) & SMTP_DSN);
	out->deliver_by = h->client && (smtp_client_exts(h->client) & SMTP_DELIVERBY);
	out->unreachable = rc < 0 && h->mda;
	return rc;
}

/* Is there an MX host that was not called yet? What a row names is one server, whatever its addresses. */
static bool has_others(struct hop *h, const struct route *r)
{
	struct hop_targets t;
	struct err unused = { 0 };
	if (r->kind != ROUTE_MX || !h->client)
		return false;
	h->elsewhere = true;
	bool some = hop_targets(h, r, &t, &unused) == 0 && t.n;
	h->elsewhere = false;
	return some;
}

/* What the last server put off to another one; false when there is nothing, or nobody who would hear it: then all is as
 * it was. */
static bool send_elsewhere(
    struct hop *h, const struct route *r, struct hop_message *m, struct hop_results *out, int *rc, struct err *err)
{
	struct hop_message some = *m;
	struct hop_result *at = &out->of[out->n];
	struct err why = { 0 };
	struct resend_which which = { .mark = out->n - 1, .nothing_sent = *rc < 0 && !*m->begun };
	bool reached = false;
	struct smtp_rcpt *v = some.m.rcpt = xcalloc(m->m.n_rcpt, sizeof *v);
	some.m.n_rcpt = resend_pick(&m->m, &which, v);
	if (some.m.n_rcpt && has_others(h, r)) {
		trace_why("route", "temp", "5321#5.1", "%s puts recipients off: another host is tried", h->relay);
		m->rewind(m->m.arg);
		h->elsewhere = true;
		int again = send_to(h, r, &some, false, at, &why);
		h->elsewhere = false;
		reached = again == 0 || h->client;
		for (size_t i = 0; i < some.m.n_rcpt; i++) {
			v[i].mark = out->n;
			if (again < 0 && !*v[i].reply)
				v[i].result = why;
		}
		if (reached) {
			resend_merge(&m->m, &which, v);
			out->n++;
			*rc = again;
			*err = why;
		}
	}
	free(v);
	return reached;
}

int hop_send(struct hop *h, const struct route *r, struct hop_message *m, struct hop_results *out, struct err *err)
{
	bool reused = connected(h, r);
	h->n_called = 0;
	if (reused && h->client)
		hop_note_called(h, &h->server.addr);
	for (size_t i = 0; i < m->m.n_rcpt; i++)
		m->m.rcpt[i].mark = 0;
	out->n = 1;
	int rc = send_to(h, r, m, reused, &out->of[0], err);
	while (out->n < HOP_SERVERS && send_elsewhere(h, r, m, out, &rc, err))
		continue;
	if (rc < 0 || (h->client && !smtp_client_alive(h->client)))
		hop_hang_up(h);
	return rc;
}
