/* SPDX-License-Identifier: ISC
 *
 * One transaction. The commands MAIL, RCPT..., DATA are numbered; `sent` and `got` count commands written and replies
 * read. With PIPELINING they run apart by at most a window, without it by one. With BDAT the content takes DATA's place
 * and is not numbered; a small one leaves in one write with the envelope, so that a message costs one round trip.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "smtp/client_int.h"
#include "smtp/dot_encode.h"

enum {
	WINDOW = 100,        /* RFC 2920 3.1: so few replies fit into any TCP window, and nobody waits for ever */
	EARLY_CHECK = 65536, /* content bytes between two looks for a reply that came too early */
	AT_ONCE = 65536,     /* content bytes that are sent with the envelope, though all recipients may be refused */
	PRDR_FOLLOWS = 353,  /* a reply for each recipient comes next */
	CODE_LEN = 4,        /* "250 " */
	LAST_WORDS = 5000,   /* ms for the reply of a server that closed while we sent */
};

enum rcpt_state {
	PENDING,
	ACCEPTED,
	PROMISED, /* PRDR: taken for this one, if the message is */
	DECIDED
};

struct txn {
	struct smtp_client *c;
	struct smtp_message *m;
	unsigned char *state; /* enum rcpt_state, one per recipient */
	size_t sent, got, accepted;
	bool mail_ok, prdr;
	bool bdat, chunk_said; /* the content goes out with BDAT; it has */
	uint64_t left;         /* bytes of the chunk still to be written */
};

static void decide(struct txn *t, size_t i, const struct err *why, const char *reply)
{
	struct smtp_rcpt *r = &t->m->rcpt[i];
	t->state[i] = DECIDED;
	r->result = *why;
	snprintf(r->reply, sizeof r->reply, "%.*s", (int)sizeof r->reply - 1, reply);
}

/* The last reply decides recipient i. */
static void decide_by_reply(struct txn *t, size_t i)
{
	struct smtp_reply *reply = &t->c->reply;
	struct err why = { 0 };
	char line[sizeof t->m->rcpt[i].reply];
	smtp_reply_line(reply, line, sizeof line);
	if (reply->code / 100 == 3)
		err_set(&why, ERR_PROTO, "unexpected reply: %s", line);
	else if (reply->code / 100 != 2)
		smtp_reply_err(reply, &why);
	else
		snprintf(why.enh, sizeof why.enh, "%s", reply->enh);
	why.code = reply->code;
	decide(t, i, &why, line);
}

static void decide_all(struct txn *t, enum rcpt_state which)
{
	for (size_t i = 0; i < t->m->n_rcpt; i++)
		if (t->state[i] == which)
			decide_by_reply(t, i);
}

static void decide_rest(struct txn *t, const struct err *why)
{
	for (size_t i = 0; i < t->m->n_rcpt; i++)
		if (t->state[i] != DECIDED)
			decide(t, i, why, why->text);
}

/* Header and protocol injection end here: no address or parameter with a line end, a NUL or a stray blank is sent. */
static int check_envelope(struct txn *t, struct err *err)
{
	const struct smtp_message *m = t->m;
	if (!client_sender_ok(m))
		return err_reply(err, 501, "5.1.7", "the sender or a parameter cannot be sent");
	for (size_t i = 0; i < m->n_rcpt; i++) {
		const struct smtp_rcpt *r = &m->rcpt[i];
		struct err why = { 0 };
		if (client_rcpt_ok(m, r))
			continue;
		err_reply(&why, 501, "5.1.3", "the recipient's address cannot be sent");
		decide(t, i, &why, why.text);
	}
	return 0;
}

static struct span domain_of(const char *address)
{
	struct span s = span_str(address);
	return span_from(s, (size_t)(span_rchr(s, '@') + 1));
}

/* Is it in the domain of one of those before it that are to be sent? */
static bool domain_seen(const struct txn *t, size_t i)
{
	struct span domain = domain_of(t->m->rcpt[i].address);
	for (size_t k = 0; k < i; k++)
		if (t->state[k] == PENDING && span_ieq(domain_of(t->m->rcpt[k].address), domain))
			return true;
	return false;
}

