/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/dotlock.h"

static char dir[64], file[80], lock_path[90];

static void put_lock(const char *text, int64_t age_s)
{
	struct timespec t[2] = { { .tv_sec = time(NULL) - age_s }, { .tv_sec = time(NULL) - age_s } };
	FILE *f = fopen(lock_path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(utimensat(AT_FDCWD, lock_path, t, 0), 0);
}

static pid_t dead_pid(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static void stale_or_not(void **state)
{
	(void)state;
	char host[256], dead[300], alive[300], elsewhere[64], no_host[64];
	gethostname(host, sizeof host);
	snprintf(dead, sizeof dead, "%ld:%s", (long)dead_pid(), host);
	snprintf(alive, sizeof alive, "%ld:%s", (long)getpid(), host);
	snprintf(elsewhere, sizeof elsewhere, "%ld:another.example", (long)dead_pid());
	snprintf(no_host, sizeof no_host, "%ld", (long)dead_pid());
	const struct {
		const char *text;
		int64_t age_s;
		bool stale, named;
	} t[] = {
		{ dead, 0, true, false },
		{ alive, 0, false, false },
		{ elsewhere, 0, false, false },
		{ no_host, 0, false, false },
		{ "", 0, false, false },
		{ "junk", 0, false, false },
		{ alive, 1000, true, false },
		{ elsewhere, 1000, true, false },
		{ "0:x", 0, false, false },
		{ "", 1000, true, false },
		{ "", 10, false, false },
		{ "", 10, true, true },
		{ "", 0, false, true },
		{ "junk", 10, false, true },
		{ elsewhere, 10, false, true },
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct dotlock l = { 0 };
		struct err err = { 0 };
		put_lock(t[i].text, t[i].age_s);
		int rc = (t[i].named ? dotlock_take_named : dotlock_take)(&l, file, 20, &err);
		if ((rc == 0) != t[i].stale)
			fail_msg("%zu '%s': %d %s", i, t[i].text, rc, err.text);
		if (rc < 0)
			assert_int_equal(err.class, ERR_TEMP);
		else
			dotlock_release(&l);
		assert_int_equal(access(lock_path, F_OK), t[i].stale ? -1 : 0);
		unlink(lock_path);
	}
}

static void release_only_ours(void **state)
{
	(void)state;
	struct dotlock l;
	struct err err = { 0 };
	assert_int_equal(dotlock_take(&l, file, 20, &err), 0);
	/* Somebody took us for dead and has a lock of his own now. */
	char other[100];
	snprintf(other, sizeof other, "%s.other", lock_path);
	assert_int_equal(rename(lock_path, other), 0);
	put_lock("1:x", 0);
	dotlock_release(&l);
	assert_int_equal(access(lock_path, F_OK), 0);
	unlink(lock_path);
	unlink(other);
	dotlock_release(&l);
}

static void no_directory(void **state)
{
	(void)state;
	struct dotlock l;
	struct err err = { 0 };
	assert_int_equal(dotlock_take(&l, "/nonexistent/file", 1000, &err), -1);
	assert_null(l.path);
}

/* A counter that each process reads, and writes one higher after a pause. */
static void excludes(void **state)
{
	(void)state;
	volatile int *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(count != MAP_FAILED);
	for (int who = 0; who < 4; who++) {
		if (fork())
			continue;
		for (int i = 0; i < 30; i++) {
			struct dotlock l;
			struct err err;
			if (dotlock_take(&l, file, 120000, &err) < 0)
				_exit(1);
			int had = *count;
			usleep(100);
			*count = had + 1;
			dotlock_release(&l);
		}
		_exit(0);
	}
	for (int status; wait(&status) > 0;)
		assert_int_equal(status, 0);
	assert_int_equal(*count, 120);
}

int main(void)
{
	snprintf(dir, sizeof dir, "/tmp/waypost-dotlock-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	snprintf(file, sizeof file, "%s/file", dir);
	snprintf(lock_path, sizeof lock_path, "%s.lock", file);
	const struct CMUnitTest tests[] = { cmocka_unit_test(stale_or_not), cmocka_unit_test(release_only_ours),
		cmocka_unit_test(no_directory), cmocka_unit_test(excludes) };
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
