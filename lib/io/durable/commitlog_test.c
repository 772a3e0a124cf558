/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog.h"

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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "io/durable/commitlog_file.h"
#include "io/durable/commitlog_segment.h"
#include "io/durable/commitlog_state.h"

static char root[64], logdir[96], statedir[96];

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof root, "/tmp/commitlog-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(logdir, sizeof logdir, "%s/log", root);
	snprintf(statedir, sizeof statedir, "%s/state", root);
	assert_int_equal(mkdir(logdir, 0700), 0);
	assert_int_equal(mkdir(statedir, 0700), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[96];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command);
}

static struct commitlog *open_log(void)
{
	struct err err = { 0 };
	struct commitlog *l = commitlog_open(root, logdir, statedir, &err);
	if (!l)
		print_message("%s\n", err.text);
	assert_non_null(l);
	return l;
}

/* What a reboot does to the tmpfs; the log's own files stay. */
static void forget_state(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -f %s/*", statedir);
	assert_int_equal(system(command), 0);
}

static char *at(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];
	snprintf(p, 256, "%s/%s", root, name);
	return p;
}

static void put_file(const char *name, const char *content)
{
	FILE *f = fopen(at(name), "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

static bool has(const char *name, const char *content)
{
	char have[256] = "";
	FILE *f = fopen(at(name), "r");
	if (!f)
		return false;
	size_t n = fread(have, 1, sizeof have - 1, f);
	fclose(f);
	return n == strlen(content) && memcmp(have, content, n) == 0;
}

/* 0 when nothing stands there. */
static uint64_t id_of(const char *name)
{
	struct commitlog_file file = { 0 };
	commitlog_file_at(AT_FDCWD, at(name), &file);
	return file.id;
}

static uint64_t replay(void)
{
	uint64_t records;
	struct err err = { 0 };
	if (commitlog_replay(root, logdir, &records, &err) < 0)
		fail_msg("%s", err.text);
	return records;
}

static void append(struct commitlog *l, enum commitlog_kind kind, const char *path, const char *data, uint64_t offset)
{
	struct commitlog_record r = { kind, 0600, offset, id_of(path), span_str(path), span_str(data) };
	struct commitlog_ticket t;
	struct err err = { 0 };
	assert_int_equal(commitlog_append(l, &r, 1, &t, &err), 0);
	assert_int_equal(commitlog_wait(l, &t, &err), 0);
}

static void records_round_trip(void **state)
{
	(void)state;
	struct commitlog_record in = { COMMITLOG_PUT, 0640, 7, 99, SPAN("a/b"), SPAN("content\0with NUL") }, out;
	struct buf b;
	buf_init(&b, 65536);
	buf_adds(&b, "12345678");
	commitlog_record_encode(&in, 42, 8, &b);
	assert_int_equal(b.len, 8 + commitlog_record_size(&in));
	assert_true(commitlog_record_decode(buf_span(&b), 42, 8, &out));
	assert_int_equal(out.kind, in.kind);
	assert_int_equal(out.mode, in.mode);
	assert_int_equal(out.at, in.at);
	assert_int_equal(out.file, in.file);
	assert_true(span_eq(out.path, in.path));
	assert_true(span_eq(out.data, in.data));
	/* Another segment's, or elsewhere, it is no record. */
	assert_false(commitlog_record_decode(buf_span(&b), 43, 8, &out));
	assert_false(commitlog_record_decode(buf_span(&b), 42, 0, &out));
	/* Torn at any byte, or with any bit turned, it is none either. */
	for (size_t n = 8; n < b.len; n++)
		assert_false(commitlog_record_decode(span_of(b.p, n), 42, 8, &out));
	for (size_t i = 8; i < b.len; i++) {
		b.p[i] ^= 4;
		assert_false(commitlog_record_decode(buf_span(&b), 42, 8, &out));
		b.p[i] ^= 4;
	}
	buf_free(&b);
}

static void a_lost_file_is_put_back(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	put_file("one", "first");
	append(l, COMMITLOG_PUT, "one", "first", 0);
	append(l, COMMITLOG_PUT, "sub/two", "second", 0);
	append(l, COMMITLOG_APPEND, "one", " more", 5);
	put_file("one", "firs"); /* torn by the crash */
	forget_state();
	uint64_t records;
	struct err err = { 0 };
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(commitlog_replay(root, logdir, &records, &err), 0);
		assert_int_equal(records, 3);
		assert_true(has("one", "first more"));
		assert_true(has("sub/two", "second"));
	}
	commitlog_close(l);
}

