/* SPDX-License-Identifier: ISC
 *
 * Clients of an SMTP server, all in one process: honest ones that bring a message in each connection and come again,
 * slow ones that send a byte a second, and silent ones that send nothing. Who is sent away comes again after a second.
 *
 *   siege PORT SECONDS HONEST SLOW SILENT
 *
 * Honest clients come from 127.0.0.1, slow ones from 127.0.1.x, silent ones from 127.0.2.x. Prints "MESSAGES SECONDS
 * SENT-AWAY REFUSED": messages that were answered 250, in how many seconds; how often a slow or silent client was sent
 * away, and an honest one not served.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	AGAIN_MS = 1000,
	BYTE_MS = 1000,
	WARM_MS = 8000, /* the server starts its processes */
	SIZE = 4096
};
enum kind {
	HONEST,
	SLOW,
	SILENT
};
struct client {
	enum kind kind;
	int fd, step;
	unsigned at; /* slow: bytes sent */
	int64_t due; /* ms: connect again, or the next byte; 0: nothing */
	struct sockaddr_in from;
};
static int epoll_fd;
static unsigned short port;
static unsigned long messages, sent_away, refused;
static char content[SIZE + 100];

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void begin(struct client *c)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	c->step = 0;
	c->at = 0;
	c->due = c->kind == SLOW ? now_ms() + BYTE_MS : 0;
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&c->from, sizeof c->from) ||
	    (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e)) {
		perror("siege: connect");
		exit(1);
	}
}

static void end(struct client *c, bool again)
{
	close(c->fd);
	c->fd = -1;
	if (again)
		begin(c);
	else
		c->due = now_ms() + AGAIN_MS;
}

/* What an honest client says when it has heard the code. */
static const struct {
	int code;
	const char *say;
} steps[] = {
	{ 220, "EHLO honest.example\r\n" },
	{ 250, "MAIL FROM:<a@honest.example>\r\nRCPT TO:<user@dest.example>\r\nDATA\r\n" },
	{ 250, "" },
	{ 250, "" },
	{ 354, content },
	{ 250, "QUIT\r\n" },
	{ 221, "" },
};

static void hear(struct client *c, int code)
{
	if (code != steps[c->step].code) {
		refused++;
		end(c, false);
		return;
	}
	const char *say = steps[c->step].say;
	messages += c->step == 5;
	if (*say && write(c->fd, say, strlen(say)) != (ssize_t)strlen(say)) {
		refused++;
		end(c, false);
	} else if (steps[c->step++].code == 221) {
		end(c, true);
	}
}

static void readable(struct client *c)
{
	char in[4096];
	ssize_t n = read(c->fd, in, sizeof in - 1);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		*(c->kind == HONEST ? &refused : &sent_away) += 1;
		end(c, false);
		return;
	}
	in[n] = '\0';
	/* Replies come in one piece: a server that flushes half a line would be found out by its code. */
	for (char *line = in, *lf; c->kind == HONEST && c->fd >= 0 && (lf = strchr(line, '\n')); line = lf + 1)
		if (line + 3 < lf && line[3] == ' ')
			hear(c, (int)strtol(line, NULL, 10));
}

static void due(struct client *c)
{
	static const char dripped[] =
	    "EHLO slow.example\r\nMAIL FROM:<a@slow.example>\r\nRCPT TO:<user@dest.example>\r\nDATA\r\n"
	    "Subject: slow\r\n\r\nand so on, and so on";
	if (c->fd < 0) {
		begin(c);
		return;
	}
	char byte = c->at < sizeof dripped - 1 ? dripped[c->at] : 'x';
	c->at++;
	c->due = now_ms() + BYTE_MS;
	if (send(c->fd, &byte, 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINPROGRESS) {
		sent_away++;
		end(c, false);
	}
}

static void make(struct client *c, enum kind kind, unsigned i)
{
	uint32_t address = 0x7f000000u + (uint32_t)kind * 256 + 1 + (kind == HONEST ? 0 : i % 250);
	*c = (struct client){ .kind = kind, .from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) } };
	begin(c);
}

static void run(struct client *v, unsigned n, int64_t until)
{
	for (int64_t next = 0, now; (now = now_ms()) < until;) {
		struct epoll_event e[256];
		int got = epoll_wait(epoll_fd, e, 256, 20);
		for (int i = 0; i < got; i++)
			readable(e[i].data.ptr);
		if (now < next)
			continue;
		next = now + 50;
		for (unsigned i = 0; i < n; i++)
			if (v[i].due && v[i].due <= now)
				due(&v[i]);
	}
}

int main(int argc, char **argv)
{
	unsigned count[3], n = 0;
	struct rlimit files = { 65536, 65536 };
	if (argc != 6)
		return 64;
	port = (unsigned short)strtoul(argv[1], NULL, 10);
	for (int k = 0; k < 3; k++)
		n += count[k] = (unsigned)strtoul(argv[3 + k], NULL, 10);
	setrlimit(RLIMIT_NOFILE, &files);
	memset(content, 'x', SIZE);
	memcpy(content, "Subject: honest\r\n\r\n", 19);
	for (size_t i = 90; i < SIZE; i += 80)
		memcpy(content + i, "\r\n", 2);
	memcpy(content + SIZE, "\r\n.\r\n", 6);
	epoll_fd = epoll_create1(0);
	struct client *v = calloc(n, sizeof *v);
	n = 0;
	/* The attackers are there first. */
	for (int k = SILENT; k > HONEST; k--)
		for (unsigned i = 0; i < count[k]; i++)
			make(&v[n++], (enum kind)k, i);
	run(v, n, now_ms() + (n ? 3000 : 0));
	for (unsigned i = 0; i < count[HONEST]; i++)
		make(&v[n++], HONEST, i);
	run(v, n, now_ms() + WARM_MS);
	messages = refused = 0;
	int64_t seconds = strtol(argv[2], NULL, 10);
	run(v, n, now_ms() + seconds * 1000);
	printf("%lu %lld %lu %lu\n", messages, (long long)seconds, sent_away, refused);
	return 0;
}
