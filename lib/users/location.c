/* SPDX-License-Identifier: ISC
 *
 * LOCATION of users.h: kind, and its path with the variables filled in.
 */
#include <sys/stat.h>

#include "base/buf.h"
#include "users/users.h"

/* A value that becomes part of a path component: it must not leave the component or make it vanish. */
static int add_value(struct buf *path, struct span v, char variable, struct err *err)
{
	if (!v.n)
		return err_set(err, ERR_DATA, "%%%c of the location is empty for this user", variable);
	if (memchr(v.p, '/', v.n) || memchr(v.p, 0, v.n) || span_eqs(v, ".") || span_eqs(v, ".."))
		return err_set(err, ERR_DATA, "%%%c of the location would lead out of its directory", variable);
	buf_addspan(path, v);
	return 0;
}

static int add_home(struct buf *path, const struct user *u, struct err *err)
{
	if (!u->home.n)
		return err_set(err, ERR_CONFIG, "the location needs a home and the user has none");
	buf_addspan(path, u->home);
	return 0;
}

static int add_variable(struct buf *path, char variable, const struct user *u, struct err *err)
{
	ptrdiff_t at = span_rchr(u->name, '@');
	switch (variable) {
	case 'u':
		return add_value(path, u->name, variable, err);
	case 'n':
		return add_value(path, at < 0 ? u->name : span_slice(u->name, 0, (size_t)at), variable, err);
	case 'd':
		return add_value(path, at < 0 ? span_str("") : span_from(u->name, (size_t)at + 1), variable, err);
	case 'h':
		return add_home(path, u, err);
	case '%':
		buf_addc(path, '%');
		return 0;
	default:
		return err_set(err, ERR_CONFIG, "the location knows %%u %%n %%d %%h and %%%%, not %%%c",
		    variable > ' ' && variable < 127 ? variable : '?');
	}
}

/* ":LAYOUT=fs", ":INDEX=..." and their like change where a store's files are: not to obey them would split it. */
static bool has_setting(struct span path)
{
	for (size_t i = 0; i + 1 < path.n; i++) {
		if (path.p[i] != ':')
			continue;
		size_t k = i + 1;
		while (k < path.n && path.p[k] >= 'A' && path.p[k] <= 'Z')
			k++;
		if (k > i + 1 && k < path.n && path.p[k] == '=')
			return true;
	}
	return false;
}

static int expand_path(struct span text, const struct user *u, struct buf *path, struct err *err)
{
	size_t i = 0;
	if (text.p[0] == '~' && (text.n == 1 || text.p[1] == '/')) {
		if (add_home(path, u, err) < 0)
			return -1;
		i = 1;
	}
	for (; i < text.n; i++) {
		if (text.p[i] != '%')
			buf_addc(path, text.p[i]);
		else if (add_variable(path, ++i < text.n ? text.p[i] : '?', u, err) < 0)
			return -1;
	}
	return buf_cstr(path) ? 0 : err_set(err, ERR_DATA, "the location's path is too long or holds a NUL");
}

static enum location_kind kind_of(const struct buf *path)
{
	struct stat st;
	if (span_ends(buf_span(path), "/") || (stat(path->p, &st) == 0 && S_ISDIR(st.st_mode)))
		return LOCATION_MAILDIR;
	return LOCATION_MBOX;
}

int location_expand(
    struct span location, const struct user *u, enum location_kind *kind, struct buf *path, struct err *err)
{
	bool maildir = span_starts(location, "maildir:"), mbox = span_starts(location, "mbox:");
	struct span text = maildir ? span_from(location, 8) : mbox ? span_from(location, 5) : location;
	buf_reset(path);
	if (!text.n)
		return err_set(err, ERR_CONFIG, "the location has no path");
	if (has_setting(text))
		return err_set(err, ERR_CONFIG, "settings after the location's path (:NAME=) are not supported");
	if (expand_path(text, u, path, err) < 0)
		return -1;
	*kind = maildir ? LOCATION_MAILDIR : mbox ? LOCATION_MBOX : kind_of(path);
	return 0;
}

bool location_root(struct span location, struct buf *path)
{
	struct span text = span_starts(location, "maildir:") ? span_from(location, 8) : location;
	buf_reset(path);
	if (!text.n || text.p[0] == '~' || span_starts(location, "mbox:"))
		return false;
	ptrdiff_t variable = span_chr(text, '%');
	if (variable >= 0)
		text = span_slice(text, 0, (size_t)(span_rchr(span_slice(text, 0, (size_t)variable), '/') + 1));
	while (text.n > 1 && text.p[text.n - 1] == '/')
		text.n--;
	buf_addspan(path, text);
	/* The whole file system is no store. */
	return text.n > 0 && !span_eqs(text, "/") && buf_cstr(path);
}

int location_log(struct span location, enum durability how, struct err *err)
{
	struct buf path;
	struct stat st;
	int rc = 0;
	if (durable_log_is_open())
		return 0;
	buf_init(&path, 4096);
	if (!location_root(location, &path))
		rc = how == DURABILITY_LOG
			 ? err_set(err, ERR_CONFIG,
			       "a commit log needs a location with one directory for all: '%.*s' has none",
			       SPAN_FMT(location))
			 : 0;
	else if (stat(path.p, &st) == 0)
		rc = durable_log_open(path.p, how, err);
	buf_free(&path);
	return rc;
}
