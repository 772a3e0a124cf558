/* SPDX-License-Identifier: ISC */
#include "io/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "io/broker_int.h"

struct broker *broker_new(void)
{
	struct broker *b = xcalloc(1, sizeof *b);
	b->fd = -1;
	return b;
}

static size_t list_length(const char *const *v)
{
	size_t n = 0;
	while (v && v[n])
		n++;
	return n;
}

static const char *const *copy_list(const char *const *v)
{
	if (!v)
		return NULL;
	size_t n = list_length(v);
	const char **copy = xcalloc(n + 1, sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(v[i]);
	return copy;
}

static void free_list(const char *const *v)
{
	for (size_t i = 0; v && v[i]; i++)
		free((char *)(uintptr_t)v[i]);
	free((char **)(uintptr_t)v);
}

static bool same_list(const char *const *a, const char *const *b)
{
	size_t n = list_length(a);
	if (!a != !b || n != list_length(b))
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(a[i], b[i]))
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_command(const struct broker_command *a, const struct broker_command *b)
{
	return same_list(a->argv, b->argv) && same_text(a->command, b->command) && same_list(a->env, b->env) &&
	       same_text(a->dir, b->dir) && a->set_ids == b->set_ids && a->uid == b->uid && a->gid == b->gid;
}

int broker_add(struct broker *b, const struct broker_command *c, struct err *err)
{
	for (int i = 0; i < b->n; i++)
		if (same_command(&b->v[i], c))
			return i;
	if (b->launched)
		return err_set(err, ERR_BUG, "a command for a broker that runs already");
	if (b->n == BROKER_COMMANDS)
		return err_set(err, ERR_LIMIT, "more than %d commands", BROKER_COMMANDS);
	b->v = xreallocarray(b->v, (size_t)b->n + 1, sizeof *b->v);
	struct broker_command *mine = &b->v[b->n];
	*mine = *c;
	mine->argv = copy_list(c->argv);
	mine->env = copy_list(c->env);
	mine->command = c->command ? xstrdup(c->command) : NULL;
	mine->dir = c->dir ? xstrdup(c->dir) : NULL;
	return b->n++;
}

int broker_find(const struct broker *b, const char *command)
{
	for (int i = 0; i < b->n; i++)
		if (b->v[i].command && !strcmp(b->v[i].command, command))
			return i;
	return -1;
}

/* ---- start ---- */

/* What the broker has of ours: stderr, unless that is a client's socket. It must keep open no queue's lock, no
 * listening socket, and no conversation. */
static void keep_only(int channel)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool quiet = log_where() == LOG_TO_SYSLOG;
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || (quiet && dup2(null, 2) < 0))
		_exit(1);
	if (dup2(channel, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC))
		_exit(1);
	if (syscall(SYS_close_range, 4, ~0U, 0) == 0)
		return;
	for (int fd = 4, max = (int)sysconf(_SC_OPEN_MAX); fd < max; fd++)
		close(fd);
}

int broker_launch(struct broker *b, struct err *err)
{
	int pair[2];
	b->launched = true;
	if (!b->n)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "cannot prepare for commands");
	pid_t pid = fork();
	if (pid == 0) {
		keep_only(pair[1]);
		broker_loop(b, 3);
	}
	int sys = errno;
	close(pair[1]);
	b->fd = pair[0];
	b->pid = pid;
	if (pid > 0)
		return 0;
	close(b->fd);
	b->fd = -1;
	errno = sys;
	return err_sys(err, "cannot start the process for commands");
}

/* ---- requests ---- */

/* One message with at most four descriptors. */
static int send_request(int channel, struct broker_request *q, const char *env, const int *fds, int n)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} ctl = { .room = { 0 } };
	struct iovec v[2] = { { q, sizeof *q }, { (char *)(uintptr_t)env, q->env } };
	struct msghdr m = { .msg_iov = v,
		.msg_iovlen = q->env ? 2 : 1,
		.msg_control = ctl.room,
		.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	ssize_t r;
	do
		r = sendmsg(channel, &m, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -1 : 0;
}

static int gone(struct err *err)
{
	return err_set(err, ERR_TEMP, "the process that starts commands has ended");
}

int broker_attach(struct broker *b, const int *only, size_t n, struct err *err)
{
	struct broker_request q = { .magic = BROKER_MAGIC, .type = BROKER_ATTACH };
	int pair[2];
	if (b->fd < 0)
		return 0;
	if (!only)
		memset(&q.only, 0xff, sizeof q.only);
	for (size_t i = 0; only && i < n; i++)
		if (only[i] >= 0 && only[i] < b->n)
			q.only.bits[only[i] / 64] |= UINT64_C(1) << (only[i] % 64);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "cannot prepare for commands");
	int rc = send_request(b->fd, &q, NULL, &pair[1], 1);
	int sys = errno;
	close(pair[1]);
	/* It waits no longer for a broker that is stopped than for a child. */
	struct timeval patience = { .tv_sec = BROKER_PATIENCE / 1000 };
	if (rc == 0)
		rc = setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (rc < 0) {
		close(pair[0]);
		errno = sys;
		return sys == EPIPE || sys == ECONNRESET ? gone(err) : err_sys(err, "cannot prepare for commands");
	}
	close(b->fd);
	b->fd = pair[0];
	return 0;
}