/* RFC 9422 4: who would be too many is told so without being asked for. */
static void keep_limits(struct txn *t)
{
	unsigned rcpt = 0, domains = 0, max = t->c->rcpt_max, max_domains = t->c->domain_max;
	struct err why = { 0 };
	if (!max && !max_domains)
		return;
	for (size_t i = 0; i < t->m->n_rcpt; i++) {
		if (t->state[i] != PENDING)
			continue;
		bool another = max_domains && !domain_seen(t, i);
		if ((max && rcpt == max) || (another && domains == max_domains)) {
			err_reply(&why, 452, "4.5.3", "the server takes fewer recipients at once");
			decide(t, i, &why, why.text);
			continue;
		}
		rcpt++;
		domains += another;
	}
}

/* MAIL, RCPT..., and DATA unless the content needs no leave. */
static size_t all_commands(const struct txn *t)
{
	return t->m->n_rcpt + (t->bdat ? 1 : 2);
}

/* One verdict for all would be no gain for a single recipient; LMTP has one for each anyway. */
static bool may_prdr(const struct txn *t)
{
	return (t->c->exts & SMTP_PRDR) && !t->c->config.lmtp && t->m->n_rcpt > 1;
}

static bool may_bdat(const struct txn *t)
{
	unsigned need = SMTP_CHUNKING | SMTP_PIPELINING;
	return t->m->binary || (t->m->exact && t->m->size && (t->c->exts & need) == need);
}

static void say_next(struct txn *t)
{
	struct buf line;
	buf_init(&line, (size_t)4 * LIMIT_SMTP_PATH + LIMIT_SMTP_COMMAND);
	if (t->sent == 0)
		client_mail_line(t->c, t->m, t->prdr, &line);
	else if (t->sent <= t->m->n_rcpt)
		client_rcpt_line(t->c, t->m, &t->m->rcpt[t->sent - 1], &line);
	else
		buf_adds(&line, "DATA");
	client_say(t->c, buf_span(&line), false);
	buf_free(&line);
	t->sent++;
}

/* A recipient whose address can't be sent is passed over: no command, no reply. */
static void skip_undeliverable(struct txn *t)
{
	while (t->sent == t->got && t->sent >= 1 && t->sent <= t->m->n_rcpt && t->state[t->sent - 1] == DECIDED) {
		t->sent++;
		t->got++;
	}
}

static bool may_say(const struct txn *t)
{
	size_t waiting = t->sent - t->got;
	bool data_next = t->sent == t->m->n_rcpt + 1;
	if (t->sent == all_commands(t) || waiting >= ((t->c->exts & SMTP_PIPELINING) ? WINDOW : 1))
		return false;
	if (t->got > 0 && !t->mail_ok)
		return false;
	if (t->sent >= 1 && !data_next && t->state[t->sent - 1] == DECIDED)
		return false;
	return !data_next || waiting || t->accepted;
}

static void trace_reply(const struct txn *t, const char *ev, const char *what)
{
	const struct smtp_reply *r = &t->c->reply;
	char line[300], why[700];
	smtp_reply_line(r, line, sizeof line);
	smtp_about(span_str(what), span_from(span_str(line), CODE_LEN), why, sizeof why);
	struct trace_event e = { .ev = ev,
		.code = r->code,
		.why = why,
		.result = r->code / 100 == 2   ? "ok"
			  : r->code / 100 == 5 ? "perm"
					       : "temp" };
	trace_event(&e);
}

static void take_mail(struct txn *t)
{
	t->mail_ok = client_positive(t->c);
	trace_reply(t, "smtp.mail", t->m->from);
	if (!t->mail_ok)
		decide_all(t, PENDING);
}

/* RFC 5321 4.5.3.1.10: behind others that were taken 552 is what servers by RFC 821 say when they have enough of them.
 * One that says what it means by it means that, a full mailbox (5.2.2) for example. */
static void read_552(const struct txn *t, struct err *result)
{
	if (result->code != 552 || !t->accepted || (*result->enh && strcmp(result->enh, "5.5.3") != 0))
		return;
	result->class = ERR_TEMP;
	result->code = 452;
	snprintf(result->enh, sizeof result->enh, "4.5.3");
}

