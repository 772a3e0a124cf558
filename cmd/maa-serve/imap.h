/* SPDX-License-Identifier: ISC
 *
 * The IMAP4rev1 server (RFC 3501) with LITERAL+, SASL-IR, ID, ENABLE, NAMESPACE, CHILDREN, UIDPLUS, UNSELECT, IDLE and
 * MOVE, over any stream. Content is stored with LF and presented with CRLF.
 */
#ifndef WP_MAA_SERVE_IMAP_H
#define WP_MAA_SERVE_IMAP_H

#include "maa.h"

/* The whole conversation, greeting to end; TLS of an implicit-TLS port is already on. 0 when it ended with LOGOUT or
 * by the peer, -1 with err otherwise. */
int imap_run(struct maa_session *x, struct err *err);

#endif
