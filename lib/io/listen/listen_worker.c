/* SPDX-License-Identifier: ISC
 *
 * One process that serves conversations: alone, or a worker that accepts, serves one, and accepts again. Idle
 * workers wait with EPOLLEXCLUSIVE, so that a connection wakes one of them and not all.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "io/listen/listen_int.h"
#include "io/listen/proxy.h"

enum {
	SPARE_MS = 30 * 1000,     /* an idle worker beyond those wanted ends after this */
	ACCEPT_PAUSE_US = 100000, /* when the system has no descriptors left */
	RECYCLE = 1000,
	PROXY_MS = 10 * 1000, /* for the header */
	ADDRESS_BITS = 128,
	STOP = UINT32_MAX, /* epoll's data for the two descriptors that are no listeners */
	RETIRE = UINT32_MAX - 1,
};

volatile sig_atomic_t serve_stopping;

/* ---- signals ---- */

static int retire_fd = -1;

static void poke(int fd)
{
	int keep = errno;
	uint64_t one = 1;
	if (fd >= 0 && write(fd, &one, sizeof one) < 0)
		errno = keep; /* it is readable already */
	errno = keep;
}

/* A worker's copies of the listening sockets. They are closed at once, so that the next server can bind while the
 * conversations in hand are finished. */
static const struct listeners *listening;

static void on_stop(int sig)
{
	(void)sig;
	serve_stopping = 1;
	for (size_t i = 0; listening && i < listening->n; i++)
		close(listening->v[i].fd);
	listening = NULL;
	poke(stream_interrupt_fd);
}

static void on_retire(int sig)
{
	(void)sig;
	poke(retire_fd);
}

static void handle(int sig, void (*fn)(int))
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = SA_RESTART };
	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

int stop_signals_init(void)
{
	if (stream_interrupt_fd >= 0)
		close(stream_interrupt_fd); /* our parent's */
	stream_interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	handle(SIGTERM, on_stop);
	handle(SIGINT, on_stop);
	return stream_interrupt_fd;
}

/* ---- a connection ---- */

static void use_ucspi(struct conn *c)
{
	const char *ip = getenv("TCPREMOTEIP"), *port = getenv("TCPREMOTEPORT");
	const char *local_ip = getenv("TCPLOCALIP"), *local_port = getenv("TCPLOCALPORT");
	uint64_t p = 0, lp = 0;
	if (port)
		span_u64(span_str(port), 65535, &p);
	if (local_port)
		span_u64(span_str(local_port), 65535, &lp);
	if (!ip || !net_addr_parse(ip, (uint16_t)p, &c->peer))
		return;
	if (local_ip && !net_addr_parse(local_ip, (uint16_t)lp, &c->local))
		c->local.len = 0;
	/* The pipe stands for a TCP connection: its line ends are the network's. */
	stream_set_local(c->s, false);
}

static void name_peer(struct conn *c)
{
	if (c->peer.len)
		net_addr_text(&c->peer, c->peer_ip, sizeof c->peer_ip);
	else
		snprintf(c->peer_ip, sizeof c->peer_ip, "local");
	c->peer_port = net_addr_port(&c->peer);
}

void conn_init(struct conn *c, int rfd, int wfd, const struct listener *l)
{
	*c = (struct conn){ .s = stream_from_fds(rfd, wfd), .name = l ? l->name : "", .implicit_tls = l && l->tls };
	c->peer.len = c->local.len = sizeof c->peer.sa;
	if (getpeername(rfd, (struct sockaddr *)&c->peer.sa, &c->peer.len))
		c->peer.len = 0;
	if (getsockname(rfd, (struct sockaddr *)&c->local.sa, &c->local.len))
		c->local.len = 0;
	if (!c->peer.len && stream_is_local(c->s))
		use_ucspi(c);
	name_peer(c);
}

/* Who is there really. False: a proxy that does not say it as agreed; nothing is said to it. */
static bool meet_proxy(const struct serve_options *o, struct conn *c)
{
	struct proxy_header h;
	struct err err = { 0 };
	if (!o->proxies || !c->peer.len || !net_list_match(o->proxies, &c->peer))
		return true;
	if (proxy_accept(stream_fd(c->s), PROXY_MS, &h, &err)) {
		log_warn("proxy client=%s error=%s", c->peer_ip, log_quote(span_str(err.text)));
		return false;
	}
	if (h.own)
		return true;
	c->peer = h.src;
	c->local = h.dst;
	name_peer(c);
	return true;
}

