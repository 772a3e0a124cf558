/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/resend.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

bool resend_unanswered(const struct smtp_rcpt *r)
{
	return r->result.class != ERR_NONE && r->result.code == 0;
}

bool resend_left(struct smtp_message *m)
{
	bool left = false;
	for (size_t i = 0; i < m->n_rcpt; i++) {
		struct err *result = &m->rcpt[i].result;
		if (result->code == 421) {
			result->code = 0;
			left = true;
		}
	}
	return left;
}

bool resend_too_many(const struct smtp_rcpt *r)
{
	return r->result.code == 452 && (!*r->result.enh || !strcmp(r->result.enh, "4.5.3"));
}

static bool put_off(const struct smtp_rcpt *r, const struct resend_which *w)
{
	if (r->mark != w->mark || r->result.class == ERR_NONE || r->result.class == ERR_PERM)
		return false;
	if (resend_too_many(r) && !w->full)
		return false;
	return r->result.code / 100 == 4 || (w->nothing_sent && resend_unanswered(r));
}

static void clean(struct smtp_rcpt *r)
{
	err_clear(&r->result);
	r->reply[0] = '\0';
}

size_t resend_pick(const struct smtp_message *m, struct resend_which *w, struct smtp_rcpt *v)
{
	size_t n = 0;
	w->full = true;
	for (size_t i = 0; i < m->n_rcpt; i++)
		if (m->rcpt[i].mark == w->mark && !resend_too_many(&m->rcpt[i]))
			w->full = false;
	for (size_t i = 0; i < m->n_rcpt; i++) {
		if (!put_off(&m->rcpt[i], w))
			continue;
		v[n] = m->rcpt[i];
		clean(&v[n++]);
	}
	return n;
}

void resend_merge(struct smtp_message *m, const struct resend_which *w, const struct smtp_rcpt *v)
{
	for (size_t i = 0, k = 0; i < m->n_rcpt; i++)
		if (put_off(&m->rcpt[i], w))
			m->rcpt[i] = v[k++];
}

int resend_rest(struct smtp_message *m, int (*send)(void *arg, struct smtp_message *rest, struct err *err), void *arg,
    struct err *err)
{
	struct smtp_message rest = *m;
	struct smtp_rcpt *v = xcalloc(m->n_rcpt, sizeof *v);
	rest.rcpt = v;
	rest.n_rcpt = 0;
	for (size_t i = 0; i < m->n_rcpt; i++) {
		if (!resend_unanswered(&m->rcpt[i]))
			continue;
		struct smtp_rcpt *r = &v[rest.n_rcpt++];
		*r = m->rcpt[i];
		clean(r);
	}
	/* What failed before anybody was asked has failed for all; a conversation about nobody would be a success. */
	if (!rest.n_rcpt) {
		free(v);
		return err->class == ERR_NONE ? 0 : -1;
	}
	int rc = send(arg, &rest, err);
	for (size_t i = 0, k = 0; i < m->n_rcpt; i++)
		if (resend_unanswered(&m->rcpt[i]))
			m->rcpt[i] = v[k++];
	free(v);
	return rc;
}