static void a_removal_is_not_undone(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	append(l, COMMITLOG_PUT, "gone", "x", 0);
	append(l, COMMITLOG_REMOVE, "gone", "", 0);
	append(l, COMMITLOG_PUT, "old", "y", 0);
	append(l, COMMITLOG_RENAME, "old", "new", 0);
	uint64_t records;
	struct err err = { 0 };
	assert_int_equal(commitlog_replay(root, logdir, &records, &err), 0);
	assert_int_equal(access(at("gone"), F_OK), -1);
	assert_int_equal(access(at("old"), F_OK), -1);
	assert_true(has("new", "y"));
	commitlog_close(l);
}

/* Other programs rename a Maildir's files without asking us. */
static void maildir_names_are_followed(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	assert_int_equal(mkdir(at("new"), 0700), 0);
	assert_int_equal(mkdir(at("cur"), 0700), 0);
	put_file("new/1.a,S=1", "1");
	append(l, COMMITLOG_PUT, "new/1.a,S=1", "1", 0);
	append(l, COMMITLOG_PUT, "new/2.a,S=1", "2", 0);
	assert_int_equal(rename(at("new/1.a,S=1"), at("cur/1.a,S=1:2,S")), 0);
	append(l, COMMITLOG_REMOVE, "cur/2.a,S=1:2,ST", "", 0);
	uint64_t records;
	struct err err = { 0 };
	assert_int_equal(commitlog_replay(root, logdir, &records, &err), 0);
	assert_true(has("cur/1.a,S=1:2,S", "1"));
	assert_int_equal(access(at("new/1.a,S=1"), F_OK), -1);
	assert_int_equal(access(at("new/2.a,S=1"), F_OK), -1);
	commitlog_close(l);
}

/* What somebody else put there without the log is his, whatever the log says of a file that had the name before. */
static void another_file_of_that_name_is_left_alone(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	static const char *const name[] = { "put", "removed", "appended", "moved" };
	for (size_t i = 0; i < 4; i++) {
		put_file(name[i], "old");
		append(l, COMMITLOG_PUT, name[i], "old", 0);
	}
	append(l, COMMITLOG_REMOVE, "removed", "", 0);
	append(l, COMMITLOG_APPEND, "appended", " end", 3);
	append(l, COMMITLOG_RENAME, "moved", "to", 0);
	for (size_t i = 0; i < 4; i++) {
		put_file("other", "new");
		assert_int_equal(rename(at("other"), at(name[i])), 0);
	}
	for (int twice = 0; twice < 2; twice++) {
		replay();
		for (size_t i = 0; i < 4; i++)
			assert_true(has(name[i], "new"));
		assert_true(has("to", "old"));
	}
	commitlog_close(l);
}

/* Renames whose effect was lost, one into the name that the other left. */
static void names_are_passed_on(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	put_file("a", "A");
	put_file("b", "B");
	uint64_t a = id_of("a"), b = id_of("b");
	struct commitlog_record r[] = {
		{ COMMITLOG_RENAME, 0, 0, b, SPAN("b"), SPAN("c") },
		{ COMMITLOG_RENAME, 0, 0, a, SPAN("a"), SPAN("b") },
		{ COMMITLOG_PUT, 0600, 0, 12345, SPAN("a"), SPAN("new A") },
		{ COMMITLOG_RENAME, 0, 0, b, SPAN("c"), SPAN("sub/d") },
	};
	struct commitlog_ticket t;
	struct err err;
	assert_int_equal(commitlog_append(l, r, 4, &t, &err), 0);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(replay(), 4);
		assert_true(has("sub/d", "B"));
		assert_true(has("b", "A"));
		assert_true(has("a", "new A"));
		assert_int_equal(access(at("c"), F_OK), -1);
	}
	commitlog_close(l);
}

