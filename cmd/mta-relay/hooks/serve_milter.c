/* SPDX-License-Identifier: ISC
 *
 * Milters are asked at each stage of a conversation, one after the other, and stop at the first that refuses. One that
 * is broken is left alone until the next message; then, or for the message in hand, its default is what counts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/hooks/serve_milter.h"

static int milter_set_up(struct relay_server *rs, struct err *err)
{
	const struct opt_list *l = &rs->o.hooks.milters;
	for (size_t i = 0; i < l->n; i++) {
		struct milter *probe = milter_new(l->v[i], err);
		if (!probe)
			return -1;
		milter_rules(probe, rs->rules);
		milter_free(probe);
	}
	return 0;
}

static int milter_worker_start(struct relay_server *rs, struct err *err)
{
	const struct opt_list *l = &rs->o.hooks.milters;
	if (!l->n)
		return 0;
	rs->hooks.milters = xcalloc(1, sizeof *rs->hooks.milters);
	rs->hooks.milters->v = xcalloc(l->n, sizeof *rs->hooks.milters->v);
	for (; rs->hooks.milters->n < l->n; rs->hooks.milters->n++)
		if (!(rs->hooks.milters->v[rs->hooks.milters->n].m = milter_new(l->v[rs->hooks.milters->n], err)))
			return -1;
	return 0;
}

static void milter_worker_stop(struct relay_server *rs)
{
	for (size_t i = 0; rs->hooks.milters && i < rs->hooks.milters->n; i++)
		milter_free(rs->hooks.milters->v[i].m);
	if (rs->hooks.milters)
		free(rs->hooks.milters->v);
	free(rs->hooks.milters);
	rs->hooks.milters = NULL;
}

/* What to do without it. */
static void broken(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	switch (milter_settings(seat->m)->otherwise) {
	case MILTER_OR_TEMPFAIL:
		smtp_answer(a, 451, "4.7.1", "Service unavailable - try again later");
		break;
	case MILTER_OR_REJECT:
		smtp_answer(a, 550, "5.7.1", "Service unavailable");
		break;
	case MILTER_OR_QUARANTINE:
		change_hold(s, x, milter_name(seat->m), SPAN("the milter is broken"));
		break;
	}
}

static void lost(struct milter_seat *seat, const char *stage, const struct err *err)
{
	log_warn("milter name=%s stage=%s error=%s", log_quote(span_str(milter_name(seat->m))), stage,
	    log_quote(span_str(err->text)));
	trace_why("milter", "temp", NULL, "%s at %s: %s", milter_name(seat->m), stage, err->text);
	milter_close(seat->m, false);
	seat->state = SEAT_LOST;
	seat->in_message = false;
}

static void refused(const struct milter_seat *seat, const char *stage, const struct smtp_answer *said)
{
	log_info("milter name=%s stage=%s code=%d enh=%s text=%s", log_quote(span_str(milter_name(seat->m))), stage,
	    said->code, said->enh, log_quote(span_str(said->text)));
	trace_why("milter", said->code < 500 ? "temp" : "perm", NULL, "%s at %s: %s", milter_name(seat->m), stage,
	    said->text);
}

void milter_obey(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, const char *stage,
    enum milter_verdict v, const struct smtp_answer *said, const struct err *err, struct smtp_answer *a)
{
	bool of_message = seat->in_message;
	switch (v) {
	case MILTER_GO:
	case MILTER_ENOUGH:
		break;
	case MILTER_TAKE:
		seat->state = of_message ? SEAT_PASS_MESSAGE : SEAT_PASS;
		break;
	case MILTER_DROP:
		change_discard(s, x, milter_name(seat->m), span_str(stage));
		break;
	case MILTER_REFUSE:
	case MILTER_HANG_UP:
		refused(seat, stage, said);
		*a = *said;
		a->close = v == MILTER_HANG_UP;
		break;
	case MILTER_BROKEN:
		lost(seat, stage, err);
		/* Before there is a message nothing is lost yet, and it may come back. */
		if (of_message)
			broken(seat, s, x, a);
		break;
	}
}

/* The data of a step, freed by the caller. */
static void connect_data(const struct smtp_session *x, unsigned port, struct buf *b)
{
	bool v6 = strchr(x->peer_ip, ':'), ip = v6 || ascii_isdigit(x->peer_ip[0]);
	if (*x->peer_name)
		milter_text(b, span_str(x->peer_name));
	else if (ip)
		buf_addf(b, "[%s]%c", x->peer_ip, 0);
	else
		milter_text(b, SPAN("localhost"));
	buf_addc(b, v6 ? '6' : ip ? '4' : 'U');
	if (!ip)
		return;
	buf_addc(b, (char)(port >> 8));
	buf_addc(b, (char)port);
	milter_text(b, span_str(x->peer_ip));
}

