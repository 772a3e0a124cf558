/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp.h"

static size_t entries(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

static void test_file(void **state)
{
	char dir[] = "/tmp/temp_test-XXXXXX", byte = 0;
	struct stat st;
	(void)state;
	assert_non_null(mkdtemp(dir));
	int fd = temp_file(dir, NULL);
	assert_true(fd >= 0);
	assert_int_equal(entries(dir), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	rmdir(dir);
}

static void test_nowhere(void **state)
{
	struct err err = { 0 };
	(void)state;
	assert_int_equal(temp_file("/nonexistent/dir", &err), -1);
	assert_string_equal(err.text, "temporary file in /nonexistent/dir: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_file), cmocka_unit_test(test_nowhere) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