static void take_rcpt(struct txn *t, size_t i)
{
	trace_reply(t, "smtp.rcpt", t->m->rcpt[i].address);
	/* After a refused MAIL a 250 here means nothing, whatever the server thinks. */
	if (t->state[i] != PENDING)
		return;
	if (!client_positive(t->c)) {
		decide_by_reply(t, i);
		read_552(t, &t->m->rcpt[i].result);
		return;
	}
	t->state[i] = ACCEPTED;
	t->accepted++;
}

/* A server that speaks or closes before the final dot has given up on us: its reply says why. */
static int heard_too_early(struct txn *t, struct err *err)
{
	if (stream_fd(t->c->s) < 0 || !(stream_wait(t->c->s, -1, 0) & STREAM_READY))
		return 0;
	int rc = client_hear(t->c, false, LAST_WORDS, err);
	t->c->alive = false;
	if (rc < 0 || t->c->reply.code >= 400)
		return rc < 0 ? -1 : smtp_reply_err(&t->c->reply, err);
	return err_set(err, ERR_PROTO, "the server replied %d before the end of the message", t->c->reply.code);
}

static int write_failed(struct txn *t, struct err *err)
{
	struct err why = *stream_err(t->c->s), unused;
	int rc = client_hear(t->c, false, LAST_WORDS, &unused);
	t->c->alive = false;
	if (rc == 0 && t->c->reply.code >= 400)
		return smtp_reply_err(&t->c->reply, err);
	if (err)
		*err = why;
	return -1;
}

static int broken_promise(struct txn *t, struct err *err)
{
	t->c->alive = false; /* a chunk that is not whole is no message */
	return err_set(err, ERR_BUG, "the content has not the size that was told");
}

static int put(struct txn *t, struct dot_encoder *dot, struct span slice, struct err *err)
{
	if (t->bdat && slice.n > t->left)
		return broken_promise(t, err);
	int rc = t->bdat ? stream_span(t->c->s, slice) : dot_encode(dot, slice, t->c->s);
	t->left -= t->bdat ? slice.n : 0;
	return rc < 0 ? write_failed(t, err) : 0;
}

/* All of the content. In slices, so that one huge piece is not sent to a server that has long said no. */
static int say_pieces(struct txn *t, struct dot_encoder *dot, struct err *err)
{
	struct span piece;
	size_t since = 0;
	int rc;
	int64_t patience = client_patience(t->c, TIME_SMTP_DATA_BLOCK);
	stream_set_timeout(t->c->s, patience);
	if (t->c->end)
		stream_set_deadline(t->c->s, patience); /* until the next reply is waited for */
	while ((rc = t->m->read(t->m->arg, &piece, err)) > 0) {
		while (piece.n) {
			struct span slice = span_slice(piece, 0, EARLY_CHECK);
			piece = span_from(piece, slice.n);
			if (put(t, dot, slice, err) < 0)
				return -1;
			since += slice.n;
			if (since >= EARLY_CHECK && t->sent == t->got && heard_too_early(t, err) < 0)
				return -1;
			since %= EARLY_CHECK;
		}
	}
	if (rc < 0)
		t->c->alive = false; /* only a broken connection takes DATA back */
	return rc;
}

/* From here on a process that is told to stop still hears what became of the message: else it would be sent again. */
static void must_hear(struct txn *t)
{
	stream_set_stoppable(t->c->s, false);
}

/* The content and its final dot. On failure the dot was not sent: the server must forget the message. */
static int say_content(struct txn *t, struct err *err)
{
	struct dot_encoder dot = { 0 };
	must_hear(t);
	if (say_pieces(t, &dot, err) < 0)
		return -1;
	if (dot_encode_end(&dot, t->c->s) < 0 || stream_flush(t->c->s) < 0)
		return write_failed(t, err);
	trace_line('>', SPAN("."), false);
	return 0;
}

/* The content in one chunk. It leaves when the first reply is waited for. */
static int say_chunk(struct txn *t, struct err *err)
{
	char line[40];
	snprintf(line, sizeof line, "BDAT %llu LAST", (unsigned long long)t->m->size);
	client_say(t->c, span_str(line), false);
	t->chunk_said = true;
	t->left = t->m->size;
	must_hear(t);
	if (say_pieces(t, NULL, err) < 0)
		return -1;
	return t->left ? broken_promise(t, err) : 0;
}