static void mail_data(const struct smtp_env *env, struct arena *a, struct buf *b)
{
	milter_text(b, span_str(arena_printf(a, "<%.*s>", SPAN_FMT(env->from))));
	if (env->size)
		milter_text(b, span_str(arena_printf(a, "SIZE=%llu", (unsigned long long)env->size)));
	if (env->eightbit)
		milter_text(b, SPAN("BODY=8BITMIME"));
	if (env->utf8)
		milter_text(b, SPAN("SMTPUTF8"));
	if (env->ret.n)
		milter_text(b, span_str(arena_printf(a, "RET=%.*s", SPAN_FMT(env->ret))));
	if (env->envid.n)
		milter_text(b, span_str(arena_printf(a, "ENVID=%.*s", SPAN_FMT(env->envid))));
}

static void rcpt_data(const struct smtp_env_rcpt *r, struct arena *a, struct buf *b)
{
	milter_text(b, span_str(arena_printf(a, "<%.*s>", SPAN_FMT(r->text))));
	if (r->notify.n)
		milter_text(b, span_str(arena_printf(a, "NOTIFY=%.*s", SPAN_FMT(r->notify))));
	if (r->orcpt.n)
		milter_text(b, span_str(arena_printf(a, "ORCPT=%.*s", SPAN_FMT(r->orcpt))));
}

/* One step with one milter. */
struct step {
	enum milter_command command;
	const char *stage;
	const struct smtp_env_rcpt *r;
	const struct smtp_answer *refused;
	struct span line;
};

static enum milter_verdict tell(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x,
    const struct step *st, struct smtp_answer *said, struct err *err)
{
	struct milter_macros macros = milter_macros_of(seat, s, x, st->r, st->refused);
	struct buf b;
	buf_init(&b, 4 * LIMIT_SMTP_COMMAND);
	switch (st->command) {
	case MILTER_CONNECT:
		connect_data(x, net_addr_port(&s->client), &b);
		break;
	case MILTER_HELO:
		milter_text(&b, x->helo);
		break;
	case MILTER_MAIL:
		mail_data(&x->env, x->env.arena, &b);
		break;
	case MILTER_RCPT:
		rcpt_data(st->r, x->env.arena, &b);
		break;
	case MILTER_UNKNOWN:
		milter_text(&b, st->line);
		break;
	default:
		break;
	}
	enum milter_verdict v = milter_ask(seat->m, st->command, buf_span(&b), &macros, said, err);
	buf_free(&b);
	return v;
}

static const struct step step_connect = { .command = MILTER_CONNECT, .stage = "CONNECT" };
static const struct step step_helo = { .command = MILTER_HELO, .stage = "HELO" };
static const struct step step_mail = { .command = MILTER_MAIL, .stage = "MAIL" };
static const struct step step_data = { .command = MILTER_DATA, .stage = "DATA" };

static void ask_one(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, const struct step *st,
    struct smtp_answer *a)
{
	struct smtp_answer said = { 0 };
	struct err err = { 0 };
	if (seat->state == SEAT_LOST && st->command != MILTER_HELO && !s->change.discard)
		broken(seat, s, x, a); /* the rest of the message must not slip by */
	if (seat->state != SEAT_ON || s->change.discard)
		return;
	enum milter_verdict v = tell(seat, s, x, st, &said, &err);
	milter_obey(seat, s, x, st->stage, v, &said, &err, a);
}

/* Only a break counts. */
static void tell_only(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, const struct step *st,
    struct smtp_answer *ignored)
{
	struct err err = { 0 };
	if (tell(seat, s, x, st, ignored, &err) == MILTER_BROKEN)
		lost(seat, st->stage, &err);
}

static void ask_all(struct relay_session *s, struct smtp_session *x, const struct step *st, struct smtp_answer *a)
{
	struct milter_seats *all = s->rs->hooks.milters;
	for (size_t i = 0; all && i < all->n && !a->code; i++)
		ask_one(&all->v[i], s, x, st, a);
}

/* Opens the conversation where that is not done, and says who the client is. One that rested may have ended. */
static void begin(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct smtp_answer said = { 0 };
	struct err err = { 0 };
	/* XCLIENT has named another client. */
	if (seat->met)
		milter_close(seat->m, true);
	bool rested = milter_is_open(seat->m);
	enum milter_verdict v = MILTER_BROKEN;
	seat->met = true;
	seat->state = SEAT_ON;
	seat->in_message = false;
	if (milter_open(seat->m, &err) == 0)
		v = tell(seat, s, x, &step_connect, &said, &err);
	if (v == MILTER_BROKEN && rested && milter_open(seat->m, &err) == 0)
		v = tell(seat, s, x, &step_connect, &said, &err);
	milter_obey(seat, s, x, "CONNECT", v, &said, &err, a);
}

