/* SPDX-License-Identifier: ISC
 *
 * `mta-relay run`: delivers what is in the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/events/events.h"
#include "mta-relay/relay.h"
#include "mta-relay/run/run_int.h"
#include "mta-relay/run/run_status.h"

enum {
	LOCK_WAIT = 100, /* tenths of a second for the workers of a runner that was killed */
	DYING_WAIT = 20, /* the same, for one that looks alive */
	HOUR = 60 * 60 * 1000,
};

#define AT(member) offsetof(struct run_options, member)
const struct opt relay_run_options[] = {
	{ "queue", 0, OPT_STR, AT(queue), "DIR", "the queue (default " RELAY_DEFAULT_QUEUE ")", NULL, 0 },
	{ "node", 0, OPT_STR, AT(node), "NAME", "another node's part of the queue (default: the host's name)", NULL,
	    0 },
	{ "durability", 0, OPT_CHOICE, AT(durability), NULL, "of outcomes: a file by itself, a shared log, or as fits",
	    DURABILITY_CHOICES, 0 },
	{ "once", 0, OPT_FLAG, AT(once), NULL, "deliver what is due, then exit", NULL, OPT_NO_CONFIG },
	{ "now", 0, OPT_FLAG, AT(now), NULL, "with --once: what is not yet due as well", NULL, OPT_NO_CONFIG },
	{ "mda-timeout", 0, OPT_DURATION, AT(mda_timeout), "TIME", "how long the MDA may take to answer", NULL, 0 },
	{ "password-file", 0, OPT_STR, AT(password_file), "FILE", "the smarthost's password, readable by nobody else",
	    NULL, 0 },
	{ "password-command", 0, OPT_STR, AT(password_command), "CMD", "a command that prints it", NULL, 0 },
	{ "concurrency", 0, OPT_UINT, AT(concurrency), "N", "deliveries at once (default 20)", NULL, 0 },
	{ "destination-concurrency", 0, OPT_UINT, AT(per_destination), "N", "of them to one destination (default 10)",
	    NULL, 0 },
	{ "window", 0, OPT_UINT, AT(window), "N", "messages whose time is kept in memory (default 100000)", NULL, 0 },
	{ "warn-after", 0, OPT_DURATION, AT(warn_after), "TIME",
	    "until the sender is told of a delay (default 4h; 0: never)", NULL, 0 },
	{ "return-max", 0, OPT_SIZE, AT(return_max), "SIZE",
	    "of a message that is returned whole when its sender asks (default 1M)", NULL, 0 },
	{ "postmaster", 0, OPT_STR, AT(postmaster), "ADDRESS", "gets the bounces that can't be delivered", NULL, 0 },
	{ "ready-file", 0, OPT_STR, AT(ready_file), "FILE", "kept while the queue is worked on", NULL, OPT_NO_CONFIG },
	{ "ready", 0, OPT_FLAG, AT(ready), NULL, "tell whether the runner of --ready-file is up", NULL, OPT_NO_CONFIG },
	{ "log", 0, OPT_CHOICE, AT(log), NULL, "whose lines the log has", "native|postfix", 0 },
	{ "log-file", 0, OPT_STR, AT(log_file), "FILE", "append the log to FILE", NULL, 0 },
	{ "metrics", 0, OPT_STR, AT(metrics), "FILE", "keep Prometheus' text there", NULL, OPT_NO_CONFIG },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events to FILE", NULL, 0 },
	{ "explain", 0, OPT_FLAG, AT(explain), NULL, "say why on stderr", NULL, 0 },
	{ NULL, 0, 0, 0, NULL, NULL, NULL, 0 },
};

static const struct opt_group groups[] = {
	{ relay_way_options, AT(way) },
	{ confine_options, AT(confine) },
	{ 0 },
};

static const struct opts program = {
	.prog = "mta-relay run",
	.synopsis = "[OPTION]...",
	.about = "Delivers the messages of the queue.",
	.table = relay_run_options,
	.groups = groups,
};

static volatile sig_atomic_t stopping, reloading, dumping;

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		reloading = 1;
	else if (sig == SIGUSR1)
		dumping = 1;
	else
		stopping = 1;
}

static void hear_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
}

static int check_numbers(const struct run_options *o, struct err *err)
{
	if (!o->concurrency || o->concurrency > 1000 || !o->per_destination)
		return err_set(err, ERR_USAGE, "--concurrency is 1 to 1000, --destination-concurrency at least 1");
	if (o->window < 100)
		return err_set(err, ERR_USAGE, "--window is 100 at least");
	if (o->now && !o->once)
		return err_set(err, ERR_USAGE, "--now needs --once");
	return way_check(&o->way, err);
}

