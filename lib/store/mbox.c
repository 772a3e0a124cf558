/* SPDX-License-Identifier: ISC */
#include "store/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/dotlock.h"

enum {
	MBOX_WAIT_MS = 30 * 1000,
};

/* Does the line begin with "From " after any number of '>'? */
static bool is_from(struct span line)
{
	while (line.n && line.p[0] == '>')
		line = span_from(line, 1);
	return span_starts(line, "From ");
}

static void add_line(struct span line, struct buf *out)
{
	if (span_ends(line, "\r"))
		line.n--;
	if (is_from(line))
		buf_addc(out, '>');
	buf_addspan(out, line);
	buf_addc(out, '\n');
}

/* RFC 4155 appendix A: the sender without blanks, the time as asctime gives it, in UTC. */
static void add_from_line(struct span sender, int64_t when, struct buf *out)
{
	struct tm tm;
	char date[40];
	time_t t = (time_t)when;
	buf_adds(out, "From ");
	if (!sender.n)
		buf_adds(out, "MAILER-DAEMON");
	for (size_t i = 0; i < sender.n; i++)
		buf_addc(out, (unsigned char)sender.p[i] <= ' ' || sender.p[i] == 0x7f ? '_' : sender.p[i]);
	if (!gmtime_r(&t, &tm))
		memset(&tm, 0, sizeof tm);
	/* The C locale's names are what strftime gives: no program of ours calls setlocale for LC_TIME. */
	strftime(date, sizeof date, " %a %b %e %H:%M:%S %Y\n", &tm);
	buf_adds(out, date);
}

void mbox_format(struct span sender, int64_t when, struct span message, struct buf *out)
{
	add_from_line(sender, when, out);
	while (message.n)
		add_line(span_cut(&message, '\n'), out);
	buf_addc(out, '\n');
}

/* How many LFs are missing before a "From " line may stand: after a file that does not end in a blank line. */
static int missing_newlines(int fd, off_t size)
{
	char tail[2] = { '\n', '\n' };
	if (size == 1 && pread(fd, tail + 1, 1, 0) != 1)
		return -1;
	if (size > 1 && pread(fd, tail, 2, size - 2) != 2)
		return -1;
	return tail[1] != '\n' ? 2 : tail[0] != '\n' ? 1 : 0;
}

/* An open file description lock: unlike POSIX's own it conflicts with those of other programs (fcntl) but is not lost
 * when the file is opened and closed again, as an append by name does. */
static int lock_file(int fd, struct err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct timespec pause = { .tv_nsec = 10000000 };
	for (int tries = 0; tries < MBOX_WAIT_MS / 10; tries++) {
		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			break;
		nanosleep(&pause, NULL);
	}
	return errno == EAGAIN || errno == EACCES ? err_set(err, ERR_TEMP, "locked by another program")
						  : err_sys(err, "fcntl lock");
}