static void milter_connect(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct milter_seats *all = s->rs->hooks.milters;
	for (size_t i = 0; all && i < all->n && !a->code; i++)
		begin(&all->v[i], s, x, a);
}

static void milter_helo(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	ask_all(s, x, &step_helo, a);
}

/* Once more for one that was lost: with all that it has missed. */
static void revive(struct milter_seat *seat, struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	begin(seat, s, x, a);
	if (!a->code && x->helo.n)
		ask_one(seat, s, x, &step_helo, a);
	if (!a->code && seat->state == SEAT_LOST)
		broken(seat, s, x, a);
}

static void milter_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct milter_seats *all = s->rs->hooks.milters;
	for (size_t i = 0; all && i < all->n && !a->code && !s->change.discard; i++) {
		struct milter_seat *seat = &all->v[i];
		if (seat->state == SEAT_PASS_MESSAGE)
			seat->state = SEAT_ON;
		if (seat->state == SEAT_LOST)
			revive(seat, s, x, a);
		if (a->code || seat->state != SEAT_ON)
			continue;
		seat->in_message = true;
		ask_one(seat, s, x, &step_mail, a);
	}
}

static void milter_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	const struct step st = { .command = MILTER_RCPT, .stage = "RCPT", .r = r };
	if (s->rs->hooks.milters)
		s->rs->hooks.milters->rcpt_asked = true;
	ask_all(s, x, &st, a);
}

static void milter_data(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	ask_all(s, x, &step_data, a);
}

static void milter_content(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct milter_seats *all = s->rs->hooks.milters;
	for (size_t i = 0; all && i < all->n && !a->code && !s->change.discard; i++)
		if (all->v[i].state == SEAT_ON)
			milter_message(&all->v[i], s, x, a);
		else if (all->v[i].state == SEAT_LOST)
			broken(&all->v[i], s, x, a);
}

static void milter_reset(struct relay_session *s, struct smtp_session *x)
{
	struct milter_seats *all = s->rs->hooks.milters;
	(void)x;
	for (size_t i = 0; all && i < all->n; i++) {
		if (all->v[i].in_message)
			milter_abort(all->v[i].m);
		all->v[i].in_message = false;
	}
}

/* A recipient that others refused, and the words of it. */
static void fill_refused(const struct smtp_command *c, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	ptrdiff_t from = span_chr(c->line, '<'), to = span_rchr(c->line, '>');
	*r = (struct smtp_env_rcpt){ .text = SPAN(""), .notify = SPAN(""), .orcpt = SPAN("") };
	if (from >= 0 && to > from)
		r->text = span_slice(c->line, (size_t)from + 1, (size_t)to);
	a->code = c->code;
	snprintf(a->enh, sizeof a->enh, "%s", c->enh);
	snprintf(a->text, sizeof a->text, "%s", c->answer);
}

/* What has its answer already is told to those who want to hear of it: recipients that others refused, and what is no
 * command. Their word on it changes nothing. */
static void milter_command(struct relay_session *s, struct smtp_session *x, const struct smtp_command *c)
{
	struct milter_seats *all = s->rs->hooks.milters;
	struct smtp_answer ignored = { 0 }, refusal = { 0 };
	struct smtp_env_rcpt r;
	struct step st = { .command = MILTER_UNKNOWN, .stage = "UNKNOWN", .line = c->line };
	bool rcpt = !strcmp(c->verb, "RCPT") && c->code >= 400, asked = all && all->rcpt_asked;
	if (all)
		all->rcpt_asked = false;
	if (!all || (!rcpt && strcmp(c->verb, "UNKNOWN") != 0) || !c->line.n)
		return;
	if (rcpt) {
		fill_refused(c, &r, &refusal);
		st = (struct step){ .command = MILTER_RCPT, .stage = "RCPT", .r = &r, .refused = &refusal };
	}
	for (size_t i = 0; i < all->n; i++) {
		struct milter_seat *seat = &all->v[i];
		bool wants = !rcpt || (seat->in_message && !asked && milter_wants(seat->m, MILTER_REFUSED_RCPT));
		if (wants && seat->state == SEAT_ON)
			tell_only(seat, s, x, &st, &ignored);
	}
}

static void milter_end_client(struct relay_session *s, struct smtp_session *x)
{
	struct milter_seats *all = s->rs->hooks.milters;
	(void)x;
	for (size_t i = 0; all && i < all->n; i++) {
		milter_close(all->v[i].m, true);
		all->v[i].met = false;
	}
}

const struct serve_check milter_check = {
	.name = "milter",
	.set_up = milter_set_up,
	.worker_start = milter_worker_start,
	.worker_stop = milter_worker_stop,
	.connect = milter_connect,
	.helo = milter_helo,
	.mail = milter_mail,
	.rcpt = milter_rcpt,
	.data = milter_data,
	.message = milter_content,
	.reset = milter_reset,
	.command = milter_command,
	.close = milter_end_client,
};
