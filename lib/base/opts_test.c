/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/opts.h"
#include "base/span.h"

/* Values live as long as the process: here each case drops some. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

struct values {
	bool flag, other;
	const char *text, *maybe;
	struct opt_list list;
	unsigned number;
	uint64_t size;
	int64_t time;
	int choice;
};

struct topic {
	unsigned rest, pace;
};
struct two {
	struct values values;
	struct topic topic;
};

#define AT(m) offsetof(struct values, m)
static const struct opt table[] = {
	{ .name = "flag", .letter = 'f', .type = OPT_FLAG, .offset = AT(flag), .help = "a flag" },
	{ .name = "other", .type = OPT_FLAG, .offset = AT(other), .help = "no key", .flags = OPT_NO_CONFIG },
	{ .name = "text", .letter = 't', .type = OPT_STR, .offset = AT(text), .arg = "TEXT", .help = "a text" },
	{ .name = "maybe", .type = OPT_STR, .offset = AT(maybe), .arg = "X", .help = "perhaps", .flags = OPT_OPTIONAL },
	{ .name = "list", .letter = 'l', .type = OPT_LIST, .offset = AT(list), .arg = "X", .help = "texts" },
	{ .name = "number", .type = OPT_UINT, .offset = AT(number), .arg = "N", .help = "a number" },
	{ .name = "size", .type = OPT_SIZE, .offset = AT(size), .arg = "BYTES", .help = "a size" },
	{ .name = "time", .type = OPT_DURATION, .offset = AT(time), .arg = "TIME", .help = "a time" },
	{ .name = "choice", .type = OPT_CHOICE, .offset = AT(choice), .choices = "one|two|three", .help = "one of" },
	{ 0 },
};

/* argv from words, parsed with an empty $XDG_CONFIG_HOME or the given configuration. */
static enum opts_result parse(struct values *v, const char *words, int *first, char **argv, struct err *err)
{
	static char line[1000];
	const struct opts o = { .prog = "prog",
		.synopsis = "[OPTION]...",
		.about = "About.",
		.table = table,
		.values = v,
		.personal = true };
	int argc = 0;
	snprintf(line, sizeof line, "prog %s", words);
	for (char *p = line; *p;) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p)
			*p++ = '\0';
	}
	argv[argc] = NULL;
	*err = (struct err){ 0 };
	return opts_parse(&o, argc, argv, first, err);
}

static void command_line(void **state)
{
	struct values v = { .text = "default" };
	struct err err;
	char *argv[50];
	int first;
	(void)state;
	assert_int_equal(
	    parse(&v, "-f operand --list=a -l b --number 7 --size=10k --time=5m --choice=TWO --maybe -- -x", &first,
		argv, &err),
	    OPTS_OK);
	assert_true(v.flag && !v.other);
	assert_string_equal(v.text, "default");
	assert_string_equal(v.maybe, "");
	assert_int_equal(v.list.n, 2);
	assert_string_equal(v.list.v[1], "b");
	assert_int_equal(v.number, 7);
	assert_int_equal(v.size, 10240);
	assert_int_equal(v.time, 300000);
	assert_int_equal(v.choice, 1);
	assert_string_equal(argv[first], "operand");
	assert_string_equal(argv[first + 1], "-x");
	assert_int_equal(parse(&v, "--no-flag --maybe=x", &first, argv, &err), OPTS_OK);
	assert_false(v.flag);
	assert_string_equal(v.maybe, "x");
}

static void errors(void **state)
{
	static const char *const cases[][2] = {
		{ "--nonsense", "unknown or ambiguous option --nonsense" },
		{ "-z", "unknown option -z" },
		{ "--text", "--text needs an argument" },
		{ "--number=-1", "number: '-1' is no N" },
		{ "--number=4294967296", "number: '4294967296' is no N" },
		{ "--choice=four", "choice: 'four' is none of one|two|three" },
		{ "--time=1y", "time: '1y' is no TIME" },
	};
	struct values v = { 0 };
	struct err err;
	char *argv[50];
	int first;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(parse(&v, cases[i][0], &first, argv, &err), OPTS_ERROR);
		assert_int_equal(err.class, ERR_USAGE);
		assert_string_equal(err.text, cases[i][1]);
	}
}

static void with_file(const char *text, char *path)
{
	FILE *f;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	fputs(text, f);
	fclose(f);
}

