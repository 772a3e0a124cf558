/* SPDX-License-Identifier: ISC */
#include "mta-relay/hooks/milter.h"

#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "mta-relay/hooks/hook_place.h"

enum {
	EDITS_MAX = 10000,
	EDITS_BYTES = 8 << 20,
	OUT_MAX = 1 << 20 /* macros and a command's data, a long header field at most */
};

struct milter {
	struct hook_place place;
	struct milter_settings o;
	struct stream *s; /* NULL: closed */
	struct milter_wants wants;
	struct buf macros; /* what wants.macros point to */
	struct buf out, in;
};

static const struct opt settings[] = {
	{ "timeout", 0, OPT_DURATION, offsetof(struct milter_settings, timeout), "TIME", "", NULL, 0 },
	{ "connect-timeout", 0, OPT_DURATION, offsetof(struct milter_settings, connect_timeout), "TIME", "", NULL, 0 },
	{ "content-timeout", 0, OPT_DURATION, offsetof(struct milter_settings, content_timeout), "TIME", "", NULL, 0 },
	{ "default", 0, OPT_CHOICE, offsetof(struct milter_settings, otherwise), NULL, "",
	    "accept|tempfail|reject|quarantine", 0 },
	{ "reuse", 0, OPT_FLAG, offsetof(struct milter_settings, reuse), NULL, "", NULL, 0 },
	{ "daemon-name", 0, OPT_STR, offsetof(struct milter_settings, daemon_name), "NAME", "", NULL, 0 },
	{ 0 },
};

/* What each command is about: its stage for macros, the bits that say that it is not wanted or not answered. */
static const struct {
	enum milter_command command;
	int stage; /* -1: no macros */
	uint32_t unwanted, silent;
} steps[] = {
	{ MILTER_CONNECT, MILTER_AT_CONNECT, MILTER_NO_CONNECT, MILTER_NR_CONNECT },
	{ MILTER_HELO, MILTER_AT_HELO, MILTER_NO_HELO, MILTER_NR_HELO },
	{ MILTER_MAIL, MILTER_AT_MAIL, MILTER_NO_MAIL, MILTER_NR_MAIL },
	{ MILTER_RCPT, MILTER_AT_RCPT, MILTER_NO_RCPT, MILTER_NR_RCPT },
	{ MILTER_DATA, MILTER_AT_DATA, MILTER_NO_DATA, MILTER_NR_DATA },
	{ MILTER_HEADER, -1, MILTER_NO_HEADERS, MILTER_NR_HEADER },
	{ MILTER_EOH, MILTER_AT_EOH, MILTER_NO_EOH, MILTER_NR_EOH },
	{ MILTER_BODY, -1, MILTER_NO_BODY, MILTER_NR_BODY },
	{ MILTER_UNKNOWN, -1, MILTER_NO_UNKNOWN, MILTER_NR_UNKNOWN },
};

struct milter *milter_new(const char *spec, struct err *err)
{
	struct milter *m = xcalloc(1, sizeof *m);
	m->o = (struct milter_settings){ .connect_timeout = TIME_CONNECT,
		.timeout = 30 * 1000,
		.content_timeout = 300 * 1000,
		.otherwise = MILTER_OR_TEMPFAIL };
	buf_init(&m->macros, MILTER_PACKET_MAX);
	buf_init(&m->out, OUT_MAX + LIMIT_HEADER_FIELD);
	buf_init(&m->in, MILTER_PACKET_MAX);
	if (hook_place_parse("milter", spec, settings, &m->o, &m->place, err) == 0)
		return m;
	milter_free(m);
	return NULL;
}

void milter_free(struct milter *m)
{
	if (!m)
		return;
	if (m->s)
		stream_abandon(m->s);
	buf_free(&m->macros);
	buf_free(&m->out);
	buf_free(&m->in);
	hook_place_free(&m->place);
	free(m);
}

void milter_rules(const struct milter *m, struct confine_rules *r)
{
	hook_place_rules(&m->place, r);
}

