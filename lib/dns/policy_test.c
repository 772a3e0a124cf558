/* SPDX-License-Identifier: ISC
 *
 * The texts of TLSA and MTA-STS records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns/sts.h"
#include "dns/tlsa.h"

static void test_sts(void **state)
{
	(void)state;
	static const struct {
		const char *txt, *id;
	} cases[] = {
		{ "v=STSv1; id=20160831085700Z;", "20160831085700Z" },
		{ "v=STSv1;id=a", "a" },
		{ "v=STSv1; x=y; id=a1 ; id=b2", "a1" },
		{ "v=STSv1", NULL },
		{ "v=STSv1;", NULL },
		{ "v=STSv1; id=", NULL },
		{ "v=STSv1; id=a-b", NULL },
		{ "v=STSv1; id=123456789012345678901234567890123", NULL },
		{ "v=STSv2; id=a", NULL },
		{ "v=STSv10; id=a", NULL },
		{ "V=STSv1; id=a", NULL },
		{ "id=a; v=STSv1", NULL },
		{ "v=spf1 -all", NULL },
		{ "", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct span id;
		assert_int_equal(sts_parse(span_str(cases[i].txt), &id), cases[i].id != NULL);
		if (cases[i].id)
			assert_true(span_eqs(id, cases[i].id));
	}
}

static void test_tlsa(void **state)
{
	(void)state;
	static const char zeros[64];
	static const struct {
		uint8_t head[3];
		size_t n;
		bool usable;
	} cases[] = {
		{ { 3, 1, 1 }, 32, true },
		{ { 2, 0, 1 }, 32, true },
		{ { 3, 1, 2 }, 64, true },
		{ { 3, 0, 0 }, 40, true },
		{ { 3, 1, 1 }, 31, false },
		{ { 3, 1, 2 }, 32, false },
		{ { 1, 1, 1 }, 32, false },
		{ { 0, 0, 1 }, 32, false },
		{ { 3, 2, 1 }, 32, false },
		{ { 3, 1, 3 }, 32, false },
		{ { 4, 1, 1 }, 32, false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rdata[80];
		struct tlsa t;
		memcpy(rdata, cases[i].head, 3);
		memcpy(rdata + 3, zeros, cases[i].n);
		assert_true(tlsa_parse(span_of(rdata, 3 + cases[i].n), &t));
		assert_int_equal(t.usable, cases[i].usable);
		assert_int_equal(t.data.n, cases[i].n);
	}
	struct tlsa t;
	assert_false(tlsa_parse(SPAN("\3\1\1"), &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sts),
		cmocka_unit_test(test_tlsa),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
