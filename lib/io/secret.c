/* SPDX-License-Identifier: ISC */
#include "io/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "io/spawn.h"

/* ---- netrc ---- */

/* The next word; quoted ones may hold blanks, with \ before a quote. False at the end. */
static bool netrc_word(struct span *text, struct buf *out)
{
	buf_reset(out);
	while (text->n && (ascii_isblank(*text->p) || *text->p == '\n' || *text->p == '\r'))
		*text = span_from(*text, 1);
	if (!text->n)
		return false;
	bool quoted = *text->p == '"';
	size_t i = quoted;
	for (; i < text->n; i++) {
		char c = text->p[i];
		if (quoted ? c == '"' : ascii_isblank(c) || c == '\n' || c == '\r')
			break;
		if (quoted && c == '\\' && i + 1 < text->n)
			c = text->p[++i];
		buf_addc(out, c);
	}
	*text = span_from(*text, i + quoted);
	return true;
}

struct netrc {
	struct span host, user; /* wanted; user "" for any */
	struct buf login, password;
	bool matches, found;
};

/* An entry ends: is it the one? */
static void netrc_entry(struct netrc *n)
{
	if (n->matches && !n->found && (!n->user.n || span_eq(n->user, buf_span(&n->login))) && n->login.len)
		n->found = true;
}

/* Up to an empty line (ftp's macros). */
static void skip_macro(struct span *text)
{
	ptrdiff_t end = span_find(*text, SPAN("\n\n"));
	*text = end < 0 ? SPAN("") : span_from(*text, (size_t)end + 2);
}

static int netrc_scan(struct netrc *n, struct span text, struct buf *word, struct buf *value)
{
	while (!n->found && netrc_word(&text, word)) {
		struct span w = buf_span(word);
		bool machine = span_eqs(w, "machine"), other = span_eqs(w, "default");
		if (machine || other)
			netrc_entry(n);
		if (n->found)
			break;
		if (other) {
			n->matches = true;
			buf_reset(&n->login);
			buf_reset(&n->password);
			continue;
		}
		if (!netrc_word(&text, value))
			return -1;
		if (machine) {
			n->matches = span_ieq(buf_span(value), n->host);
			buf_reset(&n->login);
			buf_reset(&n->password);
		} else if (span_eqs(w, "login")) {
			buf_addspan(&n->login, buf_span(value));
		} else if (span_eqs(w, "password")) {
			buf_addspan(&n->password, buf_span(value));
		} else if (span_eqs(w, "macdef")) {
			skip_macro(&text);
		} else if (!span_eqs(w, "account") && !span_eqs(w, "port")) {
			return -1;
		}
	}
	netrc_entry(n);
	return n->found;
}

static void wipe(struct buf *b)
{
	explicit_bzero(b->p, b->len);
	buf_free(b);
}

int netrc_find(struct span text, struct span host, struct buf *user, struct buf *password)
{
	struct netrc n = { .host = host, .user = buf_span(user) };
	struct buf word, value;
	buf_init(&n.login, LIMIT_CONFIG_LINE);
	buf_init(&n.password, LIMIT_SECRET);
	buf_init(&word, LIMIT_CONFIG_LINE);
	buf_init(&value, LIMIT_SECRET);
	int found = netrc_scan(&n, text, &word, &value);
	if (found > 0) {
		if (!user->len)
			buf_addspan(user, buf_span(&n.login));
		buf_reset(password);
		buf_addspan(password, buf_span(&n.password));
	}
	wipe(&n.login);
	wipe(&n.password);
	wipe(&word);
	wipe(&value);
	return found;
}

static char *netrc_path(const char *given)
{
	const char *env = getenv("NETRC"), *home = getenv("HOME");
	if (given || env)
		return xstrdup(given ? given : env);
	return home ? xasprintf("%s/.netrc", home) : NULL;
}

/* 1 found, 0 not. */
static int from_netrc(const struct secret_source *src, struct buf *user, struct buf *password, struct err *err)
{
	struct stat st;
	struct buf text;
	char *path = netrc_path(src->netrc);
	if (!path || stat(path, &st)) {
		bool asked = path && src->netrc;
		if (asked)
			err_sys(err, "%s", path);
		free(path);
		return asked ? -1 : 0;
	}
	buf_init(&text, LIMIT_CONFIG_LINE * 16);
	int rc;
	if (st.st_mode & 077)
		rc = err_set(err, ERR_CONFIG, "%s may be read by others: chmod 600 it", path);
	else if (config_slurp(path, &text, err))
		rc = -1;
	else if ((rc = netrc_find(buf_span(&text), span_str(src->host), user, password)) < 0)
		err_set(err, ERR_CONFIG, "%s: malformed", path);
	wipe(&text);
	free(path);
	return rc;
}

/* ---- the terminal ---- */

static int read_secret(int fd, struct buf *out)
{
	char c;
	ssize_t n;
	while ((n = read(fd, &c, 1)) == 1 && c != '\n')
		buf_addc(out, c);
	return n < 0 ? -1 : 0;
}

static int from_terminal(const char *user, const char *host, struct buf *password, struct err *err)
{
	struct termios old, quiet;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &old)) {
		if (fd >= 0)
			close(fd);
		return err_set(err, ERR_CONFIG, "no password for %s at %s: give --password-command, or a .netrc entry",
		    user, host);
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &quiet);
	dprintf(fd, "Password for %s at %s: ", user, host);
	int rc = read_secret(fd, password);
	tcsetattr(fd, TCSAFLUSH, &old);
	dprintf(fd, "\n");
	close(fd);
	return rc ? err_sys(err, "terminal") : 0;
}

/* ---- */

static void default_user(struct buf *user)
{
	const struct passwd *pw = getpwuid(getuid());
	if (!user->len && pw)
		buf_adds(user, pw->pw_name);
}

int secret_find(const struct secret_source *src, struct buf *user, struct buf *password, struct err *err)
{
	if (src->command || src->none) {
		default_user(user);
		if (src->none)
			return 0;
		return src->broker ? spawn_secret_by(src->broker, src->index, password, err)
				   : spawn_secret(src->command, password, err);
	}
	int found = from_netrc(src, user, password, err);
	default_user(user);
	if (found)
		return found < 0 ? -1 : 0;
	return from_terminal(user->p, src->host, password, err);
}
