/* SPDX-License-Identifier: ISC
 *
 * --canonical and the like: the envelope of every message, and the header of those that come from clients that may
 * relay, who are ours. What others wrote in their headers is their own.
 */
#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "mta-relay/content/content_edit.h"
#include "mta-relay/serve/serve_check.h"

static void cannot_say(const struct err *err, struct smtp_answer *a)
{
	log_err("table error=%s", log_quote(span_str(err->text)));
	smtp_answer(a, 451, err->class == ERR_CONFIG ? "4.3.5" : "4.3.0", "An address cannot be looked up now");
}

static void tell(struct span was, struct span now)
{
	trace_why("policy", "ok", NULL, "%.*s is written %.*s", SPAN_FMT(was), SPAN_FMT(now));
}

static void rewrite_mail(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct addr new = x->env.from_addr;
	struct err err = { 0 };
	struct buf text;
	if (!s->rs->tables.rewrites || !x->env.from.n)
		return;
	int rc = rewrite_address(&s->rs->tables.rewrite, x->env.arena, REWRITE_SENDER, &new, &err);
	if (rc < 0)
		cannot_say(&err, a);
	if (rc <= 0)
		return;
	buf_init(&text, LIMIT_SMTP_PATH);
	addr_format(&new, &text);
	tell(x->env.from, buf_span(&text));
	x->env.from = arena_span(x->env.arena, buf_span(&text));
	x->env.from_addr = new;
	buf_free(&text);
}

/* Before it is found out where that leads; the text stays for replies and reports. */
static void rewrite_rcpt(
    struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	struct err err = { 0 };
	if (!s->rs->tables.rewrites || !r->addr.domain.n)
		return;
	int rc = rewrite_address(&s->rs->tables.rewrite, x->env.arena, REWRITE_RECIPIENT, &r->addr, &err);
	if (rc < 0)
		cannot_say(&err, a);
	if (rc > 0)
		trace_why("policy", "ok", NULL, "%.*s is written otherwise, in %.*s", SPAN_FMT(r->text),
		    SPAN_FMT(r->addr.domain));
}

/* One field of the message. */
static int one_field(struct relay_session *s, struct smtp_session *x, struct content_edit *e, size_t i, struct err *err)
{
	struct header_field f;
	enum rewrite_role role;
	struct buf value;
	content_edit_field(e, i, &f);
	if (!rewrite_role_of(f.name, &role))
		return 0;
	buf_init(&value, LIMIT_HEADER_FIELD);
	int rc = rewrite_field_value(&s->rs->tables.rewrite, x->env.arena, role, f.value, &value, err);
	if (rc > 0 && content_edit_change(e, i, f.name, buf_span(&value), true, err) < 0)
		rc = -1;
	buf_free(&value);
	return rc;
}

static void rewrite_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct content_edit e;
	struct err err = { 0 };
	int changed = 0, rc = 0;
	if (!s->rs->tables.rewrites || !(s->trusted || x->user.n))
		return;
	if (content_edit_begin(&e, &s->rs->content, x->env.arena, &err) < 0) {
		smtp_answer(a, 552, "5.3.4", "%s", err.text);
		return;
	}
	for (size_t i = 0; i < e.n && rc >= 0; i++) {
		rc = one_field(s, x, &e, i, &err);
		changed |= rc > 0;
	}
	if (rc >= 0 && changed)
		rc = content_edit_commit(&e, &err);
	else
		content_edit_end(&e);
	if (rc < 0)
		cannot_say(&err, a);
	if (changed)
		content_look(&s->rs->content, &s->facts);
}

const struct serve_check rewrite_check = {
	.name = "addresses",
	.mail = rewrite_mail,
	.rcpt = rewrite_rcpt,
	.message = rewrite_message,
};
