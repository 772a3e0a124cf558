/* SPDX-License-Identifier: ISC
 *
 * What happens to a client and to a message: each event once, here, with its fields. It becomes a line of our own
 * format (`event key=value ...`) or lines such as Postfix writes, for the tools that read these (pflogsumm, fail2ban's
 * filters); and it is counted. Who logs an event knows of neither. Spans are a peer's bytes and are quoted or made
 * printable; everything is borrowed for the call.
 */
#ifndef MTA_RELAY_EVENTS_H
#define MTA_RELAY_EVENTS_H

#include "base/err.h"
#include "base/span.h"
#include "io/listen/metrics.h"

enum event_kind {
	EVENT_CONNECT,
	EVENT_DISCONNECT,
	EVENT_AUTH, /* went well: user, mech */
	EVENT_AUTH_FAILED,
	EVENT_REFUSE,  /* a command's refusal */
	EVENT_ACCEPT,  /* a message is ours now */
	EVENT_DELIVER, /* what an attempt at one recipient came to */
	EVENT_EXPIRE,  /* a recipient is given up */
	EVENT_REPORT,  /* the sender is told: by the message `as` */
	EVENT_DROP,    /* a bounce that can't be delivered */
	EVENT_REMOVE,  /* the message leaves the queue, all done */
	EVENT_LOCKOUT, /* a network is not talked to for a while */
	EVENT_BRAKE,   /* a user went beyond a limit of his */
	EVENT_KINDS
};

/* Fields that do not apply are 0, NULL or empty. */
struct event {
	enum event_kind kind;
	const char *qid;
	const char *client, *name; /* the client's address; its verified name */
	const char *net;           /* LOCKOUT: its network */
	unsigned port, uid;        /* uid: of who injected it */
	struct span helo, user, mech;
	struct span orig_client; /* "name[address]", by XFORWARD */
	const char *proto;       /* "ESMTP" */
	struct span from, to, orig_to, mid;
	uint64_t size;
	size_t rcpts;
	const char *how;   /* ACCEPT: "queued", "delivered", "injected", "report" */
	const char *stage; /* REFUSE, DISCONNECT: the verb */
	const char *check; /* REFUSE: who did */
	int code;
	const char *enh, *status; /* status: "delivered", "deferred", ... */
	struct span text, relay;  /* the reply or the reason; who gave it */
	const char *tls;          /* DELIVER: of the conversation, quoted, or "none" */
	int64_t delay, tried;     /* DELIVER: microseconds since it came, and that the attempt took */
	const char *as;
	struct span counts; /* DISCONNECT: "ehlo=1 mail=1 rcpt=0/1" */
	unsigned messages, refused;
	bool lost, timeout; /* DISCONNECT without QUIT */
	int64_t seconds;
};
void event(const struct event *e);

enum event_format {
	EVENTS_NATIVE,
	EVENTS_POSTFIX
};
/* service: what Postfix calls the part that this process plays ("smtpd", "submission/smtpd", "qmgr", "pickup"). file:
 * the log, NULL for where it goes anyway. -1 with err. */
int events_open(enum event_format format, const char *service, const char *file, struct err *err);

/* Metrics. The rows of both services begin with those of deliveries. */
enum {
	COUNT_DELIVERED,
	COUNT_RELAYED,
	COUNT_HANDED,
	COUNT_DEFERRED,
	COUNT_FAILED,
	COUNT_OWN
};
enum { /* serve */
	COUNT_SESSIONS = COUNT_OWN,
	COUNT_SESSIONS_ACCEPTED,
	COUNT_SESSIONS_REFUSED,
	COUNT_SESSIONS_LOST,
	COUNT_SESSIONS_IDLE,
	COUNT_ACCEPTED,
	COUNT_REFUSED_TEMP,
	COUNT_REFUSED_PERM,
	COUNT_BYTES,
	COUNT_AUTH_OK,
	COUNT_AUTH_FAILED,
	COUNT_CHECK_LIMIT,
	COUNT_CHECK_USER,
	COUNT_CHECK_GREET,
	COUNT_CHECK_DNS,
	COUNT_CHECK_GREYLIST,
	COUNT_LOCKOUTS,
	COUNT_BRAKES,
};
enum { /* run */
	COUNT_QUEUE = COUNT_OWN,
	COUNT_OLDEST,
	COUNT_ACTIVE,
	COUNT_DOWN,
	COUNT_REMOVED,
	COUNT_EXPIRED,
	COUNT_REPORTS,
};
/* From now on events are counted, here and in the processes that are forked from this one, for `path`. service: "mta",
 * "msa" or "run". NULL with err. */
struct metrics *events_count(const char *path, const char *service, struct err *err);
/* events_count's; NULL when nothing is counted. */
struct metrics *events_metrics(void);

/* events_postfix.c: as lines of Postfix's. */
void event_as_postfix(const struct event *e, const char *service);

#endif
