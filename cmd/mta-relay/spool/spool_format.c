/* SPDX-License-Identifier: ISC */
#include "mta-relay/spool/spool_format.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const state_names[] = {
	[SPOOL_PENDING] = "pending",
	[SPOOL_DEFERRED] = "deferred",
	[SPOOL_DELIVERED] = "delivered",
	[SPOOL_RELAYED] = "relayed",
	[SPOOL_HANDED] = "handed",
	[SPOOL_EXPANDED] = "expanded",
	[SPOOL_FAILED] = "failed",
};
static const char *const note_names[] = { [SPOOL_WARNED] = "warned", [SPOOL_REPORTED] = "reported" };

const char *spool_state_name(enum spool_state st)
{
	return state_names[st];
}

static void add_hex(char c, struct buf *out)
{
	buf_addf(out, "%%%02X", (unsigned)(unsigned char)c);
}

/* A word: no blank, no control character. */
static void add_word(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c <= ' ' || c == 0x7f || c == '%')
			add_hex(s.p[i], out);
		else
			buf_addc(out, s.p[i]);
	}
}

/* The same where the word's place must be seen: "-" stands for nothing. */
static void add_field(struct span s, struct buf *out)
{
	buf_addc(out, ' ');
	if (!s.n)
		buf_addc(out, '-');
	else if (span_eqs(s, "-"))
		add_hex('-', out);
	else
		add_word(s, out);
}

/* A sentence: blanks stay. ';' marks the end of an outcome line and so can't stand in one. */
static void add_text(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n && i < SPOOL_TEXT_MAX; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < ' ' || c == 0x7f || c == '%' || c == ';')
			add_hex(s.p[i], out);
		else
			buf_addc(out, s.p[i]);
	}
}

static void add_line(const char *key, struct span value, struct buf *out)
{
	if (!value.n)
		return;
	buf_addf(out, "%s: ", key);
	add_word(value, out);
	buf_addc(out, '\n');
}

static void add_option(const char *key, struct span value, struct buf *out)
{
	if (!value.n)
		return;
	buf_addf(out, " %s=", key);
	add_word(value, out);
}

static void add_rcpt(const struct spool_rcpt *r, struct buf *out)
{
	buf_adds(out, "rcpt: <");
	add_word(r->addr, out);
	buf_addc(out, '>');
	add_option("notify", r->notify, out);
	add_option("orcpt", r->orcpt, out);
	add_option("original", r->original, out);
	buf_addc(out, '\n');
}

void spool_format_size(uint64_t size, char out[SPOOL_SIZE_DIGITS + 1])
{
	snprintf(out, SPOOL_SIZE_DIGITS + 1, "%0*" PRIu64, SPOOL_SIZE_DIGITS, size % UINT64_C(1000000000000000));
}

static const struct {
	const char *name;
	size_t at; /* of a bool in the envelope */
} flags[] = {
	{ "smtputf8", offsetof(struct spool_envelope, utf8) },
	{ "8bitmime", offsetof(struct spool_envelope, eightbit) },
	{ "binarymime", offsetof(struct spool_envelope, binary) },
	{ "requiretls", offsetof(struct spool_envelope, requiretls) },
	{ "tls-optional", offsetof(struct spool_envelope, tls_optional) },
};
enum {
	FLAGS = sizeof flags / sizeof *flags
};

static void add_flags(const struct spool_envelope *env, struct buf *out)
{
	size_t start = out->len;
	for (size_t i = 0; i < FLAGS; i++)
		if (*(const bool *)((const char *)env + flags[i].at))
			buf_addf(out, "%s %s", out->len == start ? "flags:" : "", flags[i].name);
	if (out->len != start)
		buf_addc(out, '\n');
}

static void add_times(const struct spool_envelope *env, struct buf *out)
{
	if (env->has_priority)
		buf_addf(out, "priority: %d\n", env->priority);
	if (env->hold_until) {
		buf_addf(out, "hold: %" PRId64 " ", env->hold_until);
		add_word(env->hold, out);
		buf_addc(out, '\n');
	}
	if (env->by_mode)
		buf_addf(out, "by: %" PRId64 " %c%s\n", env->by_time, env->by_mode, env->by_trace ? "T" : "");
}

void spool_format_head(const struct spool_envelope *env, struct buf *out)
{
	char size[SPOOL_SIZE_DIGITS + 1];
	spool_format_size(0, size);
	buf_addf(out, "%s%s\n", SPOOL_MAGIC, size);
	buf_addf(out, "arrived: %" PRId64 ".%06" PRId64 "\n", env->arrived / 1000000, env->arrived % 1000000);
	buf_adds(out, "from: <");
	add_word(env->from, out);
	buf_adds(out, ">\n");
	add_line("ret", env->ret, out);
	add_line("envid", env->envid, out);
	add_line("auth", env->auth, out);
	add_line("next-hop", env->next_hop, out);
	add_flags(env, out);
	add_times(env, out);
	add_line("client", env->client, out);
	add_line("helo", env->helo, out);
	add_line("user", env->user, out);
	for (size_t i = 0; i < env->n_rcpt; i++)
		add_rcpt(&env->rcpt[i], out);
	buf_addc(out, '\n');
}

