/* SPDX-License-Identifier: ISC
 *
 * Inside of dest: dest.c takes messages in, dest_deliver.c hands spooled ones over.
 */
#ifndef MRA_FETCH_DEST_INT_H
#define MRA_FETCH_DEST_INT_H

#include "base/buf.h"
#include "mra-fetch/dest.h"
#include "smtp/client.h"
#include "store/maildir.h"

enum {
	HEAD_MAX = 65536 /* of a message, where Message-ID and Return-Path are looked for */
};

struct dest;
typedef int deliver_fn(struct dest *d, const struct dest_meta *meta, struct err *err);

struct dest {
	struct dest_config config;
	const char *target; /* spec without its scheme */
	struct buf head;
	struct buf mid;
	bool mid_known;
	uint64_t size;

	struct maildir *maildir;
	struct maildir_writer *writer;

	deliver_fn *deliver; /* for a spooled message; NULL for a Maildir */
	bool to_lf;          /* CRLF becomes LF on the way in */
	bool cr;             /* one is held back */
	int spool;           /* the file of the message in hand, -1: none */
	int spare;           /* that file, between messages too */
	struct buf out;      /* what goes to the spool next */

	bool lmtp;
	struct smtp_client *smtp; /* kept for many messages */
	struct tls_ctx *tls;
};

/* Where the server is, and what names and TLS need. */
void dest_allow_server(const struct dest *d, struct confine_rules *r);
deliver_fn dest_to_mbox, dest_to_command, dest_to_smtp;

#endif