const char *milter_name(const struct milter *m)
{
	return m->place.name;
}

const struct milter_settings *milter_settings(const struct milter *m)
{
	return &m->o;
}

bool milter_is_open(const struct milter *m)
{
	return m->s != NULL;
}

bool milter_wants(const struct milter *m, uint32_t step)
{
	return m->s && (m->wants.steps & step);
}

static int fail(struct milter *m, struct err *err)
{
	if (m->s)
		stream_abandon(m->s);
	m->s = NULL;
	err->class = ERR_TEMP;
	return -1;
}

static int stream_failed(struct milter *m, struct err *err)
{
	const struct err *why = stream_err(m->s);
	if (why->class == ERR_NONE)
		err_set(err, ERR_TEMP, "it closed the connection");
	else
		*err = *why;
	return fail(m, err);
}

static void allow_time(struct milter *m, int64_t ms)
{
	stream_set_timeout(m->s, ms);
	stream_set_deadline(m->s, ms);
}

/* The next packet; its data is in m->in. */
static int read_packet(struct milter *m, int64_t ms, char *what, struct err *err)
{
	char head[MILTER_HEAD];
	size_t n;
	allow_time(m, ms);
	if (stream_read_full(m->s, head, sizeof head) < 0)
		return stream_failed(m, err);
	if (!milter_head(head, what, &n)) {
		err_set(err, ERR_PROTO, "that is no packet of a milter");
		return fail(m, err);
	}
	buf_reset(&m->in);
	if (n && stream_read_full(m->s, buf_room(&m->in, n), n) < 0)
		return stream_failed(m, err);
	buf_grew(&m->in, n);
	return 0;
}

static void send_out(struct milter *m)
{
	stream_span(m->s, buf_span(&m->out));
	buf_reset(&m->out);
}

static int negotiate(struct milter *m, struct err *err)
{
	char what;
	size_t at = milter_begin(&m->out, MILTER_NEGOTIATE);
	milter_number(&m->out, MILTER_VERSION);
	milter_number(&m->out, MILTER_ACTIONS);
	milter_number(&m->out, MILTER_STEPS);
	milter_end(&m->out, at);
	send_out(m);
	if (read_packet(m, m->o.timeout, &what, err) < 0)
		return -1;
	/* What it says of macros stays. */
	buf_reset(&m->macros);
	buf_addspan(&m->macros, buf_span(&m->in));
	if (what != MILTER_NEGOTIATE || !milter_wants_parse(buf_span(&m->macros), &m->wants) || m->wants.version < 2 ||
	    m->wants.version > MILTER_VERSION || m->wants.actions & ~(uint32_t)MILTER_ACTIONS) {
		err_set(err, ERR_PROTO, "no agreement on the protocol");
		return fail(m, err);
	}
	return 0;
}

int milter_open(struct milter *m, struct err *err)
{
	if (m->s)
		return 0;
	int fd = hook_place_connect(&m->place, m->o.connect_timeout, err);
	if (fd < 0)
		return fail(m, err);
	m->s = stream_from_fds(fd, fd);
	stream_set_stoppable(m->s, false);
	buf_reset(&m->out);
	return negotiate(m, err);
}

static void say(struct milter *m, enum milter_command command)
{
	size_t at = milter_begin(&m->out, (char)command);
	milter_end(&m->out, at);
	allow_time(m, m->o.timeout);
	send_out(m);
	stream_flush(m->s);
}

void milter_close(struct milter *m, bool polite)
{
	if (!m->s)
		return;
	bool keep = polite && m->o.reuse && m->wants.version >= 6;
	if (polite)
		say(m, keep ? MILTER_QUIT_REUSE : MILTER_QUIT);
	if (keep && stream_err(m->s)->class == ERR_NONE)
		return;
	stream_abandon(m->s);
	m->s = NULL;
}

void milter_abort(struct milter *m)
{
	if (m->s)
		say(m, MILTER_ABORT);
}