/* The file at path, opened and locked: again when it was replaced while we waited. */
static int open_locked(const char *path, struct stat *st, struct err *err)
{
	for (;;) {
		struct stat now;
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return err_sys(err, "%s", path);
		if (lock_file(fd, err) < 0 || fstat(fd, st) < 0) {
			close(fd);
			return err_prefix(err, "%s", path);
		}
		if (!S_ISREG(st->st_mode)) {
			close(fd);
			return err_set(err, ERR_PERM, "%s: not a regular file", path);
		}
		if (stat(path, &now) == 0 && now.st_ino == st->st_ino && now.st_dev == st->st_dev)
			return fd;
		close(fd);
	}
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return !slash ? xstrdup(".") : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int append_locked(int fd, const char *path, const struct mbox_append *how, struct buf *text, struct err *err)
{
	struct stat st;
	int lead = fstat(fd, &st) == 0 ? missing_newlines(fd, st.st_size) : -1;
	if (lead < 0)
		return err_sys(err, "%s", path);
	/* The text begins with two newlines: as many of them are written as the file needs. */
	struct span all = span_from(buf_span(text), (size_t)(2 - lead));
	char *dir = directory_of(path),
	     *full = xasprintf("%s/%s", dir, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	struct durable_dir *d = durable_open(dir, how->mode, err);
	int rc = d ? durable_append(d, full, all, err) : -1;
	durable_close(d);
	free(dir);
	free(full);
	return rc;
}

/* A new file's name must survive too. */
static int sync_name(const char *path, const struct mbox_append *how, struct err *err)
{
	char *dir = directory_of(path);
	int rc = 0, fd = how->mode == DURABLE_NONE ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (how->mode != DURABLE_NONE && (fd < 0 || fsync(fd) < 0))
		rc = err_sys(err, "fsync %s", dir);
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

int mbox_append(const char *path, const struct mbox_append *how, struct span message, struct err *err)
{
	struct stat st;
	struct buf text;
	struct dotlock lock = { 0 };
	struct err why = { 0 };
	int fd = open_locked(path, &st, err);
	if (fd < 0)
		return -1;
	if (dotlock_take(&lock, path, MBOX_WAIT_MS, &why) < 0 && why.sys != EACCES && why.sys != EROFS &&
	    why.sys != EPERM) {
		close(fd);
		if (err)
			*err = why;
		return -1;
	}
	buf_init(&text, SIZE_MAX / 4);
	buf_adds(&text, "\n\n");
	mbox_format(how->sender, how->when, message, &text);
	/* The name first: a message must not be in a file that a crash may take away. */
	int rc = st.st_size == 0 ? sync_name(path, how, err) : 0;
	if (rc == 0)
		rc = append_locked(fd, path, how, &text, err);
	buf_free(&text);
	dotlock_release(&lock);
	close(fd);
	return rc;
}

static bool is_blank(struct span line)
{
	return !line.n || span_eqs(line, "\r");
}

struct splitter {
	struct arena *a;
	struct mbox_msg *v;
	size_t n, cap;
};

static void add_msg(struct splitter *x, struct mbox_msg msg)
{
	if (x->n == x->cap) {
		struct mbox_msg *old = x->v;
		x->cap = x->cap ? 2 * x->cap : 64;
		x->v = arena_alloc(x->a, x->cap * sizeof *x->v);
		if (old)
			memcpy(x->v, old, x->n * sizeof *old);
	}
	x->v[x->n++] = msg;
}

/* Without the blank line that stands before the next "From " line or at the end. */
static struct span without_separator(struct span s)
{
	if (span_ends(s, "\r\n\r\n") || span_eqs(s, "\r\n"))
		s.n -= 2;
	else if (span_ends(s, "\n\n") || span_eqs(s, "\n"))
		s.n -= 1;
	return s;
}

void mbox_split(struct arena *a, struct span file, struct mbox_msg **msgs, size_t *n)
{
	struct splitter x = { .a = a };
	struct mbox_msg now = { 0 };
	struct span rest = file;
	bool after_blank = true, inside = false;
	const char *start = file.p;
	while (rest.n) {
		const char *at = rest.p;
		struct span line = span_cut(&rest, '\n');
		if (after_blank && span_starts(line, "From ")) {
			/* UNSAFE: both point into file, at after start. */
			now.content = without_separator(span_of(start, (size_t)(at - start)));
			if (inside)
				add_msg(&x, now);
			inside = true;
			now.from_line = span_ends(line, "\r") ? span_slice(line, 0, line.n - 1) : line;
			start = rest.n ? rest.p : file.p + file.n;
		}
		after_blank = is_blank(line);
	}
	now.content = without_separator(span_of(start, (size_t)(file.p + file.n - start)));
	if (inside)
		add_msg(&x, now);
	*msgs = x.v;
	*n = x.n;
}

void mbox_unquote(struct span content, struct buf *out)
{
	while (content.n) {
		bool last = span_chr(content, '\n') < 0;
		struct span line = span_cut(&content, '\n');
		if (line.n && line.p[0] == '>' && is_from(line))
			line = span_from(line, 1);
		buf_addspan(out, line);
		if (!last)
			buf_addc(out, '\n');
	}
}
