/* SPDX-License-Identifier: ISC
 *
 * A pause before the greeting: who speaks in it does not speak SMTP, but sends what he has to everybody (RFC 5321 3.1:
 * the client waits for the greeting). Who waited once need not do it again for a while.
 */
#include "mta-relay/guard/guard_int.h"

static void greet_connect(struct relay_session *s, struct smtp_session *x, struct smtp_answer *a)
{
	struct guard *g = s->rs->guard;
	const struct guard_settings *o = &s->rs->o.guard;
	struct guard_key key;
	struct state_value v;
	struct span early;
	if (!g || !o->greet_delay || !guard_watches(s, x))
		return;
	struct span waited = guard_key(&key, "waited", span_str(s->guard->client.ip), SPAN(""));
	if (state_get(g->state, waited, &v) == 0 && v.there)
		return;
	int rc = stream_wait(x->s, -1, o->greet_delay);
	if (rc == STREAM_READY) {
		/* He may also have hung up. */
		if (stream_peek(x->s, &early) == 1)
			smtp_answer(a, 554, "5.5.0", "Synchronization error: you spoke before the greeting");
	} else if (rc == 0 && o->greet_keep >= 1000) {
		state_put(g->state, waited, 1, o->greet_keep / 1000);
	}
}

const struct serve_check greet_check = {
	.name = "greet",
	.connect = greet_connect,
};
