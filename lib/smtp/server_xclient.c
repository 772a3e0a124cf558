/* SPDX-License-Identifier: ISC
 *
 * XCLIENT and XFORWARD in the engine. After XCLIENT the conversation begins anew, and with the next EHLO it is the
 * client's whom it named: a proxy that hands on what that one says must not hand on its own rights.
 */
#include <stdio.h>

#include "smtp/server_int.h"

bool server_may_xclient(const struct server *sv)
{
	return sv->ops->xclient && sv->c->xclient && !sv->handed_over;
}

bool server_may_xforward(const struct server *sv)
{
	return sv->c->xforward && !sv->handed_over;
}

void cmd_xclient(struct server *sv, struct span arg)
{
	struct smtp_session *x = sv->x;
	struct err err = { 0 };
	struct smtp_answer a = { 0 };
	if (sv->state > ST_READY) {
		server_reply(sv, 503, "5.5.1", "Not inside a transaction");
		return;
	}
	if (xclient_parse(arg, false, sv->session, &sv->xclient, &err) < 0) {
		server_err(sv, &err);
		return;
	}
	server_reset(sv);
	sv->ops->xclient(x, &sv->xclient, &a);
	if (a.code) {
		server_answer(sv, &a);
		return;
	}
	x->helo = sv->xclient.v[XCLIENT_HELO];
	x->user = sv->xclient.v[XCLIENT_LOGIN];
	x->claimed = SPAN("");
	x->esmtp = false;
	sv->introduced = true;
	sv->errors = sv->junk = sv->auth_tries = sv->put_off = 0;
	server_enter(sv, ST_NEW);
	server_greet(sv);
}

/* For the transaction to come. */
void cmd_xforward(struct server *sv, struct span arg)
{
	struct smtp_env *env = &sv->x->env;
	struct err err = { 0 };
	struct xclient all = { 0 };
	if (env->forward)
		all = *env->forward;
	if (xclient_parse(arg, true, env->arena, &all, &err) < 0) {
		server_err(sv, &err);
		return;
	}
	struct xclient *kept = arena_alloc(env->arena, sizeof *kept);
	*kept = all;
	env->forward = kept;
	server_reply(sv, 250, "2.0.0", "Ok");
}
