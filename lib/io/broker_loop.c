/* SPDX-License-Identifier: ISC
 *
 * The broker's process. Whoever sends may have been taken over: each message is held against its registration, and a
 * channel that sends one which no program of ours would send is closed, so that it can do so once.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/broker_int.h"

enum {
	FDS_MAX = 4,
	ENV_MAX = 256,   /* variables of one request */
	GRACE_MS = 2000, /* between TERM and KILL for whom nobody waits any more */
};

struct channel {
	int fd;
	bool root; /* the shared one, which makes others */
	struct broker_set may;
	unsigned kids;
};
struct kid {
	int told; /* -1: nobody is interested any more */
	pid_t pid;
	int channel;     /* its fd, which tells channels apart as long as they are open; -1 after that */
	int64_t kill_at; /* 0: not told to end */
};

struct loop {
	const struct broker *b;
	struct channel *channels;
	size_t n_channels;
	struct kid *kids;
	size_t n_kids;
	int sigfd;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- messages ---- */

struct message {
	union {
		struct broker_request q;
		char room[BROKER_MESSAGE];
	} u;
	size_t len;
	int fd[FDS_MAX];
	int n_fd;
	bool cut; /* something did not fit */
};

/* True when these are all the descriptors. */
static bool take_fds(struct message *m, struct msghdr *h)
{
	bool all = true;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (m->n_fd < FDS_MAX) {
				m->fd[m->n_fd++] = fd;
				continue;
			}
			close(fd);
			all = false;
		}
	}
	return all;
}

/* 1: a message; 0: none now; -1: the channel has ended. */
static int receive(int fd, struct message *m)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} ctl;
	struct iovec v = { m->u.room, sizeof m->u.room };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof ctl };
	m->n_fd = 0;
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	m->cut = !take_fds(m, &h) || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	m->len = (size_t)n;
	return n == 0 && m->n_fd == 0 ? -1 : 1;
}

static void drop_fds(struct message *m, int from)
{
	for (int i = from; i < m->n_fd; i++)
		close(m->fd[i]);
	m->n_fd = from < m->n_fd ? from : m->n_fd;
}

/* ---- channels ---- */

static struct channel *channel_find(struct loop *l, int fd)
{
	for (size_t i = 0; i < l->n_channels; i++)
		if (fd >= 0 && l->channels[i].fd == fd)
			return &l->channels[i];
	return NULL;
}

static bool channel_add(struct loop *l, int fd, bool root, const struct broker_set *may)
{
	if (l->n_channels == BROKER_CHANNELS)
		return false;
	l->channels = xreallocarray(l->channels, l->n_channels + 1, sizeof *l->channels);
	l->channels[l->n_channels++] = (struct channel){ .fd = fd, .root = root, .may = *may };
	return true;
}

static void channel_close(struct loop *l, struct channel *c)
{
	for (size_t i = 0; i < l->n_kids; i++)
		if (l->kids[i].channel == c->fd)
			l->kids[i].channel = -1;
	close(c->fd);
	*c = l->channels[--l->n_channels];
}

static void attach(struct loop *l, struct message *m)
{
	if (channel_add(l, m->fd[0], false, &m->u.q.only))
		m->n_fd = 0; /* it is the channel's now */
}

/* ---- children ---- */

