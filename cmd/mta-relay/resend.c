/* SPDX-License-Identifier: ISC */
#include "mta-relay/resend.h"

#include <stdlib.h>

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
		err_clear(&r->result);
		r->reply[0] = '\0';
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