/* Everything that is derived from the options, once. */
static int configure(struct run *r, struct err *err)
{
	const struct run_options *o = &r->o;
	if (check_numbers(o, err) < 0)
		return -1;
	r->hostname = relay_hostname(o->way.hostname);
	r->route_config = way_route_config(&o->way);
	r->hop = (struct hop_config){ .hostname = r->hostname,
		.resolver = o->way.resolver,
		.port = (uint16_t)o->way.port,
		.password_file = o->password_file,
		.password_command = o->password_command,
		.mda_timeout = o->mda_timeout };
	r->routes = routes_open(&r->route_config, err);
	r->worker = xcalloc(o->concurrency, sizeof *r->worker);
	r->stop = &stopping;
	r->reload = &reloading;
	r->dump = &dumping;
	r->enough = mmap(NULL, sizeof *r->enough, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->enough == MAP_FAILED)
		return err_sys(err, "mmap");
	return r->routes ? run_confine_set_up(r, r->routes, err) : -1;
}

static int open_queue(struct run *r, struct err *err)
{
	const struct run_options *o = &r->o;
	/* --once does not stay. */
	spool_durability(
	    o->once && o->durability == DURABILITY_AUTO ? DURABILITY_FILE : (enum durability)o->durability);
	r->spool = o->node ? spool_open_node(o->queue, o->node, err) : spool_open(o->queue, err);
	if (!r->spool)
		return -1;
	r->deliver = (struct deliver){ .s = r->spool,
		.retry_min = o->way.retry_min / 1000,
		.retry_max = o->way.retry_max / 1000,
		.bounce = { .hostname = r->hostname,
		    .postmaster = o->postmaster,
		    .warn_after = o->warn_after / 1000,
		    .expire = o->way.expire / 1000,
		    .return_max = o->return_max } };
	return 0;
}

/* The runner itself, and not just a worker that it left: a POSIX lock is its alone, children do not inherit it, and it
 * ends with the process even while nobody has waited for that. */
static struct flock runner_lock(void)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

static bool alive(int fd)
{
	struct flock l = runner_lock();
	return fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

/* Two runners on one queue would deliver twice. The lock is shared with the workers, so that it lasts until
 * the last of them has ended; they die with their parent, and are waited for when it is gone. */
static int lock_queue(const struct run *r, struct err *err)
{
	char *path = xasprintf("%s/lock", spool_dir(r->spool)), pid[32];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = fd;
	/* One that seems alive may have been killed just now. */
	for (int i = 0; fd >= 0 && (rc = flock(fd, LOCK_EX | LOCK_NB)) < 0 && i < (alive(fd) ? DYING_WAIT : LOCK_WAIT);
	     i++)
		usleep(100000);
	if (rc < 0 && errno == EWOULDBLOCK)
		err_set(err, ERR_TEMP, "%s: another mta-relay run works on this queue", path);
	else if (rc < 0)
		err_sys(err, "%s", path);
	int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	struct flock ours = runner_lock();
	if (rc == 0 && fcntl(fd, F_SETLK, &ours) < 0)
		rc = err_sys(err, "%s", path);
	/* On a full disk nobody can read who we are; only our work makes room there. */
	if (rc == 0 && (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) < 0))
		log_warn("lock reason=%s", log_quote(span_str(strerror(errno))));
	free(path);
	return rc < 0 ? -1 : fd;
}

static void release(struct run *r, int lock)
{
	if (lock >= 0 && ftruncate(lock, 0) == 0)
		close(lock);
	run_confine_clean_up(r);
	routes_close(r->routes);
	spool_close(r->spool);
	free(r->worker);
}

int relay_run(int argc, char **argv)
{
	static struct run r = { .o = { .queue = RELAY_DEFAULT_QUEUE,
				    .durability = DURABILITY_AUTO,
				    .concurrency = 20,
				    .per_destination = 10,
				    .window = 2 * SCHED_WINDOW,
				    .return_max = 1048576,
				    .warn_after = 4 * HOUR,
				    .mda_timeout = TIME_SMTP_COMMAND } };
	struct opts own = program;
	struct err err = { 0 };
	int first, status, lock = -1;
	own.values = &r.o;
	r.o.way = way_defaults;
	if (relay_options(argc, argv, &own, &first, &status) != OPTS_OK)
		return status;
	if (first < argc)
		err_set(&err, ERR_USAGE, "'%s' is not expected", argv[first]);
	else if (r.o.ready)
		return relay_ready(own.prog, r.o.ready_file, r.o.queue);
	hear_signals();
	if (err.class || events_open((enum event_format)r.o.log, "qmgr", r.o.log_file, &err) < 0 ||
	    configure(&r, &err) < 0 || trace_open("mta-relay", "mta", r.o.trace, r.o.explain, &err) < 0 ||
	    open_queue(&r, &err) < 0 || (lock = lock_queue(&r, &err)) < 0 || run_status_open(&r, &err) < 0) {
		relay_complain(own.prog, &err);
		status = err_exit_status(&err);
	} else {
		int swept = spool_sweep(r.spool);
		if (swept)
			log_info("sweep files=%d", swept);
		status = run_loop(&r);
		run_status_close(&r);
	}
	release(&r, lock);
	return status;
}
