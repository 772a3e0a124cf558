/* SPDX-License-Identifier: ISC
 *
 * More clients than workers. While most of the workers are busy, or all are and somebody waits to be accepted, the
 * server is under stress: conversations that set it (stream_set_hurry) have less time then. The parent judges, the
 * workers read it from the board; those that wait for their clients already are interrupted so that they look.
 */
#include <poll.h>
#include <signal.h>

#include "base/log.h"
#include "io/listen/listen_int.h"

enum {
	CROWD_LEAST = 20, /* of fewer workers only that all are busy counts */
	CALM_MS = 5000,   /* stress is over when there was none for so long */
};

static const struct board *my_board;

static bool somebody_waits(const struct server *sv)
{
	for (size_t i = 0; i < sv->l.n; i++) {
		struct pollfd p = { .fd = sv->l.v[i].fd, .events = POLLIN };
		if (poll(&p, 1, 0) > 0)
			return true;
	}
	return false;
}

static bool too_many(const struct server *sv, unsigned busy)
{
	const struct board *b = sv->board;
	bool crowd = b->n >= CROWD_LEAST && busy * 4 >= b->n * 3;
	return crowd || (busy == b->n && somebody_waits(sv));
}

static void hurry_workers(const struct board *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (atomic_load(&b->slot[i].state) == SLOT_BUSY && b->slot[i].pid > 0)
			kill(b->slot[i].pid, SIGUSR2);
}

bool stress_judge(struct server *sv)
{
	struct board *b = sv->board;
	unsigned busy = board_count(b, SLOT_BUSY);
	int64_t now = server_now();
	bool was = atomic_load(&b->stressed), is = too_many(sv, busy);
	if (is)
		sv->stressed_at = now;
	is = is || (was && now - sv->stressed_at < CALM_MS);
	atomic_store(&b->stressed, is);
	if (is != was)
		log_warn("stress state=%s conversations=%u limit=%u", is ? "begins" : "over", busy, b->n);
	if (is)
		hurry_workers(b);
	return is || busy == b->n;
}

static bool is_stressed(void)
{
	return atomic_load_explicit(&my_board->stressed, memory_order_relaxed);
}

static void look_again(int sig)
{
	(void)sig;
}

void stress_watch(const struct board *b)
{
	struct sigaction sa = { .sa_handler = look_again };
	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR2, &sa, NULL);
	my_board = b;
	stream_is_stressed = is_stressed;
}
