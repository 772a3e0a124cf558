/* SPDX-License-Identifier: ISC */
#include "base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/limits.h"

/* Cuts a comment: a '#' at the start or after a blank, outside double quotes. */
static struct span without_comment(struct span s)
{
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && quoted)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == '#' && !quoted && (i == 0 || ascii_isblank(s.p[i - 1])))
			return span_slice(s, 0, i);
	}
	return s;
}

/* "a \"b\" c" -> a "b" c. A value that is not quoted stays as it is. */
static int unquote(struct span v, struct buf *out, struct err *err)
{
	buf_reset(out);
	if (!v.n || v.p[0] != '"') {
		buf_addspan(out, v);
		return 0;
	}
	for (size_t i = 1; i < v.n; i++) {
		if (v.p[i] == '"')
			return i + 1 == v.n ? 0 : err_set(err, ERR_CONFIG, "text after the closing quote");
		if (v.p[i] == '\\' && i + 1 < v.n)
			i++;
		buf_addc(out, v.p[i]);
	}
	return err_set(err, ERR_CONFIG, "the quote is never closed");
}

static int read_line(
    struct span text, struct config_line *at, struct buf *value, config_fn *fn, void *arg, struct err *err)
{
	struct span s = span_trim(without_comment(text));
	if (!s.n)
		return 0;
	if (s.p[0] == '[') {
		if (s.p[s.n - 1] != ']')
			return err_set(err, ERR_CONFIG, "a section is written [NAME]");
		at->section = span_trim(span_slice(s, 1, s.n - 1));
		return 0;
	}
	if (span_chr(s, '=') < 0)
		return err_set(err, ERR_CONFIG, "expected KEY = VALUE");
	at->key = span_trim(span_cut(&s, '='));
	if (!at->key.n)
		return err_set(err, ERR_CONFIG, "no key before '='");
	if (unquote(span_trim(s), value, err) < 0)
		return -1;
	at->value = buf_span(value);
	return fn(arg, at, err);
}

int config_read_text(struct span text, const char *name, config_fn *fn, void *arg, struct err *err)
{
	struct config_line at = { .section = SPAN("common") };
	struct buf value;
	int rc = 0;
	buf_init(&value, LIMIT_CONFIG_LINE);
	while (text.n && rc == 0) {
		at.line++;
		struct span line = span_cut(&text, '\n');
		if (line.n > LIMIT_CONFIG_LINE || memchr(line.p, 0, line.n))
			rc = err_set(err, ERR_CONFIG, "the line is too long or holds a NUL");
		else
			rc = read_line(line, &at, &value, fn, arg, err);
		if (rc < 0)
			err_prefix(err, "%s:%u", name, at.line);
	}
	buf_free(&value);
	return rc;
}

int config_slurp(const char *path, struct buf *b, struct err *err)
{
	buf_reset(b);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", path);
	for (;;) {
		char *at = buf_room(b, b->max - b->len < 65536 ? b->max - b->len : 65536);
		ssize_t n = at ? read(fd, at, b->max - b->len < 65536 ? b->max - b->len : 65536) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int keep = errno;
			close(fd);
			errno = keep;
			return err_sys(err, "%s", path);
		}
		if (n == 0)
			break;
		buf_grew(b, (size_t)n);
	}
	close(fd);
	return b->len < b->max ? 0 : err_set(err, ERR_CONFIG, "%s: larger than %zu bytes", path, b->max);
}

int config_read_file(const char *path, config_fn *fn, void *arg, struct err *err)
{
	struct buf text;
	buf_init(&text, LIMIT_CONFIG_FILE);
	int rc = config_slurp(path, &text, err);
	if (rc < 0 && err && err->sys != ENOENT)
		err->class = ERR_CONFIG;
	if (rc == 0)
		rc = config_read_text(buf_span(&text), path, fn, arg, err);
	buf_free(&text);
	return rc;
}