static void reply(int told, int word, int value)
{
	struct broker_reply r = { word, value };
	ssize_t n;
	/* To who does not read it, nothing is owed. */
	do
		n = send(told, &r, sizeof r, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
}

/* Is the variable named in the registration? Nobody may set LD_PRELOAD. */
static bool env_allowed(const struct broker_command *c, const char *var)
{
	const char *eq = strchr(var, '=');
	for (size_t i = 0; eq && c->env && c->env[i]; i++)
		if (strlen(c->env[i]) == (size_t)(eq - var) && !strncmp(c->env[i], var, (size_t)(eq - var)))
			return true;
	return false;
}

/* The request's variables into a list; false when one is not allowed or they are malformed. */
static bool get_env(const struct broker_command *c, const struct message *m, const char *out[ENV_MAX + 1])
{
	const char *p = m->u.room + sizeof m->u.q, *end = p + m->u.q.env;
	size_t n = 0;
	if (p < end && end[-1])
		return false;
	for (; p < end; p += strlen(p) + 1) {
		if (n == ENV_MAX || !env_allowed(c, p))
			return false;
		out[n++] = p;
	}
	out[n] = NULL;
	return true;
}

static int kid_start(struct loop *l, struct channel *ch, struct message *m, const char *const *env)
{
	const struct broker_command *c = &l->b->v[m->u.q.index];
	int std[3] = { SPAWN_NULL, SPAWN_NULL, SPAWN_INHERIT };
	for (int i = 0, k = 1; i < 3; i++)
		if (m->u.q.given & (1U << i))
			std[i] = m->fd[k++];
	struct spawn sp = { .argv = c->argv,
		.command = c->command,
		.env = env,
		.dir = c->dir,
		.in = std[0],
		.out = std[1],
		.errfd = std[2],
		.uid = c->uid,
		.gid = c->gid,
		.set_ids = c->set_ids };
	struct child child;
	struct err err = { 0 };
	if (l->n_kids == BROKER_CHILDREN || ch->kids == BROKER_PER_CHANNEL)
		return EAGAIN;
	if (spawn_start(&sp, &child, &err) < 0)
		return err.sys ? err.sys : EAGAIN;
	l->kids = xreallocarray(l->kids, l->n_kids + 1, sizeof *l->kids);
	l->kids[l->n_kids++] = (struct kid){ .told = m->fd[0], .pid = child.pid, .channel = ch->fd };
	ch->kids++;
	reply(m->fd[0], BROKER_STARTED, child.pid);
	return 0;
}

/* False when the request is none. */
static bool start(struct loop *l, struct channel *ch, struct message *m)
{
	const struct broker_request *q = &m->u.q;
	const char *env[ENV_MAX + 1];
	if (q->index >= (uint32_t)l->b->n || q->given > 7 || m->n_fd != 1 + __builtin_popcount(q->given) ||
	    !(ch->may.bits[q->index / 64] >> (q->index % 64) & 1) || !get_env(&l->b->v[q->index], m, env))
		return false;
	int sys = kid_start(l, ch, m, env);
	if (sys)
		reply(m->fd[0], BROKER_FAILED, sys);
	drop_fds(m, sys ? 0 : 1);
	m->n_fd = 0;
	return true;
}

static bool well_formed(const struct message *m)
{
	return !m->cut && m->len >= sizeof m->u.q && m->u.q.magic == BROKER_MAGIC &&
	       m->u.q.env == m->len - sizeof m->u.q && m->n_fd >= 1;
}

static void serve_channel(struct loop *l, struct channel *ch)
{
	static struct message m;
	int got = receive(ch->fd, &m);
	bool ok = got == 0;
	if (got > 0 && well_formed(&m)) {
		if (m.u.q.type == BROKER_START)
			ok = start(l, ch, &m);
		else if (m.u.q.type == BROKER_ATTACH && ch->root && m.n_fd == 1) {
			int fd = ch->fd; /* the table may move */
			attach(l, &m);
			ch = channel_find(l, fd);
			ok = true;
		}
	}
	if (got > 0)
		drop_fds(&m, 0);
	if (got > 0 && !ok)
		log_err("broker request=refused why=\"no registered command\"");
	if (!ok)
		channel_close(l, ch);
}

static void kid_signal(struct kid *k, int sig)
{
	kill(-k->pid, sig);
	if (!k->kill_at)
		k->kill_at = now_ms() + GRACE_MS;
}

/* The requester's word, or its end. */
static void serve_kid(struct kid *k)
{
	unsigned char byte;
	ssize_t n = recv(k->told, &byte, 1, MSG_DONTWAIT);
	if (n == 1 && (byte == SIGTERM || byte == SIGKILL)) {
		kill(-k->pid, byte);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close(k->told);
	k->told = -1;
	kid_signal(k, SIGTERM);
}

static void reap(struct loop *l)
{
	struct signalfd_siginfo info;
	int status;
	while (read(l->sigfd, &info, sizeof info) > 0)
		;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		size_t i = 0;
		while (i < l->n_kids && l->kids[i].pid != pid)
			i++;
		if (i == l->n_kids)
			continue;
		struct kid *k = &l->kids[i];
		struct channel *ch = channel_find(l, k->channel);
		if (ch)
			ch->kids--;
		if (k->told >= 0) {
			reply(k->told, BROKER_ENDED, status);
			close(k->told);
		}
		*k = l->kids[--l->n_kids];
	}
}

/* Those that were told to end and have not; how long until the next of them, -1: there is none. */
static int kill_late(struct loop *l)
{
	int64_t now = now_ms(), next = -1;
	for (size_t i = 0; i < l->n_kids; i++) {
		struct kid *k = &l->kids[i];
		if (!k->kill_at)
			continue;
		if (k->kill_at <= now) {
			kill(-k->pid, SIGKILL);
			k->kill_at = now + GRACE_MS;
		}
		if (next < 0 || k->kill_at - now < next)
			next = k->kill_at - now;
	}
	return (int)next;
}

/* ---- the process ---- */

static int prepare_signals(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	sigset_t chld;
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_SETMASK, &chld, NULL);
	return signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Everything that is ready, by descriptor: a table changes while it is worked on. */
static void turn(struct loop *l, const struct pollfd *p, size_t n_channels, size_t n_kids)
{
	for (size_t i = 0; i < n_kids; i++)
		if (p[1 + n_channels + i].revents)
			serve_kid(&l->kids[i]);
	for (size_t i = 0; i < n_channels; i++) {
		struct channel *ch = p[1 + i].revents ? channel_find(l, p[1 + i].fd) : NULL;
		if (ch)
			serve_channel(l, ch);
	}
	/* Last, since it moves children. */
	if (p[0].revents)
		reap(l);
}

_Noreturn void broker_loop(const struct broker *b, int channel)
{
	struct loop l = { .b = b, .sigfd = prepare_signals() };
	struct broker_set all;
	memset(&all, 0xff, sizeof all);
	prctl(PR_SET_NAME, "broker");
	log_session(NULL);
	if (l.sigfd < 0)
		_exit(1);
	channel_add(&l, channel, true, &all);
	while (l.n_channels || l.n_kids) {
		size_t nc = l.n_channels, nk = l.n_kids;
		struct pollfd *p = xcalloc(1 + nc + nk, sizeof *p);
		p[0] = (struct pollfd){ .fd = l.sigfd, .events = POLLIN };
		for (size_t i = 0; i < nc; i++)
			p[1 + i] = (struct pollfd){ .fd = l.channels[i].fd, .events = POLLIN };
		for (size_t i = 0; i < nk; i++)
			p[1 + nc + i] = (struct pollfd){ .fd = l.kids[i].told, .events = POLLIN };
		if (poll(p, 1 + nc + nk, kill_late(&l)) > 0)
			turn(&l, p, nc, nk);
		free(p);
	}
	_exit(0);
}