int server_single(const struct serve_options *o, struct conn *c, conn_fn *fn, void *arg)
{
	int status = o->worker_start ? o->worker_start(arg) : 0;
	if (status == 0) {
		status = meet_proxy(o, c) ? fn(c, arg) : EX_PROTOCOL;
		stream_close(c->s);
		if (o->worker_stop)
			o->worker_stop(arg);
	} else {
		stream_close(c->s);
	}
	return status;
}

/* ---- the board ---- */

unsigned board_count(const struct board *b, int state)
{
	unsigned n = 0;
	for (unsigned i = 0; i < b->n; i++)
		n += atomic_load_explicit(&b->slot[i].state, memory_order_relaxed) == state;
	return n;
}

unsigned board_want_idle(const struct board *b)
{
	return 2 + board_count(b, SLOT_BUSY) / 4;
}

/* The address as 16 bytes, an IPv4 one mapped; zero for others, which are never limited. */
static bool client_key(const struct net_addr *a, unsigned char key[16])
{
	memset(key, 0, 16);
	if (a->len && a->sa.ss_family == AF_INET) {
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &((const struct sockaddr_in *)(const void *)&a->sa)->sin_addr, 4);
		return true;
	}
	if (!a->len || a->sa.ss_family != AF_INET6)
		return false;
	memcpy(key, &((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_addr, 16);
	return true;
}

static bool same_bits(const unsigned char a[16], const unsigned char b[16], unsigned bits)
{
	unsigned rest = bits % 8;
	return !memcmp(a, b, bits / 8) && (!rest || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0);
}

/* Conversations known before ours, of addresses that share these bits with ours. */
static unsigned earlier_ones(const struct board *b, const struct slot *me, unsigned bits)
{
	unsigned n = 0;
	for (unsigned i = 0; i < b->n; i++) {
		const struct slot *s = &b->slot[i];
		n += s != me && atomic_load(&s->state) == SLOT_BUSY && s->seq < me->seq &&
		     same_bits(s->client, me->client, bits);
	}
	return n;
}

static unsigned network_bits(const struct serve_options *o, const unsigned char client[16])
{
	if (!memcmp(client, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12))
		return ADDRESS_BITS - 32 + (o->prefix4 < 32 ? o->prefix4 : 32);
	return o->prefix6 < ADDRESS_BITS ? o->prefix6 : ADDRESS_BITS;
}

/* The limit that the client is over, whose key stands in the slot; 0: none. It gets its place in line when it is known:
 * of two that are told at the same time each sees the other, or comes before it. */
static unsigned limit_met(struct server *sv, struct slot *me, const struct net_addr *a)
{
	const struct serve_options *o = sv->o;
	me->seq = atomic_fetch_add(&sv->board->seq, 1);
	if (o->max_per_client && earlier_ones(sv->board, me, ADDRESS_BITS) >= o->max_per_client)
		return o->max_per_client;
	if (!o->max_per_network || (o->exempt && o->exempt(sv->arg, a)))
		return 0;
	return earlier_ones(sv->board, me, network_bits(o, me->client)) < o->max_per_network ? 0 : o->max_per_network;
}

static unsigned client_limit(struct server *sv, struct slot *me, const struct net_addr *a)
{
	if (!client_key(a, me->client) || (sv->o->renamers && net_list_match(sv->o->renamers, a)))
		return 0;
	return limit_met(sv, me, a);
}

/* ---- a worker ---- */

struct worker {
	struct server *sv;
	struct slot *slot;
	int epoll;
	unsigned index, generation, served;
	bool retire;
};

static struct worker *self; /* in a worker */

unsigned serve_renamed(const struct net_addr *a)
{
	if (!self)
		return 0;
	if (!client_key(a, self->slot->client))
		memset(self->slot->client, 0xff, sizeof self->slot->client);
	return limit_met(self->sv, self->slot, a);
}

static void begin_busy(struct worker *w)
{
	struct board *b = w->sv->board;
	w->slot->since = server_now();
	atomic_store(&w->slot->state, SLOT_BUSY);
	unsigned idle = board_count(b, SLOT_IDLE) + board_count(b, SLOT_STARTING);
	if (idle < board_want_idle(b))
		poke(w->sv->wake);
}

static void refuse(const struct server *sv, struct conn *c, unsigned limit)
{
	log_warn("too-many client=%s limit=%u", c->peer_ip, limit);
	if (sv->o->too_many && !c->implicit_tls)
		stream_puts(c->s, sv->o->too_many);
	stream_set_timeout(c->s, 1000);
	stream_close(c->s);
}

static void serve_one(struct worker *w, int fd, const struct listener *l)
{
	struct conn c;
	conn_init(&c, fd, fd, l);
	c.worker = (int)w->index;
	begin_busy(w);
	bool known = meet_proxy(w->sv->o, &c);
	unsigned limit = known ? client_limit(w->sv, w->slot, &c.peer) : 0;
	if (!known) {
		stream_abandon(c.s);
	} else if (!limit) {
		w->sv->fn(&c, w->sv->arg);
		stream_close(c.s);
		log_session(NULL);
	} else {
		refuse(w->sv, &c, limit);
	}
	memset(w->slot->client, 0, sizeof w->slot->client);
	atomic_store(&w->slot->state, SLOT_IDLE);
	w->served++;
}

static void accept_one(struct worker *w, const struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		serve_one(w, fd, l);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		log_err("accept listen=%s error=\"%m\"", l->name);
		usleep(ACCEPT_PAUSE_US);
	}
}

