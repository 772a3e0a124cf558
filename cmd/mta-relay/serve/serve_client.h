/* SPDX-License-Identifier: ISC
 *
 * Who a client is when others speak for it: proxies with the PROXY protocol (io/listen/proxy.h) or XCLIENT, filters
 * with XFORWARD (smtp/xclient.h). Each only from the networks that are named for it.
 */
#ifndef MTA_RELAY_SERVE_CLIENT_H
#define MTA_RELAY_SERVE_CLIENT_H

#include "base/opts.h"
#include "io/net.h"
#include "smtp/server.h"

struct client_settings {
	const char *proxy, *xclient, *xforward;
};
extern const struct opt client_options[];

/* The networks; NULL: none. */
struct client_lists {
	struct net_list *proxy, *xclient, *xforward;
};
int client_lists_read(struct client_lists *l, const struct client_settings *o, struct err *err);
void client_lists_free(struct client_lists *l);

/* struct smtp_server_ops' xclient; x->arg is a struct relay_session. */
void client_replaced(struct smtp_session *x, const struct xclient *c, struct smtp_answer *a);

/* "name[address]" of XFORWARD, made of what was told; "" without any. In the transaction's arena. */
struct span client_forwarded(const struct smtp_session *x);

#endif
