/* SPDX-License-Identifier: ISC
 *
 * What a client asks about addresses, lists and the queue, outside of a transaction.
 */
#include "base/limits.h"
#include "msg/addr.h"
#include "smtp/server_int.h"

/* RFC 6531 3.7.4.2: the last word may say that the client understands replies in UTF-8. */
static void take_utf8_word(struct server *sv, struct span *arg)
{
	size_t n = arg->n;
	while (n > 0 && !ascii_isblank(arg->p[n - 1]))
		n--;
	sv->utf8_reply = n > 0 && span_ieqs(span_from(*arg, n), "SMTPUTF8");
	if (sv->utf8_reply)
		*arg = span_trim(span_slice(*arg, 0, n));
}

/* RFC 5321 3.5.3: 252 neither confirms nor denies. */
void cmd_vrfy(struct server *sv, struct span arg)
{
	struct smtp_answer a = { 0 };
	take_utf8_word(sv, &arg);
	if (sv->ops->vrfy)
		sv->ops->vrfy(sv->x, arg, &a);
	if (a.code / 100 == 2 && addr_needs_utf8(span_str(a.text)) && !sv->utf8_reply)
		smtp_answer(&a, 252, "2.6.8", "The address is told in UTF-8, with SMTPUTF8");
	if (a.code)
		server_answer(sv, &a);
	else
		server_reply(sv, 252, "2.5.0", "Not verified; send mail and see");
}

void cmd_expn(struct server *sv, struct span arg)
{
	struct smtp_answer a = { 0 };
	struct buf lines;
	buf_init(&lines, LIMIT_EXPN);
	take_utf8_word(sv, &arg);
	if (sv->ops->expn)
		sv->ops->expn(sv->x, arg, &lines, &a);
	else
		smtp_answer(&a, 502, "5.5.1", "Lists are not expanded");
	if (!a.code && (lines.bad || !lines.len))
		smtp_answer(&a, 550, "5.3.4", "The list is too long to be told");
	if (!a.code && addr_needs_utf8(buf_span(&lines)) && !sv->utf8_reply)
		smtp_answer(&a, 550, "5.6.8", "The list is told in UTF-8, with SMTPUTF8");
	if (a.code)
		server_answer(sv, &a);
	else
		server_lines(sv, 250, "2.1.5", buf_span(&lines));
	buf_free(&lines);
}

void cmd_etrn(struct server *sv, struct span arg)
{
	struct smtp_answer a = { 0 };
	sv->ops->etrn(sv->x, arg, &a);
	server_answer(sv, &a);
}
