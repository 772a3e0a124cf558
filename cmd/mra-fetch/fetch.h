/* SPDX-License-Identifier: ISC
 *
 * One account's work: connect, log in, bring what is new to the destination, record it, delete it when asked to.
 */
#ifndef MRA_FETCH_FETCH_H
#define MRA_FETCH_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/opts.h"
#include "io/broker.h"
#include "io/confine/confine.h"
#include "io/net.h"
#include "io/tls/tls.h"
#include "mra-fetch/dest.h"
#include "mra-fetch/state.h"
#include "sasl/sasl.h"

enum {
	FETCH_BATCH = 32,             /* messages asked for at once */
	FETCH_BATCH_BYTES = 64 << 20, /* and their size */
	FETCH_SAVE_EVERY = 16,        /* messages, or */
	FETCH_SAVE_MS = 500,          /* after this time, whatever comes first */
};

struct fetch_options {
	struct opt_list account, rcpt;
	const char *url, *to, *state, *password_command, *netrc, *auth, *tls_ca, *tls_cert, *tls_key, *tls_fingerprint,
	    *trace;
	int starttls; /* require|try|never, as enum imap_tls and pop3_tls less one */
	bool keep, delete, idle, check, json, allow_plaintext, explain;
	unsigned limit;
	uint64_t max_size;
	int64_t timeout, idle_time, poll;
	struct confine_settings confine;
};

/* What one run works with. */
struct job {
	const struct fetch_options *o;
	struct url url;
	bool imap, implicit_tls;
	uint16_t port;
	struct buf user, password, host; /* host in A-labels */
	struct buf mailbox;              /* as the server writes it */
	struct tls_ctx *tls;
	struct broker *broker; /* NULL: we start commands ourselves */
	bool confined;
	struct dest *dest;
	struct state *state;
	int64_t saved_at;

	unsigned fetched, refused, too_large, deleted;
	uint64_t bytes;
	struct err refusal; /* of the last refused message */
	bool logged_in;     /* in this connection */
};

/* Prepares everything but the connection. -1 with err. */
int job_open(struct job *j, const struct fetch_options *o, struct err *err);
void job_close(struct job *j);
/* fetch_confine.c: the commands that are wanted later, before anything secret is known; then, when all is open, the
 * rights that are left for talking to the server. 0 or -1 with err. */
int job_prepare_commands(struct job *j, struct err *err);
int job_confine(struct job *j, struct err *err);

/* One connection's worth; with --idle it stays until something breaks or the process is asked to stop. */
int job_run(struct job *j, struct err *err);

int fetch_imap(struct job *j, struct stream *s, const struct sasl_client_config *auth, struct err *err);
int fetch_pop3(struct job *j, struct stream *s, const struct sasl_client_config *auth, struct err *err);

/* The message in the destination's hands is whole: commits, traces and reports it. 0 also when it was refused for good
 * (then *safe is false); -1 ends the session. */
int job_commit(struct job *j, const struct dest_meta *meta, bool *safe, struct err *err);
/* state_save, when enough has come together or at the end. */
int job_save(struct job *j, bool now, struct err *err);
/* For --check and --json: a line on stdout. */
void job_report(const struct job *j, const char *uid, uint64_t size, const char *result, const char *why);
bool job_too_large(struct job *j, const char *uid, uint64_t size);
bool job_limit_reached(const struct job *j, size_t planned);

#endif