static void add_macros(struct milter *m, enum milter_command command, int stage, const struct milter_macros *macros)
{
	if (stage < 0 || !macros)
		return;
	size_t at = milter_begin(&m->out, MILTER_MACROS);
	buf_addc(&m->out, (char)command);
	for (size_t i = 0; i < macros->n; i++) {
		const struct milter_macro *v = &macros->v[i];
		bool told = m->wants.listed[stage] ? milter_macro_listed(m->wants.macros[stage], v->name)
						   : v->stages & 1u << stage;
		if (!told || !v->value.n)
			continue;
		milter_text(&m->out, span_str(v->name));
		milter_text(&m->out, v->value);
	}
	milter_end(&m->out, at);
}

static void refuse(struct smtp_answer *a, bool temporary)
{
	if (temporary)
		smtp_answer(a, 451, "4.7.1", "Service unavailable - try again later");
	else
		smtp_answer(a, 550, "5.7.1", "Command rejected");
}

/* A reply of its own. */
static enum milter_verdict own_reply(struct milter *m, struct span said, struct smtp_answer *a, struct err *err)
{
	struct buf text;
	int code;
	char enh[12];
	buf_init(&text, LIMIT_SMTP_REPLY_LINE);
	bool ok = milter_reply_code(said, &code, enh, &text);
	if (ok)
		smtp_answer(a, code, enh[0] ? enh : code < 500 ? "4.7.1" : "5.7.1", "%s", text.p);
	buf_free(&text);
	if (ok)
		return code == 421 ? MILTER_HANG_UP : MILTER_REFUSE;
	err_set(err, ERR_PROTO, "it gave a reply code that is none");
	fail(m, err);
	return MILTER_BROKEN;
}

/* The final words; MILTER_BROKEN with err for what is none of them. */
static enum milter_verdict verdict(
    struct milter *m, const struct milter_reply *r, struct smtp_answer *a, struct err *err)
{
	switch (r->what) {
	case MILTER_CONTINUE:
		return MILTER_GO;
	case MILTER_ACCEPT:
		return MILTER_TAKE;
	case MILTER_SKIP:
		return MILTER_ENOUGH;
	case MILTER_DISCARD:
		return MILTER_DROP;
	case MILTER_REJECT:
	case MILTER_TEMPFAIL:
		refuse(a, r->what == MILTER_TEMPFAIL);
		return MILTER_REFUSE;
	case MILTER_SHUTDOWN:
	case MILTER_CONN_FAIL:
		smtp_answer(a, 421, "4.7.0", "Closing the connection");
		return MILTER_HANG_UP;
	case MILTER_REPLY_CODE:
		return own_reply(m, r->a, a, err);
	default:
		err_set(err, ERR_PROTO, "it said '%c' where that has no place", (char)r->what);
		fail(m, err);
		return MILTER_BROKEN;
	}
}

