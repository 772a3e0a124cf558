/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "mta-relay/policy/srs.h"

enum {
	NOW = 1700000000,
	DAY = 86400
};

static struct srs *open_with(const char *secrets)
{
	struct err err = { 0 };
	struct srs *s = srs_new("Srs.Example", span_str(secrets), &err);
	if (!s)
		fail_msg("%s", err.text);
	return s;
}

static void there_and_back(void **state)
{
	(void)state;
	static const struct {
		const char *local, *domain, *starts, *back;
	} t[] = {
		{ "bob", "far.example", "SRS0=", "bob@far.example" },
		{ "a=b=c", "far.example", "SRS0=", "a=b=c@far.example" },
		{ "odd name", "far.example", "SRS0=", "\"odd name\"@far.example" },
		{ "SRS0=abcd=tt=first.example=bob", "second.example",
		    "SRS1=", "SRS0=abcd=tt=first.example=bob@second.example" },
		{ "srs0+abcd=tt=first.example=bob", "second.example",
		    "SRS1=", "SRS0+abcd=tt=first.example=bob@second.example" },
		{ "SRS1=wxyz=second.example==abcd=tt=first.example=bob", "third.example",
		    "SRS1=", "SRS0=abcd=tt=first.example=bob@second.example" },
	};
	struct srs *s = open_with("correct horse battery\n");
	assert_true(span_eqs(srs_domain(s), "srs.example"));
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct buf made, back;
		struct err err = { 0 };
		buf_init(&made, LIMIT_SMTP_PATH);
		buf_init(&back, LIMIT_SMTP_PATH);
		assert_true(srs_forward(s, span_str(t[i].local), span_str(t[i].domain), NOW, &made));
		assert_true(span_starts(buf_span(&made), t[i].starts));
		if (srs_reverse(s, buf_span(&made), NOW + 20 * DAY, &back, &err) < 0)
			fail_msg("%s: %s", made.p, err.text);
		assert_string_equal(back.p, t[i].back);
		/* Some hosts change the case of what they take for no matter. */
		for (size_t k = 0; k < made.len; k++)
			made.p[k] = ascii_lower(made.p[k]);
		buf_reset(&back);
		assert_int_equal(srs_reverse(s, buf_span(&made), NOW, &back, &err), 0);
		buf_free(&made);
		buf_free(&back);
	}
	srs_free(s);
}

static void not_ours(void **state)
{
	(void)state;
	static const char *const forged[] = { "SRS0=aaaaaaaa=ab=far.example=bob",
		"SRS0=", "SRS0==", "SRS0====", "SRS1==", "SRS0=aaaa=ab=far.example=bob", "SRS1=aaaaaaaa=x==y", "bob",
		"" };
	struct srs *s = open_with("correct horse battery\n"), *other = open_with("another horse's secret\n");
	struct buf made, back;
	buf_init(&made, LIMIT_SMTP_PATH);
	buf_init(&back, LIMIT_SMTP_PATH);
	for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
		struct err err = { 0 };
		assert_int_equal(srs_reverse(s, span_str(forged[i]), NOW, &back, &err), -1);
		assert_int_equal(err.code, 550);
		assert_string_equal(err.enh, "5.7.1");
	}
	struct err err = { 0 };
	assert_true(srs_forward(s, SPAN("bob"), SPAN("far.example"), NOW, &made));
	assert_int_equal(srs_reverse(other, buf_span(&made), NOW, &back, &err), -1);
	assert_int_equal(srs_reverse(s, buf_span(&made), NOW + 22 * DAY, &back, &err), -1);
	assert_non_null(strstr(err.text, "expired"));
	/* Of tomorrow: the clock has gone back, or somebody plays. */
	assert_int_equal(srs_reverse(s, buf_span(&made), NOW - DAY, &back, &err), -1);
	made.p[made.len - 1] ^= 1;
	assert_int_equal(srs_reverse(s, buf_span(&made), NOW, &back, &err), -1);
	buf_reset(&made);
	char name[200];
	memset(name, 'x', sizeof name);
	assert_false(srs_forward(s, span_of(name, sizeof name), SPAN("far.example"), NOW, &made));
	buf_free(&made);
	buf_free(&back);
	srs_free(s);
	srs_free(other);
}

/* The old secret behind the new one: addresses made with it are still good. */
static void two_secrets(void **state)
{
	(void)state;
	struct srs *old = open_with("correct horse battery\n");
	struct srs *now = open_with("# since today\nanother horse's secret\ncorrect horse battery\n");
	struct buf made, back;
	struct err err = { 0 };
	buf_init(&made, LIMIT_SMTP_PATH);
	buf_init(&back, LIMIT_SMTP_PATH);
	assert_true(srs_forward(old, SPAN("bob"), SPAN("far.example"), NOW, &made));
	assert_int_equal(srs_reverse(now, buf_span(&made), NOW, &back, &err), 0);
	buf_reset(&made);
	assert_true(srs_forward(now, SPAN("bob"), SPAN("far.example"), NOW, &made));
	assert_int_equal(srs_reverse(old, buf_span(&made), NOW, &back, &err), -1);
	buf_free(&made);
	buf_free(&back);
	srs_free(old);
	srs_free(now);
}

static void configuration(void **state)
{
	(void)state;
	char path[] = "/tmp/srs-XXXXXX";
	struct err err = { 0 };
	assert_null(srs_new("srs.example", SPAN("short\n"), &err));
	assert_null(srs_new("srs.example", SPAN("# none\n"), &err));
	assert_null(srs_new("not a domain", SPAN("correct horse battery\n"), &err));
	assert_null(srs_new("srs.example",
	    SPAN("1234567890123456\n2234567890123456\n3234567890123456\n"
		 "4234567890123456\n5234567890123456\n"),
	    &err));
	assert_null(srs_open("srs.example", "/nonexistent", &err));
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "correct horse battery\n", 22), 22);
	struct srs *s = srs_open("srs.example", path, &err);
	assert_non_null(s);
	srs_free(s);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_null(srs_open("srs.example", path, &err));
	assert_non_null(strstr(err.text, "others may read it"));
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(there_and_back), cmocka_unit_test(not_ours),
		cmocka_unit_test(two_secrets), cmocka_unit_test(configuration) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