/* The chunk goes out right behind the last RCPT, unless it is large or the server reads no command before it has
 * answered the last: then who takes it is to be known first. */
static bool may_say_chunk(const struct txn *t)
{
	if (!(t->c->exts & SMTP_PIPELINING) && t->sent != t->got)
		return false;
	return t->bdat && !t->chunk_said && t->sent == all_commands(t) && t->m->size <= AT_ONCE &&
	       (t->sent > t->got || t->accepted);
}

/* MAIL, RCPT and DATA, and their replies. Afterwards all that were sent are answered. */
static int negotiate(struct txn *t, struct err *err)
{
	for (;;) {
		skip_undeliverable(t);
		if (may_say(t)) {
			say_next(t);
			continue;
		}
		if (may_say_chunk(t) && say_chunk(t, err) < 0)
			return -1;
		if (t->sent == t->got)
			return 0;
		bool data = t->got == t->m->n_rcpt + 1;
		/* A server that holds its replies back until its input is used up gives them after the work. */
		int64_t patience = t->chunk_said ? TIME_SMTP_DATA_DONE : data ? TIME_SMTP_DATA_INIT : TIME_SMTP_COMMAND;
		if (client_hear(t->c, false, patience, err) < 0)
			return -1;
		if (t->got == 0)
			take_mail(t);
		else if (!data)
			take_rcpt(t, t->got - 1);
		t->got++;
		if (!t->c->alive) /* 421 */
			return smtp_reply_err(&t->c->reply, err);
	}
}

static void take_final(struct txn *t, size_t i)
{
	decide_by_reply(t, i);
	trace_reply(t, t->m->rcpt[i].result.class == ERR_NONE ? "accept" : "refuse", t->m->rcpt[i].address);
}

/* RFC 2033 4.2: LMTP answers once for each recipient that it accepted, in their order; PRDR after 353, and then for the
 * message, without which the yes before it is none: until that it counts as not answered. */
static int hear_each(struct txn *t, struct err *err)
{
	for (size_t i = 0; i < t->m->n_rcpt; i++) {
		if (t->state[i] != ACCEPTED)
			continue;
		if (client_hear(t->c, false, TIME_SMTP_DATA_DONE, err) < 0)
			return -1;
		take_final(t, i);
		if (!t->c->alive)
			return smtp_reply_err(&t->c->reply, err);
		if (t->prdr && client_positive(t->c))
			t->state[i] = PROMISED;
	}
	return 0;
}

/* The reply that was heard last is for all that are in this state. */
static void take_for_all(struct txn *t, enum rcpt_state which)
{
	for (size_t i = 0; i < t->m->n_rcpt; i++)
		if (t->state[i] == which)
			take_final(t, i);
}

/* draft-hall-prdr 4.5: the reply for the message takes back what was promised, when it is no yes. */
static int hear_message(struct txn *t, struct err *err)
{
	if (client_hear(t->c, false, TIME_SMTP_DATA_DONE, err) < 0)
		return -1;
	if (!client_positive(t->c))
		take_for_all(t, PROMISED);
	for (size_t i = 0; i < t->m->n_rcpt; i++)
		if (t->state[i] == PROMISED)
			t->state[i] = DECIDED;
	return 0;
}

static int hear_final(struct txn *t, struct err *err)
{
	bool each = t->c->config.lmtp;
	if (!each && client_hear(t->c, false, TIME_SMTP_DATA_DONE, err) < 0)
		return -1;
	if (!each && t->prdr && t->c->reply.code == PRDR_FOLLOWS) {
		if (hear_each(t, err) < 0 || hear_message(t, err) < 0)
			return -1;
	} else if (!each) {
		take_for_all(t, ACCEPTED);
	} else if (hear_each(t, err) < 0) {
		return -1;
	}
	t->c->unfinished = false;
	return 0;
}

/* RFC 2920 3.1: DATA was pipelined and accepted though no recipient was: an empty message ends it. */
static int say_lone_dot(struct txn *t, struct err *err)
{
	client_say(t->c, SPAN("."), false);
	if (t->c->config.lmtp)
		return 0;
	return client_hear(t->c, false, TIME_SMTP_DATA_DONE, err);
}