static int watch(struct worker *w)
{
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = STOP };
	if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, stream_interrupt_fd, &e))
		return -1;
	e.data.u32 = RETIRE;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, retire_fd, &e))
		return -1;
	for (size_t i = 0; i < w->sv->l.n; i++) {
		e = (struct epoll_event){ .events = EPOLLIN | EPOLLEXCLUSIVE, .data.u32 = (uint32_t)i };
		if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->sv->l.v[i].fd, &e))
			return -1;
	}
	return 0;
}

static bool superfluous(const struct worker *w)
{
	unsigned idle = board_count(w->sv->board, SLOT_IDLE), want = board_want_idle(w->sv->board);
	return idle > want + 2 && idle > w->sv->min_idle;
}

static void worker_loop(struct worker *w)
{
	unsigned recycle = w->sv->o->recycle ? w->sv->o->recycle : RECYCLE;
	while (!serve_stopping && !w->retire && w->served < recycle &&
	       w->generation == atomic_load(&w->sv->board->generation)) {
		struct epoll_event e;
		int n = epoll_wait(w->epoll, &e, 1, SPARE_MS);
		if (n == 0)
			w->retire = superfluous(w);
		else if (n > 0 && (e.data.u32 == RETIRE || e.data.u32 == STOP))
			w->retire = true;
		else if (n > 0)
			accept_one(w, &w->sv->l.v[e.data.u32]);
	}
}

static void worker_signals(const struct server *sv)
{
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGPIPE)
			signal(sig, SIG_DFL);
	retire_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	listening = &sv->l;
	stop_signals_init();
	handle(SIGHUP, on_retire);
	signal(SIGUSR1, SIG_IGN);
	stress_watch(sv->board);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* We must not outlive our parent: the next one could not bind, nor count us. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != sv->parent)
		_exit(EX_TEMPFAIL);
}

/* A worker that is woken lets another finish what it does instead of interrupting it: many conversations at once take a
 * tenth less time so, and nobody waits for one of them longer than a time slice. What it starts (an MDA) does the same.
 */
static void give_way(void)
{
	struct sched_param none = { 0 };
	/* Where it is forbidden all goes on as before. */
	if (sched_setscheduler(0, SCHED_BATCH, &none) < 0)
		return;
}

_Noreturn void worker_run(struct server *sv, unsigned slot)
{
	struct worker w = { .sv = sv, .slot = &sv->board->slot[slot], .index = slot };
	w.generation = atomic_load(&sv->board->generation);
	self = &w;
	worker_signals(sv);
	if (watch(&w)) {
		if (serve_stopping)
			_exit(EX_OK);
		log_err("worker error=\"%m\"");
		_exit(EX_OSERR);
	}
	give_way();
	int status = sv->o->worker_start ? sv->o->worker_start(sv->arg) : 0;
	if (status)
		_exit(status);
	atomic_store(&w.slot->state, SLOT_IDLE);
	atomic_store(&sv->board->ready, true);
	worker_loop(&w);
	if (sv->o->worker_stop)
		sv->o->worker_stop(sv->arg);
	_exit(EX_OK);
}
