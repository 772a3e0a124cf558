/* SPDX-License-Identifier: ISC
 *
 * queue-sink: SMTP servers for many destinations, which take everything and note when.
 *
 *   queue-sink [-d DOMAINS] [-n COUNT] [-D DEAD] [-s SLOW] [-w MS] LOG
 *
 * Domain i lives at 127.1.(i / 250).(i % 250 + 1), all at one port, which is printed on stdout. The domain DEAD refuses
 * connections; the domain SLOW waits MS before each reply. Lines on stdout: "first T" at the first message, "all T"
 * when COUNT came, those of SLOW not counted; T is seconds since 1970. LOG then gets a line "T DOMAIN" for each
 * message. It goes on until SIGTERM. bench/queue compiles it into its own directory.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct arrival {
	double when;
	int domain;
};

static struct {
	int domains, dead, slow, slow_ms;
	long count, counted;
	const char *log;
	struct arrival *came;
	size_t n, cap;
	pthread_mutex_t lock;
} sink = { .domains = 1000, .dead = -1, .slow = -1, .slow_ms = 500, .count = 1, .lock = PTHREAD_MUTEX_INITIALIZER };

struct session {
	int fd, domain;
};

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void write_log(void)
{
	FILE *f = fopen(sink.log, "w");
	if (!f)
		return;
	for (size_t i = 0; i < sink.n; i++)
		fprintf(f, "%.6f %d\n", sink.came[i].when, sink.came[i].domain);
	fclose(f);
}

static void arrived(int domain)
{
	pthread_mutex_lock(&sink.lock);
	if (sink.n == sink.cap) {
		sink.cap = sink.cap ? sink.cap * 2 : 4096;
		sink.came = realloc(sink.came, sink.cap * sizeof *sink.came);
		if (!sink.came)
			exit(75);
	}
	sink.came[sink.n++] = (struct arrival){ now(), domain };
	if (sink.n == 1) {
		printf("first %.6f\n", sink.came[0].when);
		fflush(stdout);
	}
	if (domain != sink.slow && ++sink.counted == sink.count) {
		write_log();
		printf("all %.6f\n", now());
		fflush(stdout);
	}
	pthread_mutex_unlock(&sink.lock);
}

static bool say(const struct session *s, const char *text)
{
	if (s->domain == sink.slow)
		nanosleep(&(struct timespec){ sink.slow_ms / 1000, sink.slow_ms % 1000 * 1000000L }, NULL);
	size_t n = strlen(text);
	return send(s->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool take_content(const struct session *s, FILE *in)
{
	char line[4096];
	while (fgets(line, sizeof line, in)) {
		if (strcmp(line, ".\r\n") == 0) {
			arrived(s->domain);
			return say(s, "250 2.0.0 Ok\r\n");
		}
	}
	return false;
}

static void talk(const struct session *s, FILE *in)
{
	char line[4096];
	bool on = say(s, "220 sink.example ESMTP\r\n");
	while (on && fgets(line, sizeof line, in)) {
		if (strncasecmp(line, "EHLO", 4) == 0)
			on =
			    say(s, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
		else if (strncasecmp(line, "DATA", 4) == 0)
			on = say(s, "354 go on\r\n") && take_content(s, in);
		else if (strncasecmp(line, "QUIT", 4) == 0)
			on = say(s, "221 2.0.0 bye\r\n") && false;
		else
			on = say(s, "250 2.0.0 Ok\r\n");
	}
}

static void *serve(void *arg)
{
	struct session *s = arg;
	int on = 1;
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	FILE *in = fdopen(s->fd, "r");
	if (in) {
		talk(s, in);
		fclose(in);
	}
	free(s);
	return NULL;
}

static int listen_at(int domain, uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(*port) };
	at.sin_addr.s_addr = htonl(0x7f010000U + (uint32_t)(domain / 250 * 256 + domain % 250 + 1));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t n = sizeof at;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&at, &n))
		return -1;
	*port = ntohs(at.sin_port);
	return fd;
}

static int *listen_all(int poll, uint16_t *port)
{
	int *fds = calloc((size_t)sink.domains, sizeof *fds);
	for (int i = 0; fds && i < sink.domains; i++) {
		if (i == sink.dead)
			continue;
		fds[i] = listen_at(i, port);
		if (fds[i] < 0 ||
		    epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &(struct epoll_event){ EPOLLIN, { .u32 = (uint32_t)i } })) {
			perror("queue-sink: listen");
			exit(1);
		}
	}
	return fds;
}

static void accept_one(int fd, int domain)
{
	pthread_t thread;
	struct session *s = malloc(sizeof *s);
	if (!s)
		exit(75);
	*s = (struct session){ accept4(fd, NULL, NULL, SOCK_CLOEXEC), domain };
	if (s->fd < 0 || pthread_create(&thread, NULL, serve, s)) {
		free(s);
		return;
	}
	pthread_detach(thread);
}

static void stop(int sig)
{
	(void)sig;
	_exit(0);
}

int main(int argc, char **argv)
{
	for (int opt; (opt = getopt(argc, argv, "d:n:D:s:w:")) != -1;) {
		int value = (int)strtol(optarg ? optarg : "", NULL, 10);
		switch (opt) {
		case 'd':
			sink.domains = value;
			break;
		case 'n':
			sink.count = value;
			break;
		case 'D':
			sink.dead = value;
			break;
		case 's':
			sink.slow = value;
			break;
		case 'w':
			sink.slow_ms = value;
			break;
		default:
			return 64;
		}
	}
	if (optind + 1 != argc)
		return 64;
	sink.log = argv[optind];
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGTERM, stop);
	int poll = epoll_create1(EPOLL_CLOEXEC);
	uint16_t port = 0;
	int *fds = listen_all(poll, &port);
	printf("%u\n", port);
	fflush(stdout);
	for (struct epoll_event e; epoll_wait(poll, &e, 1, -1) >= 0;)
		accept_one(fds[e.data.u32], (int)e.data.u32);
	return 1;
}
