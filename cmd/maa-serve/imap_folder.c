/* SPDX-License-Identifier: ISC
 *
 * Commands on whole mailboxes: CREATE, DELETE, RENAME, STATUS (RFC 3501 6.3.3 to 6.3.5, 6.3.10).
 */
#include <inttypes.h>

#include "imap_session.h"

static bool one_mailbox(struct imap *s, struct span *name)
{
	return imap_sp(&s->in) && imap_mailbox(s, name) && imap_end(&s->in);
}

void imap_cmd_create(struct imap *s)
{
	struct span name;
	struct err err;
	if (!one_mailbox(s, &name))
		return;
	/* A separator at the end says that more will follow below; the mailbox is made all the same (6.3.3). */
	if (name.n > 1 && name.p[name.n - 1] == '/')
		name.n--;
	if (span_ieqs(name, "INBOX"))
		imap_no(s, "ALREADYEXISTS", "INBOX is always there");
	else if (maildir_create(s->x->store, name, &err) < 0)
		imap_no_err(s, &err);
}

void imap_cmd_delete(struct imap *s)
{
	struct span name;
	struct err err;
	if (!one_mailbox(s, &name))
		return;
	if (span_eqs(name, "INBOX")) {
		imap_no(s, "CANNOT", "INBOX cannot be deleted");
		return;
	}
	if (maildir_delete(s->x->store, name, &err) < 0) {
		imap_no_err(s, &err);
		return;
	}
	if (s->f && span_eq(s->mailbox, name))
		imap_leave(s);
}

void imap_cmd_rename(struct imap *s)
{
	struct span from, to;
	struct err err;
	if (!imap_sp(&s->in) || !imap_mailbox(s, &from) || !imap_sp(&s->in) || !imap_mailbox(s, &to) ||
	    !imap_end(&s->in))
		return;
	if (maildir_rename(s->x->store, from, to, &err) < 0)
		imap_no_err(s, &err);
}

enum {
	STATUS_MESSAGES = 1,
	STATUS_RECENT = 2,
	STATUS_UIDNEXT = 4,
	STATUS_UIDVALIDITY = 8,
	STATUS_UNSEEN = 16
};

static const struct {
	const char *name;
	unsigned bit;
} items[] = { { "MESSAGES", STATUS_MESSAGES }, { "RECENT", STATUS_RECENT }, { "UIDNEXT", STATUS_UIDNEXT },
	{ "UIDVALIDITY", STATUS_UIDVALIDITY }, { "UNSEEN", STATUS_UNSEEN } };

static bool status_item(struct imap *s, unsigned *want)
{
	for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
		if (!imap_eat_word(&s->in, items[i].name))
			continue;
		*want |= items[i].bit;
		return true;
	}
	return imap_fail(&s->in, "unknown STATUS item");
}

static bool status_items(struct imap *s, unsigned *want)
{
	*want = 0;
	if (!imap_expect(&s->in, '('))
		return false;
	do {
		if (!status_item(s, want))
			return false;
	} while (imap_eat(&s->in, ' '));
	return imap_expect(&s->in, ')');
}

static uint64_t status_value(const struct maildir_folder *f, unsigned bit)
{
	uint64_t n = 0;
	switch (bit) {
	case STATUS_UIDNEXT:
		return f->uidnext;
	case STATUS_UIDVALIDITY:
		return f->uidvalidity;
	case STATUS_RECENT:
		return f->recent;
	default:
		break;
	}
	for (size_t i = 0; i < f->n; i++)
		n += !f->msg[i].gone && (bit == STATUS_MESSAGES || !(f->msg[i].flags & FLAG_SEEN));
	return n;
}

static void put_status(struct imap *s, struct span name, const struct maildir_folder *f, unsigned want)
{
	const char *sep = " (";
	stream_puts(s->s, "* STATUS ");
	imap_put_mailbox(s->s, name);
	for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
		if (!(want & items[i].bit))
			continue;
		stream_printf(s->s, "%s%s %" PRIu64, sep, items[i].name, status_value(f, items[i].bit));
		sep = " ";
	}
	stream_puts(s->s, ")\r\n");
}

void imap_cmd_status(struct imap *s)
{
	struct span name;
	unsigned want;
	struct err err;
	if (!imap_sp(&s->in) || !imap_mailbox(s, &name) || !imap_sp(&s->in) || !status_items(s, &want) ||
	    !imap_end(&s->in))
		return;
	/* Read-only, so that \Recent is left to who selects it. */
	struct maildir_folder *f = maildir_select(s->x->store, name, true, &err);
	if (!f) {
		imap_no_err(s, &err);
		return;
	}
	put_status(s, name, f, want);
	maildir_deselect(f);
}
