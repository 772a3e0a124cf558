/* SPDX-License-Identifier: ISC
 *
 * A policy service, as Postfix's SMTPD_POLICY_README describes them: attributes go to it as lines "name=value", an
 * empty line ends them, and its answer has a line "action=...". The connection is kept over requests and clients; one
 * that has ended meanwhile is opened anew once.
 *
 * Actions are those of Postfix's access(5) as far as they mean something here.
 */
#ifndef MTA_RELAY_POLICYD_H
#define MTA_RELAY_POLICYD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum policyd_verb {
	POLICYD_DUNNO,
	POLICYD_OK,
	POLICYD_REFUSE, /* with code, enh and text */
	POLICYD_DEFER_IF_PERMIT,
	POLICYD_DEFER_IF_REJECT,
	POLICYD_HOLD,
	POLICYD_DISCARD,
	POLICYD_REDIRECT, /* text: the address */
	POLICYD_BCC,
	POLICYD_PREPEND, /* text: the field */
	POLICYD_FILTER,  /* text: the next hop */
	POLICYD_WARN,
	POLICYD_INFO,
};
struct policyd_action {
	enum policyd_verb verb;
	int code; /* and enh: of what refuses, or would */
	char enh[12];
	struct span text;
};
/* What stands after "action=". False for one that nobody knows. */
bool policyd_action_parse(struct span value, struct policyd_action *out);
/* An answer without its empty line; the action in it. False when there is none, or what is no attribute. */
bool policyd_reply_parse(struct span reply, struct span *action);
/* Adds "name=value"; what could end the line becomes '?'. */
void policyd_attribute(struct buf *out, const char *name, struct span value);

enum policyd_stage {
	POLICYD_CONNECT = 1,
	POLICYD_HELO = 2,
	POLICYD_MAIL = 4,
	POLICYD_RCPT = 8,
	POLICYD_DATA = 16,
	POLICYD_END = 32
};
enum policyd_otherwise {
	POLICYD_OR_TEMPFAIL,
	POLICYD_OR_ACCEPT,
	POLICYD_OR_REJECT
};
enum policyd_clients {
	POLICYD_ALL,
	POLICYD_STRANGERS
};
struct policyd_settings {
	int64_t timeout;
	int otherwise, clients;
	const char *stage, *context;
	unsigned stages; /* of `stage` */
};

struct policyd;
/* spec: hook_place.h's, with the settings of struct policyd_settings. NULL with err. */
struct policyd *policyd_new(const char *spec, struct err *err);
void policyd_free(struct policyd *p);
struct confine_rules;
void policyd_rules(const struct policyd *p, struct confine_rules *r);
const char *policyd_name(const struct policyd *p);
const struct policyd_settings *policyd_settings(const struct policyd *p);
/* request: attributes without the empty line. 0 with *out, which points into p until the next call; -1 with err. */
int policyd_ask(struct policyd *p, struct span request, struct policyd_action *out, struct err *err);

#endif
