/* SPDX-License-Identifier: ISC
 *
 * A transaction that ends before its content: whether a recipient would be taken.
 */
#include "base/limits.h"
#include "smtp/client_int.h"

/* The reply that was heard last as a result; 0 when it is a yes. */
static int refused(struct smtp_client *c, struct err *result)
{
	if (client_positive(c))
		return 0;
	smtp_reply_err(&c->reply, result);
	return -1;
}

static int say(struct smtp_client *c, const struct buf *line, struct err *err)
{
	if (client_command(c, buf_span(line), TIME_SMTP_COMMAND, err) < 0)
		return -1;
	/* 421 is about itself, and no answer to the question. */
	return c->alive ? 0 : smtp_reply_err(&c->reply, err);
}

static int ask(struct smtp_client *c, const struct smtp_question *q, struct err *result, struct err *err)
{
	struct buf line;
	buf_init(&line, 2 * LIMIT_SMTP_PATH);
	buf_addf(&line, "MAIL FROM:<%s>", q->from);
	if ((c->exts & SMTP_SIZE) && q->size)
		buf_addf(&line, " SIZE=%llu", (unsigned long long)q->size);
	if ((c->exts & SMTP_UTF8) && q->utf8)
		buf_adds(&line, " SMTPUTF8");
	int rc = say(c, &line, err);
	if (rc == 0 && refused(c, result) == 0) {
		buf_reset(&line);
		buf_addf(&line, "RCPT TO:<%s>", q->rcpt);
		rc = say(c, &line, err);
		if (rc == 0)
			refused(c, result);
	}
	buf_free(&line);
	return rc;
}

int smtp_client_ask(struct smtp_client *c, const struct smtp_question *q, struct err *result, struct err *err)
{
	err_clear(result);
	if (!c->alive)
		return err_set(err, ERR_TEMP, "the connection is closed");
	if (!client_path_ok(q->from, q->utf8) || !*q->rcpt || !client_path_ok(q->rcpt, q->utf8)) {
		err_reply(result, 501, "5.1.3", "the address cannot be sent");
		return 0;
	}
	if (client_quiet(c, err) < 0 || client_clean_up(c, err) < 0)
		return -1;
	c->unfinished = true;
	if (ask(c, q, result, err) < 0)
		return -1;
	return client_clean_up(c, err);
}
