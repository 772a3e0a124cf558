/* SPDX-License-Identifier: ISC
 *
 * How processes come to use a commit log, and what they find that others left.
 */
#include "io/durable/durable_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_segment.h"
#include "io/durable/durable.h"

static char root[64], ours[192];

static int setup(void **state)
{
	struct utsname node;
	(void)state;
	uname(&node);
	snprintf(root, sizeof root, "/tmp/durable-log-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(ours, sizeof ours, "%s/waypost-log/%.64s-%ld", root, node.nodename, (long)geteuid());
	return 0;
}

/* What a restart does to the tmpfs. */
static void forget_state(const char *log)
{
	struct stat st;
	if (stat(log, &st) < 0)
		return;
	char *path = xasprintf("/dev/shm/waypost-%ld-%llx-%llx", (long)geteuid(), (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	unlink(path);
	free(path);
}

static int teardown(void **state)
{
	char command[96];
	(void)state;
	durable_log_close();
	forget_state(ours);
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

static char *at(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];
	snprintf(p, 256, "%s/%s", root, name);
	return p;
}

static void open_log(enum durability how)
{
	struct err err = { 0 };
	if (durable_log_open(root, how, &err) < 0)
		fail_msg("%s", err.text);
}

static struct durable_dir *open_dir(void)
{
	struct err err = { 0 };
	struct durable_dir *d = durable_open(root, DURABLE_FILE, &err);
	assert_non_null(d);
	return d;
}

static void publish(struct durable_dir *d, const char *name)
{
	struct err err = { 0 };
	struct durable *f = durable_begin(d, at("tmp"), 0600, &err);
	assert_non_null(f);
	durable_write(f, SPAN("content"));
	if (durable_publish(f, at(name), false, &err) < 0)
		fail_msg("%s", err.text);
}

static bool has(const char *name)
{
	char have[32] = "";
	int fd = open(at(name), O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, have, sizeof have);
	if (fd >= 0)
		close(fd);
	return n == 7 && memcmp(have, "content", 7) == 0;
}

static unsigned segments(const char *log)
{
	uint64_t *numbers;
	int fd = open(log, O_RDONLY | O_DIRECTORY);
	ssize_t n = fd < 0 ? 0 : segment_list(fd, &numbers);
	if (fd >= 0) {
		free(numbers);
		close(fd);
	}
	return n < 0 ? 0 : (unsigned)n;
}

static void files_leave_no_log(void **state)
{
	(void)state;
	open_log(DURABILITY_FILE);
	assert_false(durable_log_is_open());
	struct durable_dir *d = open_dir();
	publish(d, "one");
	assert_true(has("one"));
	assert_int_equal(access(at("waypost-log"), F_OK), -1);
	durable_close(d);
}

static void a_log_is_gone_when_closed(void **state)
{
	(void)state;
	open_log(DURABILITY_LOG);
	struct durable_dir *d = open_dir();
	publish(d, "one");
	assert_int_equal(segments(ours), 1);
	assert_false(durable_log_empty());
	durable_close(d);
	durable_log_close();
	assert_int_equal(segments(ours), 0);
	assert_true(has("one"));
}

/* A process that does little has no log to pay for. */
static void auto_begins_late(void **state)
{
	(void)state;
	open_log(DURABILITY_AUTO);
	if (!durable_log_is_open())
		skip(); /* /tmp is no file system that is trusted by itself */
	struct durable_dir *d = open_dir();
	char name[16];
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "m%d", i);
		publish(d, name);
		if (i == 3)
			assert_int_equal(segments(ours), 0);
	}
	assert_int_equal(segments(ours), 1);
	durable_close(d);
}

/* The checkpoint of an idle moment leaves an empty log, and goes on. */
static void idle_drops_records(void **state)
{
	(void)state;
	struct err err = { 0 };
	open_log(DURABILITY_LOG);
	struct durable_dir *d = open_dir();
	publish(d, "one");
	durable_idle();
	assert_false(durable_log_empty()); /* somebody has just appended */
	sleep(2);
	durable_idle();
	assert_true(durable_log_empty());
	publish(d, "two");
	assert_false(durable_log_empty());
	assert_int_equal(durable_unlink(d, at("two"), &err), 0);
	assert_int_equal(durable_unlink(d, at("two"), &err), 0);
	durable_close(d);
}

/* A process that publishes by the log and is killed; its node goes down. What it does is in do_it. */
static void crash(void (*do_it)(struct durable_dir *d), const char *log)
{
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		open_log(DURABILITY_LOG);
		do_it(open_dir());
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	forget_state(log);
	/* Written under another boot. */
	uint64_t *numbers;
	int dir = open(log, O_RDONLY | O_DIRECTORY);
	assert_true(segment_list(dir, &numbers) == 1);
	int fd = segment_open(dir, numbers[0]);
	struct buf head;
	uint64_t nonce;
	struct span boot;
	char bytes[COMMITLOG_HEADER];
	assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
	assert_true(commitlog_header_decode(span_of(bytes, sizeof bytes), &nonce, &boot));
	buf_init(&head, COMMITLOG_HEADER);
	commitlog_header_encode(nonce, "00000000-0000-0000-0000-000000000000", &head);
	assert_int_equal(pwrite(fd, head.p, head.len, 0), (ssize_t)head.len);
	buf_free(&head);
	free(numbers);
	close(fd);
	close(dir);
}

static void put_two_remove_one(struct durable_dir *d)
{
	struct err err;
	publish(d, "kept");
	publish(d, "gone");
	publish(d, "gone-too");
	struct durable_removals *r = durable_removals_new(d);
	if (durable_remove(r, at("gone"), &err) < 0 || durable_remove(r, at("gone-too"), &err) < 0 ||
	    durable_removals_end(r, &err) < 0)
		_exit(1);
}

/* Whoever comes next, whatever he asks for. */
static void a_crash_is_mended_first(void **state)
{
	(void)state;
	crash(put_two_remove_one, ours);
	assert_int_equal(truncate(at("kept"), 0), 0); /* as if its content had not reached the disk */
	open_log(DURABILITY_FILE);
	assert_true(has("kept"));
	assert_int_equal(access(at("gone"), F_OK), -1);
	assert_int_equal(access(at("gone-too"), F_OK), -1);
	durable_log_close();
	assert_int_equal(segments(ours), 0);
}

/* The node has another name now, or its queue was taken over. */
static void a_dead_nodes_log_is_adopted(void **state)
{
	(void)state;
	char other[192];
	snprintf(other, sizeof other, "%s/waypost-log/other-%ld", root, (long)geteuid());
	crash(put_two_remove_one, ours);
	assert_int_equal(rename(ours, other), 0);
	assert_int_equal(truncate(at("kept"), 3), 0);
	open_log(DURABILITY_FILE);
	assert_true(has("kept"));
	assert_int_equal(segments(other), 0);
	assert_false(durable_log_is_open());
	forget_state(other);
}

/* Who publishes plainly beside a log tells it what he removes. */
static void a_log_in_use_is_joined(void **state)
{
	(void)state;
	int ready[2], end[2];
	char c;
	struct err err = { 0 };
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	pid_t pid = fork();
	if (pid == 0) {
		open_log(DURABILITY_LOG);
		publish(open_dir(), "one");
		close(end[1]);
		if (write(ready[1], "x", 1) != 1 || read(end[0], &c, 1) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	open_log(DURABILITY_FILE);
	assert_true(durable_log_is_open());
	struct durable_dir *d = open_dir();
	assert_int_equal(durable_unlink(d, at("one"), &err), 0);
	publish(d, "plain");
	close(end[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	uint64_t records;
	assert_int_equal(commitlog_replay(root, ours, &records, &err), 0);
	assert_int_equal(records, 2);
	assert_int_equal(access(at("one"), F_OK), -1);
	durable_close(d);
	close(ready[0]);
	close(ready[1]);
	close(end[0]);
}

static void a_log_that_cannot_be_is_an_error_when_asked_for(void **state)
{
	(void)state;
	struct err err = { 0 };
	assert_int_equal(close(open(at("waypost-log"), O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(durable_log_open(root, DURABILITY_LOG, &err), -1);
	assert_int_equal(err.class, ERR_CONFIG);
	err_clear(&err);
	assert_int_equal(durable_log_open(root, DURABILITY_AUTO, &err), 0);
	assert_false(durable_log_is_open());
}

/* Nobody can tell whether a log is there: an error that says so, not the plain way. */
static void a_log_that_cannot_be_looked_at_is_an_error(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct rlimit files, none;
	crash(put_two_remove_one, ours);
	assert_int_equal(truncate(at("kept"), 0), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = files;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = durable_log_open(root, DURABILITY_FILE, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(rc, -1);
	assert_int_equal(err.class, ERR_TEMP);
	/* One more file than that: each call in turn is the one that fails. */
	for (rlim_t n = 3; n < 12; n++) {
		none.rlim_cur = n;
		err_clear(&err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		rc = durable_log_open(root, DURABILITY_FILE, &err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
		assert_true(rc == 0 ? has("kept") : err.class == ERR_TEMP && err.text[0]);
		durable_log_close();
	}
}

/* As another user, whom the tree or the logs in it are closed to: none of his is there. */
static int open_as_nobody(mode_t tree, mode_t logs)
{
	int status = -1;
	chmod(root, tree);
	chmod(at("waypost-log"), logs);
	pid_t pid = fork();
	if (pid == 0) {
		struct err err = { 0 };
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		_exit(durable_log_open(root, DURABILITY_FILE, &err) == 0 && !durable_log_is_open() ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void anothers_closed_tree_is_no_matter(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(at("waypost-log"), 0700), 0);
	assert_int_equal(open_as_nobody(0700, 0700), 0);
	assert_int_equal(open_as_nobody(0755, 0700), 0);
	assert_int_equal(open_as_nobody(0755, 0755), 0);
	/* His own, which he has closed to himself, may hold what he must know of. */
	assert_int_equal(chown(at("waypost-log"), 65534, 65534), 0);
	assert_int_not_equal(open_as_nobody(0755, 0000), 0);
}

static int as_nobody(const char *path)
{
	return lchown(path, 65534, 65534);
}

/* In a place where others may make files (/var/mail) a log of somebody else's making is not replayed as we. */
static void anothers_log_is_not_ours(void **state)
{
	(void)state;
	struct err err = { 0 };
	if (geteuid() != 0)
		skip();
	crash(put_two_remove_one, ours);
	assert_int_equal(truncate(at("kept"), 0), 0);
	assert_int_equal(as_nobody(at("waypost-log")), 0);
	for (int how = DURABILITY_FILE; how <= DURABILITY_AUTO; how++) {
		err_clear(&err);
		int rc = durable_log_open(root, (enum durability)how, &err);
		assert_int_equal(rc, how == DURABILITY_LOG ? -1 : 0);
		assert_false(durable_log_is_open());
		assert_false(has("kept"));
	}
	/* Or others may write to it. */
	assert_int_equal(lchown(at("waypost-log"), 0, 0), 0);
	assert_int_equal(chmod(at("waypost-log"), 0770), 0);
	assert_int_equal(durable_log_open(root, DURABILITY_FILE, &err), 0);
	assert_false(has("kept"));
	/* By a link. */
	assert_int_equal(chmod(at("waypost-log"), 0700), 0);
	assert_int_equal(rename(at("waypost-log"), at("elsewhere")), 0);
	assert_int_equal(symlink(at("elsewhere"), at("waypost-log")), 0);
	assert_int_equal(as_nobody(at("waypost-log")), 0);
	assert_int_equal(durable_log_open(root, DURABILITY_FILE, &err), 0);
	assert_false(has("kept"));
}

/* Where only we make directories, one under our log's name is ours; that it has another owner is an accident. */
static void our_log_under_anothers_name_is_an_error(void **state)
{
	(void)state;
	struct err err = { 0 };
	if (geteuid() != 0)
		skip();
	crash(put_two_remove_one, ours);
	assert_int_equal(truncate(at("kept"), 0), 0);
	assert_int_equal(as_nobody(ours), 0);
	assert_int_equal(durable_log_open(root, DURABILITY_FILE, &err), -1);
	assert_false(has("kept"));
	assert_int_equal(lchown(ours, 0, 0), 0);
	open_log(DURABILITY_FILE);
	assert_true(has("kept"));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(files_leave_no_log),
		CASE(a_log_is_gone_when_closed),
		CASE(auto_begins_late),
		CASE(idle_drops_records),
		CASE(a_crash_is_mended_first),
		CASE(a_dead_nodes_log_is_adopted),
		CASE(a_log_in_use_is_joined),
		CASE(a_log_that_cannot_be_looked_at_is_an_error),
		CASE(anothers_closed_tree_is_no_matter),
		CASE(anothers_log_is_not_ours),
		CASE(our_log_under_anothers_name_is_an_error),
		CASE(a_log_that_cannot_be_is_an_error_when_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
