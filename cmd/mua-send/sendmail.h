/* SPDX-License-Identifier: ISC
 *
 * sendmail(8)'s command line, as scripts, cron and libraries have used it for decades, turned into mua-send's own; and
 * its other names. What is not about sending a message is mta-relay's work, which is beside us.
 */
#ifndef MUA_SEND_SENDMAIL_H
#define MUA_SEND_SENDMAIL_H

#include "base/buf.h"
#include "mua-send/mua.h"

enum sendmail_act {
	SENDMAIL_SEND,
	SENDMAIL_NOTHING, /* newaliases, -bi, -I: alias files are read as they are; -bh, -bH */
	SENDMAIL_STDIN,   /* -bs: SMTP on stdin */
	SENDMAIL_LIST,    /* mailq, -bp */
	SENDMAIL_RUN,     /* -q */
	SENDMAIL_RETRY,   /* -qI, -qR, -qS */
	SENDMAIL_VERIFY,  /* -bv */
	SENDMAIL_DAEMON,  /* -bd */
	SENDMAIL_LOCAL,   /* -bl */
};

struct sendmail {
	enum sendmail_act act;
	const char *which;   /* SENDMAIL_RETRY's: an id or a condition of mta-relay queue */
	const char *config;  /* -C, mta-relay's too; NULL: the usual one */
	struct arena *arena; /* of argv; the caller frees it, also after an error */
	/* mua-send's command line: options, "--", recipients from argv[operands] on; NULL-terminated. */
	char **argv;
	int argc, operands;
};

/* Are we called by one of its names ("sendmail", "mailq", "newaliases")? */
bool sendmail_is(const char *argv0);
/* -1 with ERR_USAGE. */
int sendmail_parse(int argc, char **argv, struct sendmail *out, struct err *err);
/* For all acts but SEND and NOTHING: becomes mta-relay. Returns only when that fails, with err. */
int sendmail_become_relay(const struct sendmail *s, struct err *err);

/* The path of mta-relay: beside our own program, else by PATH. */
const char *relay_path(struct arena *a);
/* inject.c: the message into this machine's queue, by mta-relay inject. 0, and each recipient's result is OK; or -1
 * with err. */
int mail_inject(struct mail *m, struct err *err);

#endif
