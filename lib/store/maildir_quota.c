/* SPDX-License-Identifier: ISC
 *
 * maildirsize, the quota file of Maildir++ (Courier's maildirquota): the first line is the limit, "10485760S,1000C",
 * each further one "SIZE COUNT" to be summed up. It is an estimate that every program adds to, counted anew when it
 * says "full" and is old or long.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "store/maildir_int.h"

enum {
	QUOTA_FILE_MAX = 5120, /* longer ones are counted anew: Maildir++'s own figure */
	QUOTA_FILE_AGE_S = 15 * 60,
	NONE_MS = 100, /* for which a file that is not there is not looked for again */
};

struct quota {
	uint64_t bytes, messages; /* the limits, 0: none */
	int64_t used_bytes, used_messages;
	size_t lines;
	size_t file_size;
	time_t mtime;
};

static char *quota_path(const struct maildir *m)
{
	return xasprintf("%s/maildirsize", m->path);
}

static void parse_limits(struct span line, struct quota *q)
{
	while (line.n) {
		struct span word = span_cut(&line, ',');
		uint64_t v;
		if (!word.n || !span_u64(span_slice(word, 0, word.n - 1), INT64_MAX, &v))
			continue;
		if (word.p[word.n - 1] == 'S')
			q->bytes = v;
		else if (word.p[word.n - 1] == 'C')
			q->messages = v;
	}
}

static int64_t parse_signed(struct span s)
{
	uint64_t v = 0;
	bool negative = span_starts(s, "-");
	if (!span_u64(span_from(s, negative), INT32_MAX * (uint64_t)INT32_MAX, &v))
		return 0;
	return negative ? -(int64_t)v : (int64_t)v;
}

static void parse_file(struct span text, struct quota *q)
{
	q->file_size = text.n;
	parse_limits(span_trim(span_cut(&text, '\n')), q);
	for (; text.n && q->lines < QUOTA_FILE_MAX; q->lines++) {
		struct span line = span_cut(&text, '\n');
		q->used_bytes += parse_signed(span_word(&line));
		q->used_messages += parse_signed(span_word(&line));
	}
}

/* 1 when there is a file, 0, -1. */
static int load(struct maildir *m, struct quota *q, struct err *err)
{
	*q = (struct quota){ 0 };
	if (clock_coarse_ms() < m->no_quota)
		return 0;

	struct buf text;
	struct stat st;
	char *path = quota_path(m);
	buf_init(&text, MAILDIR_SMALL_FILE_MAX);
	int rc = maildir_slurp(path, &text, err);
	if (rc == 0)
		m->no_quota = clock_coarse_ms() + NONE_MS;
	if (rc > 0) {
		parse_file(buf_span(&text), q);
		q->mtime = stat(path, &st) == 0 ? st.st_mtime : 0;
	}
	buf_free(&text);
	free(path);
	return rc;
}

struct count {
	const struct maildir *m;
	const char *dir; /* being counted */
	struct quota *q;
};

static int count_message(void *arg, struct span name, unsigned char type)
{
	struct count *c = arg;
	struct maildir_name parsed;
	(void)type;
	maildir_name_parse(name, &parsed);
	if (parsed.size == UINT64_MAX) {
		struct stat st;
		char *path = xasprintf("%s/%.*s", c->dir, SPAN_FMT(name));
		parsed.size = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
		free(path);
	}
	c->q->used_bytes += (int64_t)parsed.size;
	c->q->used_messages++;
	return 0;
}

static void count_folder(struct count *c, const char *folder)
{
	static const char *const subs[] = { "new", "cur" };
	for (size_t i = 0; i < 2; i++) {
		char *dir = xasprintf("%s/%s", folder, subs[i]);
		c->dir = dir;
		/* One that can't be read counts nothing: a directory of another kind, or a folder just removed. */
		maildir_each(dir, false, count_message, c, NULL);
		free(dir);
	}
}

static int count_entry(void *arg, struct span name, unsigned char type)
{
	struct count *c = arg;
	(void)type;
	if (name.p[0] != '.' || span_starts(name, ".."))
		return 0;
	char *folder = xasprintf("%s/%.*s", c->m->path, SPAN_FMT(name));
	count_folder(c, folder);
	free(folder);
	return 0;
}

static int recount(struct maildir *m, struct quota *q, struct err *err)
{
	struct count c = { .m = m, .q = q };
	struct buf text;
	char *path = quota_path(m);
	q->used_bytes = q->used_messages = 0;
	m->no_quota = 0;
	count_folder(&c, m->path);
	int rc = maildir_each(m->path, true, count_entry, &c, err);
	buf_init(&text, 1024);
	if (q->bytes)
		buf_addf(&text, "%lluS", (unsigned long long)q->bytes);
	if (q->messages)
		buf_addf(&text, "%s%lluC", q->bytes ? "," : "", (unsigned long long)q->messages);
	buf_addf(&text, "\n%lld %lld\n", (long long)q->used_bytes, (long long)q->used_messages);
	if (rc == 0)
		rc = durable_replace(m->d, path, buf_span(&text), m->file_mode, err);
	buf_free(&text);
	free(path);
	q->lines = 1;
	return rc;
}

static bool is_full(const struct quota *q, uint64_t bytes)
{
	int64_t used = q->used_bytes > 0 ? q->used_bytes : 0;
	return (q->bytes && (bytes > q->bytes || (uint64_t)used > q->bytes - bytes)) ||
	       (q->messages && q->used_messages >= (int64_t)q->messages);
}

int maildir_quota_check(struct maildir *m, uint64_t bytes, struct err *err)
{
	struct quota q;
	int there = load(m, &q, err);
	if (there < 0)
		return -1;
	if (!there && !m->limit)
		return 0;
	bool fresh = there && q.file_size <= QUOTA_FILE_MAX;
	if (m->limit && q.bytes != m->limit) {
		q.bytes = m->limit;
		fresh = false;
	}
	if (!q.bytes && !q.messages)
		return 0;
	bool recent = q.lines <= 1 && time(NULL) - q.mtime < QUOTA_FILE_AGE_S;
	if ((!fresh || (is_full(&q, bytes) && !recent)) && recount(m, &q, err) < 0)
		return -1;
	if (is_full(&q, bytes))
		return err_reply(err, 452, "4.2.2", "the mailbox is full");
	return 0;
}

void maildir_quota_add(struct maildir *m, int64_t bytes, int64_t messages)
{
	char line[64];
	struct stat st;
	if (clock_coarse_ms() < m->no_quota)
		return;
	char *path = quota_path(m);
	int n = snprintf(line, sizeof line, "%lld %lld\n", (long long)bytes, (long long)messages);
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	free(path);
	if (fd < 0)
		return;
	/* fstat first: on a shared file system it makes the append see what another node has written. A line that is
	 * lost is found again by the next count. */
	bool told = fstat(fd, &st) == 0 && write(fd, line, (size_t)n) == n;
	(void)told;
	close(fd);
}
