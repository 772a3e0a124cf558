/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mta-relay/hop/next_hop.h"

static void test_parse(void **state)
{
	static const struct {
		const char *in, *want; /* NULL: none */
	} cases[] = {
		{ "smtp:[127.0.0.1]:10025", "smtp://127.0.0.1:10025" },
		{ "smtp:127.0.0.1:10025", "smtp://127.0.0.1:10025" },
		{ "relay:[filter.example]", "smtp://filter.example:25" },
		{ "smtp:filter.example", "smtp://filter.example:25" },
		{ "smtp:[::1]:26", "smtp://[::1]:26" },
		{ "smtp:[IPv6:2001:db8::1]", "smtp://[2001:db8::1]:25" },
		{ "lmtp:[127.0.0.1]:24", "lmtp:127.0.0.1:24" },
		{ "lmtp:localhost", "lmtp:localhost:24" },
		{ "lmtp:unix:/run/filter", "lmtp:unix:/run/filter" },
		{ "lmtp:unix:run/filter", NULL },
		{ "lmtp:unix:/run/a b", NULL },
		{ "lmtp:|rm -rf /", NULL },
		{ "smtp:unix:/run/filter", NULL },
		{ "smtp:", NULL },
		{ "smtp", NULL },
		{ "smtp:[]:25", NULL },
		{ "smtp:[127.0.0.1:25", NULL },
		{ "smtp:[127.0.0.1]25", NULL },
		{ "smtp:[127.0.0.1]:", NULL },
		{ "smtp:[127.0.0.1]:0", NULL },
		{ "smtp:[127.0.0.1]:65536", NULL },
		{ "smtp:me@host:25", NULL },
		{ "smtp:a,b:25", NULL },
		{ "smtp://127.0.0.1", NULL },
		{ "smtp:a\nb", NULL },
		{ "error:no", NULL },
		{ "smtp-amavis:[127.0.0.1]:10024", NULL },
		{ "", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out;
		buf_init(&out, 1000);
		bool good = next_hop_parse(span_str(cases[i].in), &out);
		if (good != (cases[i].want != NULL) || (good && !span_eqs(buf_span(&out), cases[i].want)))
			fail_msg("'%s': %s", cases[i].in, good ? out.p : "none");
		assert_true(!good || next_hop_ok(buf_span(&out)));
		buf_free(&out);
	}
}

static void test_ok(void **state)
{
	(void)state;
	assert_false(next_hop_ok(SPAN("smtp://me@127.0.0.1:25")));
	assert_false(next_hop_ok(SPAN("smtp://127.0.0.1:25,mx")));
	assert_false(next_hop_ok(SPAN("smtp:127.0.0.1:25")));
	assert_false(next_hop_ok(SPAN("lmtp:|true")));
	assert_false(next_hop_ok(SPAN("error:550 no")));
	assert_false(next_hop_ok(SPAN("")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse), cmocka_unit_test(test_ok) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
