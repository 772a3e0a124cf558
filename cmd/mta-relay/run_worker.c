/* SPDX-License-Identifier: ISC
 *
 * A worker: a process that does one job after another, with one conversation kept open between them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "mta-relay/run_int.h"

enum {
	KEEP_OPEN = 2000 /* ms that a conversation waits for the next message */
};

static void do_task(struct deliver *d, const struct run_task *t, struct deliver_done *out)
{
	switch (t->kind) {
	case RUN_SEND:
		deliver_send(d, t->id, t->key, t->finish, out);
		break;
	case RUN_DEFER:
		deliver_defer(d, t->id, t->key, t->why, t->finish, out);
		break;
	case RUN_FINISH:
		deliver_finish(d, t->id, out);
		break;
	}
}

static ssize_t receive(int fd, void *p, size_t n)
{
	ssize_t got;
	do
		got = recv(fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static void serve(struct deliver *d, int fd)
{
	static struct run_task t;
	struct deliver_done done;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	for (;;) {
		if (poll(&p, 1, KEEP_OPEN) == 0) {
			hop_hang_up(d->hop);
			durable_idle();
		}
		if (receive(fd, &t, sizeof t) != (ssize_t)sizeof t)
			return;
		do_task(d, &t, &done);
		if (send(fd, &done, sizeof done, MSG_NOSIGNAL) < 0)
			return;
	}
}

/* The parent alone hears signals, and tells its workers by closing their sockets, so that the delivery in hand is
 * finished also when all of the group are signalled. When it is killed its workers die too: the next run
 * must not find them still at work. */
static int worker(struct run *r, int fd, pid_t parent)
{
	struct err err = { 0 };
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return EXIT_FAILURE;
	struct deliver d = r->deliver;
	d.routes = r->routes;
	d.hop = hop_new(&r->hop, &err);
	if (!d.hop) {
		log_err("worker reason=%s", log_quote(span_str(err.text)));
		return EXIT_FAILURE;
	}
	serve(&d, fd);
	hop_free(d.hop);
	return EXIT_SUCCESS;
}

int run_worker_start(struct run *r, struct run_worker *w, struct err *err)
{
	int fds[2];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(err, "socketpair");
	pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		/* Another worker's socket held here would hide its end from that worker. */
		for (unsigned i = 0; i < r->o.concurrency; i++)
			if (r->worker[i].pid > 0)
				close(r->worker[i].fd);
		_exit(worker(r, fds[1], parent));
	}
	close(fds[1]);
	if (pid < 0) {
		err_sys(err, "fork");
		close(fds[0]);
		return -1;
	}
	*w = (struct run_worker){ .pid = pid, .fd = fds[0], .generation = r->generation };
	return 0;
}

int run_worker_ask(struct run_worker *w, const struct run_task *t, struct err *err)
{
	return send(w->fd, t, sizeof *t, MSG_NOSIGNAL) == (ssize_t)sizeof *t ? 0
									     : err_sys(err, "worker %ld", (long)w->pid);
}

int run_worker_answer(struct run_worker *w, struct deliver_done *out)
{
	return receive(w->fd, out, sizeof *out) == (ssize_t)sizeof *out;
}

void run_worker_stop(struct run_worker *w, bool wait)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	while (wait && w->pid > 0 && waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (wait)
		w->pid = 0;
}
