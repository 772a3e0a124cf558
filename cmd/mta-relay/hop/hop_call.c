/* SPDX-License-Identifier: ISC
 *
 * Calling the next hop: address by address, with the TLS that the destination's policy asks for. Nothing is ever sent
 * in the clear where the policy demands encryption.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "io/trace.h"
#include "mta-relay/hop/hop_int.h"
#include "mta-relay/hop/hop_secret.h"

/* What is known about the server that is called. */
struct call {
	const struct route *r;
	const struct hop_target *to;
	enum starttls_policy starttls;
	bool implicit_tls;
	const struct sasl_client_config *auth;
	bool last; /* no other address is left */
};

static void name_relay(struct hop *h, const struct hop_target *to)
{
	char ip[64];
	net_addr_text(&to->addr, ip, sizeof ip);
	snprintf(h->relay, sizeof h->relay, "%.240s[%s]:%u", to->host, ip, net_addr_port(&to->addr));
}

static void note_tls(struct hop *h, enum starttls_policy tried)
{
	const struct tls_info *i = stream_tls(smtp_client_stream(h->client));
	h->tls[0] = '\0';
	if (i)
		snprintf(h->tls, sizeof h->tls, "%s %.60s%s%s", i->version, i->cipher, i->verified ? " verified" : "",
		    i->resumed ? " resumed" : "");
	else
		trace_why("tls", NULL, NULL, "in the clear: %s",
		    tried == STARTTLS_NEVER                       ? "STARTTLS is not to be used"
		    : smtp_client_exts(h->client) & SMTP_STARTTLS ? "the server refuses STARTTLS"
								  : "the server does not offer STARTTLS");
}

static int insecure(struct err *err, const char *enh, const char *why)
{
	char text[300];
	snprintf(text, sizeof text, "%.250s", err->text);
	err_reply(err, 550, enh, "REQUIRETLS: %s%s%s", why, *text ? ": " : "", text);
	trace_why("tls", "perm", "8689#4.2.1", "%s", err->text);
	return -1;
}

/* RFC 8689 4.2.1: is the conversation, or what became of it, one that the message may take? */
static int check_requiretls(struct hop *h, struct err *err)
{
	const struct tls_info *i = h->client ? stream_tls(smtp_client_stream(h->client)) : NULL;
	bool tls_failed = !strcmp(err->enh, "4.7.4") || !strcmp(err->enh, "4.7.5");
	if (!h->client)
		return tls_failed ? insecure(err, "5.7.10", "no verified TLS") : -1;
	err_clear(err);
	bool verified = i && i->verified;
	if (verified && smtp_client_exts(h->client) & SMTP_REQUIRETLS)
		return 0;
	smtp_client_close(h->client, true);
	h->client = NULL;
	trace_end();
	return verified ? insecure(err, "5.7.30", "the server does not offer it")
			: insecure(err, "5.7.10", "no verified TLS");
}

/* An MX host that says it is we: the DNS has our address by another name, and the mail would come back for ever. */
static int check_loop(struct hop *h, const struct call *call, struct err *err)
{
	if (call->r->kind != ROUTE_MX || !span_ieqs(span_str(smtp_client_server(h->client)), h->c->hostname))
		return 0;
	smtp_client_close(h->client, true);
	h->client = NULL;
	trace_end();
	err_reply(err, 554, "5.4.6", "mail for %s loops back to us: its host says that it is %s", call->r->target,
	    h->c->hostname);
	trace_why("route", "perm", "5321#5.1", "%s", err->text);
	return -1;
}

static int greet(struct hop *h, const struct call *call, int fd, enum starttls_policy starttls, struct err *err)
{
	const struct route_settings *s = &call->r->s;
	struct smtp_client_config c = { .helo = s->helo ? s->helo : h->c->hostname,
		.starttls = starttls,
		.implicit_tls = call->implicit_tls,
		.host = s->tls_name ? s->tls_name : call->to->host,
		.tls_server = h->relay,
		.auth = call->auth };
	if ((starttls != STARTTLS_NEVER || call->implicit_tls) && !(c.tls = hop_tls(h, s, call->auth, err))) {
		stream_abandon(stream_from_fds(fd, fd));
		snprintf(err->enh, sizeof err->enh, "4.3.5");
		return -1;
	}
	trace_begin(h->relay);
	trace_why("conn.open", "ok", NULL, "connected to %s", h->relay);
	h->client = smtp_client_open(stream_from_fds(fd, fd), &c, err);
	if (h->client)
		note_tls(h, starttls);
	else
		trace_end();
	if (h->client && check_loop(h, call, err) < 0)
		return -1;
	return s->requiretls ? check_requiretls(h, err) : h->client ? 0 : -1;
}

static int connect_to(struct hop *h, const struct call *call, struct err *err)
{
	const struct route_settings *s = &call->r->s;
	const struct net_addr *source = call->to->addr.sa.ss_family == AF_INET ? &s->source4 : &s->source6;
	int fd =
	    net_connect(&call->to->addr, source->len ? source : NULL, call->last ? TIME_CONNECT : HOP_PATIENCE_MS, err);
	if (fd >= 0)
		return fd;
	if (err->sys == ETIMEDOUT || err->sys == EHOSTUNREACH || err->sys == ENETUNREACH)
		hop_note_dead(h, &call->to->addr);
	/* An address of ours that is not ours is no fault of the peer's, but may come back (RFC 5321 4.2.5: not a 5xx).
	 */
	bool not_ours = err->sys == EADDRNOTAVAIL && source->len;
	if (not_ours)
		err_prefix(err, "the source address is not one of this host's");
	snprintf(err->enh, sizeof err->enh, not_ours ? "4.3.5" : "4.4.1");
	trace_why("conn.fail", "temp", NULL, "%s", err->text);
	err_prefix(err, "%s", h->relay);
	return -1;
}

