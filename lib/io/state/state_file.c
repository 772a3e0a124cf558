/* SPDX-License-Identifier: ISC
 *
 * State in files: 256 of them, by the key's hash, each a table of records of one length that are changed in place under
 * a lock. A record is written by one write that no sector's end divides, so that a crash leaves the old one or the new
 * one; no name ever leads to another file, so that another node cannot find an old one; and nothing grows but the
 * number of keys that are alive.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/state/state_int.h"

enum {
	SHARDS = 256,
	RECORDS_MAX = 4096, /* of a shard: then who would expire first makes room */
	SHARD_MAX = STATE_RECORD * (RECORDS_MAX + 1),
	SLACK = 64, /* free records at the end of a file that are not worth a cut */
	LOCK_PAUSE_US = 1000,
	EXPIRES_DIGITS = 11,
	NUMBER_DIGITS = 20,
};
static const char title[] = "# waypost-state 1: expires, number, key";

void state_record_format(const struct state_record *r, char text[STATE_RECORD])
{
	char line[STATE_RECORD + 64];
	snprintf(line, sizeof line, "%011lld %020llu %-*.*s\n", (long long)r->expires, (unsigned long long)r->n,
	    STATE_KEY_MAX, (int)r->key.n, r->key.p);
	memcpy(text, line, STATE_RECORD);
}

bool state_record_parse(struct span text, struct state_record *out)
{
	uint64_t expires;
	if (text.n != STATE_RECORD || text.p[EXPIRES_DIGITS] != ' ' || text.p[STATE_RECORD - 1] != '\n')
		return false;
	if (!span_u64(span_slice(text, 0, EXPIRES_DIGITS), INT64_MAX, &expires))
		return false;
	size_t at = EXPIRES_DIGITS + 1;
	if (text.p[at + NUMBER_DIGITS] != ' ' ||
	    !span_u64(span_slice(text, at, at + NUMBER_DIGITS), UINT64_MAX, &out->n))
		return false;
	out->expires = (int64_t)expires;
	out->key = span_slice(text, at + NUMBER_DIGITS + 1, STATE_RECORD - 1);
	while (out->key.n && out->key.p[out->key.n - 1] == ' ')
		out->key.n--;
	return out->key.n > 0;
}

