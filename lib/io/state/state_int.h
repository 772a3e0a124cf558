/* SPDX-License-Identifier: ISC
 *
 * Inside of state: state.c chooses where, state_file.c and state_redis.c do it.
 */
#ifndef WP_IO_STATE_INT_H
#define WP_IO_STATE_INT_H

#include <sys/types.h>

#include "io/state/state.h"
#include "io/tls/tls.h"

enum state_op {
	STATE_GET,
	STATE_ADD,
	STATE_PUT,
	STATE_FIRST,
	STATE_DROP
};
struct state_request {
	enum state_op op;
	struct span key;
	uint64_t n;
	int64_t life;
};

struct state_files {
	int dir;
	int64_t wait_ms; /* for a lock */
	struct buf text; /* of the shard in hand */
};
int state_files_open(struct state_files *f, const char *dir, bool make, struct err *err);
void state_files_close(struct state_files *f);
int state_files_do(struct state_files *f, const struct state_request *r, struct state_value *out, struct err *err);
int state_files_list(struct state_files *f, const char *prefix, state_fn *fn, void *arg, struct err *err);

/* One record of a file as text, and back: false for a free or unreadable one. */
enum {
	STATE_RECORD = 128, /* divides a sector: one is never torn */
};
struct state_record {
	int64_t expires;
	uint64_t n;
	struct span key;
};
void state_record_format(const struct state_record *r, char text[STATE_RECORD]);
bool state_record_parse(struct span text, struct state_record *out);

struct state_url {
	char *host, *path, *user, *password; /* "" when there is none */
	uint16_t port;
	unsigned db;
	bool tls;
};
/* The password is in no error's text. -1 with ERR_USAGE, and nothing to free. */
int state_url_parse(const char *text, struct state_url *out, struct err *err);
void state_url_free(struct state_url *u);

struct state_redis {
	struct state_url url;
	struct tls_ctx *tls; /* for url.tls */
	struct stream *s;    /* NULL: not connected */
	pid_t owner;         /* who connected */
	int64_t wait_ms;     /* for a connection, the replies to a request */
	struct buf in;
	size_t at; /* what of `in` is read */
};
int state_redis_do(struct state_redis *r, const struct state_request *q, struct state_value *out, struct err *err);
int state_redis_list(struct state_redis *r, const char *prefix, state_fn *fn, void *arg, struct err *err);
void state_redis_close(struct state_redis *r);

#endif
