/* SPDX-License-Identifier: ISC
 *
 * One message's content while it is received: in memory up to CONTENT_MEMORY, what is more in an unlinked temporary
 * file. Nothing here survives a crash: what must, goes to the MDA or the queue before it is promised.
 */
#ifndef MTA_RELAY_CONTENT_H
#define MTA_RELAY_CONTENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "msg/header.h"

enum {
	CONTENT_MEMORY = 1 << 20,
	CONTENT_PREFIX = 65536,
	CONTENT_BLOCK = 65536
};

enum content_stage {
	CONTENT_READ_PREFIX,
	CONTENT_READ_MEM,
	CONTENT_READ_FILE,
};

struct content {
	struct buf above;  /* fields that belong above our Received field, from content_edit.h */
	struct buf prefix; /* fields that we put before it */
	struct buf mem;
	int fd;           /* -1: all is in memory */
	uint64_t spilled; /* bytes in the file */
	struct err err;   /* of the temporary file, sticky */
	/* Reading */
	unsigned stage; /* enum content_stage */
	uint64_t at;
	char *block;
};

void content_init(struct content *c);
/* Opens temporary files for this process now, while they can be: without, and when there are not enough, one is opened
 * when it is needed. */
enum {
	CONTENT_FILES = 4
};
void content_prepare(void);
void content_free(struct content *c);
/* Empty again; the memory is kept. */
void content_reset(struct content *c);
/* -1 when the temporary file failed: c->err says why. */
int content_add(struct content *c, struct span piece);
uint64_t content_size(const struct content *c); /* with the prefix */
/* From the start, prefix first. struct smtp_message's read: 1 with *out, 0 at the end, -1 with err. */
void content_rewind(void *content);
int content_read(void *content, struct span *out, struct err *err);

/* Each gets the other's message, without what is put before it. */
void content_swap(struct content *a, struct content *b);

/* For content_edit.h. The file of `from` becomes c's, which loses its own; a text goes on top of c->above. */
void content_take_file(struct content *c, struct content *from);
void content_put_above(struct content *c, struct span text);

/* What a look at the header tells. Spans point into c->mem. */
struct content_facts {
	unsigned received;
	bool date, message_id, bcc;
	bool tls_optional; /* "TLS-Required: No" (RFC 8689 3) */
	bool has_priority; /* MT-Priority (RFC 6758 3), one and valid */
	int priority;
	unsigned priorities; /* fields of that name */
	bool headless;       /* its first line is no header field */
	struct span mid;
	struct span from_value; /* of the last From field */
	unsigned froms;
};
void content_look(const struct content *c, struct content_facts *f);
/* What one field asks of the transport, for whoever has no struct content. */
void content_look_field(const struct header_field *h, struct content_facts *f);
/* Removes the line that a mailbox put above the header: behind a field of ours it would make a body of the rest. */
void content_drop_from_line(struct content *c);
/* Removes Bcc and Resent-Bcc (RFC 5322 3.6.3: those are for the sender's eyes). */
void content_drop_bcc(struct content *c);

#endif