/* One address. Encryption that nobody promised is better than none, and none better than no mail: under `may` a
 * handshake that fails is followed by a conversation in the clear (RFC 7435). */
static int call_address(struct hop *h, const struct call *call, struct err *err)
{
	enum starttls_policy starttls = call->starttls;
	name_relay(h, call->to);
	for (;;) {
		int fd = connect_to(h, call, err);
		if (fd < 0)
			return -1;
		if (greet(h, call, fd, starttls, err) == 0) {
			h->server = *call->to;
			return 0;
		}
		bool again = starttls == STARTTLS_TRY && !call->implicit_tls && !strcmp(err->enh, "4.7.5");
		if (!again)
			return err_prefix(err, "%s", h->relay);
		trace_why("tls", "temp", "7435#4.4", "STARTTLS with %s failed: once more without", h->relay);
		starttls = STARTTLS_NEVER;
	}
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

static int call_targets(struct hop *h, struct call *call, const struct hop_targets *t, struct err *err)
{
	struct tries tries = { .temporary = t->absent_may_pass };
	for (size_t i = 0; i < t->n; i++) {
		struct err why = { 0 };
		call->to = &t->v[i];
		call->last = i + 1 == t->n;
		hop_note_called(h, &call->to->addr);
		if (call_address(h, call, &why) == 0)
			return 0;
		tried(&tries, &why);
	}
	if (t->absent.class)
		tried(&tries, &t->absent);
	*err = tries.first;
	if (tries.temporary || err->class != ERR_PERM)
		err->class = ERR_TEMP;
	return -1;
}

static enum starttls_policy starttls_of(const struct route *r, bool implicit_tls)
{
	if (implicit_tls || r->s.tls == ROUTE_TLS_NONE)
		return STARTTLS_NEVER;
	return r->s.tls == ROUTE_TLS_MAY ? STARTTLS_TRY : STARTTLS_REQUIRE;
}

static int call_mx(struct hop *h, const struct route *r, struct err *err)
{
	struct hop_targets t;
	struct call call = { .r = r, .starttls = starttls_of(r, false) };
	int rc = hop_targets(h, r, &t, err);
	if (t.mx)
		route_site(t.mx, h->site);
	if (rc < 0 || call_targets(h, &call, &t, err) < 0)
		return -1;
	h->by_mx = true;
	return 0;
}

static int read_secret(const struct hop *h, const struct route *r, struct buf *secret, struct err *err)
{
	const char *own = r->s.password_file;
	return hop_secret(
	    own ? own : h->c->password_file, own ? NULL : h->c->password_command, h->c->broker, secret, err);
}

static bool by_certificate(const struct route *r)
{
	return r->s.auth && span_ieqs(span_str(r->s.auth), "EXTERNAL");
}

static int call_url(struct hop *h, const struct route *r, struct err *err)
{
	struct url u;
	struct buf secret;
	struct hop_targets t;
	if (url_parse(r->target, &u, err) < 0)
		return -1;
	buf_init(&secret, LIMIT_SECRET);
	int rc = *u.user && !by_certificate(r) ? read_secret(h, r, &secret, err) : 0;
	if (rc == 0)
		rc = hop_targets(h, r, &t, err);
	if (rc == 0) {
		struct sasl_client_config auth = { .user = u.user,
			.password = secret.p,
			.host = u.host,
			.port = net_addr_port(&t.v[0].addr),
			.mech = r->s.auth };
		struct call call = { .r = r,
			.starttls = starttls_of(r, t.implicit_tls),
			.implicit_tls = t.implicit_tls,
			.auth = *u.user || by_certificate(r) ? &auth : NULL };
		rc = call_targets(h, &call, &t, err);
	}
	explicit_bzero(secret.p, secret.len);
	buf_free(&secret);
	url_free(&u);
	/* What is wrong between the smarthost and us is not the message's fault. */
	bool refused = !strcmp(err->enh, "5.7.10") || !strcmp(err->enh, "5.7.30");
	if (rc < 0 && !(r->s.requiretls && refused))
		err->class = ERR_TEMP;
	return rc;
}

int hop_call(struct hop *h, const struct route *r, struct err *err)
{
	struct err first = { 0 };
	for (; r; r = r->next) {
		h->by_mx = false;
		if ((r->kind == ROUTE_MX ? call_mx(h, r, err) : call_url(h, r, err)) == 0)
			return 0;
		/* A domain that is not there, or wants no mail, is not found elsewhere either. */
		if (err->class == ERR_PERM || !r->next)
			break;
		if (!first.class)
			first = *err;
		trace_why("route", "temp", NULL, "%s can't be reached: %s is tried", r->target, r->next->target);
	}
	if (first.class && err->class != ERR_PERM)
		*err = first;
	return -1;
}
