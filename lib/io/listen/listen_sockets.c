/* SPDX-License-Identifier: ISC
 *
 * Where listening sockets come from: --listen's text, or systemd's hands (sd_listen_fds(3)).
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/listen/listen_int.h"

enum {
	SD_FDS_START = 3,
	SD_FDS_MAX = 1024
};

void listeners_add(struct listeners *l, int fd, const char *name, bool tls)
{
	l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = (struct listener){ .fd = fd, .tls = tls, .name = xstrdup(name) };
}

void listeners_close(struct listeners *l, bool remove)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].fd >= 0)
			close(l->v[i].fd);
		if (remove && l->v[i].path)
			unlink(l->v[i].path);
		free(l->v[i].path);
		free(l->v[i].name);
	}
	free(l->v);
	*l = (struct listeners){ 0 };
}

void listener_text(const struct listener *l, char *out, size_t n)
{
	struct net_addr a = { .len = sizeof a.sa };
	char ip[64];
	if (getsockname(l->fd, (struct sockaddr *)&a.sa, &a.len) || a.sa.ss_family == AF_UNIX) {
		const struct sockaddr_un *sun = (const struct sockaddr_un *)(const void *)&a.sa;
		snprintf(
		    out, n, "unix:%.*s", (int)sizeof sun->sun_path, a.sa.ss_family == AF_UNIX ? sun->sun_path : "");
		return;
	}
	net_addr_text(&a, ip, sizeof ip);
	snprintf(out, n, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, (unsigned)net_addr_port(&a));
}

bool listener_is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof on;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

/* ---- --listen ---- */

struct spec {
	char *host, *port; /* host "" for all addresses */
	char *path;        /* Unix */
	mode_t mode;
	bool tls;
	const char *text;
};

static void spec_free(struct spec *s)
{
	free(s->host);
	free(s->port);
	free(s->path);
}

static char *dup_span(struct span s)
{
	return xstrndup(s.p, s.n);
}

static int bad_spec(const char *text, const char *why, struct err *err)
{
	return err_set(err, ERR_USAGE, "cannot listen on '%s': %s", text, why);
}

static int spec_flags(struct spec *s, struct span flags, struct err *err)
{
	while (flags.n) {
		struct span f = span_cut(&flags, ',');
		unsigned mode = 0;
		size_t i = 5;
		for (; span_starts(f, "mode=") && i < f.n && f.p[i] >= '0' && f.p[i] <= '7' && mode <= 0777; i++)
			mode = mode * 8 + (unsigned)(f.p[i] - '0');
		if (span_eqs(f, "tls"))
			s->tls = true;
		else if (s->path && i == f.n && f.n > 5 && mode <= 0777)
			s->mode = mode;
		else
			return bad_spec(s->text,
			    s->path ? "after the path come only ,tls and ,mode=0NNN" : "after the port comes only ,tls",
			    err);
	}
	return 0;
}

static int spec_host_port(struct spec *s, struct span where, struct err *err)
{
	ptrdiff_t colon = span_rchr(where, ':');
	struct span host = colon < 0 ? SPAN("") : span_slice(where, 0, (size_t)colon);
	struct span port = span_from(where, (size_t)(colon + 1));
	if (span_starts(host, "[") && span_ends(host, "]"))
		host = span_slice(host, 1, host.n - 1);
	else if (span_chr(host, ':') >= 0)
		return bad_spec(s->text, "an IPv6 address stands in brackets", err);
	uint64_t number;
	if (!port.n || (ascii_isdigit(port.p[0]) && !span_u64(port, 65535, &number)))
		return bad_spec(s->text, "it lacks a port", err);
	s->host = dup_span(span_eqs(host, "*") ? SPAN("") : host);
	s->port = dup_span(port);
	return 0;
}

static int spec_parse(const char *text, struct spec *s, struct err *err)
{
	*s = (struct spec){ .mode = 0660, .text = text };
	struct span rest = span_str(text);
	struct span where = span_cut(&rest, ',');
	int r = 0;
	if (span_starts(where, "unix:") && where.n > 5)
		s->path = dup_span(span_from(where, 5));
	else
		r = spec_host_port(s, where, err);
	return r ? r : spec_flags(s, rest, err);
}

static int listen_on(int fd, const struct sockaddr *sa, socklen_t len, const char *text, struct err *err)
{
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, sa, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return 0;
	err_sys(err, "cannot listen on '%s'", text);
	close(fd);
	return -1;
}

static uint16_t bound_port(int fd)
{
	struct net_addr a = { .len = sizeof a.sa };
	return getsockname(fd, (struct sockaddr *)&a.sa, &a.len) ? 0 : net_addr_port(&a);
}

