/* SPDX-License-Identifier: ISC */
#include "mta-relay/serve/serve_check.h"

#include "base/log.h"
#include "mta-relay/guard/guard_int.h"

const struct serve_check *const serve_checks[] = {
	&no_mail_check,
	&guard_check,
	&limit_check,
	&account_check,
	&greet_check,
	&auth_check,
	&owner_check,
	&rewrite_check,
	&policy_check,
	&user_check,
	&null_mx_check,
	&verify_check,
	&esmtp_check,
	&submit_check,
	&dns_check,
	&grey_check,
	&policyd_check,
	&filter_check,
	&milter_check,
	&proxy_check,
	NULL,
};

int checks_set_up(struct relay_server *rs, struct err *err)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->set_up && (*c)->set_up(rs, err) < 0)
			return -1;
	return 0;
}

void checks_reload(struct relay_server *rs)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++) {
		struct err err = { 0 };
		if ((*c)->reload && (*c)->reload(rs, &err) < 0)
			log_err(
			    "reload error=%s why=\"%s stays as it was\"", log_quote(span_str(err.text)), (*c)->name);
	}
}

void checks_clean_up(struct relay_server *rs)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->clean_up)
			(*c)->clean_up(rs);
}

int checks_worker_start(struct relay_server *rs, struct err *err)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->worker_start && (*c)->worker_start(rs, err) < 0)
			return -1;
	return 0;
}

void checks_worker_stop(struct relay_server *rs)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->worker_stop)
			(*c)->worker_stop(rs);
}

static check_fn *stage_of(const struct serve_check *c, size_t stage)
{
	check_fn *fn;
	/* UNSAFE: stage is the offset of a member of this type. */
	memcpy(&fn, (const char *)c + stage, sizeof fn);
	return fn;
}

void checks_ask(struct relay_session *s, struct smtp_session *x, size_t stage, struct smtp_answer *a)
{
	for (const struct serve_check *const *c = serve_checks; *c && !a->code; c++) {
		if (stage_of(*c, stage))
			stage_of(*c, stage)(s, x, a);
		s->talk.check = a->code ? (*c)->name : NULL;
	}
}

void checks_rcpt(struct relay_session *s, struct smtp_session *x, struct smtp_env_rcpt *r, struct smtp_answer *a)
{
	for (const struct serve_check *const *c = serve_checks; *c && !a->code; c++) {
		if ((*c)->rcpt)
			(*c)->rcpt(s, x, r, a);
		s->talk.check = a->code ? (*c)->name : NULL;
	}
}

void checks_done(struct relay_session *s, struct smtp_session *x, bool taken)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->done)
			(*c)->done(s, x, taken);
}

void checks_reset(struct relay_session *s, struct smtp_session *x)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->reset)
			(*c)->reset(s, x);
}

void checks_authenticated(struct relay_session *s, struct smtp_session *x, const struct err *why)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->authenticated)
			(*c)->authenticated(s, x, why);
}

void checks_command(struct relay_session *s, struct smtp_session *x, const struct smtp_command *cmd)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->command)
			(*c)->command(s, x, cmd);
}

void checks_close(struct relay_session *s, struct smtp_session *x)
{
	for (const struct serve_check *const *c = serve_checks; *c; c++)
		if ((*c)->close)
			(*c)->close(s, x);
}
