/* SPDX-License-Identifier: ISC */
#include "store/dotlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"
#include "base/xalloc.h"

static void host_name(char *out, size_t n)
{
	if (gethostname(out, n) < 0)
		snprintf(out, n, "localhost");
	out[n - 1] = '\0';
}

static int64_t now_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1 taken, 0 somebody has it, -1 with err. */
static int try_take(struct dotlock *l, struct err *err)
{
	char text[320], host[256];
	struct stat st;
	int fd = open(l->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : err_sys(err, "%s", l->path);
	host_name(host, sizeof host);
	int n = snprintf(text, sizeof text, "%ld:%s", (long)getpid(), host);
	int rc = write(fd, text, (size_t)n) == n && fstat(fd, &st) == 0 ? 1 : err_sys(err, "%s", l->path);
	close(fd);
	if (rc < 0) {
		unlink(l->path);
		return -1;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return rc;
}

/* Is its process one of this host, and gone? */
static bool owner_gone(const char *path)
{
	char text[320], host[256];
	uint64_t pid;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof text);
	close(fd);
	struct span rest = span_trim(span_of(text, n > 0 ? (size_t)n : 0));
	if (!span_u64(span_cut(&rest, ':'), INT32_MAX, &pid) || !pid)
		return false;
	host_name(host, sizeof host);
	/* Not kill(2), which is nothing for a confined process. */
	return span_eqs(rest, host) && getpgid((pid_t)pid) < 0 && errno == ESRCH;
}

/* Removes a stale lock: first aside under a name of ours, so that a lock which somebody else made anew meanwhile is
 * recognised by its inode and put back. */
static void break_stale(const struct dotlock *l)
{
	struct stat st, moved;
	if (stat(l->path, &st) < 0)
		return;
	int64_t most = l->named && st.st_size == 0 ? DOTLOCK_EMPTY_MS : DOTLOCK_STALE_MS;
	bool old = now_ms(CLOCK_REALTIME) - (int64_t)st.st_mtim.tv_sec * 1000 > most;
	if (!old && !owner_gone(l->path))
		return;
	char *aside = xasprintf("%s.%ld", l->path, (long)getpid());
	if (rename(l->path, aside) == 0) {
		bool same = stat(aside, &moved) == 0 && moved.st_ino == st.st_ino &&
			    moved.st_mtim.tv_sec == st.st_mtim.tv_sec && moved.st_mtim.tv_nsec == st.st_mtim.tv_nsec;
		if (same || link(aside, l->path) == 0 || errno == EEXIST)
			unlink(aside);
	}
	free(aside);
}

static int take(struct dotlock *l, int64_t wait_ms, struct err *err)
{
	int64_t end = now_ms(CLOCK_MONOTONIC) + wait_ms;
	struct timespec pause = { .tv_nsec = 500000 };
	int rc = try_take(l, err);
	while (rc == 0 && now_ms(CLOCK_MONOTONIC) < end) {
		break_stale(l);
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 20000000)
			pause.tv_nsec += pause.tv_nsec / 2;
		rc = try_take(l, err);
	}
	if (rc == 0)
		rc = err_set(err, ERR_TEMP, "%s: taken for more than %d s", l->path, (int)(wait_ms / 1000));
	if (rc > 0)
		return 0;
	free(l->path);
	l->path = NULL;
	return -1;
}

int dotlock_take(struct dotlock *l, const char *file, int64_t wait_ms, struct err *err)
{
	*l = (struct dotlock){ .path = xasprintf("%s.lock", file) };
	return take(l, wait_ms, err);
}

int dotlock_take_named(struct dotlock *l, const char *file, int64_t wait_ms, struct err *err)
{
	*l = (struct dotlock){ .path = xasprintf("%s.lock", file), .named = true };
	return take(l, wait_ms, err);
}

void dotlock_release(struct dotlock *l)
{
	struct stat st;
	if (!l->path)
		return;
	if (stat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
	l->path = NULL;
}