int state_files_open(struct state_files *f, const char *dir, bool make, struct err *err)
{
	buf_init(&f->text, SHARD_MAX);
	if (make && mkdir(dir, 0750) < 0 && errno != EEXIST)
		return err_sys(err, "%s", dir);
	f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0)
		return err_sys(err, "%s", dir);
	if (make && faccessat(f->dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_sys(err, "%s", dir);
	return 0;
}

void state_files_close(struct state_files *f)
{
	if (f->dir >= 0)
		close(f->dir);
	f->dir = -1;
	buf_free(&f->text);
}

/* Another node may have died, or hang, with the lock: we wait for as long as somebody can be expected to. */
static int lock(int fd, short type, int64_t wait_ms)
{
	int64_t until = clock_coarse_ms() + wait_ms;
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	while (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -1;
		if (clock_coarse_ms() >= until) {
			errno = ETIMEDOUT;
			return -1;
		}
		usleep(LOCK_PAUSE_US);
	}
	return 0;
}

/* The whole shard into f->text. */
static int read_all(struct state_files *f, int fd)
{
	buf_reset(&f->text);
	for (;;) {
		size_t want = f->text.max - f->text.len < 16384 ? f->text.max - f->text.len : 16384;
		char *room = want ? buf_room(&f->text, want) : NULL;
		if (!room)
			return 0;
		ssize_t n = pread(fd, room, want, (off_t)f->text.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		buf_grew(&f->text, (size_t)n);
		/* A file's end, and no other, gives less than was asked for. */
		if ((size_t)n < want)
			return 0;
	}
}

/* The shard locked and read; its descriptor. ENOENT when it is not there and is not made. */
static int open_shard(struct state_files *f, unsigned which, enum state_op op, struct err *err)
{
	char name[4];
	struct stat st;
	snprintf(name, sizeof name, "%02x", which % SHARDS);
	bool change = op != STATE_GET;
	/* Who only drops, root perhaps, makes no file that the servers might not be able to open. */
	int how = !change ? O_RDONLY : op == STATE_DROP ? O_RDWR : O_RDWR | O_CREAT;
	int fd = openat(f->dir, name, how | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return err_sys(err, "state file %s", name);
	/* fstat: on a shared file system what another node wrote under its lock is seen only after that. */
	if (lock(fd, change ? F_WRLCK : F_RDLCK, f->wait_ms) == 0 && fstat(fd, &st) == 0 && read_all(f, fd) == 0)
		return fd;
	err_sys(err, "state file %s", name);
	close(fd);
	return -1;
}

struct place {
	size_t at;   /* the key's record, or the one to take for it */
	bool found;  /* and alive */
	size_t live; /* records up to the last one that is alive, the title's too */
	size_t n;    /* records */
	struct state_record record;
};

static void find(const struct buf *b, struct span key, int64_t now, struct place *p)
{
	int64_t first = INT64_MAX;
	size_t earliest = 1, unused = 0;
	*p = (struct place){ .n = b->len / STATE_RECORD, .live = 1 };
	for (size_t i = 1; i < p->n; i++) {
		struct state_record r;
		bool alive = state_record_parse(span_of(b->p + i * STATE_RECORD, STATE_RECORD), &r) && r.expires > now;
		if (!alive) {
			unused = unused ? unused : i;
			continue;
		}
		p->live = i + 1;
		if (r.expires < first) {
			first = r.expires;
			earliest = i;
		}
		if (!p->found && span_eq(r.key, key)) {
			p->found = true;
			p->at = i;
			p->record = r;
		}
	}
	if (!p->found)
		p->at = unused ? unused : p->n <= RECORDS_MAX ? (p->n ? p->n : 1) : earliest;
}

static int put_record(int fd, size_t at, const char text[STATE_RECORD])
{
	ssize_t n = pwrite(fd, text, STATE_RECORD, (off_t)(at * STATE_RECORD));
	if (n >= 0 && n < STATE_RECORD)
		errno = ENOSPC;
	return n == STATE_RECORD ? 0 : -1;
}

static int put_title(int fd)
{
	char text[STATE_RECORD];
	memset(text, ' ', sizeof text);
	memcpy(text, title, sizeof title - 1);
	text[STATE_RECORD - 1] = '\n';
	return put_record(fd, 0, text);
}

/* What the record becomes; false: nothing is written. */
static bool change(const struct state_request *q, int64_t now, const struct place *p, struct state_record *r)
{
	if (q->op == STATE_GET || (q->op == STATE_FIRST && p->found) || (q->op == STATE_DROP && !p->found))
		return false;
	r->key = q->key;
	r->expires = q->op == STATE_ADD && p->found ? p->record.expires : now + q->life;
	r->n = q->op == STATE_ADD && p->found ? p->record.n + q->n : q->n;
	if (q->op == STATE_DROP)
		r->expires = 0;
	return true;
}

static int apply(struct state_files *f, int fd, const struct state_request *q, int64_t now, struct state_value *out)
{
	struct place p;
	struct state_record r;
	char text[STATE_RECORD];
	find(&f->text, q->key, now, &p);
	*out = (struct state_value){ .there = p.found, .n = p.record.n, .left = p.found ? p.record.expires - now : 0 };
	if (!change(q, now, &p, &r))
		return 0;
	if (q->op == STATE_ADD)
		*out = (struct state_value){ true, r.n, r.expires - now };
	if (!p.n && put_title(fd) < 0)
		return -1;
	state_record_format(&r, text);
	if (put_record(fd, p.at, text) < 0)
		return -1;
	size_t keep = p.live > p.at + 1 ? p.live : p.at + 1;
	return p.n > keep + SLACK ? ftruncate(fd, (off_t)(keep * STATE_RECORD)) : 0;
}

static unsigned shard_of(struct span key)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	SHA256((const unsigned char *)key.p, key.n, hash);
	return hash[0];
}

int state_files_do(struct state_files *f, const struct state_request *q, struct state_value *out, struct err *err)
{
	struct err why = { 0 };
	*out = (struct state_value){ 0 };
	int fd = open_shard(f, shard_of(q->key), q->op, &why);
	if (fd < 0) {
		if (why.sys == ENOENT && (q->op == STATE_GET || q->op == STATE_DROP))
			return 0;
		*err = why;
		return -1;
	}
	int rc = apply(f, fd, q, time(NULL), out);
	if (rc < 0) {
		err_sys(err, "state file");
		*out = (struct state_value){ 0 };
	}
	close(fd);
	return rc;
}

static int list_shard(const struct buf *b, const char *prefix, state_fn *fn, void *arg)
{
	int rc = 0;
	int64_t now = time(NULL);
	for (size_t i = 1; i < b->len / STATE_RECORD && rc == 0; i++) {
		struct state_record r;
		if (!state_record_parse(span_of(b->p + i * STATE_RECORD, STATE_RECORD), &r) || r.expires <= now ||
		    !span_starts(r.key, prefix))
			continue;
		struct state_value v = { true, r.n, r.expires - now };
		rc = fn(arg, r.key, &v);
	}
	return rc;
}

int state_files_list(struct state_files *f, const char *prefix, state_fn *fn, void *arg, struct err *err)
{
	int rc = 0;
	for (unsigned i = 0; i < SHARDS && rc == 0; i++) {
		struct err why = { 0 };
		int fd = open_shard(f, i, STATE_GET, &why);
		if (fd < 0 && why.sys == ENOENT)
			continue;
		if (fd < 0) {
			*err = why;
			return -1;
		}
		close(fd); /* the text is ours */
		rc = list_shard(&f->text, prefix, fn, arg);
	}
	return rc;
}
