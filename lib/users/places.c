/* SPDX-License-Identifier: ISC */
#include "users/places.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/xalloc.h"

enum {
	PATH_MAX_ = 4096,
	MANY = 256 /* rows; of more the directories above are taken, which they share */
};

const struct opt place_options[] = {
	{ "confine-path", 0, OPT_LIST, offsetof(struct place_settings, more), "DIR", "mail is also kept below this",
	    NULL, 0 },
	{ 0 },
};

struct adding {
	const struct places *p;
	struct confine_rules *r;
	bool common; /* the location is the same directory for all */
	size_t rows;
};

static void cut_last(char *path)
{
	char *slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	else
		*path = '\0';
}

/* The nearest directory that is there. False when that is the root of all: a home that nobody has made must not open
 * it. */
static bool go_to_existing(char *path)
{
	struct stat st;
	while (*path && strcmp(path, "/") != 0 && stat(path, &st) < 0)
		cut_last(path);
	return strcmp(path, "/") != 0;
}

void places_allow_one(struct confine_rules *r, enum location_kind kind, const char *path)
{
	char *dir = xstrdup(path);
	/* Beside an mbox stand its lock and its next version. */
	if (kind == LOCATION_MBOX)
		cut_last(dir);
	confine_allow_path(r, *dir ? dir : ".", CONFINE_ALL | CONFINE_REPLACED);
	free(dir);
}

static void add_existing(struct adding *x, enum location_kind kind, const char *path)
{
	char *dir = xstrdup(path);
	if (kind == LOCATION_MBOX)
		cut_last(dir);
	if (go_to_existing(dir))
		confine_allow_path(x->r, *dir ? dir : ".", CONFINE_ALL);
	free(dir);
}

/* Where all who have this location have theirs; false: it depends on whose it is. */
static bool add_common(struct adding *x, struct span location)
{
	struct buf path;
	struct stat st;
	bool mbox = span_starts(location, "mbox:");
	buf_init(&path, PATH_MAX_);
	bool known = location_root(mbox ? span_from(location, 5) : location, &path);
	bool file = known && span_chr(location, '%') < 0 && !span_starts(location, "maildir:") &&
		    (mbox || stat(path.p, &st) < 0 || !S_ISDIR(st.st_mode));
	if (known)
		places_allow_one(x->r, file ? LOCATION_MBOX : LOCATION_MAILDIR, path.p);
	buf_free(&path);
	return known;
}

/* Of very many users: /home rather than /home/alice/Maildir. */
static void widen(const struct user *u, char *path)
{
	bool in_home = u->home.n > 1 && span_starts(span_str(path), "/") && strlen(path) > u->home.n &&
		       !strncmp(path, u->home.p, u->home.n);
	if (in_home)
		path[u->home.n] = '\0';
	cut_last(path);
}

static void add_user(void *arg, const struct user *u)
{
	struct adding *x = arg;
	struct buf path;
	struct err ignored;
	enum location_kind kind;
	struct span location = u->mail.n ? u->mail : x->p->location;
	/* The one that all have was looked at before. */
	if (!u->mail.n && x->common)
		return;
	buf_init(&path, PATH_MAX_);
	if (location_expand(location, u, &kind, &path, &ignored) == 0) {
		if (x->rows > MANY) {
			widen(u, path.p);
			kind = LOCATION_MAILDIR;
		}
		add_existing(x, kind, path.p);
	}
	buf_free(&path);
}

static void count(void *arg, const struct user *u)
{
	size_t *n = arg;
	*n += u->name.n > 0;
}

/* Mail can't be delivered into a home that is another's, such as those of the system's own accounts. */
static bool owns_home(const struct passwd *pw)
{
	struct stat st;
	return stat(pw->pw_dir, &st) == 0 && st.st_uid == pw->pw_uid && strcmp(pw->pw_dir, "/") != 0;
}

static void add_system(struct adding *x)
{
	const struct passwd *pw;
	setpwent();
	while ((pw = getpwent())) {
		struct user u = { .name = span_str(pw->pw_name), .home = span_str(pw->pw_dir) };
		u.mail = u.secret = SPAN("");
		if (owns_home(pw))
			add_user(x, &u);
	}
	endpwent();
	/* Not everybody is listed where accounts come from a directory. */
	confine_allow_path(x->r, "/home", CONFINE_ALL);
}

void places_allow(const struct places *p, struct confine_rules *r)
{
	struct adding x = { .p = p, .r = r };
	for (size_t i = 0; p->more && i < p->more->n; i++)
		confine_allow_path(r, p->more->v[i], CONFINE_ALL);
	x.common = add_common(&x, p->location);
	if (p->users) {
		size_t n = 0;
		users_each(p->users, count, &n);
		x.rows = n;
		users_each(p->users, add_user, &x);
	} else if (x.common) {
		return;
	} else if (p->only) {
		add_user(&x, p->only);
	} else if (p->others == PLACES_SYSTEM) {
		add_system(&x);
	} else if (!p->more || !p->more->n) {
		confine_allow_path(r, "/", CONFINE_ALL);
	}
}

void places_allow_accounts(struct confine_rules *r)
{
	static const char *const files[] = { "/etc/nsswitch.conf", "/etc/host.conf", "/var/lib/sss",
		"/var/lib/extrausers", "/etc/userdb", "/run/userdb", "/run/host/userdb", "/usr/lib/userdb",
		"/etc/machine-id" };
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		confine_allow_path(r, files[i], CONFINE_READ);
	confine_allow_path(r, "/etc/passwd", CONFINE_READ | CONFINE_REPLACED);
	confine_allow_path(r, "/etc/group", CONFINE_READ | CONFINE_REPLACED);
}