/* An mbox that others have rewritten since is not written into; a torn end is mended. */
static void only_torn_ends_are_mended(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	put_file("torn", "begin");
	put_file("rewritten", "begin");
	append(l, COMMITLOG_APPEND, "torn", "+end", 5);
	append(l, COMMITLOG_APPEND, "rewritten", "+end", 5);
	put_file("torn", "begin+e");
	put_file("rewritten", "other content");
	replay();
	assert_true(has("torn", "begin+end"));
	assert_true(has("rewritten", "other content"));
	commitlog_close(l);
}

/* The records of a segment's earlier use are never read again, also when the crash comes just after it got its new
 * name.
 */
static void a_spare_has_no_past(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	put_file("old", "x");
	append(l, COMMITLOG_PUT, "old", "x", 0);
	commitlog_checkpoint(l, COMMITLOG_NOW);
	commitlog_checkpoint(l, COMMITLOG_NOW);
	assert_int_equal(unlink(at("old")), 0);
	assert_int_equal(access(at("log/spare"), F_OK), 0);
	uint64_t nonce;
	struct err err;
	int fd = open(logdir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(segment_create(fd, 99, "0123456789012345678901234567890123456", &nonce, &err), 0);
	assert_true(segment_any_of_other_boot(fd, "012345678901234567890123456789012345x"));
	close(fd);
	assert_int_equal(replay(), 0);
	assert_int_equal(access(at("old"), F_OK), -1);
	commitlog_close(l);
}

/* After commitlog_settle no record speaks of anything, and the log goes on. */
static void settling_drops_everything(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	struct err err;
	append(l, COMMITLOG_PUT, "one", "1", 0);
	struct commitlog_ticket t;
	struct commitlog_record r = { COMMITLOG_PUT, 0600, 0, 7, SPAN("two"), SPAN("2") };
	assert_int_equal(commitlog_append(l, &r, 1, &t, &err), 0);
	assert_true(commitlog_covers(l, &t));
	assert_int_equal(commitlog_settle(l, &err), 0);
	assert_false(commitlog_covers(l, &t));
	assert_int_equal(commitlog_wait(l, &t, &err), 0);
	assert_int_equal(replay(), 0);
	append(l, COMMITLOG_PUT, "three", "3", 0);
	assert_int_equal(replay(), 1);
	assert_true(has("three", "3"));
	assert_int_equal(access(at("one"), F_OK), -1);
	commitlog_close(l);
}

static void a_path_outside_is_left_alone(void **state)
{
	static const char *const bad[] = { "../escape", "/tmp/commitlog-escape", "a/../../b", "./c", "a//b", "" };
	(void)state;
	struct commitlog *l = open_log();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		append(l, COMMITLOG_PUT, bad[i], "x", 0);
	uint64_t records;
	struct err err = { 0 };
	assert_int_equal(commitlog_replay(root, logdir, &records, &err), 0);
	assert_int_equal(access(at("../escape"), F_OK), -1);
	assert_int_equal(access("/tmp/commitlog-escape", F_OK), -1);
	assert_int_equal(access(at("c"), F_OK), -1);
	commitlog_close(l);
}

static void a_message_cannot_forge_a_record(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	struct buf forged;
	buf_init(&forged, 1 << 20);
	for (uint64_t place = COMMITLOG_HEADER; place < 4096; place += 8) {
		struct commitlog_record r = { COMMITLOG_PUT, 0600, 0, 0, SPAN("forged"), SPAN("evil") };
		commitlog_record_encode(&r, 1, place, &forged);
	}
	struct commitlog_record r = { COMMITLOG_PUT, 0600, 0, 0, SPAN("honest"), buf_span(&forged) };
	struct commitlog_ticket t;
	struct err err = { 0 };
	assert_int_equal(commitlog_append(l, &r, 1, &t, &err), 0);
	assert_int_equal(commitlog_wait(l, &t, &err), 0);
	uint64_t records;
	assert_int_equal(commitlog_replay(root, logdir, &records, &err), 0);
	assert_int_equal(records, 1);
	assert_int_equal(access(at("forged"), F_OK), -1);
	buf_free(&forged);
	commitlog_close(l);
}

static void a_restart_replays_and_a_clean_end_leaves_nothing(void **state)
{
	(void)state;
	struct commitlog *l = open_log();
	append(l, COMMITLOG_PUT, "kept", "content", 0);
	pid_t pid = fork();
	if (!pid) /* dies with the log open; the parent's copy goes by exec-like abandonment below */
		_exit(0);
	waitpid(pid, NULL, 0);
	forget_state();
	/* Somebody still has it open: it must not be replayed beneath him. */
	struct err err = { 0 };
	assert_null(commitlog_open(root, logdir, statedir, &err));
	assert_int_equal(err.class, ERR_TEMP);
	commitlog_close(l);
	l = open_log();
	append(l, COMMITLOG_PUT, "second", "more", 0);
	put_file("second", "more");
	commitlog_close(l);
	uint64_t *numbers;
	int fd = open(logdir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(segment_list(fd, &numbers), 0);
	free(numbers);
	close(fd);
	assert_true(has("second", "more"));
}

enum {
	WRITERS = 6,
	EACH = 400
};

static void write_many(unsigned who)
{
	struct commitlog *l = open_log();
	char name[32], content[3000];
	memset(content, 'x', sizeof content - 1);
	content[sizeof content - 1] = '\0';
	for (unsigned i = 0; i < EACH; i++) {
		snprintf(name, sizeof name, "f%u.%u", who, i);
		struct commitlog_record r = { COMMITLOG_PUT, 0600, 0, 0, span_str(name), span_str(content) };
		struct commitlog_ticket t;
		struct err err = { 0 };
		put_file(name, content);
		if (commitlog_append(l, &r, 1, &t, &err) || commitlog_wait(l, &t, &err))
			_exit(1);
		/* Told the parent only now, as a reply would be. */
		if (write(STDOUT_FILENO, &(char){ (char)who }, 1) != 1)
			_exit(2);
		commitlog_checkpoint(l, i % 97 == 0);
	}
	commitlog_close(l);
	_exit(0);
}

/* Several processes, one of them killed every few milliseconds at whatever it is doing: what was promised is there
 * after a reboot that lost every file which was not synced. */
static void killed_writers_lose_no_promise(void **state)
{
	(void)state;
	int fds[2];
	pid_t pid[WRITERS];
	unsigned promised[WRITERS] = { 0 };
	assert_int_equal(pipe(fds), 0);
	for (unsigned w = 0; w < WRITERS; w++) {
		pid[w] = fork();
		if (!pid[w]) {
			dup2(fds[1], STDOUT_FILENO);
			close(fds[0]);
			close(fds[1]);
			write_many(w);
		}
	}
	close(fds[1]);
	for (unsigned w = 0; w < WRITERS / 2; w++) {
		usleep(40000);
		kill(pid[w], SIGKILL);
	}
	for (char who; read(fds[0], &who, 1) == 1;)
		promised[(unsigned)who]++;
	close(fds[0]);
	for (unsigned w = 0; w < WRITERS; w++) {
		int status;
		waitpid(pid[w], &status, 0);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		if (w >= WRITERS / 2)
			assert_int_equal(promised[w], EACH);
	}
	struct commitlog *l = open_log();
	commitlog_close(l);
	for (unsigned w = 0; w < WRITERS; w++)
		for (unsigned i = 0; i + 1 < promised[w]; i++) {
			char name[32];
			snprintf(name, sizeof name, "f%u.%u", w, i);
			assert_int_equal(access(at(name), F_OK), 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_round_trip),
		cmocka_unit_test_setup_teardown(a_lost_file_is_put_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removal_is_not_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(maildir_names_are_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(another_file_of_that_name_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(names_are_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(only_torn_ends_are_mended, setup, teardown),
		cmocka_unit_test_setup_teardown(a_spare_has_no_past, setup, teardown),
		cmocka_unit_test_setup_teardown(settling_drops_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(a_path_outside_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_cannot_forge_a_record, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_replays_and_a_clean_end_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_writers_lose_no_promise, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
