/* SPDX-License-Identifier: ISC
 *
 * The subscriptions file, as Dovecot keeps it. Version 1: a name on each line, in modified UTF-7, '.' between its
 * parts. Version 2 (first line "V<TAB>2", then an empty one): the parts separated by tabs. A file is kept in the
 * version that it has; a new one gets 2.
 */
#include <stdlib.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"
#include "store/mutf7.h"

static const char header_v2[] = "V\t2\n\n";

static char *subs_path(const struct maildir *m)
{
	return xasprintf("%s/subscriptions", m->path);
}

/* A line of the file as a name of ours; false when it is none. */
static bool decode(struct span line, char separator, struct buf *out)
{
	if (!line.n)
		return false;
	while (line.n) {
		struct span part = span_cut(&line, separator);
		if (out->len)
			buf_addc(out, '/');
		if (!part.n || !mutf7_decode(part, out))
			return false;
	}
	return true;
}

static bool encode(struct span name, char separator, struct buf *out)
{
	while (name.n) {
		struct span part = span_cut(&name, '/');
		if (out->len)
			buf_addc(out, separator);
		if (!part.n || span_has_ctl(part) || !mutf7_encode(part, out))
			return false;
	}
	return !out->bad;
}

struct subs {
	struct buf text;
	struct span lines; /* of text, without the header */
	char separator;
};

static int load(struct maildir *m, struct subs *s, struct err *err)
{
	char *path = subs_path(m);
	buf_init(&s->text, MAILDIR_SMALL_FILE_MAX);
	int rc = maildir_slurp(path, &s->text, err);
	free(path);
	if (rc == 0) {
		buf_reset(&s->text);
		buf_adds(&s->text, header_v2);
	}
	bool v2 = span_starts(buf_span(&s->text), header_v2);
	s->separator = v2 ? '\t' : '.';
	s->lines = span_from(buf_span(&s->text), v2 ? sizeof header_v2 - 1 : 0);
	return rc < 0 ? -1 : 0;
}

int maildir_subscriptions(struct maildir *m, struct arena *a, struct span **names, size_t *n, struct err *err)
{
	struct subs s;
	struct buf name;
	size_t most = 0;
	*n = 0;
	int rc = load(m, &s, err);
	for (size_t i = 0; i < s.lines.n; i++)
		most += s.lines.p[i] == '\n';
	*names = arena_alloc(a, (most + 1) * sizeof **names);
	buf_init(&name, MAILDIR_PATH_MAX);
	while (rc == 0 && s.lines.n) {
		buf_reset(&name);
		if (decode(span_cut(&s.lines, '\n'), s.separator, &name))
			(*names)[(*n)++] = arena_span(a, buf_span(&name));
	}
	buf_free(&name);
	buf_free(&s.text);
	return rc;
}

/* The lines without `line`, and with it at the end when on. True when that is a change. */
static bool edit(struct subs *s, struct span line, bool on, struct buf *out)
{
	bool had = false;
	buf_add(out, s->text.p, (size_t)(s->lines.p - s->text.p));
	while (s->lines.n) {
		struct span next = span_cut(&s->lines, '\n');
		if (span_eq(next, line)) {
			had = true;
		} else if (next.n) {
			buf_addspan(out, next);
			buf_addc(out, '\n');
		}
	}
	if (on) {
		buf_addspan(out, line);
		buf_addc(out, '\n');
	}
	return had != on;
}

static int change_locked(struct maildir *m, struct span folder, bool on, struct err *err)
{
	struct subs s;
	struct buf line, text;
	buf_init(&line, MAILDIR_PATH_MAX);
	buf_init(&text, MAILDIR_SMALL_FILE_MAX);
	int rc = load(m, &s, err);
	struct span name = span_ieqs(folder, "INBOX") ? SPAN("INBOX") : folder;
	if (rc == 0 && (!encode(name, s.separator, &line) || (s.separator == '.' && span_chr(name, '.') >= 0)))
		rc = err_set(err, ERR_PERM, "a name that no mailbox can have");
	if (rc == 0 && edit(&s, buf_span(&line), on, &text)) {
		char *path = subs_path(m);
		rc = text.bad ? err_set(err, ERR_LIMIT, "too many subscriptions")
			      : durable_replace(m->d, path, buf_span(&text), m->file_mode, err);
		free(path);
	}
	buf_free(&line);
	buf_free(&text);
	buf_free(&s.text);
	return rc;
}

int maildir_subscribe(struct maildir *m, struct span folder, bool on, struct err *err)
{
	struct dotlock lock;
	char *path = subs_path(m);
	int rc = dotlock_take_named(&lock, path, DOTLOCK_WAIT_MS, err);
	free(path);
	if (rc < 0)
		return -1;
	rc = change_locked(m, folder, on, err);
	dotlock_release(&lock);
	return rc;
}
