/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/serve_patience.h"

#include "base/limits.h"
#include "smtp/dot_decode.h"

#define AT(member) offsetof(struct patience_settings, member)

const struct opt patience_options[] = {
	{ "bare-newline", 0, OPT_CHOICE, AT(bare_newline), NULL, "a bare CR or LF in content of who may relay",
	    "refuse|normalize", 0 },
	{ "nul", 0, OPT_CHOICE, AT(nul), NULL, "a NUL in content of who may relay", "refuse|strip", 0 },
	{ "max-header", 0, OPT_SIZE, AT(max_header), "SIZE", "largest header of a message; 0: no limit", NULL, 0 },
	{ "max-line", 0, OPT_SIZE, AT(max_line), "SIZE", "longest line of a message; 0: no limit", NULL, 0 },
	{ "data-timeout", 0, OPT_DURATION, AT(data_timeout), "TIME", "how long content may be silent", NULL, 0 },
	{ "data-rate", 0, OPT_UINT, AT(data_rate), "N", "bytes of content a second at least", NULL, 0 },
	{ "data-grace", 0, OPT_DURATION, AT(data_grace), "TIME", "when --data-rate begins to count", NULL, 0 },
	{ "transaction-time", 0, OPT_DURATION, AT(transaction_time), "TIME", "for one message; 0: no limit", NULL, 0 },
	{ "session-time", 0, OPT_DURATION, AT(session_time), "TIME", "after it no message begins; 0: no limit", NULL,
	    0 },
	{ "max-errors", 0, OPT_UINT, AT(max_errors), "N", "refused commands between two messages", NULL, 0 },
	{ "max-junk", 0, OPT_UINT, AT(max_junk), "N", "commands between two messages that bring none", NULL, 0 },
	{ "stress-timeout", 0, OPT_DURATION, AT(stress_timeout), "TIME", "for a command while others wait; 0: as ever",
	    NULL, 0 },
	{ 0 },
};

const struct patience_settings patience_defaults = {
	.max_header = 1024 * 1024,
	.max_line = 1024 * 1024,
	.data_rate = LIMIT_SMTP_DATA_RATE,
	.max_errors = LIMIT_SMTP_ERRORS,
	.max_junk = LIMIT_SMTP_JUNK_COMMANDS,
	.data_timeout = TIME_SMTP_DATA_BLOCK,
	.data_grace = TIME_SMTP_DATA_GRACE,
	.transaction_time = 60 * 60 * 1000,
	.session_time = 60 * 60 * 1000,
	.stress_timeout = 10 * 1000,
};

int patience_check(const struct patience_settings *o, struct err *err)
{
	if (!o->max_errors || !o->max_junk || !o->data_rate || !o->data_timeout || !o->data_grace)
		return err_set(err, ERR_USAGE,
		    "--max-errors, --max-junk, --data-rate, --data-timeout and --data-grace must not be 0");
	return 0;
}

void patience_config(const struct patience_settings *o, struct smtp_server_config *c)
{
	c->max_header = o->max_header;
	c->max_line = o->max_line;
	c->data_timeout_ms = o->data_timeout;
	c->data_rate = o->data_rate;
	c->data_grace_ms = o->data_grace;
	c->transaction_ms = o->transaction_time;
	c->session_ms = o->session_time;
	c->stress_ms = o->stress_timeout;
	c->max_errors = o->max_errors;
	c->max_commands_junk = o->max_junk;
}

unsigned patience_mend(const struct patience_settings *o, bool friend)
{
	if (!friend)
		return 0;
	return (o->bare_newline ? DOT_BARE_CR | DOT_BARE_LF : 0u) | (o->nul ? (unsigned)DOT_NUL : 0u);
}
