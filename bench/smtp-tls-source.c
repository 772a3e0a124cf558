/* SPDX-License-Identifier: ISC
 *
 * smtp-tls-source: load for an SMTP server with STARTTLS, as Postfix's smtp-source makes it without. One thread for
 * each session, blocking, no session is resumed: each connection costs a whole handshake (RFC 3207, RFC 8446).
 *
 *   smtp-tls-source [-d] [-s SESSIONS] [-m MESSAGES] [-l BYTES] [-f FROM] [-t TO] HOST:PORT
 *
 * -d sends as many messages in a connection as there are, else it is one. Exits with 1 when a message was not accepted.
 * bench/smtp compiles it into its own directory.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
	int fd;
	SSL *ssl;
	char in[4096];
	size_t have, pos;
};

static struct {
	bool stay;
	long sessions, messages, bytes;
	const char *from, *to;
	struct sockaddr_in server;
	SSL_CTX *tls;
	char *body;
	size_t body_len;
	atomic_long next, refused;
} load = { .sessions = 1, .messages = 1, .bytes = 4096, .from = "sender@sender.example", .to = "user@dest.example" };

static int put(struct conn *c, const char *p, size_t n)
{
	while (n > 0) {
		int step = n > 16384 ? 16384 : (int)n;
		ssize_t done = c->ssl ? SSL_write(c->ssl, p, step) : send(c->fd, p, (size_t)step, MSG_NOSIGNAL);
		if (done <= 0)
			return -1;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static int next_byte(struct conn *c)
{
	if (c->pos == c->have) {
		ssize_t n = c->ssl ? SSL_read(c->ssl, c->in, sizeof c->in) : read(c->fd, c->in, sizeof c->in);
		if (n <= 0)
			return -1;
		c->have = (size_t)n;
		c->pos = 0;
	}
	return (unsigned char)c->in[c->pos++];
}

/* Sends text and reads one reply; 0 when it begins with the digit. */
static int ask(struct conn *c, char digit, const char *text)
{
	if (put(c, text, strlen(text)))
		return -1;
	char line[5];
	do {
		size_t n = 0;
		int ch;
		while ((ch = next_byte(c)) != '\n') {
			if (ch < 0)
				return -1;
			if (n < sizeof line - 1)
				line[n++] = (char)ch;
		}
		line[n] = '\0';
	} while (line[0] != '\0' && line[3] == '-');
	return line[0] == digit ? 0 : -1;
}

static int begin(struct conn *c)
{
	int on = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&load.server, sizeof load.server))
		return -1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (ask(c, '2', "") || ask(c, '2', "EHLO client.example\r\n") || ask(c, '2', "STARTTLS\r\n"))
		return -1;
	c->ssl = SSL_new(load.tls);
	c->have = c->pos = 0;
	if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || SSL_connect(c->ssl) != 1)
		return -1;
	return ask(c, '2', "EHLO client.example\r\n");
}

static int message(struct conn *c)
{
	char mail[300], rcpt[300];
	snprintf(mail, sizeof mail, "MAIL FROM:<%s>\r\n", load.from);
	snprintf(rcpt, sizeof rcpt, "RCPT TO:<%s>\r\n", load.to);
	if (ask(c, '2', mail) || ask(c, '2', rcpt) || ask(c, '3', "DATA\r\n"))
		return -1;
	if (put(c, load.body, load.body_len))
		return -1;
	return ask(c, '2', ".\r\n");
}

static void end(struct conn *c)
{
	if (c->ssl) {
		SSL_set_quiet_shutdown(c->ssl, 1);
		SSL_free(c->ssl);
	}
	if (c->fd >= 0)
		close(c->fd);
}

static void session(void)
{
	struct conn c = { .fd = -1 };
	bool up = false;
	while (atomic_fetch_add(&load.next, 1) < load.messages) {
		if (!up && begin(&c)) {
			atomic_fetch_add(&load.refused, 1);
			break;
		}
		up = true;
		if (message(&c)) {
			atomic_fetch_add(&load.refused, 1);
			break;
		}
		if (!load.stay)
			break;
	}
	if (up)
		ask(&c, '2', "QUIT\r\n");
	end(&c);
}

static void *work(void *unused)
{
	(void)unused;
	while (atomic_load(&load.next) < load.messages && atomic_load(&load.refused) == 0)
		session();
	return NULL;
}

/* A header, then lines of 70 letters up to the size. */
static void make_body(void)
{
	static const char header[] = "From: <sender@sender.example>\r\nTo: <user@dest.example>\r\nSubject: load\r\n"
				     "Message-ID: <load@client.example>\r\n\r\n";
	load.body_len = sizeof header - 1 > (size_t)load.bytes ? sizeof header - 1 : (size_t)load.bytes;
	load.body = malloc(load.body_len + 1);
	if (!load.body)
		exit(75);
	for (size_t i = 0; i < load.body_len; i++)
		load.body[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'X';
	memcpy(load.body, header, sizeof header - 1);
	memcpy(load.body + load.body_len - 2, "\r\n", 2);
}

static int target(const char *where)
{
	char host[64];
	const char *colon = strchr(where, ':');
	if (!colon || (size_t)(colon - where) >= sizeof host)
		return -1;
	memcpy(host, where, (size_t)(colon - where));
	host[colon - where] = '\0';
	load.server.sin_family = AF_INET;
	load.server.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return inet_pton(AF_INET, host, &load.server.sin_addr) == 1 ? 0 : -1;
}

static int options(int argc, char **argv)
{
	for (int opt; (opt = getopt(argc, argv, "ds:m:l:f:t:")) != -1;) {
		switch (opt) {
		case 'd':
			load.stay = true;
			break;
		case 's':
			load.sessions = strtol(optarg, NULL, 10);
			break;
		case 'm':
			load.messages = strtol(optarg, NULL, 10);
			break;
		case 'l':
			load.bytes = strtol(optarg, NULL, 10);
			break;
		case 'f':
			load.from = optarg;
			break;
		case 't':
			load.to = optarg;
			break;
		default:
			return -1;
		}
	}
	return optind + 1 == argc && load.sessions > 0 && load.bytes > 0 ? target(argv[optind]) : -1;
}

int main(int argc, char **argv)
{
	if (options(argc, argv)) {
		fprintf(stderr,
		    "usage: smtp-tls-source [-d] [-s SESSIONS] [-m MESSAGES] [-l BYTES] [-f FROM] [-t TO] HOST:PORT\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	make_body();
	load.tls = SSL_CTX_new(TLS_client_method());
	pthread_t *threads = calloc((size_t)load.sessions, sizeof *threads);
	if (!load.tls || !threads)
		return 75;
	SSL_CTX_set_session_cache_mode(load.tls, SSL_SESS_CACHE_OFF);
	for (long i = 0; i < load.sessions; i++) {
		if (pthread_create(&threads[i], NULL, work, NULL))
			return 75;
	}
	for (long i = 0; i < load.sessions; i++)
		pthread_join(threads[i], NULL);
	return atomic_load(&load.refused) ? 1 : 0;
}