static int read_reply(struct milter *m, int64_t ms, struct milter_reply *r, struct err *err)
{
	char what;
	if (read_packet(m, ms, &what, err) < 0)
		return -1;
	if (milter_reply_parse(what, buf_span(&m->in), r))
		return 0;
	err_set(err, ERR_PROTO, "it said what is no reply");
	return fail(m, err);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The next reply that is not "still working", before `end`. */
static int await(struct milter *m, int64_t ms, int64_t end, struct milter_reply *r, struct err *err)
{
	do {
		if (now_ms() > end) {
			err_set(err, ERR_TEMP, "it makes progress without end");
			return fail(m, err);
		}
		if (read_reply(m, ms, r, err) < 0)
			return -1;
	} while (r->what == MILTER_PROGRESS);
	return 0;
}

enum milter_verdict milter_ask(struct milter *m, enum milter_command command, struct span payload,
    const struct milter_macros *macros, struct smtp_answer *a, struct err *err)
{
	struct milter_reply r;
	size_t i = 0;
	while (steps[i].command != command)
		i++;
	if (m->wants.steps & steps[i].unwanted)
		return MILTER_GO;
	add_macros(m, command, steps[i].stage, macros);
	size_t at = milter_begin(&m->out, (char)command);
	buf_addspan(&m->out, payload);
	milter_end(&m->out, at);
	if (m->out.bad) {
		err_set(err, ERR_LIMIT, "more than a packet holds");
		fail(m, err);
		return MILTER_BROKEN;
	}
	allow_time(m, m->o.timeout);
	send_out(m);
	if (m->wants.steps & steps[i].silent)
		return MILTER_GO;
	/* A client does not wait for ever either (RFC 5321 4.5.3.2.6). */
	return await(m, m->o.timeout, now_ms() + TIME_SMTP_DATA_DONE, &r, err) < 0 ? MILTER_BROKEN
										   : verdict(m, &r, a, err);
}

/* Which action each change is; 0 for what is none. */
static uint32_t action_of(enum milter_said what)
{
	switch (what) {
	case MILTER_ADD_HEADER:
	case MILTER_INSERT_HEADER:
		return MILTER_MAY_ADD_HEADERS;
	case MILTER_CHANGE_HEADER:
		return MILTER_MAY_CHANGE_HEADERS;
	case MILTER_REPLACE_BODY:
		return MILTER_MAY_CHANGE_BODY;
	case MILTER_ADD_RCPT:
		return MILTER_MAY_ADD_RCPT;
	case MILTER_ADD_RCPT_ARGS:
		return MILTER_MAY_ADD_RCPT_ARGS;
	case MILTER_DELETE_RCPT:
		return MILTER_MAY_DELETE_RCPT;
	case MILTER_CHANGE_FROM:
		return MILTER_MAY_CHANGE_FROM;
	case MILTER_QUARANTINE:
		return MILTER_MAY_QUARANTINE;
	default:
		return 0;
	}
}

static int keep(struct milter *m, const struct milter_reply *r, struct milter_edits *e, struct err *err)
{
	if (!(m->wants.actions & action_of(r->what))) {
		err_set(err, ERR_PROTO, "it wants a change that it has not asked leave for");
		return fail(m, err);
	}
	if (r->what == MILTER_REPLACE_BODY) {
		e->body_bytes += r->a.n;
		if (e->body_max && e->body_bytes > e->body_max)
			return err_set(err, ERR_LIMIT, "its body is longer than a message may be");
		return e->body(e->arg, r->a, err);
	}
	e->bytes += r->a.n + r->b.n;
	if (e->n == EDITS_MAX || e->bytes > EDITS_BYTES) {
		err_set(err, ERR_LIMIT, "it wants too many changes");
		return fail(m, err);
	}
	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 16;
		struct milter_reply *v = arena_alloc(e->arena, cap * sizeof *v);
		if (e->n)
			memcpy(v, e->v, e->n * sizeof *v);
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n++] =
	    (struct milter_reply){ r->what, r->index, arena_span(e->arena, r->a), arena_span(e->arena, r->b) };
	return 0;
}

enum milter_verdict milter_finish(struct milter *m, const struct milter_macros *macros, struct milter_edits *edits,
    struct smtp_answer *a, struct err *err)
{
	struct milter_reply r;
	int64_t end = now_ms() + TIME_SMTP_DATA_DONE;
	add_macros(m, MILTER_EOM, MILTER_AT_EOM, macros);
	size_t at = milter_begin(&m->out, MILTER_EOM);
	milter_end(&m->out, at);
	allow_time(m, m->o.content_timeout);
	send_out(m);
	do {
		if (await(m, m->o.content_timeout, end, &r, err) < 0)
			return MILTER_BROKEN;
		if (action_of(r.what) && keep(m, &r, edits, err) < 0) {
			fail(m, err);
			return MILTER_BROKEN;
		}
	} while (action_of(r.what));
	return verdict(m, &r, a, err);
}
