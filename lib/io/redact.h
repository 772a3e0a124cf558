/* SPDX-License-Identifier: ISC
 *
 * Takes credentials out of protocol lines (SMTP, IMAP, POP3, ManageSieve) before they are recorded. Works without
 * knowing the protocol, and errs towards hiding: a line that merely looks like a login loses its arguments.
 */
#ifndef WP_IO_REDACT_H
#define WP_IO_REDACT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* One conversation's memory of an authentication under way; all zero at its start. */
struct redact {
	char secret_dir; /* lines in this direction are responses: hidden; 0 none */
	bool literals;   /* they are the literals of a login ({6} at the line's end), hidden while another follows */
};

/* Appends the line, or as much of it as may be seen, with *** for the rest. dir: '<' or '>' or 0. */
void redact_line(struct redact *r, char dir, struct span line, struct buf *out);

#endif