bool broker_alive(const struct broker *b)
{
	struct pollfd p = { .fd = b->fd, .events = 0 };
	return b->fd < 0 || poll(&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

int broker_fd(const struct broker *b)
{
	return b->fd;
}

void broker_leave(struct broker *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
}

void broker_free(struct broker *b)
{
	if (!b)
		return;
	broker_leave(b);
	for (int i = 0; i < b->n; i++) {
		free_list(b->v[i].argv);
		free_list(b->v[i].env);
		free((char *)(uintptr_t)b->v[i].command);
		free((char *)(uintptr_t)b->v[i].dir);
	}
	free(b->v);
	free(b);
}

/* ---- one child ---- */

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1: a reply; 0: none in time; -1: there will be none. */
static int get_reply(int told, int64_t ms, struct broker_reply *r)
{
	int64_t end = now_ms() + ms;
	for (;;) {
		struct pollfd p = { .fd = told, .events = POLLIN };
		int64_t left = ms < 0 ? -1 : end - now_ms();
		int n = poll(&p, 1, ms < 0 ? -1 : left > 0 ? (int)(left < INT32_MAX ? left : INT32_MAX) : 0);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			return recv(told, r, sizeof *r, 0) == (ssize_t)sizeof *r ? 1 : -1;
		if (n == 0 && (ms < 0 || now_ms() >= end))
			return 0;
	}
}

/* The variables one after the other; length 0 and NULL when there are none, -1 when there are too many. */
static ssize_t join_env(const char *const *env, char **out)
{
	size_t n = 0, at = 0;
	*out = NULL;
	for (size_t i = 0; env && env[i]; i++)
		n += strlen(env[i]) + 1;
	if (n > BROKER_MESSAGE - sizeof(struct broker_request))
		return -1;
	if (!n)
		return 0;
	*out = xmalloc(n);
	for (size_t i = 0; env[i]; i++) {
		size_t len = strlen(env[i]) + 1;
		memcpy(*out + at, env[i], len);
		at += len;
	}
	return (ssize_t)n;
}

static const char *command_name(const struct broker_command *c)
{
	return c->argv ? c->argv[0] : "/bin/sh";
}

static int no_answer(const struct broker_command *c, int got, const struct broker_reply *r, struct err *err)
{
	if (got < 0)
		return gone(err);
	if (got == 0)
		return err_set(
		    err, ERR_TEMP, "cannot run %s: no answer from the process that starts commands", command_name(c));
	err_set(
	    err, r->value == EAGAIN ? ERR_TEMP : ERR_CONFIG, "cannot run %s: %s", command_name(c), strerror(r->value));
	if (err)
		err->sys = r->value;
	return -1;
}

static int ask(const struct spawn *sp, struct broker_request *q, const int *fds, int n, struct err *err)
{
	char *env;
	ssize_t len = join_env(sp->env, &env);
	if (len < 0)
		return err_set(err, ERR_LIMIT, "too much for the environment of a command");
	q->env = (uint32_t)len;
	int rc = send_request(sp->broker->fd, q, env, fds, n);
	free(env);
	if (rc == 0)
		return 0;
	return errno == EPIPE || errno == ECONNRESET ? gone(err) : err_sys(err, "cannot ask for a command");
}

int broker_ask(const struct spawn *sp, const int child[3], pid_t *pid, struct err *err)
{
	const struct broker *b = sp->broker;
	struct broker_request q = { .magic = BROKER_MAGIC, .type = BROKER_START, .index = (uint32_t)sp->index };
	struct broker_reply r = { 0 };
	int pair[2], fds[4], n = 1;
	if (sp->index < 0 || sp->index >= b->n)
		return err_set(err, ERR_BUG, "command %d was not registered", sp->index);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_sys(err, "cannot start %s", command_name(&b->v[sp->index]));
	fds[0] = pair[1];
	for (unsigned i = 0; i < 3; i++) {
		if (child[i] >= 0) {
			q.given |= 1U << i;
			fds[n++] = child[i];
		}
	}
	int rc = ask(sp, &q, fds, n, err);
	close(pair[1]);
	if (rc == 0) {
		int got = get_reply(pair[0], BROKER_PATIENCE, &r);
		if (got <= 0 || r.word != BROKER_STARTED)
			rc = no_answer(&b->v[sp->index], got, &r, err);
	}
	if (rc < 0) {
		close(pair[0]);
		return -1;
	}
	*pid = r.value;
	return pair[0];
}

void broker_signal(int told, int sig)
{
	unsigned char byte = (unsigned char)sig;
	/* When it can't be told, it is gone, and so is the child, or both will be. */
	if (send(told, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

int broker_status(int told, int64_t ms, int *status, struct err *err)
{
	struct broker_reply r;
	int got = get_reply(told, ms, &r);
	if (got < 0 || (got > 0 && r.word != BROKER_ENDED))
		return gone(err);
	*status = got > 0 ? r.value : 0;
	return got;
}
