/* SPDX-License-Identifier: ISC
 *
 * Asking the delivery agent at RCPT whether it would take mail for this mailbox, so that an unknown or full one is
 * refused there and not by a report later. What it says is remembered for a short while by each worker.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mta-relay/serve/serve_check.h"

#define AT(member) offsetof(struct serve_address_options, member)

const struct opt serve_address_options[] = {
	{ "verify-recipients", 0, OPT_CHOICE, AT(verify), NULL,
	    "ask the MDA for a local mailbox before the 250 to RCPT", "no|lmtp", 0 },
	{ "no-mail", 0, OPT_FLAG, AT(no_mail), NULL, "answer 521: this host takes no mail", NULL, 0 },
	{ "rewrite-sender", 0, OPT_FLAG, AT(rewrite_sender), NULL, "--own-sender corrects instead of refusing", NULL,
	    0 },
	{ "refuse-null-mx", 0, OPT_FLAG, AT(refuse_null_mx), NULL,
	    "ask the DNS whether a recipient's domain takes no mail", NULL, 0 },
	{ 0 },
};

enum {
	PLACES = 1024,
	REMEMBER_MS = 30 * 1000
};

struct known {
	char *addr; /* NULL: free */
	int64_t until;
	uint64_t size; /* that was asked for */
	struct smtp_answer answer;
};
struct serve_verify {
	struct known known[PLACES];
};

static int verify_start(struct relay_server *rs, struct err *err)
{
	(void)err;
	if (rs->o.address.verify == VERIFY_LMTP)
		rs->verify = xcalloc(1, sizeof *rs->verify);
	return 0;
}

static void verify_stop(struct relay_server *rs)
{
	for (size_t i = 0; rs->verify && i < PLACES; i++)
		free(rs->verify->known[i].addr);
	free(rs->verify);
	rs->verify = NULL;
}

static int verify_set_up(struct relay_server *rs, struct err *err)
{
	if (rs->o.address.verify == VERIFY_LMTP && !rs->o.mda)
		return err_set(err, ERR_USAGE, "--verify-recipients=lmtp needs --mda");
	return 0;
}

static struct known *place_of(struct serve_verify *v, const char *addr)
{
	uint64_t h = 14695981039346656037u;
	for (const char *p = addr; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	return &v->known[(h ^ h >> 32) % PLACES];
}

/* A yes is one for smaller messages too, a no one for larger. */
static bool still_known(const struct known *k, const char *addr, uint64_t size)
{
	bool covers = k->answer.code ? size >= k->size : size <= k->size;
	return k->addr && !strcmp(k->addr, addr) && clock_coarse_ms() < k->until && covers;
}

static void remember(struct known *k, const char *addr, uint64_t size, const struct smtp_answer *a)
{
	free(k->addr);
	*k = (struct known){ xstrdup(addr), clock_coarse_ms() + REMEMBER_MS, size, *a };
}

/* True when it has said something. One that can't be asked now may take the message later. */
static bool ask(struct relay_session *s, struct smtp_session *x, const char *addr, struct smtp_answer *a)
{
	const struct smtp_question q = {
		.from = arena_str(x->env.arena, x->env.from), .rcpt = addr, .utf8 = x->env.utf8, .size = x->env.size
	};
	struct err result, err = { 0 };
	if (!mda_worth_a_try(s->rs->mda))
		return false;
	if (mda_ask(s->rs->mda, &q, &result, &err) < 0) {
		log_warn("verify rcpt=%s error=%s", log_quote(span_str(addr)), log_quote(span_str(err.text)));
		return false;
	}
	if (result.class == ERR_NONE)
		return true;
	struct span words = span_str(result.text);
	smtp_answer(a, result.code,
	    result.enh[0]        ? result.enh
	    : result.code >= 500 ? "5.0.0"
				 : "4.0.0",
	    "%.*s", SPAN_FMT(span_slice(words, 0, 300)));
	return true;
}

/* A list's members are no affair of who writes to the list. */
static void verify_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	const struct relay_targets *t = r->op;
	if (!s->rs->verify || !s->rs->mda || !t || t->n != 1 || !t->v->local)
		return;
	const char *addr = t->v->addr;
	struct known *k = place_of(s->rs->verify, addr);
	if (still_known(k, addr, x->env.size))
		*a = k->answer;
	else if (ask(s, x, addr, a))
		remember(k, addr, x->env.size, a);
	if (a->code)
		trace_why("policy", a->code >= 500 ? "perm" : "temp", "2033#4.2", "the MDA refuses <%s>", addr);
}

const struct serve_check verify_check = {
	.name = "verify",
	.set_up = verify_set_up,
	.worker_start = verify_start,
	.worker_stop = verify_stop,
	.rcpt = verify_rcpt,
};

/* RFC 7504 3: said in the greeting's place. */
static void no_mail_connect(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	(void)x;
	if (!s->rs->o.address.no_mail)
		return;
	smtp_answer(a, 521, "5.3.2", "%s does not accept mail", s->rs->hostname);
	a->close = true;
}

const struct serve_check no_mail_check = {
	.name = "no mail",
	.connect = no_mail_connect,
};
