/* SPDX-License-Identifier: ISC
 *
 * The server engine's patience: how long a client may take for a command, for his content, for a transaction and for
 * all of the conversation, and how much less of it there is while other clients wait for a free process.
 */
#include <time.h>

#include "base/limits.h"
#include "smtp/server_int.h"

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t or_default(int64_t given, int64_t usual)
{
	return given ? given : usual;
}

void server_clock_begin(struct server *sv)
{
	sv->began = sv->progress = now_ms();
	server_command_clock(sv);
	stream_set_hurry(sv->x->s, sv->c->stress_ms, 0);
}

void server_clock_transaction(struct server *sv)
{
	sv->txn_began = now_ms();
}

void server_clock_message(struct server *sv)
{
	sv->progress = now_ms();
}

/* The end of what the client is in now; 0: it has none. */
static int64_t own_end(const struct server *sv)
{
	if (sv->state >= ST_MAIL)
		return sv->c->transaction_ms ? sv->txn_began + sv->c->transaction_ms : 0;
	return sv->c->session_ms ? sv->began + sv->c->session_ms : 0;
}

/* ms until then, at most `most` (0: as long as it takes); never 0 when there is an end. */
static int64_t until(int64_t end, int64_t most)
{
	int64_t left = end ? end - now_ms() : 0;
	if (!end || (most && most < left))
		return most;
	return left > 0 ? left : 1;
}

static int64_t command_time(const struct server *sv)
{
	return or_default(sv->c->timeout_ms, TIME_SMTP_COMMAND);
}

void server_command_clock(struct server *sv)
{
	stream_set_timeout(sv->x->s, command_time(sv));
	stream_set_min_rate(sv->x->s, 0, 0);
}

void server_line_clock(struct server *sv)
{
	bool rests = sv->state == ST_READY && sv->c->yield_ms;
	stream_set_deadline(sv->x->s, until(own_end(sv), command_time(sv)));
	stream_set_hurry(sv->x->s, rests ? sv->c->yield_ms : sv->c->stress_ms, 0);
}

/* Within the content each block has its own time (RFC 5321 4.5.3.2.5), there is a least rate, and the transaction's
 * end. */
void server_data_clock(struct server *sv, bool on)
{
	struct stream *s = sv->x->s;
	size_t rate = sv->c->data_rate ? sv->c->data_rate : LIMIT_SMTP_DATA_RATE;
	if (!on) {
		server_command_clock(sv);
		return;
	}
	stream_set_deadline(s, until(own_end(sv), 0));
	stream_set_timeout(s, or_default(sv->c->data_timeout_ms, TIME_SMTP_DATA_BLOCK));
	stream_set_min_rate(s, rate, or_default(sv->c->data_grace_ms, TIME_SMTP_DATA_GRACE));
	stream_set_hurry(s, sv->c->stress_ms, rate > LIMIT_SMTP_STRESS_RATE ? rate : LIMIT_SMTP_STRESS_RATE);
}

const char *server_overstayed(const struct server *sv)
{
	int64_t now = now_ms();
	bool stressed = sv->c->stress_ms && stream_is_stressed && stream_is_stressed();
	if (stressed && now - sv->progress > sv->c->stress_ms * STRESS_COMMANDS)
		return "others wait, and you bring no mail";
	if (sv->state < ST_MAIL && sv->c->session_ms && now - sv->began > sv->c->session_ms)
		return "this conversation has lasted too long";
	if (sv->state >= ST_MAIL && sv->c->transaction_ms && now - sv->txn_began > sv->c->transaction_ms)
		return "this transaction has lasted too long";
	return NULL;
}
