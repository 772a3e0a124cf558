/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/serve_esmtp.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

#include "mta-relay/serve/serve_check.h"

#define AT(member) offsetof(struct esmtp_settings, member)
const struct opt serve_esmtp_options[] = {
	{ "min-free", 0, OPT_SIZE, AT(min_free), "SIZE", "space that the queue's file system keeps (default 50M)", NULL,
	    0 },
	{ "vrfy", 0, OPT_CHOICE, AT(vrfy), NULL, "who is told which addresses exist", "no|trusted|yes", 0 },
	{ "etrn", 0, OPT_FLAG, AT(etrn), NULL, "clients may wake the queue for domains of --relay-to", NULL, 0 },
	{ "hold-max", 0, OPT_DURATION, AT(hold_max), "TIME", "how long a message may wait for its release (default 7d)",
	    NULL, 0 },
	{ 0 },
};

enum {
	MIN_FREE = 50 << 20,
	HOLD_MAX = 7 * 24 * 3600 * 1000,
};
const struct esmtp_settings esmtp_defaults = { .min_free = MIN_FREE, .hold_max = HOLD_MAX };

/* A queue is made with its first message: until then the folder above it is asked. */
static int ask_space(const char *queue, struct statvfs *v)
{
	char path[4096];
	struct span rest = span_str(queue);
	int rc = statvfs(queue, v);
	while (rc < 0 && errno == ENOENT && rest.n > 1) {
		ptrdiff_t slash = span_rchr(rest, '/');
		rest = slash > 0 ? span_slice(rest, 0, (size_t)slash) : slash == 0 ? SPAN("/") : SPAN(".");
		snprintf(path, sizeof path, "%.*s", SPAN_FMT(rest));
		rc = statvfs(path, v);
	}
	return rc;
}

/* What it was within the last second: this is asked for each message. */
static int recent_space(const char *queue, struct statvfs *v)
{
	static struct statvfs last;
	static time_t asked;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if ((asked != now.tv_sec || !last.f_bsize) && ask_space(queue, &last) < 0)
		return -1;
	asked = now.tv_sec;
	*v = last;
	return 0;
}

bool esmtp_has_room(const char *queue, uint64_t min_free, uint64_t size)
{
	struct statvfs v;
	if (!min_free || recent_space(queue, &v) < 0)
		return true;
	/* Some file systems count no files. */
	bool files = !v.f_files || v.f_favail;
	uint64_t block = v.f_frsize ? v.f_frsize : v.f_bsize, need = min_free + size;
	return files && need >= size && v.f_bavail >= need / block;
}

/* RFC 1870 6.1: told before the content is sent, where that can be. */
static void room(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	const struct serve_settings *o = &s->rs->o;
	if (!esmtp_has_room(o->queue, o->esmtp.min_free, x->env.size))
		smtp_answer(a, 452, "4.3.1", "There is not enough space for the message now");
}

/* RFC 4954 5: who is not authenticated has not said who submitted it. Who is may name himself, and a host that is
 * trusted besides names anybody. */
static void believe_submitter(struct relay_session *s, struct smtp_session *x)
{
	struct smtp_env *e = &x->env;
	struct addr who;
	bool known = x->user.n && (s->trusted || span_eq(x->user, e->auth));
	if (!known && x->user.n && addr_parse_mailbox(e->auth, true, false, &who, e->arena))
		known = policy_owns(&s->rs->policy, e->arena, x->user, &who) == OWNER_YES;
	if (!known)
		e->auth = SPAN("");
}

static void esmtp_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	if (x->env.auth.n)
		believe_submitter(s, x);
	room(s, x, a);
}

/* RFC 6758 3.1 4a: the header's word counts where MAIL says nothing, and the sender is known. */
static void header_priority(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	const struct content_facts *f = &s->facts;
	(void)a;
	if (x->env.has_priority || !f->has_priority || !(s->trusted || x->user.n || f->priority < 0))
		return;
	x->env.has_priority = true;
	x->env.priority = f->priority;
}

const struct serve_check esmtp_check = {
	.name = "extensions",
	.mail = esmtp_mail,
	.data = room,
	.message = header_priority,
};