void spool_format_outcome(size_t rcpt, const struct spool_outcome *o, struct buf *out)
{
	buf_addf(out, "%zu %s %" PRId64 " %d", rcpt, state_names[o->state], o->when, o->code);
	add_field(span_str(o->enh), out);
	add_field(o->relay, out);
	buf_addc(out, ' ');
	add_text(o->text, out);
	buf_adds(out, " ;\n");
}

void spool_format_note(size_t rcpt, enum spool_note note, int64_t when, const char *id, struct buf *out)
{
	buf_addf(out, "%zu %s %" PRId64, rcpt, note_names[note], when);
	add_field(span_str(id), out);
	buf_adds(out, " ;\n");
}

/* %XX back to bytes; a '%' that no two digits follow stands for itself. */
static struct span decode(struct span s, struct arena *a)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		int hi = s.p[i] == '%' && i + 2 < s.n ? ascii_hex(s.p[i + 1]) : -1;
		int lo = hi >= 0 ? ascii_hex(s.p[i + 2]) : -1;
		if (lo >= 0)
			i += 2;
		out[n++] = lo >= 0 ? (char)(hi * 16 + lo) : s.p[i];
	}
	return span_of(out, n);
}

static struct span decode_field(struct span s, struct arena *a)
{
	return span_eqs(s, "-") ? span_of(NULL, 0) : decode(s, a);
}

static bool in_brackets(struct span *s)
{
	if (s->n < 2 || s->p[0] != '<' || s->p[s->n - 1] != '>')
		return false;
	*s = span_slice(*s, 1, s->n - 1);
	return true;
}

struct head {
	struct arena *a;
	struct spool_file *f;
	size_t max_rcpt;
	bool have_from;
};

static bool head_arrived(struct head *h, struct span value)
{
	uint64_t seconds, micros;
	struct span whole = span_cut(&value, '.');
	if (!span_u64(whole, INT64_MAX / 1000000 - 1, &seconds) || value.n != 6 || !span_u64(value, 999999, &micros))
		return false;
	h->f->env.arrived = (int64_t)(seconds * 1000000 + micros);
	return true;
}

static bool head_from(struct head *h, struct span value)
{
	if (h->have_from || !in_brackets(&value))
		return false;
	h->have_from = true;
	h->f->env.from = decode(value, h->a);
	return true;
}

static bool head_flags(struct head *h, struct span value)
{
	for (struct span word; (word = span_word(&value)).n;)
		for (size_t i = 0; i < FLAGS; i++)
			if (span_eqs(word, flags[i].name))
				*(bool *)((char *)&h->f->env + flags[i].at) = true;
	return true;
}

static bool head_priority(struct head *h, struct span value)
{
	uint64_t n;
	bool minus = span_starts(value, "-");
	if (!span_u64(minus ? span_from(value, 1) : value, 9, &n))
		return false;
	h->f->env.has_priority = true;
	h->f->env.priority = minus ? -(int)n : (int)n;
	return true;
}

static bool head_time(struct span *value, int64_t *out)
{
	uint64_t n;
	if (!span_u64(span_word(value), INT64_MAX / 1000000 - 1, &n))
		return false;
	*out = (int64_t)n;
	return true;
}

static bool head_hold(struct head *h, struct span value)
{
	if (!head_time(&value, &h->f->env.hold_until))
		return false;
	h->f->env.hold = decode(span_word(&value), h->a);
	return true;
}

static bool head_by(struct head *h, struct span value)
{
	struct spool_envelope *env = &h->f->env;
	if (!head_time(&value, &env->by_time))
		return false;
	struct span mode = span_word(&value);
	env->by_trace = span_ends(mode, "T");
	env->by_mode = mode.n ? mode.p[0] : 0;
	return env->by_mode == 'N' || env->by_mode == 'R';
}

static bool head_rcpt(struct head *h, struct span value)
{
	struct spool_rcpt r = { 0 };
	struct span addr = span_word(&value);
	if (!in_brackets(&addr) || h->f->env.n_rcpt == h->max_rcpt)
		return false;
	r.addr = decode(addr, h->a);
	r.notify = r.orcpt = r.original = span_of(NULL, 0);
	for (struct span word; (word = span_word(&value)).n;) {
		struct span key = span_cut(&word, '=');
		if (span_eqs(key, "notify"))
			r.notify = decode(word, h->a);
		else if (span_eqs(key, "orcpt"))
			r.orcpt = decode(word, h->a);
		else if (span_eqs(key, "original"))
			r.original = decode(word, h->a);
	}
	h->f->env.rcpt[h->f->env.n_rcpt++] = r;
	return true;
}

