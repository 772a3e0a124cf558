/* SPDX-License-Identifier: ISC */
#include "mua-send/session.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "io/hostname.h"
#include "io/trace.h"

static int64_t connect_timeout(const struct session *s)
{
	int64_t most = s->m->o->timeout;
	return most > 0 && most < TIME_CONNECT ? most : TIME_CONNECT;
}

static int connect_socket(struct session *s, struct net_addr *got, struct err *err)
{
	int64_t ms = connect_timeout(s);
	if (s->unix_socket) {
		got->sa.ss_family = AF_UNIX;
		got->len = sizeof(sa_family_t);
		return net_connect_unix(s->host, ms, err);
	}
	if (!s->addr)
		return net_connect_host(s->host, s->port, ms, got, err);
	*got = *s->addr;
	return net_connect(s->addr, NULL, ms, err);
}

static void set_name(struct session *s, const struct net_addr *got)
{
	char ip[64];
	if (s->unix_socket) {
		snprintf(s->name, sizeof s->name, "unix:%.300s", s->host);
		return;
	}
	net_addr_text(got, ip, sizeof ip);
	bool literal = !strcmp(ip, s->host) || !got->len;
	if (literal)
		snprintf(s->name, sizeof s->name, "%.240s:%u", s->host, (unsigned)s->port);
	else
		snprintf(s->name, sizeof s->name, "%.200s[%s]:%u", s->host, ip, (unsigned)s->port);
}

/* RFC 5321 4.1.4: a name that means something to others, or our address. */
static const char *hello_name(const struct session *s, int fd, char out[128])
{
	const char *name = s->m->o->hostname ? s->m->o->hostname : hostname_full();
	struct net_addr own = { .len = sizeof own.sa };
	char literal[100];
	if (s->m->o->hostname || strchr(name, '.') || s->unix_socket)
		return name;
	if (getsockname(fd, (struct sockaddr *)(void *)&own.sa, &own.len))
		return name;
	net_addr_literal(&own, literal, sizeof literal);
	snprintf(out, 128, "[%s]", literal);
	return out;
}

static enum starttls_policy policy(const struct session *s, const struct net_addr *got)
{
	if (s->implicit_tls)
		return STARTTLS_NEVER;
	if (s->m->o->starttls != MUA_STARTTLS_AUTO)
		return (enum starttls_policy)s->m->o->starttls;
	if (s->opportunistic || s->unix_socket)
		return s->opportunistic ? STARTTLS_TRY : STARTTLS_NEVER;
	return net_addr_is_loopback(got) && !s->auth ? STARTTLS_TRY : STARTTLS_REQUIRE;
}

/* Encryption that nobody asked for may be with anybody (RFC 7435); one that carries a password may not. */
static bool verifies(const struct session *s, enum starttls_policy p)
{
	const struct mua_options *o = s->m->o;
	return s->implicit_tls || s->auth || p == STARTTLS_REQUIRE || o->tls_ca || o->tls_fingerprint || o->requiretls;
}

static struct tls_ctx *make_tls(const struct session *s, enum starttls_policy p, struct err *err)
{
	const struct mua_options *o = s->m->o;
	struct tls_client_config c = { .verify = verifies(s, p) ? TLS_VERIFY_NAME : TLS_VERIFY_NONE,
		.ca_file = o->tls_ca,
		.cert_file = o->tls_cert,
		.key_file = o->tls_key,
		.fingerprint = o->tls_fingerprint };
	return tls_client_new(&c, err);
}

/* One connection. */
static int converse(struct session *s, int fd, enum starttls_policy p, struct err *err)
{
	char literal[128];
	struct smtp_client_config c = { .lmtp = s->lmtp,
		.helo = hello_name(s, fd, literal),
		.starttls = p,
		.implicit_tls = s->implicit_tls,
		.host = s->unix_socket ? "localhost" : s->host,
		.auth = s->auth,
		.timeout = s->m->o->timeout };
	struct stream *stream = stream_from_fds(fd, fd);
	if ((p != STARTTLS_NEVER || s->implicit_tls) && !(s->tls = make_tls(s, p, err))) {
		stream_abandon(stream);
		return -1;
	}
	c.tls = s->tls;
	s->client = smtp_client_open(stream, &c, err);
	if (s->client)
		return 0;
	tls_ctx_free(s->tls);
	s->tls = NULL;
	return -1;
}

static int open_once(struct session *s, bool plain, bool *again, struct err *err)
{
	struct net_addr got = { .len = 0 };
	int fd = connect_socket(s, &got, err);
	set_name(s, &got);
	trace_begin(s->name);
	if (fd < 0) {
		trace_why("conn.fail", err_result(err), NULL, "%s: %s", s->name, err->text);
		trace_end();
		return err_prefix(err, "%s", s->name);
	}
	char why[400];
	snprintf(why, sizeof why, "connected to %s", s->name);
	trace_event(&(struct trace_event){ .ev = "conn.open", .dir = '>', .result = "ok", .why = why });
	enum starttls_policy p = plain ? STARTTLS_NEVER : policy(s, &got);
	if (converse(s, fd, p, err) == 0)
		return 0;
	*again = p == STARTTLS_TRY && !verifies(s, p) && !strcmp(err->enh, "4.7.5");
	trace_why("conn.close", err_result(err), NULL, "%s", err->text);
	trace_end();
	return err_prefix(err, "%s", s->name);
}

/* Where TLS is only tried, a handshake that fails is followed by a conversation without it: none better than no mail
 * (RFC 7435 4). */
int session_open(struct session *s, struct err *err)
{
	bool again = false;
	if (open_once(s, false, &again, err) == 0)
		return 0;
	if (!again)
		return -1;
	trace_why("tls", "temp", "7435#4", "STARTTLS with %s failed: once more without", s->name);
	err_clear(err);
	return open_once(s, true, &again, err);
}

void session_close(struct session *s)
{
	bool alive = smtp_client_alive(s->client);
	smtp_client_close(s->client, true);
	tls_ctx_free(s->tls);
	s->client = NULL;
	s->tls = NULL;
	trace_why("conn.close", "ok", NULL, "%s", alive ? "QUIT" : "the server ended it");
	trace_end();
}

void session_results(const struct session *s, const struct smtp_rcpt *rcpt, size_t n)
{
	char why[700];
	for (size_t i = 0; i < n; i++) {
		snprintf(why, sizeof why, "<%.250s>: %.200s said %.200s", rcpt[i].address, s->name, rcpt[i].reply);
		trace_event(&(struct trace_event){
		    .ev = "deliver", .result = err_result(&rcpt[i].result), .code = rcpt[i].result.code, .why = why });
	}
}
