/* SPDX-License-Identifier: ISC
 *
 * mua-send: what its parts hand to each other. A message is read whole, made fit for the way (fixup, compose), and
 * submitted with its recipients to a server, to the hosts of each domain, or to the queue of this machine. Everything
 * lives as long as the process.
 */
#ifndef MUA_SEND_MUA_H
#define MUA_SEND_MUA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/opts.h"
#include "msg/downgrade.h"
#include "mua-send/recipients.h"
#include "smtp/client.h"

/* The order of --starttls=require|try|never. */
enum {
	MUA_STARTTLS_AUTO = -1, /* require, but for loopback without a user */
};

struct mua_options {
	/* the message */
	const char *subject, *from, *name;
	struct opt_list attach, to, cc, bcc;
	bool header_recipients, ignore_dots;
	uint64_t max_size;
	/* the way */
	const char *server, *account, *resolver, *hostname, *domain;
	bool direct, requiretls;
	unsigned port;
	int starttls; /* enum starttls_policy, or MUA_STARTTLS_AUTO */
	const char *tls_ca, *tls_cert, *tls_key, *tls_fingerprint;
	const char *user, *auth, *password_command, *netrc;
	int64_t timeout;
	/* reports */
	const char *dsn, *ret, *envid;
	/* when and how urgently */
	int64_t hold_for; /* ms */
	const char *hold_until, *by, *priority;
	/* what is told */
	bool verbose, dry_run, json, explain;
	const char *trace;
};

/* The table and the description of the command line, with mua_defaults as values' start. */
extern const struct opt mua_table[];
extern const struct mua_options mua_defaults;

/* A message on its way. Spans point into what was read or composed. */
struct mail {
	const struct mua_options *o;
	struct arena *arena;
	const char *from;        /* the envelope's, "" for the null sender */
	const char *ret, *envid; /* as smtp_message has them; NULL: none */
	const char *hold;
	struct smtp_by by;
	bool has_priority;
	int priority;
	struct recipients rcpt;
	struct buf composed;
	struct buf head;  /* the header as it goes out */
	struct span body; /* and what follows it, untouched */
	struct msg_needs needs;
	bool utf8; /* an address in envelope or header is not ASCII: SMTPUTF8 (RFC 6531) */
	char *message_id;
	const char *relay_config; /* for mta-relay; NULL: its usual one */
};

/* input.c: stdin up to its end; dot_ends: or to a line of one dot. Inits out. -1 with err, ERR_LIMIT over max. */
int input_read(int fd, bool dot_ends, uint64_t max, struct buf *out, struct err *err);

/* envelope.c: an empty mail with o and arena set; then everything about m but the recipients' results. text is what was
 * read; operands are recipients. */
void mail_init(struct mail *m);
int mail_prepare(struct mail *m, struct span text, char **operands, size_t n, struct err *err);
void mail_free(struct mail *m);

/* transaction.c: the recipients rcpt[0..n) over an open conversation. Each gets its result, also on -1, when the
 * conversation failed. *begun: content may have reached the server. */
int mail_transact(
    struct mail *m, struct smtp_client *c, struct smtp_rcpt *rcpt, size_t n, bool *begun, struct err *err);

/* RFC 5321 2.3.8: a CR without LF and a NUL, which some would read as a line's end, and nobody asked for: -1 with
 * ERR_DATA. Encoding them unasked would change the message. */
int mail_check_lines(const struct mail *m, struct err *err);
/* Can it go out as binary MIME (RFC 3030), and is that better than to encode it? Its line ends are CRLF then. */
bool mail_is_binary(const struct mail *m);

/* submit.c: to --server. direct.c: to the mail exchangers. Results stand with the recipients; -1 with err when nothing
 * could be tried at all. */
int mail_submit(struct mail *m, struct err *err);
int mail_direct(struct mail *m, struct err *err);

/* report.c: err is what kept the whole message, or ERR_NONE: then the recipients' results tell. The exit status: 75
 * when trying again may help any of them, else the first failure's. */
int mail_status(const struct mail *m, const struct err *err);
/* Tells what failed on stderr, with --json all on stdout; the same status. */
int mail_report(const struct mail *m, const char *prog, const struct err *err);
/* --dry-run: envelope and message on stdout. */
int mail_print(const struct mail *m);

#endif
