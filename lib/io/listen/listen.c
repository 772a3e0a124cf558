/* SPDX-License-Identifier: ISC
 *
 * The parent of pre-forked workers: keeps a few idle ones ready, grows to the limit under load, replaces those that
 * end, reloads on SIGHUP and stops on SIGTERM.
 */
#include "io/listen/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "io/listen/listen_int.h"
#include "io/listen/notify.h"

enum {
	MAX_CLIENTS = 100,
	MIN_IDLE = 2,
	STOP_MS = 60 * 1000,  /* for the commands in hand, then the workers are killed */
	FALSE_STARTS = 5,     /* of workers, before the first that could serve */
	BACKOFF_MIN_MS = 100, /* after a worker that crashed, doubled up to */
	BACKOFF_MAX_MS = 30000,
	BACKOFF_CALM_MS = 60000, /* without a crash: forgotten */
	IDLE_MS = 10 * 1000,
	STRESS_MS = 500, /* how soon stress is judged again */
	READY_MAX = 65536,
};

static int parent_wake = -1;
static volatile sig_atomic_t got_hup, got_usr1;

static void wake_parent(int sig)
{
	int keep = errno;
	uint64_t one = 1;
	if (sig == SIGHUP)
		got_hup = 1;
	if (sig == SIGUSR1)
		got_usr1 = 1;
	if (write(parent_wake, &one, sizeof one) < 0)
		errno = keep;
	errno = keep;
}

int64_t server_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int start_heart(struct server *sv, struct err *err)
{
	struct buf all;
	char text[256];
	buf_init(&all, READY_MAX);
	for (size_t i = 0; i < sv->l.n; i++) {
		listener_text(&sv->l.v[i], text, sizeof text);
		buf_addf(&all, "%s\n", text);
	}
	int rc = heartbeat_start(&sv->heart, sv->o->ready_file, buf_span(&all), err);
	buf_free(&all);
	return rc;
}

/* ---- workers ---- */

struct parent {
	struct server *sv;
	int64_t backoff, next_start, last_crash, next_look;
	unsigned false_starts;
	int failed_start; /* the status of a first worker that could not start */
};

static unsigned alive(const struct board *b)
{
	return b->n - board_count(b, SLOT_FREE);
}

static int start_worker(struct parent *p)
{
	struct board *b = p->sv->board;
	unsigned i = 0;
	while (i < b->n && atomic_load(&b->slot[i].state) != SLOT_FREE)
		i++;
	if (i == b->n)
		return -1;
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	atomic_store(&b->slot[i].state, SLOT_STARTING);
	pid_t pid = fork();
	if (pid == 0)
		worker_run(p->sv, i);
	b->slot[i].pid = pid;
	if (pid < 0) {
		log_err("fork error=\"%m\"");
		atomic_store(&b->slot[i].state, SLOT_FREE);
		p->next_start = server_now() + BACKOFF_MIN_MS;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? -1 : 0;
}

/* How many more workers should be started now. */
static unsigned shortage(const struct server *sv)
{
	const struct board *b = sv->board;
	unsigned total = alive(b);
	if (sv->o->workers)
		return sv->max > total ? sv->max - total : 0;
	unsigned idle = board_count(b, SLOT_IDLE) + board_count(b, SLOT_STARTING), want = board_want_idle(b);
	if (want < sv->min_idle)
		want = sv->min_idle;
	unsigned lack = want > idle ? want - idle : 0;
	return lack < sv->max - total ? lack : sv->max - total;
}

static void start_workers(struct parent *p)
{
	if (server_now() < p->next_start)
		return;
	for (unsigned n = shortage(p->sv); n > 0 && start_worker(p) == 0; n--)
		;
}

static void note_crash(struct parent *p, pid_t pid, int status)
{
	int64_t now = server_now();
	if (WIFSIGNALED(status))
		log_err("worker pid=%ld signal=%d", (long)pid, WTERMSIG(status));
	else
		log_err("worker pid=%ld status=%d", (long)pid, WEXITSTATUS(status));
	if (now - p->last_crash > BACKOFF_CALM_MS)
		p->backoff = 0;
	p->backoff = p->backoff ? p->backoff * 2 : BACKOFF_MIN_MS;
	if (p->backoff > BACKOFF_MAX_MS)
		p->backoff = BACKOFF_MAX_MS;
	p->last_crash = now;
	p->next_start = now + p->backoff;
}

/* Nobody can serve yet: is that worth another attempt? Not with a wrong configuration, and not for ever. */
static bool will_pass(struct parent *p, int status)
{
	return status != EX_CONFIG && status != EX_USAGE && ++p->false_starts < FALSE_STARTS;
}

static struct slot *slot_of(struct board *b, pid_t pid)
{
	for (unsigned i = 0; i < b->n; i++)
		if (atomic_load(&b->slot[i].state) != SLOT_FREE && b->slot[i].pid == pid)
			return &b->slot[i];
	return NULL;
}

static void reap(struct parent *p)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		struct slot *s = slot_of(p->sv->board, pid);
		if (!s)
			continue;
		memset(s->client, 0, sizeof s->client);
		atomic_store(&s->state, SLOT_FREE);
		if (status == 0 || serve_stopping || p->failed_start)
			continue;
		note_crash(p, pid, status);
		if (!atomic_load(&p->sv->board->ready) && WIFEXITED(status) && !will_pass(p, WEXITSTATUS(status)))
			p->failed_start = WEXITSTATUS(status);
	}
}

