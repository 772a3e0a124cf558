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
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "mta-relay/run/run_int.h"

enum {
	KEEP_OPEN = 2000 /* ms that a conversation waits for the next message */
};

static void do_item(struct deliver *d, const struct run_task *t, size_t i, struct deliver_done *done)
{
	const struct run_item *item = &t->item[i];
	const char *key = t->text, *why = t->text + strlen(key) + 1;
	struct deliver_job job = {
		.id = item->id, .key = key, .finish = item->finish, .share = t->share, .from = item->from
	};
	switch (t->kind) {
	case RUN_SEND:
		deliver_send(d, &job, done);
		break;
	case RUN_DEFER:
		deliver_defer(d, &job, why, done);
		break;
	case RUN_FINISH:
		deliver_finish(d, item->id, done);
		break;
	}
}

/* Once the destination has failed the other messages are not tried, nor when the parent wants to end. */
static void do_task(struct deliver *d, const struct run_task *t, const volatile bool *enough, struct run_answer *out)
{
	*out = (struct run_answer){ .n = t->n };
	for (unsigned i = 0; i < t->n; i++) {
		struct deliver_done done = { 0 };
		if (out->unreachable || (i && *enough)) {
			out->result[i].what = RUN_NOT_TRIED;
			continue;
		}
		do_item(d, t, i, &done);
		out->result[i] = (struct run_result){
			.what = done.more ? RUN_MORE : RUN_DONE, .left = done.left, .due = done.due, .from = done.more
		};
		out->reached |= done.reached;
		out->unreachable |= done.unreachable;
		memcpy(out->why, done.why, sizeof out->why);
		if (*done.site)
			memcpy(out->site, done.site, sizeof out->site);
	}
}

static int transmit(int fd, const void *p, size_t n)
{
	ssize_t put;
	do
		put = send(fd, p, n, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put == (ssize_t)n ? 0 : -1;
}

static ssize_t receive(int fd, void *p, size_t n)
{
	ssize_t got;
	do
		got = recv(fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	return got;
}

static void serve(struct deliver *d, int fd, const volatile bool *enough)
{
	static struct run_task t;
	static struct run_answer answer;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	for (;;) {
		if (poll(&p, 1, KEEP_OPEN) == 0) {
			hop_hang_up(d->hop);
			durable_idle();
		}
		ssize_t n = receive(fd, &t, sizeof t);
		if (n < (ssize_t)offsetof(struct run_task, text) ||
		    n != (ssize_t)(offsetof(struct run_task, text) + t.len))
			return;
		do_task(d, &t, enough, &answer);
		size_t len = offsetof(struct run_answer, why) + strlen(answer.why) + 1;
		if (transmit(fd, &answer, len) < 0)
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
	signal(SIGUSR1, SIG_IGN);
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
	if (run_confine_worker(r, &err) < 0) {
		log_err("worker reason=%s", log_quote(span_str(err.text)));
		hop_free(d.hop);
		return EXIT_FAILURE;
	}
	serve(&d, fd, r->enough);
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
	size_t n = offsetof(struct run_task, text) + t->len;
	if (transmit(w->fd, t, n) == 0)
		return 0;
	err_sys(err, "worker %ld", (long)w->pid);
	/* Who can't be asked will not answer: its end is seen as any worker's death. */
	shutdown(w->fd, SHUT_RDWR);
	return -1;
}

int run_worker_answer(struct run_worker *w, struct run_answer *out)
{
	return receive(w->fd, out, sizeof *out) > (ssize_t)offsetof(struct run_answer, why) && out->n == w->n;
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
