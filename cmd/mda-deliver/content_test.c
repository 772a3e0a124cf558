/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/temp.h"
#include "mda-deliver/content.h"

enum {
	LARGE = 3 << 20 /* more than is kept in memory */
};

static void expect(struct content *c, char byte, size_t n)
{
	static char text[LARGE];
	struct span all;
	memset(text, byte, n);
	assert_int_equal(content_add(c, span_of(text, n)), 0);
	assert_int_equal(content_get(c, &all, NULL), 0);
	assert_int_equal(all.n, n);
	assert_memory_equal(all.p, text, n);
}

/* One file for message after message: each has its own bytes and no others, whatever was left in it. */
static void test_spare(void **state)
{
	struct content c;
	(void)state;
	content_init(&c, "/nonexistent", 0);
	c.spare = temp_file("/tmp", NULL);
	assert_true(c.spare >= 0);
	expect(&c, 'a', LARGE);
	content_reset(&c);
	assert_int_equal(write(c.spare, "left", 4), 4);
	expect(&c, 'b', LARGE - 1000);
	content_reset(&c);
	expect(&c, 'c', 10);
	content_free(&c);
	close(c.spare);
}

/* One that can't be emptied takes no message. */
static void test_spare_broken(void **state)
{
	static char text[LARGE];
	struct content c;
	struct span all;
	struct err err = { 0 };
	(void)state;
	content_init(&c, "/nonexistent", 0);
	c.spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	content_add(&c, span_of(text, sizeof text));
	assert_int_equal(content_get(&c, &all, &err), -1);
	content_free(&c);
	close(c.spare);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_spare), cmocka_unit_test(test_spare_broken) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