static void signal_workers(const struct board *b, int sig)
{
	for (unsigned i = 0; i < b->n; i++)
		if (atomic_load(&b->slot[i].state) != SLOT_FREE && b->slot[i].pid > 0)
			kill(b->slot[i].pid, sig);
}

static void reload(struct server *sv)
{
	got_hup = 0;
	notify_reloading();
	if (log_reopen() < 0)
		log_err("reload error=\"the log: %m\"");
	if (sv->o->reload && sv->o->reload(sv->arg)) {
		log_err("reload result=failed");
	} else {
		log_info("reload result=ok");
		atomic_fetch_add(&sv->board->generation, 1);
		signal_workers(sv->board, SIGHUP);
	}
	notify_ready();
}

static void dump(const struct board *b)
{
	got_usr1 = 0;
	log_info("status conversations=%u idle=%u", board_count(b, SLOT_BUSY), board_count(b, SLOT_IDLE));
	for (unsigned i = 0; i < b->n; i++) {
		const struct slot *s = &b->slot[i];
		char ip[INET6_ADDRSTRLEN] = "none";
		if (atomic_load(&s->state) != SLOT_BUSY)
			continue;
		if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)s->client))
			inet_ntop(AF_INET, s->client + 12, ip, sizeof ip);
		else
			inet_ntop(AF_INET6, s->client, ip, sizeof ip);
		log_info("conversation client=%s worker=%ld seconds=%lld", ip, (long)s->pid,
		    (long long)(server_now() - s->since) / 1000);
	}
}

/* Once in each turn of the parent's loop. */
static void tick(struct server *sv, bool last)
{
	struct serve_state s = { board_count(sv->board, SLOT_BUSY), server_now(), last };
	/* Without a worker nobody would answer a client. */
	if (alive(sv->board))
		heartbeat_beat(&sv->heart, s.now);
	notify_watchdog();
	if (sv->o->tick)
		sv->o->tick(sv->arg, &s);
	else
		notify_status("%u conversation%s", s.conversations, s.conversations == 1 ? "" : "s");
}

/* How long the parent may sleep. */
static int64_t patience(const struct parent *p)
{
	int64_t wait = p->next_start - server_now(), dog = notify_watchdog_wait();
	if (wait <= 0)
		wait = p->sv->heart.fd >= 0 || p->sv->o->tick || p->sv->o->stale ? HEARTBEAT_EVERY_MS : IDLE_MS;
	return dog >= 0 && dog < wait ? dog : wait;
}

/* Until something happened or ms passed. */
static void pause_parent(int64_t ms)
{
	struct pollfd p[2] = { { .fd = parent_wake, .events = POLLIN },
		{ .fd = stream_interrupt_fd, .events = POLLIN } };
	poll(p, serve_stopping ? 1 : 2, ms > 1000 * 1000 ? 1000 * 1000 : (int)ms);
	uint64_t n;
	if (read(parent_wake, &n, sizeof n) < 0 && errno != EAGAIN)
		log_err("wake error=\"%m\"");
}