/* Port 0 of all addresses is one free port, the same for IPv4 and IPv6. */
static void use_port(struct addrinfo *ai, uint16_t port)
{
	/* UNSAFE: getaddrinfo gives each family's own address type. */
	if (ai->ai_family == AF_INET)
		((struct sockaddr_in *)(void *)ai->ai_addr)->sin_port = htons(port);
	else if (ai->ai_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)ai->ai_addr)->sin6_port = htons(port);
}

static int open_one(struct listeners *l, const struct spec *s, struct addrinfo *ai, struct err *err)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : err_sys(err, "cannot listen on '%s'", s->text);
	if (listen_on(fd, ai->ai_addr, ai->ai_addrlen, s->text, err)) {
		/* A host without IPv6 has a wildcard for it nevertheless. */
		return err && err->sys == EADDRNOTAVAIL && !*s->host && ai->ai_family == AF_INET6 ? 0 : -1;
	}
	listeners_add(l, fd, s->text, s->tls);
	return 0;
}

static int open_inet(struct listeners *l, const struct spec *s, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *all = NULL;
	int e = getaddrinfo(*s->host ? s->host : NULL, s->port, &hints, &all);
	if (e)
		return bad_spec(s->text, gai_strerror(e), err);
	size_t before = l->n;
	struct err mine = { 0 };
	int r = 0;
	uint16_t port = 0;
	for (struct addrinfo *ai = all; ai && !r; ai = ai->ai_next) {
		if (port)
			use_port(ai, port);
		r = open_one(l, s, ai, &mine);
		if (l->n > before)
			port = bound_port(l->v[l->n - 1].fd);
	}
	freeaddrinfo(all);
	if (!r && l->n == before && mine.class == ERR_NONE)
		r = bad_spec(s->text, "no address family for it", &mine);
	if (err && (r || l->n == before))
		*err = mine;
	return r || l->n == before ? -1 : 0;
}

/* A socket that nobody listens on any more is left by a crash. */
static int remove_stale(const struct sockaddr_un *sun, const char *text, struct err *err)
{
	struct stat st;
	if (lstat(sun->sun_path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return bad_spec(text, "the path exists and is no socket", err);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)sun, sizeof *sun);
	bool stale = r < 0 && errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	if (!stale)
		return bad_spec(text, "somebody else listens there", err);
	unlink(sun->sun_path);
	return 0;
}

static int open_unix(struct listeners *l, const struct spec *s, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(s->path);
	if (n >= sizeof sun.sun_path)
		return bad_spec(s->text, "the path is too long for a socket", err);
	memcpy(sun.sun_path, s->path, n);
	if (remove_stale(&sun, s->text, err))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "cannot listen on '%s'", s->text);
	mode_t old = umask(0777); /* nobody connects before the mode is set */
	int r = listen_on(fd, (const struct sockaddr *)&sun, sizeof sun, s->text, err);
	umask(old);
	if (r)
		return -1;
	listeners_add(l, fd, s->text, s->tls);
	l->v[l->n - 1].path = xstrdup(s->path);
	return chmod(s->path, s->mode) ? err_sys(err, "%s", s->path) : 0;
}

int listeners_open(struct listeners *l, const struct opt_list *specs, struct err *err)
{
	int r = 0;
	for (size_t i = 0; i < specs->n && !r; i++) {
		struct spec s;
		r = spec_parse(specs->v[i], &s, err);
		if (!r)
			r = s.path ? open_unix(l, &s, err) : open_inet(l, &s, err);
		spec_free(&s);
	}
	if (r)
		listeners_close(l, true);
	return r;
}

/* ---- systemd ---- */

static bool name_means_tls(struct span name)
{
	static const char *const names[] = { "smtps", "submissions", "imaps", "pop3s" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_eqs(name, names[i]))
			return true;
	return span_ends(name, "-tls");
}

static bool env_u64(const char *name, uint64_t max, uint64_t *out)
{
	const char *v = getenv(name);
	return v && span_u64(span_str(v), max, out);
}

static void forget_env(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int listeners_from_systemd(struct listeners *l, int *connected, struct err *err)
{
	uint64_t pid, n;
	*connected = -1;
	if (!env_u64("LISTEN_PID", INT32_MAX, &pid) || (pid_t)pid != getpid() || !env_u64("LISTEN_FDS", SD_FDS_MAX, &n))
		return 0;
	char *all = xstrdup(getenv("LISTEN_FDNAMES") ? getenv("LISTEN_FDNAMES") : "");
	struct span names = span_str(all);
	for (int fd = SD_FDS_START; fd < SD_FDS_START + (int)n; fd++) {
		struct span name = span_cut(&names, ':');
		char *copy = dup_span(name);
		listeners_add(l, fd, copy, name_means_tls(name));
		free(copy);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (!listener_is_listening(fd))
			*connected = fd;
		else
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	}
	free(all);
	forget_env();
	if (*connected < 0 || l->n == 1)
		return 0;
	*connected = -1;
	listeners_close(l, false);
	return err_set(err, ERR_CONFIG, "LISTEN_FDS mixes listening sockets with others");
}
