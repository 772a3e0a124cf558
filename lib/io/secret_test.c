/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/secret.h"

static const struct {
	const char *name, *text, *user;
	int found;
	const char *got_user, *password;
} netrcs[] = {
	{ "one line", "machine h login joe password pw", "", 1, "joe", "pw" },
	{ "lines", "machine other login x password y\nmachine h\n\tlogin joe\n\tpassword pw\n", "joe", 1, "joe", "pw" },
	{ "by user", "machine h login ann password a\nmachine h login joe password b\n", "joe", 1, "joe", "b" },
	{ "quoted", "machine h login joe password \"p w\\\"x\"", "", 1, "joe", "p w\"x" },
	{ "default", "machine other login a password b default login joe password d", "", 1, "joe", "d" },
	{ "password first", "machine h password pw login joe", "", 1, "joe", "pw" },
	{ "host in capitals", "machine H login joe password pw", "", 1, "joe", "pw" },
	{ "macro", "macdef init\nmachine h login no password no\n\nmachine h login joe password pw", "", 1, "joe",
	    "pw" },
	{ "none", "machine other login joe password pw", "", 0, "", "" },
	{ "another user", "machine h login ann password pw", "joe", 0, "joe", "" },
	{ "malformed", "machin h login joe", "", -1, "", "" },
	{ "cut off", "machine h login", "", -1, "", "" },
};

static void test_netrc(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof netrcs / sizeof *netrcs; i++) {
		struct buf user, password;
		buf_init(&user, 100);
		buf_init(&password, 100);
		buf_adds(&user, netrcs[i].user);
		int found = netrc_find(span_str(netrcs[i].text), SPAN("h"), &user, &password);
		if (found != netrcs[i].found || strcmp(user.p, netrcs[i].got_user) ||
		    strcmp(password.p, netrcs[i].password))
			fail_msg("%s: %d '%s' '%s'", netrcs[i].name, found, user.p, password.p);
		buf_free(&user);
		buf_free(&password);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netrc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