static void stop_workers(struct parent *p)
{
	notify_stopping();
	signal_workers(p->sv->board, SIGTERM);
	int64_t end = server_now() + STOP_MS;
	for (reap(p); alive(p->sv->board); reap(p)) {
		if (server_now() >= end)
			signal_workers(p->sv->board, SIGKILL);
		notify_watchdog();
		pause_parent(1000);
	}
	tick(p->sv, true);
}

static bool is_stale(struct parent *p)
{
	int64_t now = server_now();
	if (!p->sv->o->stale || now < p->next_look)
		return false;
	p->next_look = now + HEARTBEAT_EVERY_MS;
	return p->sv->o->stale(p->sv->arg, now);
}

static int parent_loop(struct parent *p)
{
	while (!serve_stopping && !p->failed_start) {
		start_workers(p);
		tick(p->sv, false);
		int64_t wait = patience(p);
		pause_parent(stress_judge(p->sv) && wait > STRESS_MS ? STRESS_MS : wait);
		reap(p);
		if (got_hup || is_stale(p))
			reload(p->sv);
		if (got_usr1)
			dump(p->sv->board);
	}
	heartbeat_stop(&p->sv->heart);
	listeners_close(&p->sv->l, true); /* the next server can bind while our workers finish */
	stop_workers(p);
	return p->failed_start;
}

static void parent_signals(void)
{
	struct sigaction sa = { .sa_handler = wake_parent, .sa_flags = SA_RESTART };
	sigemptyset(&sa.sa_mask);
	sigaction(SIGCHLD, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
}

static int setup(struct server *sv, struct err *err)
{
	unsigned max = sv->o->max_clients ? sv->o->max_clients : MAX_CLIENTS;
	sv->max = sv->o->workers && sv->o->workers < max ? sv->o->workers : max;
	sv->min_idle = sv->max < MIN_IDLE ? sv->max : MIN_IDLE;
	sv->parent = getpid();
	size_t size = sizeof *sv->board + sv->max * sizeof *sv->board->slot;
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sv->wake = parent_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (shared == MAP_FAILED || parent_wake < 0 || stop_signals_init() < 0)
		return err_sys(err, "cannot prepare for workers");
	sv->board = shared;
	sv->board->n = sv->max;
	sv->heart.fd = -1;
	notify_open();
	return sv->o->ready_file ? start_heart(sv, err) : 0;
}

static int serve_forked(struct server *sv, struct err *err)
{
	if (setup(sv, err)) {
		listeners_close(&sv->l, true);
		return err ? err_exit_status(err) : EX_OSERR;
	}
	parent_signals();
	notify_ready();
	struct parent p = { .sv = sv };
	int status = parent_loop(&p);
	munmap(sv->board, sizeof *sv->board + sv->max * sizeof *sv->board->slot);
	close(parent_wake);
	parent_wake = -1;
	return status;
}

static int serve_single(const struct server *sv, int rfd, int wfd, const struct listener *l)
{
	struct conn c;
	stop_signals_init();
	conn_init(&c, rfd, wfd, l);
	return server_single(sv->o, &c, sv->fn, sv->arg);
}

int serve(const struct serve_options *o, conn_fn *fn, void *arg, struct err *err)
{
	struct server sv = { .o = o, .fn = fn, .arg = arg };
	int connected;
	if (o->listen.n ? listeners_open(&sv.l, &o->listen, err) : listeners_from_systemd(&sv.l, &connected, err))
		return err ? err_exit_status(err) : EX_CONFIG;
	if (!sv.l.n && listener_is_listening(STDIN_FILENO)) { /* inetd's "wait" */
		int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		listeners_add(&sv.l, fd, "", false);
	}
	if (!sv.l.n)
		return serve_single(&sv, STDIN_FILENO, STDOUT_FILENO, NULL);
	if (o->listen.n || connected < 0)
		return serve_forked(&sv, err);
	int status = serve_single(&sv, connected, connected, &sv.l.v[0]);
	sv.l.v[0].fd = -1; /* the stream closed it */
	listeners_close(&sv.l, false);
	return status;
}
