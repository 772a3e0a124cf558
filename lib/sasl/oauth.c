/* SPDX-License-Identifier: ISC */
#include "sasl/oauth.h"

#include <openssl/crypto.h>

#include "base/limits.h"
#include "io/spawn.h"

static void add(struct buf *b, const char *key, struct span value)
{
	if (!value.n || span_has_ctl(value))
		return;
	buf_addf(b, "%s=", key);
	buf_addspan(b, value);
	buf_addc(b, '\n');
}

/* The one place where the command is started. */
static int ask(const struct sasl_oauth *o, const struct buf *question, struct buf *answer, struct err *err)
{
	const struct spawn sp = {
		.command = o->command, .broker = o->broker, .index = o->index, .errfd = SPAWN_INHERIT
	};
	return spawn_run(&sp, buf_span(question), answer, o->timeout_ms, err);
}

static int verdict(int status, const struct buf *answer, struct buf *user, struct err *err)
{
	struct span rest = buf_span(answer), name = span_trim(span_cut(&rest, '\n'));
	if (status == 1)
		return err_set(err, ERR_ACCESS, "the token was refused");
	if (status != 0)
		return err_set(err, ERR_TEMP, "the command for tokens ended with status %d", status);
	if (!name.n || span_has_ctl(name) || answer->len == answer->max)
		return err_set(err, ERR_TEMP, "the command for tokens named no user");
	buf_addspan(user, name);
	return 0;
}

int sasl_oauth_ask(
    const struct sasl_oauth *o, const struct sasl_token *t, const char *client, struct buf *user, struct err *err)
{
	struct buf question, answer;
	buf_init(&question, 2 * LIMIT_SECRET);
	buf_init(&answer, LIMIT_SMTP_PATH);
	add(&question, "token", t->bearer);
	add(&question, "user", t->user);
	add(&question, "host", t->host);
	add(&question, "port", t->port);
	add(&question, "mech", span_str(t->mech));
	add(&question, "client", span_str(client));
	int status = ask(o, &question, &answer, err);
	int rc = -1;
	if (status < 0 && err && err->class != ERR_TEMP)
		err->class = ERR_TEMP; /* a command that can't be started says nothing about a token */
	else if (status >= 0)
		rc = verdict(status, &answer, user, err);
	OPENSSL_cleanse(question.p, question.len);
	buf_free(&question);
	buf_free(&answer);
	return rc;
}
