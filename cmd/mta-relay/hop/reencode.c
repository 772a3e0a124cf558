/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/reencode.h"

#include "base/limits.h"

static int read_text(void *arg, struct span *out, struct err *err)
{
	struct reencoded *x = arg;
	if (x->given)
		return 0;
	if (x->original->read(x->original->arg, out, err) < 0)
		return -1;
	x->given = true;
	*out = buf_span(&x->text);
	return 1;
}

static int read_whole(struct smtp_message *m, void (*rewind)(void *arg), struct buf *whole, struct err *err)
{
	struct span piece;
	int rc;
	rewind(m->arg);
	while ((rc = m->read(m->arg, &piece, err)) > 0)
		buf_addspan(whole, piece);
	rewind(m->arg);
	return rc == 0 && whole->bad ? err_set(err, ERR_LIMIT, "too large to be re-encoded") : rc;
}

int reencode(struct smtp_message *m, void (*rewind)(void *arg), unsigned how, struct reencoded *out, struct err *err)
{
	struct buf whole;
	struct msg_needs needs = { 0 };
	*out = (struct reencoded){ .m = *m, .original = m };
	buf_init(&out->text, LIMIT_REENCODED);
	buf_init(&whole, LIMIT_REENCODED);
	int rc = read_whole(m, rewind, &whole, err);
	if (rc == 0)
		rc = msg_downgrade(buf_span(&whole), how, &out->text, err);
	buf_free(&whole);
	if (rc < 0)
		return -1;
	msg_scan(buf_span(&out->text), &needs);
	out->m.eightbit = needs.eightbit;
	out->m.binary = out->m.exact = false;
	out->m.size = out->text.len;
	out->m.read = read_text;
	out->m.arg = out;
	return 0;
}

void reencode_free(struct reencoded *x)
{
	buf_free(&x->text);
}
