/* SPDX-License-Identifier: ISC */
#include "imap/envelope.h"

#include "base/limits.h"
#include "imap/format.h"
#include "msg/addr.h"
#include "msg/header.h"

enum envelope_field {
	ENV_DATE,
	ENV_SUBJECT,
	ENV_FROM,
	ENV_SENDER,
	ENV_REPLY_TO,
	ENV_TO,
	ENV_CC,
	ENV_BCC,
	ENV_IN_REPLY_TO,
	ENV_MESSAGE_ID,
	ENV_FIELDS
};

static const struct {
	const char *name;
	bool addresses;
} fields[ENV_FIELDS] = {
	[ENV_DATE] = { "Date", false },
	[ENV_SUBJECT] = { "Subject", false },
	[ENV_FROM] = { "From", true },
	[ENV_SENDER] = { "Sender", true },
	[ENV_REPLY_TO] = { "Reply-To", true },
	[ENV_TO] = { "To", true },
	[ENV_CC] = { "Cc", true },
	[ENV_BCC] = { "Bcc", true },
	[ENV_IN_REPLY_TO] = { "In-Reply-To", false },
	[ENV_MESSAGE_ID] = { "Message-ID", false },
};

/* First occurrences, in one pass over the header. */
static void collect(struct span header, struct span values[ENV_FIELDS], bool present[ENV_FIELDS])
{
	struct header_field f;
	while (header_next(&header, &f)) {
		for (size_t i = 0; i < ENV_FIELDS; i++) {
			if (present[i] || !span_ieqs(f.name, fields[i].name))
				continue;
			values[i] = f.value;
			present[i] = true;
			break;
		}
	}
}

static void add_text(struct buf *out, struct span value)
{
	struct buf text;
	buf_init(&text, LIMIT_HEADER_FIELD);
	header_unfold(value, &text);
	imap_add_string(out, buf_span(&text), false);
	buf_free(&text);
}

static void add_mailbox(struct buf *out, const struct addr *ad)
{
	buf_addc(out, '(');
	imap_add_nstring(out, ad->name);
	buf_adds(out, " NIL ");
	imap_add_string(out, ad->local, false);
	/* NIL as host name would mean a group. */
	buf_addc(out, ' ');
	imap_add_string(out, ad->domain, false);
	buf_addc(out, ')');
}

/* A group begins with its name and NIL as host, and ends with all NIL. */
static void enter_group(struct buf *out, struct span *group, struct span next)
{
	if (span_eq(*group, next))
		return;
	if (group->n)
		buf_adds(out, "(NIL NIL NIL NIL)");
	if (next.n) {
		buf_adds(out, "(NIL NIL ");
		imap_add_string(out, next, false);
		buf_adds(out, " NIL)");
	}
	*group = next;
}

static void add_addresses(struct arena *a, struct buf *out, struct span value)
{
	struct addr_list list;
	struct span group = span_of("", 0);
	addr_parse_list(a, value, &list);
	if (!list.n) {
		buf_adds(out, "NIL");
		return;
	}
	buf_addc(out, '(');
	for (size_t i = 0; i < list.n; i++) {
		enter_group(out, &group, list.v[i].group);
		/* An empty group has one row without an address. */
		if (list.v[i].local.n || list.v[i].domain.n || !list.v[i].group.n)
			add_mailbox(out, &list.v[i]);
	}
	enter_group(out, &group, span_of("", 0));
	buf_addc(out, ')');
}

void imap_envelope(struct arena *a, struct span header, struct buf *out)
{
	struct span values[ENV_FIELDS] = { 0 };
	bool present[ENV_FIELDS] = { false };
	collect(header, values, present);
	/* RFC 3501 7.4.2: Sender and Reply-To default to From, also when empty. */
	for (size_t i = ENV_SENDER; i <= ENV_REPLY_TO; i++) {
		if (present[i] && span_trim(values[i]).n)
			continue;
		values[i] = values[ENV_FROM];
		present[i] = present[ENV_FROM];
	}
	for (size_t i = 0; i < ENV_FIELDS; i++) {
		buf_addc(out, i ? ' ' : '(');
		if (!present[i])
			buf_adds(out, "NIL");
		else if (fields[i].addresses)
			add_addresses(a, out, values[i]);
		else
			add_text(out, values[i]);
	}
	buf_addc(out, ')');
}
