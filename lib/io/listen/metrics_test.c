/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/listen/metrics.h"

enum {
	SENT_OK,
	SENT_BAD,
	SIZE,
	ROWS
};
static const struct metric table[ROWS] = {
	[SENT_OK] = { "mail_sent_total", "result=\"ok\"", METRIC_COUNTER, "Messages sent." },
	[SENT_BAD] = { "mail_sent_total", "result=\"bad\"", METRIC_COUNTER, "Messages sent." },
	[SIZE] = { "mail_size", NULL, METRIC_GAUGE, "How many there are." },
};
#define TEXT(ok, bad, size)                                                                                            \
	"# HELP mail_sent_total Messages sent.\n# TYPE mail_sent_total counter\n"                                      \
	"mail_sent_total{s=\"x\",result=\"ok\"} " ok "\nmail_sent_total{s=\"x\",result=\"bad\"} " bad                  \
	"\n# HELP mail_size How many there are.\n# TYPE mail_size gauge\nmail_size{s=\"x\"} " size "\n"

static void slurp(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	out[fread(out, 1, size - 1, f)] = '\0';
	fclose(f);
}

/* Children add to the same numbers, all at once. */
static void forked(void **state)
{
	struct err err = { 0 };
	struct metrics *m = metrics_new(table, ROWS, "unused", "s=\"x\"", &err);
	struct buf text;
	int status;
	(void)state;
	assert_non_null(m);
	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			for (int k = 0; k < 10000; k++)
				metrics_add(m, SENT_OK, 1);
			_exit(0);
		}
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
	metrics_set(m, SIZE, 5);
	metrics_add(m, SIZE, -7);
	buf_init(&text, 10000);
	metrics_format(m, &text);
	assert_string_equal(text.p, TEXT("40000", "0", "-2"));
	assert_int_equal(metrics_get(m, SENT_OK), 40000);
	buf_free(&text);
	metrics_free(m);
}

static void file(void **state)
{
	char dir[] = "/tmp/metrics_test.XXXXXX", path[64], text[2000];
	struct err err = { 0 };
	struct stat st;
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/m.prom", dir);
	struct metrics *m = metrics_new(table, ROWS, path, "s=\"x\"", &err);
	assert_int_equal(metrics_tick(m, 5, &err), 0);
	slurp(path, text, sizeof text);
	assert_string_equal(text, TEXT("0", "0", "0"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	metrics_add(m, SENT_BAD, 1);
	assert_int_equal(metrics_tick(m, 5 + METRICS_EVERY_MS - 1, &err), 0);
	slurp(path, text, sizeof text);
	assert_string_equal(text, TEXT("0", "0", "0"));
	assert_int_equal(metrics_tick(m, 5 + METRICS_EVERY_MS, &err), 0);
	slurp(path, text, sizeof text);
	assert_string_equal(text, TEXT("0", "1", "0"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* no temporary file stays */
	assert_int_equal(metrics_write(m, &err), -1);
	assert_string_not_equal(err.text, "");
	metrics_free(m);
	metrics_add(NULL, SENT_OK, 1);
	assert_int_equal(metrics_tick(NULL, 1, &err), 0);
	metrics_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(forked), cmocka_unit_test(file) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
