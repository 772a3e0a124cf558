/* SPDX-License-Identifier: ISC
 *
 * What a submission gains and loses (RFC 6409 8): Date, Message-ID and From where they lack, and Bcc. Before those are
 * asked who look at the message as it will be delivered, signers above all.
 */
#include <time.h>

#include "base/log.h"
#include "msg/date.h"
#include "mta-relay/content/content_edit.h"
#include "mta-relay/serve/serve_check.h"

/* Above the others, in the order of the calls. */
static int add(struct content_edit *e, size_t *at, const char *name, const char *value, struct err *err)
{
	return content_edit_insert(e, (*at)++, span_str(name), span_str(value), false, err);
}

static int complete(struct relay_session *s, struct smtp_session *x, struct content_edit *e, struct err *err)
{
	struct arena *a = x->env.arena;
	size_t at = 0;
	int rc = 0;
	if (!s->facts.date)
		rc |= add(e, &at, "Date", date_here(time(NULL)), err);
	if (!s->facts.message_id)
		rc |= add(e, &at, "Message-ID", arena_printf(a, "<%s@%s>", s->id, s->rs->hostname), err);
	if (!s->facts.froms && x->env.from.n)
		rc |= add(e, &at, "From", arena_printf(a, "<%.*s>", SPAN_FMT(x->env.from)), err);
	return rc;
}

static void submit_message(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct content *c = &s->rs->content;
	struct content_edit e;
	struct err err = { 0 };
	bool whole = s->facts.date && s->facts.message_id && (s->facts.froms || !x->env.from.n);
	if (s->rs->o.role != ROLE_MSA || (whole && !s->facts.bcc))
		return;
	if (s->facts.bcc)
		content_drop_bcc(c);
	if (!whole && content_edit_begin(&e, c, x->env.arena, &err) == 0) {
		if (complete(s, x, &e, &err) == 0)
			content_edit_commit(&e, &err);
		else
			content_edit_end(&e);
	}
	content_look(c, &s->facts);
	if (err.class != ERR_NONE)
		smtp_answer(a, 552, "5.3.4", "The message lacks fields, and %s", err.text);
}

const struct serve_check submit_check = {
	.name = "submission",
	.message = submit_message,
};
