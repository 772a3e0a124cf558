/* SPDX-License-Identifier: ISC
 *
 * Submission to one configured server (RFC 6409), or handing over by LMTP.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "dns/dns.h"
#include "io/secret.h"
#include "mua-send/server.h"
#include "mua-send/session.h"

/* The host's A-labels; an address stays what it is. -1 when it is no name. */
static int ascii_host(const char *host, struct buf *out, struct err *err)
{
	struct net_addr literal;
	if (net_addr_parse(host, 0, &literal)) {
		buf_adds(out, host);
		return 0;
	}
	return dns_to_ascii(span_str(host), out) ? 0 : err_set(err, ERR_USAGE, "server: '%s' is no host name", host);
}

struct login {
	struct buf user, password;
	struct sasl_client_config auth;
};

static bool wants_login(const struct mua_options *o, const struct server *s)
{
	return *s->user || o->user || (o->auth && span_ieqs(span_str(o->auth), "EXTERNAL"));
}

static int find_login(struct login *l, const struct mua_options *o, const struct server *s, struct err *err)
{
	struct secret_source src = { .command = o->password_command,
		.netrc = o->netrc,
		.host = s->host,
		.none = o->auth && span_ieqs(span_str(o->auth), "EXTERNAL") };
	buf_adds(&l->user, o->user ? o->user : s->user);
	if (secret_find(&src, &l->user, &l->password, err))
		return -1;
	if (!buf_cstr(&l->password) || !buf_cstr(&l->user))
		return err_set(err, ERR_CONFIG, "a user name or password with a NUL byte in it");
	l->auth = (struct sasl_client_config){
		.user = l->user.p, .password = l->password.p, .host = s->host, .port = s->port, .mech = o->auth
	};
	return 0;
}

static int converse(struct mail *m, const struct server *srv, struct login *l, struct err *err)
{
	bool begun = false;
	struct buf host;
	buf_init(&host, LIMIT_SMTP_PATH);
	bool login = wants_login(m->o, srv);
	struct session s = { .m = m,
		.port = srv->port,
		.unix_socket = srv->unix_socket,
		.lmtp = srv->lmtp,
		.implicit_tls = srv->implicit_tls,
		.auth = login ? &l->auth : NULL };
	int rc = srv->unix_socket ? 0 : ascii_host(srv->host, &host, err);
	s.host = srv->unix_socket ? srv->host : host.p;
	if (rc == 0 && login)
		rc = find_login(l, m->o, srv, err);
	if (rc == 0)
		rc = session_open(&s, err);
	if (rc == 0) {
		if (mail_transact(m, s.client, m->rcpt.v, m->rcpt.n, &begun, err))
			err_clear(err); /* each recipient has it as its result */
		session_results(&s, m->rcpt.v, m->rcpt.n);
		session_close(&s);
	}
	buf_free(&host);
	return rc;
}

int mail_submit(struct mail *m, struct err *err)
{
	struct server server;
	struct login l = { .auth = { 0 } };
	if (server_parse(m->o->server, &server, err))
		return -1;
	buf_init(&l.user, LIMIT_SMTP_PATH);
	buf_init(&l.password, LIMIT_SECRET);
	int rc = converse(m, &server, &l, err);
	explicit_bzero(l.password.p, l.password.len);
	buf_free(&l.password);
	buf_free(&l.user);
	server_free(&server);
	return rc;
}
