/* SPDX-License-Identifier: ISC
 *
 * A queued message's content as it goes to a next hop: the file's, but with another header where addresses are written
 * otherwise (--generic) or its priority is told there (RFC 6758). The file stays as it is.
 */
#ifndef MTA_RELAY_RUN_CONTENT_H
#define MTA_RELAY_RUN_CONTENT_H

#include "mta-relay/policy/rewrite.h"
#include "mta-relay/spool/spool_msg.h"
#include "smtp/client.h"

enum {
	RUN_PIECE = 65536
};

/* What is sent instead of the first `instead` bytes. */
struct run_head {
	struct span text; /* in the message's arena */
	uint64_t instead;
	bool changed;
};
struct run_content {
	struct spool_msg *m;
	char *piece; /* RUN_PIECE bytes */
	uint64_t at;
	bool begun; /* read since the last rewind */
	struct run_head written, sent;
};

/* As struct smtp_message and struct hop_message want them; their arg is a struct run_content. */
int run_content_read(void *content, struct span *out, struct err *err);
void run_content_rewind(void *content);
bool run_content_has_eightbit(void *content);
int run_content_suit(struct smtp_message *m, unsigned exts, struct err *err);
uint64_t run_content_size(const struct run_content *c);
/* RFC 6531 3.1: is there anything in the header that is not ASCII? */
bool run_content_needs_utf8(const struct run_content *c);
/* The header as it is written to other hosts; rules NULL: as it is. -1 with err. */
int run_content_generic(struct run_content *c, const struct rewrite_rules *rules, struct err *err);

#endif
