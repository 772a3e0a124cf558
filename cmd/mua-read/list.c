/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <jansson.h>
#include <time.h>

#include "mua-read/mua.h"
#include "mua-read/summary.h"

enum {
	FROM_COLUMNS = 20,
	FROM_LEAST = 8,
	SUBJECT_LEAST = 20,
	INDENT_MOST = 20 /* columns that a thread's depth may take */
};

static const struct {
	unsigned flag;
	char letter;
	const char *name;
} flags[] = {
	{ FLAG_ANSWERED, 'R', "answered" },
	{ FLAG_PASSED, 'P', "passed" },
	{ FLAG_FLAGGED, 'F', "flagged" },
	{ FLAG_DRAFT, 'T', "draft" },
	{ FLAG_DELETED, 'D', "deleted" },
};

void lister_begin(struct lister *l, const struct term *t, bool json, size_t most)
{
	*l = (struct lister){ .term = t, .json = json, .digits = 1 };
	for (; most > 9; most /= 10)
		l->digits++;
}

static void put_flags(FILE *out, unsigned set)
{
	putc(set & FLAG_SEEN ? '-' : 'N', out);
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		putc(set & flags[i].flag ? flags[i].letter : '-', out);
}

static void put_date(FILE *out, int64_t date)
{
	struct tm tm;
	time_t t = (time_t)date;
	char text[40] = "----------------";
	if (date && localtime_r(&t, &tm))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
	fprintf(out, " %-16s ", text);
}

/* Columns for From and Subject in what the fixed ones leave; 0: as long as they are. */
static void divide(const struct lister *l, size_t *from, size_t *subject)
{
	size_t fixed = l->digits + 1 + 6 + 1 + 16 + 1 + 1;
	*from = FROM_COLUMNS;
	*subject = 0;
	if (!l->term->width)
		return;
	size_t left = l->term->width > fixed ? l->term->width - fixed : 1;
	if (left < FROM_COLUMNS + SUBJECT_LEAST)
		*from = left / 2 > FROM_LEAST ? left / 2 : FROM_LEAST;
	*subject = left > *from + 1 ? left - *from : 1;
}

static void put_subject(const struct lister *l, struct span subject, size_t depth, size_t columns)
{
	size_t indent = 2 * depth < INDENT_MOST ? 2 * depth : INDENT_MOST;
	if (columns && indent >= columns)
		indent = columns - 1;
	fprintf(l->term->out, "%*s", (int)indent, "");
	/* Cut, but not filled: no line ends in blanks. */
	struct buf safe;
	buf_init(&safe, 10 * subject.n + 16);
	term_safe(subject, false, &safe);
	if (columns && term_columns(buf_span(&safe)) > columns - indent)
		term_field(l->term, subject, columns - indent);
	else
		term_put(l->term, buf_span(&safe));
	buf_free(&safe);
	putc('\n', l->term->out);
}

static void text_row(const struct lister *l, const struct summary *s)
{
	size_t from, subject;
	divide(l, &from, &subject);
	fprintf(l->term->out, "%*zu ", (int)l->digits, s->number);
	put_flags(l->term->out, s->flags);
	put_date(l->term->out, s->date);
	term_field(l->term, s->from, from);
	putc(' ', l->term->out);
	put_subject(l, s->subject, s->indent, subject);
}

static json_t *text(struct span s)
{
	return json_stringn(s.p, s.n);
}

static json_t *flag_names(unsigned set)
{
	json_t *v = json_array();
	if (set & FLAG_SEEN)
		json_array_append_new(v, json_string("seen"));
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (set & flags[i].flag)
			json_array_append_new(v, json_string(flags[i].name));
	return v;
}

static json_t *utc(int64_t date)
{
	struct tm tm;
	time_t t = (time_t)date;
	char out[40];
	if (!date || !gmtime_r(&t, &tm) || !strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return json_null();
	return json_string(out);
}

/* ASCII only, and DEL too as an escape: nothing in it can command a terminal. */
static int dump_part(const char *p, size_t n, void *arg)
{
	FILE *out = arg;
	for (size_t i = 0; i < n; i++)
		if (p[i] == 127 ? fputs("\\u007f", out) < 0 : putc(p[i], out) == EOF)
			return -1;
	return 0;
}

/* One object, one line. */
static void put_json(const struct lister *l, json_t *row)
{
	json_dump_callback(row, dump_part, l->term->out, JSON_COMPACT | JSON_ENSURE_ASCII);
	putc('\n', l->term->out);
	json_decref(row);
}

static void json_row(const struct lister *l, const struct summary *s)
{
	json_t *row = json_object();
	json_object_set_new(row, "number", json_integer((json_int_t)s->number));
	json_object_set_new(row, "flags", flag_names(s->flags));
	json_object_set_new(row, "date", utc(s->date));
	json_object_set_new(row, "from", text(s->from_field));
	json_object_set_new(row, "to", text(s->to));
	json_object_set_new(row, "cc", text(s->cc));
	json_object_set_new(row, "subject", text(s->subject));
	json_object_set_new(row, "id", text(s->id));
	json_object_set_new(row, "size", json_integer((json_int_t)s->size));
	json_object_set_new(row, "depth", json_integer((json_int_t)s->indent));
	put_json(l, row);
}

void lister_row(struct lister *l, const struct summary *s)
{
	if (l->json)
		json_row(l, s);
	else
		text_row(l, s);
}

void lister_missing(struct lister *l, size_t depth)
{
	if (l->json) {
		json_t *row = json_object();
		json_object_set_new(row, "number", json_null());
		json_object_set_new(row, "depth", json_integer((json_int_t)depth));
		put_json(l, row);
		return;
	}
	struct summary none = { .subject = SPAN("[not here]"), .from = SPAN(""), .indent = depth };
	size_t from, subject;
	divide(l, &from, &subject);
	fprintf(l->term->out, "%*s ------", (int)l->digits, "-");
	put_date(l->term->out, 0);
	term_field(l->term, none.from, from);
	putc(' ', l->term->out);
	put_subject(l, none.subject, depth, subject);
}

int lister_end(struct lister *l)
{
	FILE *out = l->term->out;
	return fflush(out) == EOF || ferror(out) ? -1 : 0;
}

int command_list(struct mua *m, struct err *err)
{
	struct arena *a = arena_new();
	struct lister l;
	int rc = 0;
	lister_begin(&l, &m->term, m->options->json, m->box.n);
	for (size_t i = 1; i <= m->box.n; i++) {
		struct summary s;
		struct span msg;
		struct err why;
		/* What another program has just removed is left out. */
		if (box_content(&m->box, i, &msg, &why) < 0) {
			if (why.sys == ENOENT)
				continue;
			*err = why;
			rc = -1;
			break;
		}
		summary_read(a, &m->box, i, msg, &s);
		lister_row(&l, &s);
		arena_reset(a);
	}
	if (lister_end(&l) < 0 && rc == 0)
		rc = err_sys(err, "standard output");
	arena_free(a);
	return rc;
}
