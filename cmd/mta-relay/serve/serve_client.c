/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/serve_client.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/listen/listen.h"
#include "mta-relay/serve/serve_check.h"

#define AT(member) offsetof(struct client_settings, member)
const struct opt client_options[] = {
	{ "proxy", 0, OPT_STR, AT(proxy), "NETS", "proxies that say whose a connection is (PROXY protocol)", NULL, 0 },
	{ "xclient", 0, OPT_STR, AT(xclient), "NETS", "clients that may say whose a conversation is (XCLIENT)", NULL,
	    0 },
	{ "xforward", 0, OPT_STR, AT(xforward), "NETS", "clients that may say whose a message is (XFORWARD)", NULL, 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static int read_one(const char *text, const char *option, struct net_list **out, struct err *err)
{
	if (!text || (*out = net_list_parse(text, err)))
		return 0;
	return err_prefix(err, "%s", option);
}

int client_lists_read(struct client_lists *l, const struct client_settings *o, struct err *err)
{
	*l = (struct client_lists){ 0 };
	if (read_one(o->proxy, "--proxy", &l->proxy, err) || read_one(o->xclient, "--xclient", &l->xclient, err) ||
	    read_one(o->xforward, "--xforward", &l->xforward, err))
		return -1;
	return 0;
}

void client_lists_free(struct client_lists *l)
{
	net_list_free(l->proxy);
	net_list_free(l->xclient);
	net_list_free(l->xforward);
	*l = (struct client_lists){ 0 };
}

/* The address; one that is not told is nobody's whom we trust. */
static void take_address(struct relay_session *s, const struct xclient *c, struct net_addr *addr)
{
	const char *ip = arena_str(s->arena, c->v[XCLIENT_ADDR]);
	unsigned port = xclient_port(c, XCLIENT_PORT);
	if (!*ip || !net_addr_parse(ip, (uint16_t)port, addr)) {
		addr->len = 0;
		s->peer_ip = "unknown";
	} else {
		char text[64];
		net_addr_text(addr, text, sizeof text);
		s->peer_ip = arena_str(s->arena, span_str(text));
	}
	s->talk.port = port;
}

void client_replaced(struct smtp_session *x, const struct xclient *c, struct smtp_answer *a)
{
	struct relay_session *s = x->arg;
	struct net_addr addr = s->client;
	checks_close(s, x);
	if (c->given >> XCLIENT_ADDR & 1)
		take_address(s, c, &addr);
	s->client = addr;
	s->trusted = s->rs->trust && addr.len && net_list_match(s->rs->trust, &addr);
	x->peer_ip = s->peer_ip;
	x->peer = s->talk.port ? arena_printf(s->arena, "%s:%u", s->peer_ip, s->talk.port) : s->peer_ip;
	x->peer_name = c->given >> XCLIENT_NAME & 1 ? arena_str(s->arena, c->v[XCLIENT_NAME]) : serve_reverse_name(s);
	s->renamed = true;
	unsigned limit = serve_renamed(&addr);
	serve_reconfigure(s);
	if (!limit)
		return;
	log_warn("too-many client=%s limit=%u", s->peer_ip, limit);
	smtp_answer(a, 421, "4.7.0", "Too many connections from that address");
	a->close = true;
}

struct span client_forwarded(const struct smtp_session *x)
{
	const struct xclient *f = x->env.forward;
	if (!f || (!f->v[XCLIENT_NAME].n && !f->v[XCLIENT_ADDR].n))
		return SPAN("");
	return span_str(arena_printf(x->env.arena, "%.*s[%.*s]",
	    SPAN_FMT(f->v[XCLIENT_NAME].n ? f->v[XCLIENT_NAME] : SPAN("unknown")),
	    SPAN_FMT(f->v[XCLIENT_ADDR].n ? f->v[XCLIENT_ADDR] : SPAN("unknown"))));
}
