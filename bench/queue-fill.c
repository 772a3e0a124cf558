/* SPDX-License-Identifier: ISC
 *
 * queue-fill: writes messages into a queue as waypost-queue(5) describes it, thousands in a second, unsynced.
 *
 *   queue-fill [-n MESSAGES] [-d DOMAINS] [-H HEAVY] [-S PERCENT] [-l BYTES] [-m] DIR
 *
 * DIR is a node's msg/. Each message has one recipient, in d0.example to d(DOMAINS-1).example; the first HEAVY domains
 * have PERCENT of the messages. Those arrived before all others, unless -m mixes them; a millisecond lies between two
 * arrivals, the last of which is now. bench/queue compiles it into its own directory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE = 72
};
static long messages = 100000, domains = 1000, heavy = 10, share = 50, bytes = 2048;
static bool mixed;

static void name(char id[17], int64_t us)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	memset(id, '0', 16);
	for (int i = 10; i >= 0; i--, us >>= 5)
		id[i] = digits[us & 31];
	id[16] = '\0';
}

/* The i-th message's domain. */
static long domain_of(long i)
{
	static uint32_t seed = 1;
	bool is_heavy = i < messages * share / 100;
	if (mixed) {
		seed = seed * 1664525 + 1013904223;
		is_heavy = (long)(seed >> 16) % 100 < share;
	}
	if (heavy >= domains)
		is_heavy = true;
	if (heavy == 0)
		is_heavy = false;
	return is_heavy ? i % heavy : heavy + i % (domains - heavy);
}

static int put(int dir, long i, int64_t us, const char *filler)
{
	char id[17], text[1024], content[512];
	name(id, us);
	long domain = domain_of(i);
	int head = snprintf(content, sizeof content,
	    "From: <sender@sender.example>\r\nTo: <user@d%ld.example>\r\nSubject: message %ld\r\nMessage-ID: "
	    "<%ld.bench@sender.example>\r\n\r\n",
	    domain, i, i);
	int rest = head < bytes ? (int)bytes - head : 0;
	rest -= rest % LINE == 1; /* no half of a line's end */
	int n = snprintf(text, sizeof text,
	    "waypost-queue 1\nsize: %015d\narrived: %lld.%06lld\nfrom: <sender@sender.example>\nclient: local\nrcpt: "
	    "<user@d%ld.example>\n\n%s",
	    head + rest, (long long)(us / 1000000), (long long)(us % 1000000), domain, content);
	int fd = openat(dir, id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || n < 0 || write(fd, text, (size_t)n) != n)
		return -1;
	if (write(fd, filler + bytes - rest, (size_t)rest) != rest || write(fd, "\n", 1) != 1)
		return -1;
	struct timespec due = { .tv_sec = us / 1000000 };
	futimens(fd, (struct timespec[2]){ due, due });
	return close(fd);
}

static char *make_filler(void)
{
	char *p = malloc((size_t)bytes + 2);
	if (!p)
		exit(75);
	/* Each message has the last part of it: lines, counted from the end. */
	for (long i = 0; i < bytes; i++) {
		long left = (bytes - i) % LINE;
		p[i] = left == 2 ? '\r' : left == 1 ? '\n' : 'x';
	}
	return p;
}

int main(int argc, char **argv)
{
	for (int opt; (opt = getopt(argc, argv, "n:d:H:S:l:m")) != -1;) {
		switch (opt) {
		case 'n':
			messages = strtol(optarg, NULL, 10);
			break;
		case 'd':
			domains = strtol(optarg, NULL, 10);
			break;
		case 'H':
			heavy = strtol(optarg, NULL, 10);
			break;
		case 'S':
			share = strtol(optarg, NULL, 10);
			break;
		case 'l':
			bytes = strtol(optarg, NULL, 10);
			break;
		case 'm':
			mixed = true;
			break;
		default:
			return 64;
		}
	}
	if (optind + 1 != argc || messages < 1 || domains < 1 || heavy < 0 || bytes < 0)
		return 64;
	int dir = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *filler = make_filler();
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - messages * 1000;
	for (long i = 0; i < messages; i++, us += 1000) {
		if (put(dir, i, us, filler)) {
			perror(argv[optind]);
			return 1;
		}
	}
	return 0;
}
