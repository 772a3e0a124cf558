/* SPDX-License-Identifier: ISC
 *
 * regexp:PATH. A line is /pattern/flags value, or !/pattern/flags value for what does not match. The engine counts its
 * steps: a key that would keep it busy is TABLE_ERROR, not a hung server.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "users/table_int.h"

enum {
	REGEXP_STEPS = 200000,
	REGEXP_DEPTH = 1000,
	REGEXP_HEAP = 4096 /* KiB */
};

struct rule {
	pcre2_code *code;
	struct span value;
	bool negated;
	unsigned line;
};
struct table_regexps {
	struct arena *arena;
	struct rule *rule;
	size_t n, cap;
	const char *name;
	pcre2_match_context *limits;
};

void table_regexps_free(struct table_regexps *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		pcre2_code_free(r->rule[i].code);
	pcre2_match_context_free(r->limits);
	arena_free(r->arena);
	free(r->rule);
	free(r);
}

/* Without regard to case unless told so, as the keys are. */
static bool read_flags(struct span flags, uint32_t *options)
{
	static const struct {
		char letter;
		uint32_t bit;
	} known[] = { { 'i', PCRE2_CASELESS }, { 'm', PCRE2_MULTILINE }, { 's', PCRE2_DOTALL },
		{ 'x', PCRE2_EXTENDED } };
	*options = PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_MATCH_INVALID_UTF;
	for (size_t i = 0; i < flags.n; i++) {
		size_t k = 0;
		while (k < sizeof known / sizeof *known && known[k].letter != flags.p[i])
			k++;
		if (k == sizeof known / sizeof *known)
			return false;
		*options ^= known[k].bit;
	}
	return true;
}

/* A reference in the value: $1, ${1}, $(1) or $$; the length of it, 0 when it is none. *group is -1 for $$. */
static size_t reference(struct span s, int *group)
{
	char open = s.n > 1 ? s.p[1] : 0, end = open == '{' ? '}' : open == '(' ? ')' : 0;
	size_t i = end ? 2 : 1, from = i;
	uint64_t number;
	*group = -1;
	if (open == '$')
		return 2;
	while (i < s.n && i < from + 2 && ascii_isdigit(s.p[i]))
		i++;
	if (!span_u64(span_slice(s, from, i), 99, &number) || (end && (i >= s.n || s.p[i] != end)))
		return 0;
	*group = (int)number;
	return i + (end ? 1 : 0);
}

static bool references_ok(struct span value, uint32_t groups)
{
	for (size_t i = 0; i < value.n; i++) {
		int group;
		if (value.p[i] != '$')
			continue;
		size_t n = reference(span_from(value, i), &group);
		if (!n || (group >= 0 && (uint32_t)group > groups))
			return false;
		i += n - 1;
	}
	return true;
}

static pcre2_code *compile(struct span pattern, uint32_t options, struct err *err)
{
	int code;
	PCRE2_SIZE at;
	unsigned char text[120];
	pcre2_code *c = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &code, &at, NULL);
	if (c)
		return c;
	pcre2_get_error_message(code, text, sizeof text);
	err_set(err, ERR_CONFIG, "%s (at character %zu of the pattern)", (const char *)text, (size_t)at + 1);
	return NULL;
}

/* The length of the pattern in s, whose first byte is the delimiter; s.n when it never ends. */
static size_t pattern_end(struct span s)
{
	size_t i = 1;
	for (; i < s.n && s.p[i] != s.p[0]; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.n ? i : s.n;
}

static int add_rule(struct table_regexps *r, struct span text, unsigned line, struct err *err)
{
	struct rule rule = { .line = line, .negated = span_starts(text, "!") };
	uint32_t options, groups = 0;
	if (rule.negated)
		text = span_trim(span_from(text, 1));
	size_t end = text.n ? pattern_end(text) : 0;
	if (end == text.n || ascii_isalnum(text.p[0]) || text.p[0] == '\\')
		return err_set(err, ERR_CONFIG, "/pattern/flags value expected");
	struct span rest = span_from(text, end + 1), flags = SPAN("");
	if (rest.n && !ascii_isblank(rest.p[0]))
		flags = span_word(&rest);
	if (!read_flags(flags, &options))
		return err_set(err, ERR_CONFIG, "flags are i, m, s and x");
	if (!(rule.code = compile(span_slice(text, 1, end), options, err)))
		return -1;
	pcre2_pattern_info(rule.code, PCRE2_INFO_CAPTURECOUNT, &groups);
	rule.value = arena_span(r->arena, span_trim(rest));
	if (!references_ok(rule.value, rule.negated ? 0 : groups)) {
		pcre2_code_free(rule.code);
		return err_set(err, ERR_CONFIG, "the value has a '$' that names no group; $$ is a dollar");
	}
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->rule = xreallocarray(r->rule, r->cap, sizeof *r->rule);
	}
	r->rule[r->n++] = rule;
	return 0;
}

