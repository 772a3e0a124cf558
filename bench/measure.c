/* SPDX-License-Identifier: ISC
 *
 * measure: runs a load generator and tells how long it took until the last message had arrived.
 *
 *   measure [-l SECONDS] -m MAILDIR -n COUNT COMMAND...   the COUNT-th new entry of MAILDIR/new
 *   measure [-l SECONDS] -c FILE -n COUNT COMMAND...      COUNT more than now in the last "mesg=N" of smtp-sink's
 * counters
 *
 * Prints "ACCEPTED ARRIVED": seconds from the command's start until its end, and until the last arrival. It looks every
 * 4 ms, by inotify(7) or one pread(2), so that it takes no time from what it measures. Exits with 1 when the command
 * failed or the limit passed. bench/smtp compiles it into its own directory.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct watch {
	bool maildir;
	int fd;
	char dir[4096];
	long first; /* the counter at the start */
	long seen;
};

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static long entries(const char *dir)
{
	DIR *d = opendir(dir);
	long n = 0;
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* Each new entry is one event; when there were too many, the directory itself is asked. */
static void look_maildir(struct watch *w)
{
	static char events[1 << 18] __attribute__((aligned(8)));
	ssize_t n = read(w->fd, events, sizeof events);
	for (ssize_t at = 0; at < n;) {
		struct inotify_event e;
		memcpy(&e, events + at, sizeof e);
		if (e.mask & IN_Q_OVERFLOW)
			w->seen = entries(w->dir);
		else if (e.len > 0 && events[at + (ssize_t)sizeof e] != '.')
			w->seen++;
		at += (ssize_t)(sizeof e + e.len);
	}
}

static long counter(int fd)
{
	char tail[129];
	struct stat st;
	if (fstat(fd, &st))
		return 0;
	off_t from = st.st_size > 128 ? st.st_size - 128 : 0;
	ssize_t n = pread(fd, tail, sizeof tail - 1, from);
	tail[n > 0 ? n : 0] = '\0';
	long value = 0;
	/* The last one may be cut short: it counts only with what stands after it. */
	for (char *p = tail, *end; (p = strstr(p, "mesg=")); p = end) {
		long v = strtol(p + 5, &end, 10);
		if (*end)
			value = v;
	}
	return value;
}

static void look(struct watch *w)
{
	if (w->maildir)
		look_maildir(w);
	else
		w->seen = counter(w->fd) - w->first;
}

static int open_watch(struct watch *w, const char *maildir, const char *file)
{
	if (maildir) {
		w->maildir = true;
		snprintf(w->dir, sizeof w->dir, "%s/new", maildir);
		w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		return w->fd < 0 || inotify_add_watch(w->fd, w->dir, IN_CREATE | IN_MOVED_TO) < 0 ? -1 : 0;
	}
	w->fd = open(file, O_RDONLY | O_CLOEXEC);
	w->first = w->fd < 0 ? 0 : counter(w->fd);
	return w->fd < 0 ? -1 : 0;
}

static pid_t spawn(char **command)
{
	pid_t pid = fork();
	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	return pid;
}

/* Until the command has ended and count messages are there. */
static int wait_for(struct watch *w, pid_t pid, long count, double began, double limit)
{
	double accepted = 0, arrived = 0;
	while (accepted == 0 || arrived == 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 4000000 }, NULL);
		look(w);
		if (arrived == 0 && w->seen >= count)
			arrived = now() - began;
		int status = 0;
		if (accepted == 0 && waitpid(pid, &status, WNOHANG) == pid) {
			accepted = now() - began;
			if (status != 0)
				return 1;
		}
		if (now() - began > limit) {
			fprintf(stderr, "measure: %ld of %ld arrived in %.0f s\n", w->seen, count, limit);
			if (accepted == 0)
				kill(pid, SIGTERM);
			return 1;
		}
	}
	printf("%.4f %.4f\n", accepted, arrived);
	return 0;
}

int main(int argc, char **argv)
{
	const char *maildir = NULL, *file = NULL;
	long count = 0;
	double limit = 60;
	for (int opt; (opt = getopt(argc, argv, "+m:c:n:l:")) != -1;) {
		switch (opt) {
		case 'm':
			maildir = optarg;
			break;
		case 'c':
			file = optarg;
			break;
		case 'n':
			count = strtol(optarg, NULL, 10);
			break;
		case 'l':
			limit = strtod(optarg, NULL);
			break;
		default:
			return 64;
		}
	}
	if (!maildir == !file || count <= 0 || optind == argc) {
		fprintf(stderr, "usage: measure [-l SECONDS] (-m MAILDIR | -c FILE) -n COUNT COMMAND...\n");
		return 64;
	}
	struct watch w = { 0 };
	if (open_watch(&w, maildir, file)) {
		fprintf(stderr, "measure: %s: %s\n", maildir ? maildir : file, strerror(errno));
		return 1;
	}
	double began = now();
	pid_t pid = spawn(argv + optind);
	return pid < 0 ? 1 : wait_for(&w, pid, count, began, limit);
}
