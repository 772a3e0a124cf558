/* SPDX-License-Identifier: ISC */
#include "sasl/certs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"

enum {
	DIGITS = 64 /* of a SHA-256 */
};

struct row {
	char print[DIGITS + 1];
	char *user;
};
struct cert_table {
	struct row *v;
	size_t n;
};

/* Without colons, in lower case. */
static bool normal(struct span text, char out[DIGITS + 1])
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == ':')
			continue;
		if (ascii_hex(text.p[i]) < 0 || n == DIGITS)
			return false;
		out[n++] = ascii_lower(text.p[i]);
	}
	out[n] = '\0';
	return n == DIGITS;
}

static bool read_row(struct cert_table *t, struct span line)
{
	struct row r;
	struct span print = span_word(&line), user = span_trim(line);
	if (!normal(print, r.print) || !user.n || span_has_ctl(user))
		return false;
	r.user = xstrndup(user.p, user.n);
	t->v = xreallocarray(t->v, t->n + 1, sizeof *t->v);
	t->v[t->n++] = r;
	return true;
}

static int read_all(struct cert_table *t, FILE *f, const char *path, struct err *err)
{
	char *line = NULL;
	size_t cap = 0;
	int rc = 0;
	unsigned number = 0;
	for (ssize_t n; rc == 0 && (n = getline(&line, &cap, f)) >= 0;) {
		struct span text = span_trim(span_of(line, (size_t)n));
		number++;
		if (text.n && text.p[0] != '#' && !read_row(t, text))
			rc = err_set(err, ERR_CONFIG, "%s:%u: a line is FINGERPRINT USER", path, number);
	}
	if (rc == 0 && ferror(f))
		rc = err_sys(err, "%s", path);
	free(line);
	return rc;
}

struct cert_table *cert_table_read(const char *path, struct err *err)
{
	struct cert_table *t = xcalloc(1, sizeof *t);
	FILE *f = fopen(path, "re");
	int rc = f ? read_all(t, f, path, err) : err_sys(err, "%s", path);
	if (f)
		fclose(f);
	if (rc == 0)
		return t;
	cert_table_free(t);
	return NULL;
}

void cert_table_free(struct cert_table *t)
{
	for (size_t i = 0; t && i < t->n; i++)
		free(t->v[i].user);
	if (t)
		free(t->v);
	free(t);
}

bool cert_user(const struct cert_table *table, enum cert_name from, const struct tls_info *info, struct buf *user)
{
	if (!info || !*info->peer_fingerprint)
		return false;
	for (size_t i = 0; table && i < table->n; i++) {
		if (!strcmp(table->v[i].print, info->peer_fingerprint)) {
			buf_adds(user, table->v[i].user);
			return !user->bad;
		}
	}
	const char *name = from == CERT_NAME_CN ? info->peer_cn : info->peer_email;
	if (!info->verified || !*name)
		return false;
	buf_adds(user, name);
	return !user->bad;
}
