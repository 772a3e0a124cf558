/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog_segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_record.h"
#include "io/durable/commitlog_state.h"
#include "io/durable/durable_fs.h"

enum {
	NAME_SIZE = 24, /* sixteen hexadecimal digits and ".log" */
	ZEROS = 1 << 20,
};
static const char spare[] = "spare";

static void segment_name(uint64_t segment, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%016llx.log", (unsigned long long)segment);
}

int segment_open(int dir_fd, uint64_t segment)
{
	char name[NAME_SIZE];
	segment_name(segment, name);
	return openat(dir_fd, name, O_RDWR | O_CLOEXEC);
}

/* On disk before the file has a segment's name: the records of its earlier use must not come to life again. */
static int write_header(int fd, uint64_t nonce, const char *boot)
{
	struct buf b;
	buf_init(&b, COMMITLOG_HEADER);
	commitlog_header_encode(nonce, boot, &b);
	int rc = fs_pwrite_all(fd, b.p, b.len, 0);
	buf_free(&b);
	return rc < 0 ? -1 : fs_sync(fd);
}

static int fill_with_zeros(int fd)
{
	char *zeros = xcalloc(1, ZEROS);
	int rc = 0;
	for (off_t at = 0; rc == 0 && at < COMMITLOG_SEGMENT; at += ZEROS)
		rc = fs_pwrite_all(fd, zeros, ZEROS, at);
	free(zeros);
	return rc;
}

/* The spare, whole and with the header of its next use, as an open file. */
static int prepare_spare(int dir_fd, uint64_t nonce, const char *boot)
{
	struct stat st;
	int fd = openat(dir_fd, spare, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	int rc = fstat(fd, &st);
	/* A shorter one was left by a process that was killed. */
	if (rc == 0 && st.st_size != COMMITLOG_SEGMENT)
		rc = fill_with_zeros(fd);
	if (rc == 0)
		rc = write_header(fd, nonce, boot);
	int keep = errno;
	close(fd);
	if (rc < 0)
		unlinkat(dir_fd, spare, 0);
	errno = keep;
	return rc;
}

int segment_create(int dir_fd, uint64_t segment, const char *boot, uint64_t *nonce, struct err *err)
{
	char name[NAME_SIZE];
	segment_name(segment, name);
	if (getrandom(nonce, sizeof *nonce, 0) != (ssize_t)sizeof *nonce)
		return err_sys(err, "random number");
	if (prepare_spare(dir_fd, *nonce, boot) < 0 || renameat(dir_fd, spare, dir_fd, name) < 0 || fs_sync(dir_fd) < 0)
		return err_sys(err, "commit log segment");
	return 0;
}

bool segment_any_of_other_boot(int dir_fd, const char *boot)
{
	uint64_t *numbers, nonce;
	char head[COMMITLOG_HEADER];
	struct span wrote;
	ssize_t n = segment_list(dir_fd, &numbers);
	bool other = n < 0;
	for (ssize_t i = 0; !other && i < n; i++) {
		int fd = segment_open(dir_fd, numbers[i]);
		other = fd < 0 || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
			!commitlog_header_decode(span_of(head, sizeof head), &nonce, &wrote) ||
			!span_eq(wrote, span_of(boot, COMMITLOG_BOOT));
		if (fd >= 0)
			close(fd);
	}
	free(numbers);
	return other;
}

static bool segment_number(const char *name, uint64_t *number)
{
	char again[NAME_SIZE], *end;
	*number = strtoull(name, &end, 16);
	segment_name(*number, again);
	return strcmp(name, again) == 0;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

ssize_t segment_list(int dir_fd, uint64_t **numbers)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	*numbers = NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	size_t n = 0;
	uint64_t number;
	errno = 0;
	for (struct dirent *e; (e = readdir(dir)); errno = 0) {
		if (!segment_number(e->d_name, &number))
			continue;
		*numbers = xreallocarray(*numbers, n + 1, sizeof **numbers);
		(*numbers)[n++] = number;
	}
	int why = errno;
	closedir(dir);
	errno = why;
	if (why)
		return -1;
	if (n)
		qsort(*numbers, n, sizeof **numbers, ascending);
	return (ssize_t)n;
}

int segment_highest(int dir_fd, uint64_t *highest)
{
	uint64_t *numbers;
	ssize_t n = segment_list(dir_fd, &numbers);
	*highest = n > 0 ? numbers[n - 1] : 0;
	free(numbers);
	return n < 0 ? -1 : 0;
}

int segment_drop(int dir_fd, uint64_t below, struct err *err)
{
	uint64_t *numbers;
	ssize_t n = segment_list(dir_fd, &numbers);
	int rc = n < 0 ? -1 : 0;
	bool keep_one = below != UINT64_MAX && faccessat(dir_fd, spare, F_OK, 0) < 0;
	for (ssize_t i = 0; rc == 0 && i < n && numbers[i] < below; i++) {
		char name[NAME_SIZE];
		segment_name(numbers[i], name);
		rc = keep_one ? renameat(dir_fd, name, dir_fd, spare) : unlinkat(dir_fd, name, 0);
		keep_one = false;
		/* One after the other: a crash must not bring back an older one and lose the newer that removed what it
		 * put. */
		if (rc == 0)
			rc = fs_sync(dir_fd);
	}
	if (rc == 0 && below == UINT64_MAX && unlinkat(dir_fd, spare, 0) < 0 && errno != ENOENT)
		rc = -1;
	free(numbers);
	return rc < 0 ? err_sys(err, "commit log directory") : 0;
}