static const struct {
	const char *key;
	bool (*parse)(struct head *h, struct span value);
	size_t span_at; /* without parse: the member of the envelope that takes the word */
} head_keys[] = {
	{ "arrived", head_arrived, 0 },
	{ "from", head_from, 0 },
	{ "flags", head_flags, 0 },
	{ "rcpt", head_rcpt, 0 },
	{ "priority", head_priority, 0 },
	{ "hold", head_hold, 0 },
	{ "by", head_by, 0 },
	{ "ret", NULL, offsetof(struct spool_envelope, ret) },
	{ "envid", NULL, offsetof(struct spool_envelope, envid) },
	{ "next-hop", NULL, offsetof(struct spool_envelope, next_hop) },
	{ "auth", NULL, offsetof(struct spool_envelope, auth) },
	{ "client", NULL, offsetof(struct spool_envelope, client) },
	{ "helo", NULL, offsetof(struct spool_envelope, helo) },
	{ "user", NULL, offsetof(struct spool_envelope, user) },
};

/* A key that this version does not know is skipped. */
static bool head_line(struct head *h, struct span line)
{
	struct span key = span_cut(&line, ':');
	for (size_t i = 0; i < sizeof head_keys / sizeof *head_keys; i++) {
		if (!span_eqs(key, head_keys[i].key))
			continue;
		struct span value = span_trim(line);
		if (head_keys[i].parse)
			return head_keys[i].parse(h, value);
		*(struct span *)(void *)((char *)&h->f->env + head_keys[i].span_at) = decode(value, h->a);
		return true;
	}
	return true;
}

static size_t count_rcpts(struct span lines)
{
	size_t n = 0;
	while (lines.n)
		n += span_starts(span_cut(&lines, '\n'), "rcpt:");
	return n;
}

static bool parse_lines(struct span lines, struct arena *a, struct spool_file *f)
{
	struct head h = { .a = a, .f = f, .max_rcpt = count_rcpts(lines) };
	if (h.max_rcpt == 0 || h.max_rcpt > SPOOL_RCPT_MAX)
		return false;
	f->env.rcpt = arena_alloc(a, h.max_rcpt * sizeof *f->env.rcpt);
	f->state = arena_alloc(a, h.max_rcpt * sizeof *f->state);
	for (size_t i = 0; i < h.max_rcpt; i++)
		f->state[i].last.relay = f->state[i].last.text = span_of(NULL, 0);
	while (lines.n)
		if (!head_line(&h, span_cut(&lines, '\n')))
			return false;
	return h.have_from && f->env.n_rcpt == h.max_rcpt;
}

int spool_parse_head(struct span text, struct arena *a, struct spool_file *out, struct err *err)
{
	struct span none = span_of(NULL, 0);
	*out = (struct spool_file){ .env = { .from = none,
					.ret = none,
					.envid = none,
					.auth = none,
					.next_hop = none,
					.hold = none,
					.client = none,
					.helo = none,
					.user = none } };
	size_t magic = text.n < SPOOL_SIZE_AT ? text.n : SPOOL_SIZE_AT;
	if (memcmp(text.p, SPOOL_MAGIC, magic) != 0)
		return err_set(err, ERR_DATA, "not a queue file");
	ptrdiff_t end = span_find(text, SPAN("\n\n"));
	if (end < 0)
		return text.n < SPOOL_ENVELOPE_MAX ? 1 : err_set(err, ERR_DATA, "the envelope does not end");
	struct span lines = span_slice(text, SPOOL_SIZE_AT, (size_t)end);
	if (!span_u64(span_cut(&lines, '\n'), UINT64_C(999999999999999), &out->size))
		return err_set(err, ERR_DATA, "the size is no number");
	out->content_at = (uint64_t)end + 2;
	return parse_lines(lines, a, out) ? 0 : err_set(err, ERR_DATA, "the envelope is damaged");
}

static bool parse_outcome(
    struct span rest, enum spool_state state, int64_t when, struct arena *a, struct spool_rcpt_state *st)
{
	uint64_t code;
	struct spool_outcome o = { .state = state, .when = when };
	if (!span_u64(span_word(&rest), 999, &code))
		return false;
	struct span enh = decode_field(span_word(&rest), a);
	struct span relay = span_word(&rest);
	if (enh.n >= sizeof o.enh || !relay.n)
		return false;
	o.code = (int)code;
	memcpy(o.enh, enh.p, enh.n);
	o.relay = decode_field(relay, a);
	o.text = decode(span_trim(rest), a);
	st->last = o;
	st->attempts += state == SPOOL_DEFERRED;
	return true;
}

void spool_parse_line(struct span line, struct arena *a, struct spool_file *f)
{
	uint64_t rcpt, when;
	if (!span_ends(line, " ;"))
		return;
	line.n -= 2;
	if (!span_u64(span_word(&line), SPOOL_RCPT_MAX, &rcpt) || rcpt >= f->env.n_rcpt)
		return;
	struct spool_rcpt_state *st = &f->state[rcpt];
	struct span word = span_word(&line);
	if (!span_u64(span_word(&line), INT64_MAX, &when))
		return;
	st->warned |= span_eqs(word, note_names[SPOOL_WARNED]);
	st->reported |= span_eqs(word, note_names[SPOOL_REPORTED]);
	if (spool_state_final(st->last.state))
		return;
	for (enum spool_state s = SPOOL_DEFERRED; s <= SPOOL_FAILED; s++)
		if (span_eqs(word, state_names[s]) && parse_outcome(line, s, (int64_t)when, a, st))
			return;
}
