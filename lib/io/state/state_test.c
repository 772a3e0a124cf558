/* SPDX-License-Identifier: ISC
 *
 * State in files.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/state/state_int.h"

static char dir[64];
static struct state *s;

static int set_up(void **state)
{
	struct err err = { 0 };
	struct state_config c = { .dir = dir, .wait_ms = 120000 };
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/state_test.XXXXXX");
	s = mkdtemp(dir) ? state_open(&c, &err) : NULL;
	return s ? 0 : -1;
}

static int tear_down(void **state)
{
	char cmd[100];
	(void)state;
	state_close(s);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd);
}

static void test_counter(void **state)
{
	struct state_value v;
	(void)state;
	assert_int_equal(state_get(s, SPAN("a 1"), &v), 0);
	assert_false(v.there);
	assert_int_equal(state_add(s, SPAN("a 1"), 1, 100, &v), 0);
	assert_int_equal(v.n, 1);
	assert_int_equal(state_add(s, SPAN("a 1"), 5, 1000, &v), 0);
	assert_int_equal(v.n, 6);
	assert_true(v.there && v.left > 90 && v.left <= 100); /* the first one's */
	assert_int_equal(state_get(s, SPAN("a 1"), &v), 0);
	assert_true(v.there && v.n == 6);
	assert_int_equal(state_get(s, SPAN("a"), &v), 0);
	assert_false(v.there);
}

static void test_marks(void **state)
{
	struct state_value v;
	(void)state;
	assert_int_equal(state_first(s, SPAN("m"), 7, 100, &v), 0);
	assert_false(v.there);
	assert_int_equal(state_first(s, SPAN("m"), 8, 100, &v), 0);
	assert_true(v.there && v.n == 7);
	assert_int_equal(state_put(s, SPAN("m"), UINT64_MAX, 100), 0);
	assert_int_equal(state_get(s, SPAN("m"), &v), 0);
	assert_true(v.there && v.n == UINT64_MAX);
	assert_int_equal(state_drop(s, SPAN("m")), 0);
	assert_int_equal(state_get(s, SPAN("m"), &v), 0);
	assert_false(v.there);
}

static void test_expiry(void **state)
{
	struct state_value v;
	(void)state;
	assert_int_equal(state_put(s, SPAN("old"), 5, -1), 0);
	assert_int_equal(state_get(s, SPAN("old"), &v), 0);
	assert_false(v.there);
	assert_int_equal(state_add(s, SPAN("old"), 1, 100, &v), 0);
	assert_int_equal(v.n, 1);
	assert_int_equal(state_put(s, SPAN("old"), 5, -1), 0);
	assert_int_equal(state_first(s, SPAN("old"), 2, 100, &v), 0);
	assert_false(v.there);
}

/* The file that has the key; there is just one in these tests. */
static off_t only_file(char path[128])
{
	struct stat st;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(path, 128, "%s/%02x", dir, i);
		if (stat(path, &st) == 0)
			return st.st_size;
	}
	fail();
	return 0;
}

static void test_text(void **state)
{
	char path[128], text[2 * STATE_RECORD + 1] = "";
	long long expires;
	unsigned long long n;
	char key[STATE_RECORD];
	(void)state;
	assert_int_equal(state_put(s, SPAN("k x%20y"), 3, 60), 0);
	assert_int_equal(only_file(path), 2 * STATE_RECORD);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, 2 * STATE_RECORD, f), 2 * STATE_RECORD);
	fclose(f);
	assert_int_equal(strncmp(text, "# waypost-state 1: ", 19), 0);
	assert_int_equal(sscanf(text + STATE_RECORD, "%lld %llu %127[^\n]", &expires, &n, key), 3);
	assert_true(expires > time(NULL) && expires <= time(NULL) + 60 && n == 3);
	assert_int_equal(strncmp(key, "k x%20y  ", 9), 0);
}

