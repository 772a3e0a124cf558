/* SPDX-License-Identifier: ISC
 *
 * The POP3 server (RFC 1939; CAPA RFC 2449, STLS RFC 2595, AUTH RFC 5034, response codes RFC 3206) over any stream.
 * APOP is left out on purpose: it needs passwords kept in the clear. A maildrop is a snapshot of INBOX; nothing is
 * removed but by QUIT, and IMAP sessions may be open on the same mail.
 */
#ifndef WP_MAA_SERVE_POP3_H
#define WP_MAA_SERVE_POP3_H

#include "maa.h"

/* The whole conversation, greeting to end; TLS of an implicit-TLS port is already on. 0 when it ended with QUIT or
 * by the peer, -1 with err otherwise. */
int pop3_run(struct maa_session *x, struct err *err);

#endif
