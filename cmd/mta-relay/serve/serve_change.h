/* SPDX-License-Identifier: ISC
 *
 * What checks make of a message besides yes and no: on hold, dropped, another sender, other recipients. They are known
 * for the transaction in hand and carried out at its end by serve_deliver.c. What is in the message is changed with
 * content_edit.h.
 */
#ifndef MTA_RELAY_SERVE_CHANGE_H
#define MTA_RELAY_SERVE_CHANGE_H

#include "base/err.h"
#include "mta-relay/policy/policy.h"

struct relay_session;
struct smtp_session;

struct serve_change {
	bool hold;                            /* into the queue, where it waits for somebody who lets it go on */
	bool discard;                         /* said yes to, and dropped */
	struct span next_hop;                 /* of the whole message, into the queue; "" none of its own */
	const struct relay_targets *redirect; /* instead of all recipients; NULL: none */
	struct relay_target *extra;           /* recipients besides those of RCPT; arena */
	size_t n_extra, cap;
};

/* `by` names who wants it, `why` is for the log. */
void change_hold(struct relay_session *s, const struct smtp_session *x, const char *by, struct span why);
void change_discard(struct relay_session *s, const struct smtp_session *x, const char *by, struct span why);
/* address: with or without <>; args: parameters of MAIL or RCPT, "" for none. -1 with err when they are not valid, or
 * for a recipient when nobody could take mail for it. */
int change_sender(
    struct relay_session *s, struct smtp_session *x, struct span address, struct span args, struct err *err);
int change_add_rcpt(
    struct relay_session *s, struct smtp_session *x, struct span address, struct span args, struct err *err);
/* The recipient as RCPT said it, or what an alias made of it; false when there is none such. */
bool change_delete_rcpt(struct relay_session *s, struct smtp_session *x, struct span address);
/* All mail of the transaction goes there, whatever else RCPT says. -1 with err, as change_add_rcpt. */
int change_redirect(struct relay_session *s, struct smtp_session *x, struct span address, struct err *err);
/* The whole message goes to this one (next_hop.h) and nowhere else, local recipients too. -1 with err. */
int change_next_hop(
    struct relay_session *s, const struct smtp_session *x, const char *by, struct span hop, struct err *err);
/* The content is complete: what was redirected has no other recipients from now on. */
void change_begin_end(struct relay_session *s, struct smtp_session *x);
/* Has nobody been left to send it to? */
bool change_nobody_left(const struct relay_session *s, const struct smtp_session *x);

#endif
