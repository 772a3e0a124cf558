/* SPDX-License-Identifier: ISC */
#include "base/pid.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

static void a_child_knows_its_own(void **state)
{
	int status;
	(void)state;
	assert_int_equal(own_pid(), getpid());
	pid_t child = fork();
	if (child == 0)
		_exit(own_pid() == getpid() && own_pid() == getpid() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(own_pid(), getpid());
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_child_knows_its_own) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