/* BDAT LAST without a recipient: SMTP gives one reply, LMTP none (RFC 2033 4.3), though some servers do. What LHLO is
 * answered can't be mistaken: it has several lines, of which LMTP's two extensions must be. */
static int after_lone_chunk(struct txn *t, struct err *err)
{
	struct smtp_client *c = t->c;
	if (!c->config.lmtp)
		return client_hear(c, false, TIME_SMTP_DATA_DONE, err);
	char line[LIMIT_DOMAIN + 16];
	snprintf(line, sizeof line, "LHLO %s", c->config.helo);
	if (client_command(c, span_str(line), TIME_SMTP_COMMAND, err) < 0)
		return -1;
	bool late = !client_positive(c) || c->reply.lines == 1;
	if (late && c->alive && client_hear(c, false, TIME_SMTP_COMMAND, err) < 0)
		return -1;
	c->alive = c->alive && client_positive(c) && c->reply.lines > 1;
	c->unfinished = false;
	return 0;
}

static int deliver_chunk(struct txn *t, struct err *err)
{
	if (!t->accepted)
		return t->chunk_said ? after_lone_chunk(t, err) : 0;
	if (!t->chunk_said && say_chunk(t, err) < 0)
		return -1;
	return hear_final(t, err);
}

/* A reply that came along with the one to DATA would be taken for the message's, which it can't be. The look costs
 * nothing where there is none. */
static int check_ahead(struct txn *t, struct err *err)
{
	return stream_has_input(t->c->s) ? heard_too_early(t, err) : 0;
}

static int deliver(struct txn *t, struct err *err)
{
	int code = t->c->reply.code;
	if (t->bdat)
		return deliver_chunk(t, err);
	if (t->sent < all_commands(t))
		return 0; /* DATA was never said: all are decided */
	if (code / 100 == 2) {
		/* A server that says yes before it has the message is out of step with us. */
		t->c->alive = false;
		return err_set(err, ERR_PROTO, "the server answered DATA with %d", code);
	}
	if (code / 100 != 3) {
		decide_all(t, ACCEPTED);
		return 0;
	}
	if (check_ahead(t, err) < 0)
		return -1;
	if (!t->accepted)
		return say_lone_dot(t, err);
	return say_content(t, err) < 0 || hear_final(t, err) < 0 ? -1 : 0;
}

/* Back to idle after a transaction that ended before its final dot. */
int client_clean_up(struct smtp_client *c, struct err *err)
{
	if (!c->unfinished)
		return 0;
	if (client_command(c, SPAN("RSET"), TIME_SMTP_COMMAND, err) < 0)
		return -1;
	c->unfinished = false;
	if (!client_positive(c)) {
		c->alive = false;
		return smtp_reply_err(&c->reply, err);
	}
	return 0;
}

static int run(struct txn *t, struct err *err)
{
	struct smtp_client *c = t->c;
	struct err refusal = { 0 };
	if (!c->alive)
		return err_set(err, ERR_TEMP, "the connection is closed");
	if (check_envelope(t, &refusal) < 0 || client_check_extensions(t->c, t->m, &refusal) < 0) {
		decide_rest(t, &refusal);
		return 0;
	}
	keep_limits(t);
	if (client_quiet(c, err) < 0 || client_clean_up(c, err) < 0)
		return -1;
	c->unfinished = true;
	t->bdat = may_bdat(t);
	t->prdr = may_prdr(t);
	return negotiate(t, err) < 0 || deliver(t, err) < 0 ? -1 : 0;
}

int smtp_client_send(struct smtp_client *c, struct smtp_message *m, struct err *err)
{
	struct txn t = { .c = c, .m = m, .state = xcalloc(m->n_rcpt + 1, 1) };
	struct err why = { 0 };
	for (size_t i = 0; i < m->n_rcpt; i++) {
		m->rcpt[i].result = (struct err){ 0 };
		m->rcpt[i].reply[0] = '\0';
	}
	int rc = run(&t, &why);
	stream_set_stoppable(c->s, true);
	if (rc < 0) {
		c->alive = false;
		decide_rest(&t, &why);
		if (err)
			*err = why;
	}
	free(t.state);
	return rc;
}
