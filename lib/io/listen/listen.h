/* SPDX-License-Identifier: ISC
 *
 * How a server program gets its conversations: inetd's stdin/stdout, a connection or listening sockets from systemd
 * (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), or sockets of its own (--listen). With listening sockets
 * it pre-forks workers that accept, serve one conversation, and accept again; the parent restarts those that end, and
 * on SIGTERM lets each finish its conversation's present command. SIGHUP runs `reload` in the parent, opens the log
 * again and recycles the workers; SIGUSR1 logs the conversations. The parent tells a service manager what sd_notify(3)
 * has words for, and its watchdog that it is not stuck.
 *
 * While three quarters of twenty or more workers are busy, or all are and a client waits, the server is under stress
 * (io/stream.h, stream_is_stressed).
 */
#ifndef WP_IO_LISTEN_H
#define WP_IO_LISTEN_H

#include <signal.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/opts.h"
#include "io/net.h"
#include "io/stream.h"

struct conn {
	struct stream *s;            /* owned by the server loop, which closes it */
	struct net_addr peer, local; /* len 0 when it is no socket */
	char peer_ip[64];            /* "192.0.2.1", "2001:db8::1", "unix", or "local" for a terminal or pipe */
	uint16_t peer_port;
	bool implicit_tls; /* the listener says ",tls" (or systemd's name of it is smtps, submissions, imaps, pop3s
			    * or ends in "-tls"): the handler starts TLS before it greets */
	const char *name;  /* LISTEN_FDNAMES' name or the --listen text; "" for stdin */
	int worker;        /* index of the worker, 0 alone */
};
/* Serves one conversation; the result is the exit status when there is just one. */
typedef int conn_fn(struct conn *c, void *arg);

/* What the parent knows. */
struct serve_state {
	unsigned conversations;
	int64_t now; /* ms, of a clock that only goes forward */
	bool last;   /* the workers have ended, and so will we */
};

struct serve_options {
	/* "ADDR:PORT[,tls]", "[::1]:25", ":25", "25" (all addresses), "unix:PATH[,mode=0660]" */
	struct opt_list listen;
	unsigned workers;         /* 0: as many as make sense (grows with load up to max_clients) */
	unsigned max_clients;     /* conversations at once; 0: 100 */
	unsigned max_per_client;  /* of one address; 0: no limit */
	unsigned max_per_network; /* of addresses that have prefix4 or prefix6 bits in common; 0: no limit */
	unsigned prefix4, prefix6;
	/* Is max_per_network none of this address's? NULL: it is everybody's. */
	bool (*exempt)(void *arg, const struct net_addr *a);
	unsigned recycle; /* a worker ends after this many conversations; 0: 1000 */
	const char
	    *too_many; /* the protocol line for a client over one of these limits, with CRLF; NULL: just closed */
	/* Connections from there begin with a PROXY header (io/listen/proxy.h): peer and local; NULL: none. */
	const struct net_list *proxies;
	/* Clients from there will say by serve_renamed whose the conversation is: until then no limit of one client or
	 * network is theirs. NULL: none. */
	const struct net_list *renamers;
	/* Written with the bound addresses, one a line, when all listen; a heartbeat (io/listen/heartbeat.h) until we
	 * stop; NULL: none. */
	const char *ready_file;
	int (*reload)(void *arg); /* NULL: nothing to read again */
	/* In the parent every few seconds: true asks for what SIGHUP does, as files have changed. NULL: nothing to look
	 * at. */
	bool (*stale)(void *arg, int64_t now);
	void (*tick)(void *arg, const struct serve_state *s); /* in the parent every few seconds, and at the end */
	int (*worker_start)(void *arg); /* in each worker (or the only process) before it reads from the network: open
					 * children, sandbox; 0, or an exit status */
	void (*worker_stop)(void *arg); /* when it ends in good order */
};
/* Does what the header says; returns an exit status (0 after SIGTERM or when the single conversation went well). Port 0
 * binds any free port: ready_file tells which. */
int serve(const struct serve_options *o, conn_fn *fn, void *arg, struct err *err);

/* The conversation in hand is this client's, as somebody says who may: it counts as his from now on. All without an
 * address (len 0) are one client. The limit that he is over; 0: none. */
unsigned serve_renamed(const struct net_addr *a);

/* Set by SIGTERM: finish the command in hand, then end the conversation (421 in SMTP, BYE in IMAP). A read that waits
 * for the next command ends early when it is set. */
extern volatile sig_atomic_t serve_stopping;

#endif