/* What a crash or an editor left does not count, and is used again. */
static void test_damage(void **state)
{
	char path[128];
	struct state_value v;
	(void)state;
	assert_int_equal(state_put(s, SPAN("k"), 3, 60), 0);
	only_file(path);
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "\0\0\0\0\0\0\0\0", 8, STATE_RECORD + 8), 8);
	close(fd);
	assert_int_equal(state_get(s, SPAN("k"), &v), 0);
	assert_false(v.there);
	assert_int_equal(state_add(s, SPAN("k"), 1, 60, &v), 0);
	assert_int_equal(v.n, 1);
	assert_int_equal(only_file(path), 2 * STATE_RECORD);
	assert_int_equal(truncate(path, STATE_RECORD + 20), 0);
	assert_int_equal(state_add(s, SPAN("k"), 4, 60, &v), 0);
	assert_int_equal(v.n, 4);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(state_add(s, SPAN("k"), 5, 60, &v), 0);
	assert_int_equal(v.n, 5);
	assert_int_equal(only_file(path), 2 * STATE_RECORD);
}

static void test_many_keys(void **state)
{
	struct state_value v;
	char key[40];
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		int n = snprintf(key, sizeof key, "many %u", i);
		assert_int_equal(state_add(s, span_of(key, (size_t)n), i, i % 2 ? 100 : -1, &v), 0);
		assert_int_equal(v.n, i);
	}
	for (unsigned i = 0; i < 5000; i++) {
		int n = snprintf(key, sizeof key, "many %u", i);
		assert_int_equal(state_get(s, span_of(key, (size_t)n), &v), 0);
		assert_true(v.there == (i % 2 == 1) && (!v.there || v.n == i));
	}
}

/* A shard is bounded: fill one by hand; who expires first makes room, and free ends are cut off. */
static void test_bounds(void **state)
{
	char path[128], text[STATE_RECORD], key[40];
	struct state_value v;
	const int64_t now = time(NULL);
	(void)state;
	assert_int_equal(state_put(s, SPAN("new"), 1, 1000), 0);
	only_file(path);
	assert_int_equal(truncate(path, STATE_RECORD), 0);
	FILE *f = fopen(path, "a");
	assert_non_null(f);
	for (unsigned i = 0; i < 4096; i++) {
		int n = snprintf(key, sizeof key, "filler %u", i);
		struct state_record r = { now + (i == 77 ? 50 : 500), i, span_of(key, (size_t)n) };
		state_record_format(&r, text);
		fwrite(text, 1, sizeof text, f);
	}
	fclose(f);
	assert_int_equal(state_put(s, SPAN("new"), 1, 1000), 0);
	assert_int_equal(only_file(path), 4097 * STATE_RECORD);
	assert_int_equal(state_get(s, SPAN("new"), &v), 0);
	assert_true(v.there);
	f = fopen(path, "r+");
	fseek(f, 78 * STATE_RECORD, SEEK_SET);
	assert_int_equal(fread(text, 1, sizeof text, f), sizeof text);
	assert_non_null(memmem(text, sizeof text, " new ", 5));
	/* All others expire. */
	for (unsigned i = 0; i < 4096; i++) {
		fseek(f, (long)(i + 1) * STATE_RECORD, SEEK_SET);
		if (i != 77)
			fwrite("00000000001", 1, 11, f);
	}
	fclose(f);
	assert_int_equal(state_put(s, SPAN("new"), 2, 1000), 0);
	assert_int_equal(only_file(path), 79 * STATE_RECORD);
}