struct table_regexps *table_regexps_text(struct span text, const char *name, struct err *err)
{
	struct table_regexps *r = xcalloc(1, sizeof *r);
	struct table_lines l;
	int rc;
	r->arena = arena_new();
	r->name = arena_str(r->arena, span_str(name));
	r->limits = pcre2_match_context_create(NULL);
	if (r->limits) {
		pcre2_set_match_limit(r->limits, REGEXP_STEPS);
		pcre2_set_depth_limit(r->limits, REGEXP_DEPTH);
		pcre2_set_heap_limit(r->limits, REGEXP_HEAP);
	}
	table_lines_init(&l, text);
	while ((rc = table_lines_next(&l)) > 0 && add_rule(r, l.text, l.line, err) == 0)
		;
	if (rc < 0)
		err_set(err, ERR_CONFIG, "continues no line");
	if (rc != 0) {
		err_prefix(err, "%s:%u", name, l.line);
		table_regexps_free(r);
		r = NULL;
	}
	table_lines_free(&l);
	return r;
}

static struct span expand(struct arena *a, const struct rule *rule, struct span key, pcre2_match_data *m)
{
	struct buf out;
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m);
	uint32_t groups = pcre2_get_ovector_count(m);
	buf_init(&out, LIMIT_CONFIG_LINE);
	for (size_t i = 0; i < rule->value.n; i++) {
		int g = -1;
		char c = rule->value.p[i];
		if (c == '$')
			i += reference(span_from(rule->value, i), &g) - 1;
		if (g < 0)
			buf_addc(&out, c);
		else if ((uint32_t)g < groups && at[2 * g] != PCRE2_UNSET)
			buf_addspan(&out, span_slice(key, at[2 * g], at[2 * g + 1]));
	}
	struct span text = arena_span(a, buf_span(&out));
	buf_free(&out);
	return text;
}

/* 1 it is this one, 0 not, -1 with err. */
static int try_rule(const struct table_regexps *r, const struct rule *rule, struct arena *a, struct span key,
    struct span *value, struct err *err)
{
	pcre2_match_data *m = pcre2_match_data_create_from_pattern(rule->code, NULL);
	int rc = m ? pcre2_match(rule->code, (PCRE2_SPTR)key.p, key.n, 0, 0, m, r->limits) : PCRE2_ERROR_NOMEMORY;
	bool found = rule->negated ? rc == PCRE2_ERROR_NOMATCH : rc >= 0;
	if (found)
		*value = expand(a, rule, key, m);
	pcre2_match_data_free(m);
	if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
		return found;
	return err_set(err, ERR_TEMP, "%s:%u: the pattern takes too long (%d)", r->name, rule->line, rc);
}

enum table_result table_regexps_find(
    const struct table_regexps *r, struct arena *a, struct span key, struct span *value, struct err *err)
{
	for (size_t i = 0; i < r->n; i++) {
		int rc = try_rule(r, &r->rule[i], a, key, value, err);
		if (rc != 0)
			return rc < 0 ? TABLE_ERROR : TABLE_FOUND;
	}
	return TABLE_NONE;
}

struct regexp_file {
	struct table_file file;
	struct table_regexps *r;
};

static void regexp_close(void *state)
{
	struct regexp_file *f = state;
	table_regexps_free(f->r);
	free(f->file.path);
	free(f);
}

static int read_again(struct regexp_file *f, struct err *err)
{
	struct buf text;
	struct table_regexps *r = NULL;
	if (table_file_read(&f->file, &text, err) == 0)
		r = table_regexps_text(buf_span(&text), f->file.path, err);
	buf_free(&text);
	if (!r)
		return -1;
	table_regexps_free(f->r);
	f->r = r;
	return 0;
}

static void *regexp_open(struct span rest, struct err *err)
{
	struct regexp_file *f = xcalloc(1, sizeof *f);
	f->file.path = xstrndup(rest.p, rest.n);
	if (read_again(f, err) == 0)
		return f;
	regexp_close(f);
	return NULL;
}

static int regexp_refresh(void *state, struct err *err)
{
	struct regexp_file *f = state;
	return table_file_changed(&f->file) ? read_again(f, err) : 0;
}

static bool regexp_hidden(const void *state)
{
	const struct regexp_file *f = state;
	return f->file.hidden;
}

static enum table_result regexp_get(void *state, struct arena *a, struct span key, struct span *value, struct err *err)
{
	struct regexp_file *f = state;
	return table_regexps_find(f->r, a, key, value, err);
}

const struct table_kind table_kind_regexp = { .name = "regexp",
	.open = regexp_open,
	.get = regexp_get,
	.refresh = regexp_refresh,
	.hidden = regexp_hidden,
	.rules = table_file_rules,
	.close = regexp_close };