static void configuration(void **state)
{
	static const struct {
		const char *file, *words;
		enum opts_result want;
		const char *text; /* the option's value, or the end of the error */
	} cases[] = {
		{ "text = a\n", "", OPTS_OK, "a" },
		{ "text = a\nforeign = 1\n[prog]\ntext = b\n[else]\nx = y\n", "", OPTS_OK, "b" },
		{ "[prog]\ntext = b\n[common]\ntext = a\n", "", OPTS_OK, "b" },
		{ "[prog]\ntext = b\n", "--text=c", OPTS_OK, "c" },
		{ "[prog]\ntext = \"b c\" # d\nflag = yes\n", "", OPTS_OK, "b c" },
		{ "[prog]\nforeign = 1\n", "", OPTS_ERROR, ":2: unknown key 'foreign' in [prog]" },
		{ "[prog]\nother = 1\n", "", OPTS_ERROR, ":2: unknown key 'other' in [prog]" },
		{ "[prog]\n\nnumber = x\n", "", OPTS_ERROR, ":3: number: 'x' is no N" },
		{ "[prog]\nflag = perhaps\n", "", OPTS_ERROR, ":2: flag: 'perhaps' is no yes or no" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char path[] = "/tmp/opts_test_XXXXXX", words[200], *argv[50];
		struct values v = { 0 };
		struct err err;
		int first;
		with_file(cases[i].file, path);
		snprintf(words, sizeof words, "--config=%s%s%s", path, *cases[i].words ? " " : "", cases[i].words);
		enum opts_result r = parse(&v, words, &first, argv, &err);
		unlink(path);
		if (r != cases[i].want)
			fail_msg("%s: %d %s", cases[i].file, r, err.text);
		if (r == OPTS_OK) {
			assert_string_equal(v.text, cases[i].text);
		} else {
			assert_int_equal(err.class, ERR_CONFIG);
			assert_true(span_ends(span_str(err.text), cases[i].text));
		}
	}
}

static void missing_file(void **state)
{
	struct values v = { 0 };
	struct err err;
	char *argv[50];
	int first;
	(void)state;
	assert_int_equal(parse(&v, "--config=/nonexistent/x", &first, argv, &err), OPTS_ERROR);
	assert_int_equal(err.class, ERR_CONFIG);
	assert_int_equal(parse(&v, "", &first, argv, &err), OPTS_OK);
}

static void sizes_and_times(void **state)
{
	static const struct {
		const char *in;
		bool ok;
		uint64_t want;
	} sizes[] = { { "0", true, 0 }, { "10", true, 10 }, { "10k", true, 10240 }, { "10KB", true, 10240 },
		{ "2MiB", true, 2097152 }, { "1G", true, 1073741824 }, { "7b", true, 7 }, { "", false, 0 },
		{ "k", false, 0 }, { "-1", false, 0 }, { "1x", false, 0 }, { "99999999999T", false, 0 },
		{ "1 k", false, 0 } };
	static const struct {
		const char *in;
		bool ok;
		int64_t want;
	} times[] = { { "500ms", true, 500 }, { "30", true, 30000 }, { "30s", true, 30000 }, { "5m", true, 300000 },
		{ "4h", true, 14400000 }, { "5d", true, 432000000 }, { "1w", true, 604800000 }, { "", false, 0 },
		{ "ms", false, 0 }, { "-5", false, 0 }, { "99999999999999999d", false, 0 } };
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint64_t v = 0;
		if (opts_parse_size(sizes[i].in, &v) != sizes[i].ok || (sizes[i].ok && v != sizes[i].want))
			fail_msg("%s", sizes[i].in);
	}
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		int64_t v = 0;
		if (opts_parse_duration(times[i].in, &v) != times[i].ok || (times[i].ok && v != times[i].want))
			fail_msg("%s", times[i].in);
	}
}

static void groups(void **state)
{
	static const struct opt more[] = {
		{ .name = "pace",
		    .type = OPT_UINT,
		    .offset = offsetof(struct topic, pace),
		    .arg = "N",
		    .help = "a pace" },
		{ 0 },
	};
	static const struct opt_group topics[] = { { more, offsetof(struct two, topic) }, { 0 } };
	struct two v = { 0 };
	const struct opts o = { .prog = "prog",
		.synopsis = "[OPTION]...",
		.about = "About.",
		.table = table,
		.groups = topics,
		.values = &v,
		.personal = true };
	char *argv[] = { "prog", "--number=3", "--pace=7", NULL };
	struct err err = { 0 };
	int first;
	(void)state;
	assert_int_equal(opts_parse(&o, 3, argv, &first, &err), OPTS_OK);
	assert_int_equal(v.values.number, 3);
	assert_int_equal(v.topic.pace, 7);
	assert_int_equal(v.topic.rest, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_line),
		cmocka_unit_test(errors),
		cmocka_unit_test(configuration),
		cmocka_unit_test(missing_file),
		cmocka_unit_test(groups),
		cmocka_unit_test(sizes_and_times),
	};
	setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