static void test_processes(void **state)
{
	enum {
		CHILDREN = 4,
		EACH = 300
	};
	struct state_value v;
	(void)state;
	for (int i = 0; i < CHILDREN; i++)
		if (fork() == 0) {
			int rc = 0;
			for (int k = 0; k < EACH; k++)
				rc |= state_add(s, SPAN("shared"), 1, 1000, &v);
			_exit(rc ? 1 : 0);
		}
	for (int i = 0, status; i < CHILDREN; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(state_get(s, SPAN("shared"), &v), 0);
	assert_int_equal(v.n, CHILDREN * EACH);
}

static void test_key(void **state)
{
	struct buf a, b;
	char longer[400];
	(void)state;
	buf_init(&a, 200);
	buf_init(&b, 200);
	struct span parts[] = { SPAN("192.0.2.0/24"), SPAN("\"A b\"@X%.Example\x01\xff") };
	state_key(&a, "grey", parts, 2);
	assert_string_equal(a.p, "grey 192.0.2.0/24 \"a%20b\"@x%25.example%01%FF");
	memset(longer, 'x', sizeof longer);
	parts[1] = span_of(longer, sizeof longer);
	buf_reset(&a);
	state_key(&a, "grey", parts, 2);
	longer[sizeof longer - 1] = 'y';
	state_key(&b, "grey", parts, 2);
	assert_int_equal(a.len, STATE_KEY_MAX);
	assert_int_equal(b.len, STATE_KEY_MAX);
	assert_string_not_equal(a.p, b.p);
	assert_int_equal(strncmp(a.p, b.p, STATE_KEY_MAX - 32), 0);
	buf_free(&a);
	buf_free(&b);
}

static int count_keys(void *arg, struct span key, const struct state_value *v)
{
	unsigned *n = arg;
	assert_true(v->there && span_starts(key, "l "));
	*n += (unsigned)v->n;
	return 0;
}

static void test_list(void **state)
{
	struct err err = { 0 };
	unsigned n = 0;
	(void)state;
	state_put(s, SPAN("l a"), 1, 50);
	state_put(s, SPAN("l b"), 2, 50);
	state_put(s, SPAN("l c"), 4, -1);
	state_put(s, SPAN("m a"), 8, 50);
	assert_int_equal(state_list(s, "l ", count_keys, &n, &err), 0);
	assert_int_equal(n, 3);
}

/* A lock that somebody keeps for ever: nothing is known, and nobody waits for long. */
static void test_stuck_lock(void **state)
{
	char path[128];
	struct state_value v;
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct state_config c = { .dir = dir, .existing = true };
	struct err err = { 0 };
	(void)state;
	struct state *hurried = state_open(&c, &err);
	assert_non_null(hurried);
	assert_int_equal(state_put(s, SPAN("k"), 3, 600), 0);
	only_file(path);
	int fd = open(path, O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_int_equal(state_get(hurried, SPAN("k"), &v), -1);
	assert_false(v.there);
	close(fd);
	state_close(hurried);
	assert_int_equal(state_get(s, SPAN("k"), &v), 0);
	assert_true(v.there);
}

static const struct {
	const char *text, *host, *path, *user, *password;
	unsigned port, db;
} urls[] = {
	{ "redis://127.0.0.1", "127.0.0.1", "", "", "", 6379, 0 },
	{ "redis://h.example:7000/3", "h.example", "", "", "", 7000, 3 },
	{ "redis://u:p%40s%3A@[::1]:1/", "::1", "", "u", "p@s:", 1, 0 },
	{ "redis://:only@h", "h", "", "", "only", 6379, 0 },
	{ "redis+unix:/run/r.sock", "", "/run/r.sock", "", "", 0, 0 },
	{ "rediss://u:p@h:6380/2", "h", "", "u", "p", 6380, 2 },
	{ "rediss://", NULL, NULL, NULL, NULL, 0, 0 },
	{ "redis+unix:", NULL, NULL, NULL, NULL, 0, 0 },
	{ "redis://", NULL, NULL, NULL, NULL, 0, 0 },
	{ "redis://u:SECRET@", NULL, NULL, NULL, NULL, 0, 0 },
	{ "redis://u:SECRET@h/x", NULL, NULL, NULL, NULL, 0, 0 },
	{ "redis://u:SECRET@h:99999/1", NULL, NULL, NULL, NULL, 0, 0 },
	{ "http://u:SECRET@h/", NULL, NULL, NULL, NULL, 0, 0 },
};

static void test_urls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct state_url u;
		struct err err = { 0 };
		int rc = state_url_parse(urls[i].text, &u, &err);
		assert_int_equal(rc, urls[i].host ? 0 : -1);
		assert_null(strstr(err.text, "SECRET"));
		if (rc < 0)
			continue;
		assert_string_equal(u.host, urls[i].host);
		assert_string_equal(u.path, urls[i].path);
		assert_string_equal(u.user, urls[i].user);
		assert_string_equal(u.password, urls[i].password);
		assert_int_equal(u.port, urls[i].port);
		assert_int_equal(u.db, urls[i].db);
		assert_int_equal(u.tls, span_starts(span_str(urls[i].text), "rediss:"));
		state_url_free(&u);
	}
}

static void test_unusable(void **state)
{
	struct err err = { 0 };
	struct state_config c = { .dir = "/dev/null/state" };
	(void)state;
	assert_null(state_open(&c, &err));
	assert_int_not_equal(err.class, ERR_NONE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_counter),
		TEST(test_marks),
		TEST(test_expiry),
		TEST(test_text),
		TEST(test_damage),
		TEST(test_many_keys),
		TEST(test_bounds),
		TEST(test_processes),
		TEST(test_list),
		TEST(test_stuck_lock),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_unusable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
