/* SPDX-License-Identifier: ISC
 *
 * What milters are told beside the protocol's steps: Sendmail's macros, as far as we know their values, with Postfix's
 * forms where the two differ.
 */
#include <stdio.h>

#include "io/tls/tls.h"
#include "mta-relay/hooks/serve_milter.h"

enum {
	MACROS_MAX = 32,
	BIT_CONNECT = 1 << MILTER_AT_CONNECT,
	BIT_HELO = 1 << MILTER_AT_HELO,
	BIT_MAIL = 1 << MILTER_AT_MAIL,
	BIT_RCPT = 1 << MILTER_AT_RCPT,
	BIT_ID =
	    1 << MILTER_AT_MAIL | 1 << MILTER_AT_RCPT | 1 << MILTER_AT_DATA | 1 << MILTER_AT_EOH | 1 << MILTER_AT_EOM,
};

struct list {
	struct milter_macro *v;
	size_t n;
	struct arena *arena;
};

static void add(struct list *l, const char *name, unsigned stages, struct span value)
{
	if (value.n)
		l->v[l->n++] = (struct milter_macro){ name, stages, value };
}

/* As in an address literal, RFC 5321 4.1.3. */
static struct span literal(struct arena *a, const char *ip)
{
	return span_str(strchr(ip, ':') ? arena_printf(a, "IPv6:%s", ip) : ip);
}

static struct span number(struct arena *a, unsigned n)
{
	return span_str(arena_printf(a, "%u", n));
}

static void add_connection(
    struct list *l, const struct milter_seat *seat, const struct relay_session *s, const struct smtp_session *x)
{
	const struct milter_settings *o = milter_settings(seat->m);
	const struct net_addr *local = &s->conn->local;
	const char *name = *x->peer_name ? x->peer_name : "unknown";
	const char *role = s->rs->o.role == ROLE_MSA ? "MSA" : "MTA";
	char ip[64] = "";
	if (local->len)
		net_addr_text(local, ip, sizeof ip);
	add(l, "j", BIT_CONNECT, span_str(s->rs->hostname));
	add(l, "v", BIT_CONNECT, SPAN("waypost " WAYPOST_VERSION));
	add(l, "_", BIT_CONNECT, span_str(arena_printf(l->arena, "%s [%s]", name, x->peer_ip)));
	add(l, "{daemon_name}", BIT_CONNECT, span_str(o->daemon_name ? o->daemon_name : role));
	add(l, "{client_addr}", BIT_CONNECT, literal(l->arena, x->peer_ip));
	add(l, "{client_name}", BIT_CONNECT, span_str(name));
	add(l, "{client_ptr}", BIT_CONNECT, span_str(name));
	add(l, "{client_resolve}", BIT_CONNECT, *x->peer_name ? SPAN("OK") : SPAN("FAIL"));
	add(l, "{client_port}", BIT_CONNECT, number(l->arena, net_addr_port(&s->client)));
	if (!net_addr_port(local))
		return;
	struct span here = literal(l->arena, arena_printf(l->arena, "%s", ip));
	add(l, "{daemon_addr}", BIT_CONNECT, here);
	add(l, "{daemon_port}", BIT_CONNECT, number(l->arena, net_addr_port(local)));
	add(l, "{if_addr}", BIT_CONNECT, here);
	add(l, "{if_name}", BIT_CONNECT, span_str(s->rs->hostname));
}

static void add_tls(struct list *l, const struct smtp_session *x)
{
	const struct tls_info *tls = stream_tls(x->s);
	if (!tls)
		return;
	add(l, "{tls_version}", BIT_HELO, span_str(tls->version));
	add(l, "{cipher}", BIT_HELO, span_str(tls->cipher));
	add(l, "{cipher_bits}", BIT_HELO, number(l->arena, (unsigned)tls->bits));
	add(l, "{verify}", BIT_HELO, tls->verified ? SPAN("OK") : SPAN("NO"));
	if (!tls->verified)
		return;
	add(l, "{cert_subject}", BIT_HELO, span_str(tls->peer_name));
	add(l, "{cert_issuer}", BIT_HELO, span_str(tls->peer_issuer));
}

static void add_sender(struct list *l, const struct relay_session *s, const struct smtp_session *x)
{
	add(l, "i", BIT_ID, span_str(s->id));
	if (x->user.n) {
		add(l, "{auth_type}", BIT_MAIL, span_str(s->talk.mech));
		add(l, "{auth_authen}", BIT_MAIL, x->user);
		add(l, "{auth_author}", BIT_MAIL, x->env.auth);
	}
	add(l, "{mail_addr}", BIT_MAIL, x->env.from);
	add(l, "{mail_host}", BIT_MAIL, x->env.from_addr.domain);
	add(l, "{mail_mailer}", BIT_MAIL, x->esmtp ? SPAN("esmtp") : SPAN("smtp"));
}

static void add_rcpt(struct list *l, const struct smtp_env_rcpt *r, const struct smtp_answer *refused)
{
	const struct relay_targets *to = r->op;
	bool local = to && to->n && to->v[0].local;
	if (refused) {
		add(l, "{rcpt_addr}", BIT_RCPT, span_str(refused->text));
		add(l, "{rcpt_host}", BIT_RCPT, span_str(refused->enh));
		add(l, "{rcpt_mailer}", BIT_RCPT, SPAN("error"));
		return;
	}
	add(l, "{rcpt_addr}", BIT_RCPT, r->text);
	add(l, "{rcpt_host}", BIT_RCPT, r->addr.domain);
	add(l, "{rcpt_mailer}", BIT_RCPT, local ? SPAN("local") : SPAN("esmtp"));
}

struct milter_macros milter_macros_of(const struct milter_seat *seat, const struct relay_session *s,
    const struct smtp_session *x, const struct smtp_env_rcpt *r, const struct smtp_answer *refused)
{
	struct arena *a = x->env.arena;
	struct list l = { arena_alloc(a, MACROS_MAX * sizeof *l.v), 0, a };
	add_connection(&l, seat, s, x);
	add_tls(&l, x);
	add_sender(&l, s, x);
	if (r)
		add_rcpt(&l, r, refused);
	return (struct milter_macros){ l.v, l.n };
}
