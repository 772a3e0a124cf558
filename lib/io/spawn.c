/* SPDX-License-Identifier: ISC */
#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/broker_int.h"

enum {
	GRACE_MS = 2000,             /* between TERM and KILL */
	NAP_MS = 10,                 /* where the kernel has no pidfd */
	SECRET_TIMEOUT = 300 * 1000, /* a person may be typing a passphrase */
	FD_TABLE_MAX = 4096,         /* closed one by one where close_range is missing */
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- in the child ---- */

struct ends {
	int child[3]; /* what becomes 0, 1, 2; -1 to keep ours */
	int ours[2];  /* in, out */
	int told[2];  /* the pipe that tells a failed exec */
	bool group;   /* a process group of its own, so that all of it can be stopped */
};

static void reset_signals(void)
{
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_others_at_exec(void)
{
	if (syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) == 0)
		return;
	for (int fd = 3; fd < FD_TABLE_MAX; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* The sources are moved out of 0-2 first, so that none is overwritten before it is copied. */
static int place_fds(struct ends *e)
{
	for (int i = 0; i < 3; i++)
		if (e->child[i] >= 0 && (e->child[i] = fcntl(e->child[i], F_DUPFD_CLOEXEC, 3)) < 0)
			return -1;
	for (int i = 0; i < 3; i++)
		if (e->child[i] >= 0 && dup2(e->child[i], i) < 0)
			return -1;
	close_others_at_exec();
	return 0;
}

static int take_ids(const struct spawn *sp)
{
	if (!sp->set_ids)
		return 0;
	if (geteuid() == 0 && setgroups(1, &sp->gid))
		return -1;
	return setresgid(sp->gid, sp->gid, sp->gid) || setresuid(sp->uid, sp->uid, sp->uid) ? -1 : 0;
}

enum {
	PLAIN_WORDS = 64
};
/* What is executed, ready before the fork: the child has our memory and must leave it as it is. */
struct image {
	const char *words[PLAIN_WORDS]; /* a command without a shell; words[0] is NULL: none */
	const char *shell[4];
	char *copy;
	const char **env;
};

/* A program by its path and words in which the shell would find nothing to do: the words, in `copy`. */
static bool plain_words(const char *command, char *copy, const char *argv[PLAIN_WORDS])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \t_./:,=@%+-";
	size_t n = 0;
	char *at = copy, *word;
	if (command[strspn(command, plain)])
		return false;
	while ((word = strsep(&at, " \t")) && n < PLAIN_WORDS - 1)
		if (*word && (n || strcmp(word, "exec") != 0))
			argv[n++] = word;
	argv[n] = NULL;
	return !word && n && argv[0][0] == '/';
}

/* Is the variable set in the list? */
static bool is_set(const char *const *list, const char *var)
{
	size_t n = strcspn(var, "=");
	for (; list && *list; list++)
		if (!strncmp(*list, var, n) && (*list)[n] == '=')
			return true;
	return false;
}

/* Our environment, with `more` in the place of what has the same names. */
static const char **join_env(const char *const *more)
{
	size_t n = 0;
	for (char **e = environ; *e; e++)
		n++;
	for (const char *const *e = more; e && *e; e++)
		n++;
	const char **env = xcalloc(n + 1, sizeof *env);
	n = 0;
	for (char **e = environ; *e; e++)
		if (!is_set(more, *e))
			env[n++] = *e;
	for (; more && *more; more++)
		if (!is_set(more + 1, *more))
			env[n++] = *more;
	return env;
}

static void image_make(const struct spawn *sp, struct image *im)
{
	*im = (struct image){ .shell = { "/bin/sh", "-c", sp->command, NULL }, .env = join_env(sp->env) };
	if (sp->argv)
		return;
	im->copy = xstrdup(sp->command);
	if (!plain_words(sp->command, im->copy, im->words))
		im->words[0] = NULL;
}

static void image_free(struct image *im)
{
	free(im->copy);
	free(im->env);
}

/* A shell takes a millisecond to start, so it is left out where it would only start a program. Whatever that program
 * lacks is the shell's to say. The functions take char *const * for historical reasons and do not write there. */
static void execute(const struct spawn *sp, const struct image *im)
{
	char *const *env = (char *const *)(uintptr_t)im->env;
	if (sp->argv) {
		execvpe(sp->argv[0], (char *const *)(uintptr_t)sp->argv, env);
		return;
	}
	if (im->words[0])
		execve(im->words[0], (char *const *)(uintptr_t)im->words, env);
	execve(im->shell[0], (char *const *)(uintptr_t)im->shell, env);
}

static _Noreturn void become(const struct spawn *sp, const struct image *im, struct ends *e)
{
	if (e->group)
		setpgid(0, 0);
	if (place_fds(e) == 0 && take_ids(sp) == 0 && (!sp->dir || chdir(sp->dir) == 0)) {
		reset_signals();
		/* Half a message must not be taken for a whole one when we die. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execute(sp, im);
	}
	int sys = errno;
	if (write(e->told[1], &sys, sizeof sys) < 0)
		_exit(126);
	_exit(127);
}

/* ---- in the parent ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* One of the child's three descriptors; `writes` says that the child writes to it. owned: to be closed by us. */
static int open_end(int want, bool writes, int *child, int *ours, bool *owned)
{
	int fd[2];
	*owned = want != SPAWN_INHERIT && want < 0;
	if (want >= 0)
		*child = want;
	else if (want == SPAWN_NULL)
		return (*child = open("/dev/null", (writes ? O_WRONLY : O_RDONLY) | O_CLOEXEC)) < 0 ? -1 : 0;
	else if (want == SPAWN_PIPE) {
		if (pipe2(fd, O_CLOEXEC))
			return -1;
		*child = fd[writes];
		*ours = fd[!writes];
	}
	return 0;
}

static int open_socketpair(struct ends *e)
{
	int fd[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -1;
	e->ours[0] = e->ours[1] = fd[0];
	e->child[0] = fd[1];
	return (e->child[1] = fcntl(fd[1], F_DUPFD_CLOEXEC, 3)) < 0 ? -1 : 0;
}

static int open_ends(const struct spawn *sp, struct ends *e, bool owned[3])
{
	int none = -1;
	if (pipe2(e->told, O_CLOEXEC))
		return -1;
	if (sp->in == SPAWN_SOCKETPAIR) {
		owned[0] = owned[1] = true;
		if (open_socketpair(e))
			return -1;
	} else if (open_end(sp->in, false, &e->child[0], &e->ours[0], &owned[0]) ||
		   open_end(sp->out, true, &e->child[1], &e->ours[1], &owned[1])) {
		return -1;
	}
	return open_end(sp->errfd, true, &e->child[2], &none, &owned[2]);
}

/* What the child tells when it cannot exec; 0 when it could. */
static int exec_errno(int fd)
{
	int sys = 0;
	ssize_t n;
	do
		n = read(fd, &sys, sizeof sys);
	while (n < 0 && errno == EINTR);
	return n == sizeof sys ? sys : 0;
}

static void close_ours(struct ends *e)
{
	if (e->ours[1] != e->ours[0])
		close_fd(&e->ours[1]);
	close_fd(&e->ours[0]);
}

static int failed_exec(const struct spawn *sp, struct ends *e, pid_t pid, int sys, struct err *err)
{
	close_ours(e);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	err_set(err, ERR_CONFIG, "cannot run %s: %s", sp->argv ? sp->argv[0] : "/bin/sh", strerror(sys));
	if (err)
		err->sys = sys;
	return -1;
}

/* As spawn_start, but a broker forks. */
static int start_by_broker(const struct spawn *sp, struct child *c, struct err *err)
{
	struct ends e = { { -1, -1, -1 }, { -1, -1 }, { -1, -1 }, true };
	bool owned[3] = { false };
	pid_t pid = -1;
	int told = -1;
	if (open_ends(sp, &e, owned))
		err_sys(err, "cannot start a command");
	else
		told = broker_ask(sp, e.child, &pid, err);
	for (int i = 0; i < 3; i++)
		if (owned[i])
			close_fd(&e.child[i]);
	close_fd(&e.told[0]);
	close_fd(&e.told[1]);
	if (told < 0) {
		close_ours(&e);
		return -1;
	}
	*c = (struct child){ pid, e.ours[0], e.ours[1], true, true, told };
	return 0;
}

/* The child borrows our memory until it executes something: to copy what a process has is most of the work of a fork.
 * No handler of ours may run there, so signals wait until all have their defaults; and it has no other user meanwhile.
 */
static pid_t start(const struct spawn *sp, const struct ends *e)
{
	struct image im;
	struct ends theirs = *e;
	sigset_t all, old;
	image_make(sp, &im);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid_t pid = sp->set_ids ? fork() : vfork();
	if (pid == 0)
		become(sp, &im, &theirs);
	int sys = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	image_free(&im);
	errno = sys;
	return pid;
}

int spawn_start(const struct spawn *sp, struct child *c, struct err *err)
{
	if (sp->broker)
		return start_by_broker(sp, c, err);
	struct ends e = { { -1, -1, -1 }, { -1, -1 }, { -1, -1 }, sp->in != SPAWN_INHERIT };
	bool owned[3] = { false };
	pid_t pid = -1;
	if (open_ends(sp, &e, owned) || (pid = start(sp, &e)) < 0)
		err_sys(err, "cannot start %s", sp->argv ? sp->argv[0] : "a command");
	for (int i = 0; i < 3; i++)
		if (owned[i])
			close_fd(&e.child[i]);
	close_fd(&e.told[1]);
	int sys = pid > 0 ? exec_errno(e.told[0]) : 0;
	close_fd(&e.told[0]);
	if (sys)
		return failed_exec(sp, &e, pid, sys, err);
	if (pid < 0) {
		close_ours(&e);
		return -1;
	}
	*c = (struct child){ pid, e.ours[0], e.ours[1], e.group, false, -1 };
	return 0;
}

void spawn_kill(const struct child *c, int sig)
{
	if (c->pid <= 0)
		return;
	if (c->brokered)
		broker_signal(c->told, sig);
	else
		kill(c->group ? -c->pid : c->pid, sig);
}

static void forget(struct child *c)
{
	if (c->brokered)
		close_fd(&c->told);
	c->pid = 0;
}

bool spawn_ended(struct child *c)
{
	int status;
	if (c->pid > 0 &&
	    (c->brokered ? broker_status(c->told, 0, &status, NULL) != 0 : waitpid(c->pid, NULL, WNOHANG) != 0))
		forget(c);
	return c->pid <= 0;
}

/* True when the child has ended within ms; leaves it to be reaped. */
static bool ends_within(pid_t pid, int64_t ms)
{
	int64_t end = now_ms() + ms;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool ended = false;
	for (;;) {
		siginfo_t info = { .si_pid = 0 };
		int r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
		ended = r == 0 ? info.si_pid == pid : errno != EINTR;
		int64_t left = end - now_ms();
		if (ended || left <= 0)
			break;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		poll(&p, 1, fd >= 0 || left < NAP_MS ? (int)left : NAP_MS);
	}
	if (fd >= 0)
		close(fd);
	return ended;
}

static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int stopped(struct err *err)
{
	err_set(err, ERR_TEMP, "the command did not end in time and was stopped");
	if (err)
		err->sys = ETIMEDOUT;
	return -1;
}

/* The broker kills what we no longer wait for, should TERM not do. */
static int wait_brokered(struct child *c, int64_t timeout_ms, struct err *err)
{
	int status = 0, got = broker_status(c->told, timeout_ms, &status, err);
	if (got == 0) {
		spawn_kill(c, SIGTERM);
		if (broker_status(c->told, GRACE_MS, &status, NULL) == 0)
			spawn_kill(c, SIGKILL);
		stopped(err);
	}
	forget(c);
	c->pid = -1;
	return got > 0 ? exit_status(status) : -1;
}

int spawn_wait(struct child *c, int64_t timeout_ms, struct err *err)
{
	if (c->brokered)
		return wait_brokered(c, timeout_ms, err);
	bool late = timeout_ms >= 0 && !ends_within(c->pid, timeout_ms);
	if (late) {
		spawn_kill(c, SIGTERM);
		if (!ends_within(c->pid, GRACE_MS))
			spawn_kill(c, SIGKILL);
	}
	int status;
	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "waiting for a command");
	c->pid = -1;
	return late ? stopped(err) : exit_status(status);
}

/* ---- input and output at once ---- */

struct exchange {
	struct child *c;
	struct span input;
	struct buf *out;
};

static void feed(struct exchange *x)
{
	ssize_t n = write(x->c->in, x->input.p, x->input.n);
	if (n > 0)
		x->input = span_from(x->input, (size_t)n);
	/* A child that stops reading is no error: its exit status decides. */
	if (x->input.n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&x->c->in);
}

static void collect(struct exchange *x)
{
	char piece[8192];
	ssize_t n = read(x->c->out, piece, sizeof piece);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&x->c->out);
	size_t room = x->out ? x->out->max - x->out->len : 0;
	if (n > 0 && room)
		buf_add(x->out, piece, (size_t)n < room ? (size_t)n : room);
}

/* Until both pipes are done or the time is over. */
static void exchange(struct exchange *x, int64_t end)
{
	fcntl(x->c->in, F_SETFL, O_NONBLOCK);
	fcntl(x->c->out, F_SETFL, O_NONBLOCK);
	if (!x->input.n)
		close_fd(&x->c->in);
	while (x->c->in >= 0 || x->c->out >= 0) {
		int64_t left = end < 0 ? -1 : end - now_ms();
		if (end >= 0 && left <= 0)
			break;
		struct pollfd p[2] = { { .fd = x->c->in, .events = POLLOUT }, { .fd = x->c->out, .events = POLLIN } };
		if (poll(p, 2, (int)left) <= 0)
			continue;
		if (p[0].revents)
			feed(x);
		if (p[1].revents)
			collect(x);
	}
}

static int run(struct spawn sp, struct span input, struct buf *out, int64_t timeout_ms, struct err *err)
{
	struct child c;
	sp.out = SPAWN_PIPE;
	if (spawn_start(&sp, &c, err))
		return -1;
	int64_t end = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	struct exchange x = { &c, input, out };
	exchange(&x, end);
	close_fd(&c.in);
	close_fd(&c.out);
	int64_t left = end < 0 ? -1 : end - now_ms();
	return spawn_wait(&c, end >= 0 && left < 0 ? 0 : left, err);
}

int spawn_run(const struct spawn *sp, struct span input, struct buf *out, int64_t timeout_ms, struct err *err)
{
	struct spawn mine = *sp;
	mine.in = SPAWN_PIPE;
	return run(mine, input, out, timeout_ms, err);
}

static int secret(const struct spawn *sp, struct buf *out, struct err *err)
{
	buf_reset(out);
	int status = run(*sp, SPAN(""), out, SECRET_TIMEOUT, err);
	if (status < 0)
		return err_prefix(err, "password command");
	if (status)
		return err_set(err, ERR_TEMP, "the password command ended with status %d", status);
	ptrdiff_t lf = span_chr(buf_span(out), '\n');
	if (lf < 0 && out->len == out->max)
		return err_set(err, ERR_LIMIT, "the password command's answer is longer than %zu bytes", out->max);
	if (lf >= 0) {
		explicit_bzero(out->p + lf, out->len - (size_t)lf);
		buf_truncate(out, (size_t)lf);
	}
	if (span_ends(buf_span(out), "\r"))
		buf_truncate(out, out->len - 1);
	return out->len ? 0 : err_set(err, ERR_CONFIG, "the password command gave no password");
}

int spawn_secret(const char *command, struct buf *out, struct err *err)
{
	struct spawn sp = { .command = command, .in = isatty(0) ? SPAWN_INHERIT : SPAWN_NULL, .errfd = SPAWN_INHERIT };
	return secret(&sp, out, err);
}

int spawn_secret_by(const struct broker *b, int index, struct buf *out, struct err *err)
{
	struct spawn sp = { .broker = b, .index = index, .in = SPAWN_NULL, .errfd = SPAWN_INHERIT };
	return secret(&sp, out, err);
}
