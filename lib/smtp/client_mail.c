/* SPDX-License-Identifier: ISC
 *
 * What MAIL and RCPT say: only what can be said without harm, and what the server has offered to hear.
 */
#include "base/limits.h"
#include "smtp/client_int.h"
#include "smtp/param.h"

enum {
	AUTH_MAX = 490
};

/* Outside a quoted local part: nothing that could end the path, the parameter or the line. */
bool client_path_ok(const char *path, bool utf8)
{
	bool quoted = false;
	size_t n = strlen(path);
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)path[i];
		if (ch < ' ' || ch == 0x7f || (ch > 0x7f && !utf8))
			return false;
		if (quoted && ch == '\\' && ++i == n)
			return false;
		if (quoted && ch == '\\' && (path[i] < ' ' || path[i] == 0x7f))
			return false;
		if (ch == '"')
			quoted = !quoted;
		else if (!quoted && (ch == ' ' || ch == '<' || ch == '>'))
			return false;
	}
	return !quoted && n <= LIMIT_SMTP_PATH;
}

/* blanks: several parameters in one string. */
static bool param_ok(const char *value, bool blanks)
{
	if (!value)
		return true;
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p <= ' ' ? !(blanks && *p == ' ') : *p == 0x7f)
			return false;
	return *value && strlen(value) <= LIMIT_SMTP_PATH;
}

bool client_sender_ok(const struct smtp_message *m)
{
	return client_path_ok(m->from, m->utf8) && param_ok(m->ret, false) && param_ok(m->envid, false) &&
	       param_ok(m->hold, false) && param_ok(m->extra, true);
}

bool client_rcpt_ok(const struct smtp_message *m, const struct smtp_rcpt *r)
{
	return *r->address && client_path_ok(r->address, m->utf8) && param_ok(r->notify, false) &&
	       param_ok(r->orcpt, false);
}

/* What the server would refuse, or would break, is not begun. */
int client_check_extensions(const struct smtp_client *c, const struct smtp_message *m, struct err *err)
{
	if ((c->exts & SMTP_SIZE) && c->max_size && m->size > c->max_size)
		return err_reply(err, 552, "5.3.4", "the message has %llu bytes, the server takes %llu",
		    (unsigned long long)m->size, (unsigned long long)c->max_size);
	if (m->utf8 && !(c->exts & SMTP_UTF8))
		return err_reply(err, 550, "5.6.7", "the message needs SMTPUTF8, which the server lacks");
	if (m->requiretls && !(c->exts & SMTP_REQUIRETLS))
		return err_reply(err, 550, "5.7.30", "the server does not support REQUIRETLS (RFC 8689)");
	if (m->hold && !(c->exts & SMTP_FUTURERELEASE))
		return err_reply(err, 550, "5.3.3", "the server holds no messages for later (RFC 4865)");
	if (m->by.mode == 'R' && (!(c->exts & SMTP_DELIVERBY) || m->by.seconds < c->by_min))
		return err_reply(err, 550, "5.3.3",
		    "the server does not promise delivery within %lld seconds (RFC 2852)", (long long)m->by.seconds);
	unsigned binary = SMTP_BINARYMIME | SMTP_CHUNKING;
	if (m->binary && (c->exts & binary) != binary)
		return err_reply(err, 554, "5.6.3", "the message needs BINARYMIME, which the server lacks");
	if (m->eightbit && !m->binary && !(c->exts & SMTP_8BITMIME))
		return err_reply(err, 554, "5.6.3", "the message needs 8BITMIME, which the server lacks");
	return 0;
}

/* RFC 4954 3 (7) makes room for so much; a longer one is nobody. */
static void auth_param(const struct smtp_message *m, struct buf *line)
{
	struct buf xtext;
	buf_init(&xtext, AUTH_MAX);
	xtext_encode(span_str(m->auth), &xtext);
	buf_addf(line, " AUTH=%s", xtext.len && !xtext.bad ? xtext.p : "<>");
	buf_free(&xtext);
}

void client_mail_line(const struct smtp_client *c, const struct smtp_message *m, bool prdr, struct buf *line)
{
	unsigned exts = c->exts;
	buf_addf(line, "MAIL FROM:<%s>", m->from);
	if ((exts & SMTP_SIZE) && m->size)
		buf_addf(line, " SIZE=%llu", (unsigned long long)m->size);
	if (m->binary)
		buf_adds(line, " BODY=BINARYMIME");
	else if ((exts & SMTP_8BITMIME) && m->eightbit)
		buf_adds(line, " BODY=8BITMIME");
	if (m->utf8)
		buf_adds(line, " SMTPUTF8");
	if ((exts & SMTP_DSN) && m->ret)
		buf_addf(line, " RET=%s", m->ret);
	if ((exts & SMTP_DSN) && m->envid)
		buf_addf(line, " ENVID=%s", m->envid);
	if (c->authenticated && m->auth)
		auth_param(m, line);
	if (prdr)
		buf_adds(line, " PRDR");
	if (m->requiretls)
		buf_adds(line, " REQUIRETLS");
	if ((exts & SMTP_DELIVERBY) && m->by.mode)
		buf_addf(line, " BY=%lld;%c%s", (long long)m->by.seconds, m->by.mode, m->by.trace ? "T" : "");
	if ((exts & SMTP_MTPRIORITY) && m->has_priority)
		buf_addf(line, " MT-PRIORITY=%d", m->priority);
	if (m->hold)
		buf_addf(line, " %s", m->hold);
	if (m->extra)
		buf_addf(line, " %s", m->extra);
}

/* RFC 2852 4.1.4.2: who does not know when it is to be there can at least tell of a delay. */
static void notify_param(
    const struct smtp_client *c, const struct smtp_message *m, const struct smtp_rcpt *r, struct buf *line)
{
	bool promise_ends = m->by.mode == 'N' && !(c->exts & SMTP_DELIVERBY);
	struct span notify = span_str(r->notify ? r->notify : "");
	if (!promise_ends) {
		if (notify.n)
			buf_addf(line, " NOTIFY=%s", r->notify);
	} else if (!notify.n) {
		buf_adds(line, " NOTIFY=FAILURE,DELAY");
	} else {
		bool enough = span_ieqs(notify, "NEVER") || span_ifind(notify, SPAN("DELAY")) >= 0;
		buf_addf(line, " NOTIFY=%s%s", r->notify, enough ? "" : ",DELAY");
	}
}

void client_rcpt_line(
    const struct smtp_client *c, const struct smtp_message *m, const struct smtp_rcpt *r, struct buf *line)
{
	buf_addf(line, "RCPT TO:<%s>", r->address);
	if (c->exts & SMTP_DSN)
		notify_param(c, m, r, line);
	if ((c->exts & SMTP_DSN) && r->orcpt)
		buf_addf(line, " ORCPT=%s", r->orcpt);
}
