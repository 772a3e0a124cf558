/* SPDX-License-Identifier: ISC
 *
 * How much a client may ask of our patience: times, rates, errors, the form of the content. The engine (smtp/server.h)
 * does the counting; here are the options, and what is mended for whom.
 */
#ifndef MTA_RELAY_SERVE_PATIENCE_H
#define MTA_RELAY_SERVE_PATIENCE_H

#include "base/err.h"
#include "base/opts.h"
#include "smtp/server.h"

struct patience_settings {
	int bare_newline, nul; /* 0: refuse */
	uint64_t max_header, max_line;
	unsigned data_rate, max_errors, max_junk;
	int64_t data_timeout, data_grace, transaction_time, session_time, stress_timeout;
};

extern const struct opt patience_options[];
extern const struct patience_settings patience_defaults;

/* 0, or -1 with err: what must be one at least and is none. */
int patience_check(const struct patience_settings *o, struct err *err);
void patience_config(const struct patience_settings *o, struct smtp_server_config *c);
/* For smtp_server_ops.mend; friend: the client may relay. */
unsigned patience_mend(const struct patience_settings *o, bool friend);

#endif
