/* SPDX-License-Identifier: ISC
 *
 * The second step of confinement: what a process could do after the first is tried after it, in a child each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/confine/confine_int.h"

static char dir[64];

static int opened(const char *name, int flags)
{
	char path[200];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int own(void)
{
	return opened("bob/mail", O_RDWR);
}
static int own_new(void)
{
	return opened("bob/new", O_RDWR | O_CREAT);
}
static int others(void)
{
	return opened("eve/mail", O_RDONLY);
}
static int above(void)
{
	return opened("common", O_RDONLY);
}
static int ids(void)
{
	return setresuid(getuid(), getuid(), getuid()) ? errno : 0;
}
static int groups(void)
{
	return setgid(getgid()) ? errno : 0;
}
static int name_process(void)
{
	return prctl(PR_SET_NAME, "x") ? errno : 0;
}
static int ask_limit(void)
{
	struct rlimit l;
	return getrlimit(RLIMIT_NOFILE, &l) ? errno : 0;
}
static int set_limit(void)
{
	struct rlimit l = { 0, 0 };
	return setrlimit(RLIMIT_CORE, &l) ? errno : 0;
}
static int clients(void)
{
	return accept(-1, NULL, NULL) < 0 && errno != EBADF ? errno : 0;
}
static int ask_landlock(void)
{
	return confine_landlock_abi() ? 0 : ENOSYS;
}
static int forked(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) < 0 ? errno : 0;
}

static const struct {
	const char *name;
	int (*fn)(void);
	int want; /* afterwards; before it there is none that fails */
	bool landlock;
} attempts[] = {
	{ "reads its own", own, 0, false },
	{ "makes its own", own_new, 0, false },
	{ "asks for a limit", ask_limit, 0, false },
	{ "another's", others, EACCES, true },
	{ "what all share", above, EACCES, true },
	{ "becomes somebody", ids, ENOSYS, false },
	{ "another group", groups, ENOSYS, false },
	{ "prctl", name_process, ENOSYS, false },
	{ "limits", set_limit, ENOSYS, false },
	{ "another client", clients, ENOSYS, false },
	{ "Landlock", ask_landlock, ENOSYS, true },
	{ "forks", forked, ENOSYS, false },
};

static int attempt(size_t i, bool narrow)
{
	int status = 0;
	char path[100];
	pid_t pid = fork();
	if (pid == 0) {
		struct confine_rules *first = confine_rules_new(), *then = confine_rules_new();
		struct confine c = { .rules = first, .mode = CONFINE_AUTO };
		struct err err = { 0 };
		confine_allow_path(first, dir, CONFINE_ALL);
		confine_allow_calls(first, CONFINE_FURTHER | CONFINE_IDS | CONFINE_FORK);
		snprintf(path, sizeof path, "%s/bob", dir);
		confine_allow_path(then, path, CONFINE_ALL);
		if (confine(&c, &err) < 0 || (narrow && confine_narrow(then, &err) < 0)) {
			fprintf(stderr, "%s\n", err.text);
			_exit(255);
		}
		_exit(attempts[i].fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_attempts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		int got = attempt(i, false);
		if (got)
			fail_msg("%s, after the first step: %d", attempts[i].name, got);
		bool there = attempts[i].landlock ? confine_landlock_abi() > 0 : confine_seccomp_works();
		got = attempt(i, true);
		if (got != (there ? attempts[i].want : 0))
			fail_msg("%s: %d, not %d", attempts[i].name, got, attempts[i].want);
	}
}

/* Twice, or without having been left the right to, is an error and not nothing. */
static void test_misuse(void **state)
{
	(void)state;
	for (unsigned further = 0; further < 2; further++) {
		int status = 0;
		pid_t pid = fork();
		if (pid == 0) {
			struct confine_rules *r = confine_rules_new();
			struct confine c = { .rules = r, .mode = CONFINE_AUTO };
			struct err err = { 0 };
			confine_allow_calls(r, further ? (unsigned)CONFINE_FURTHER : 0);
			if (confine(&c, &err) < 0 || (further && confine_narrow(r, &err) < 0))
				_exit(255);
			_exit(confine_narrow(r, &err) < 0 && err.class == ERR_BUG ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* Where the first did nothing. */
static void test_nothing(void **state)
{
	struct confine_rules *r = confine_rules_new();
	struct err err = { 0 };
	(void)state;
	assert_int_equal(confine_narrow(r, &err), 0);
	assert_int_equal(others(), 0);
	confine_rules_free(r);
}

static int group_setup(void **state)
{
	char command[300];
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/confine_narrow-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(command, sizeof command, "cd %s && mkdir bob eve && echo x | tee common bob/mail >eve/mail", dir);
	return system(command);
}

static int group_teardown(void **state)
{
	char command[100];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_attempts), cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_nothing) };
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
