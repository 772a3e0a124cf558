/* SPDX-License-Identifier: ISC */
#include "mua-read/summary.h"

#include "base/limits.h"
#include "msg/addr.h"
#include "msg/date.h"
#include "msg/encword.h"
#include "msg/header.h"

static struct span decoded(struct arena *a, struct span raw)
{
	struct buf text;
	buf_init(&text, 4 * raw.n + 16);
	encword_decode(raw, &text);
	struct span s = arena_span(a, buf_span(&text));
	buf_free(&text);
	return s;
}

struct span summary_field(struct arena *a, struct span msg, const char *name)
{
	struct header_field f;
	return header_find(msg, name, &f) ? decoded(a, f.value) : SPAN("");
}

static struct span address(struct arena *a, const struct addr *addr)
{
	struct buf text;
	buf_init(&text, 2 * (addr->local.n + addr->domain.n) + 8);
	addr_format(addr, &text);
	struct span s = arena_span(a, buf_span(&text));
	buf_free(&text);
	return s;
}

static struct span first_author(struct arena *a, struct span msg)
{
	struct header_field f;
	struct addr_list list;
	if (!header_find(msg, "From", &f))
		return SPAN("");
	addr_parse_list(a, f.value, &list);
	for (size_t i = 0; i < list.n; i++) {
		if (list.v[i].name.n)
			return decoded(a, list.v[i].name);
		if (list.v[i].local.n)
			return address(a, &list.v[i]);
	}
	return decoded(a, f.value);
}

void summary_read(struct arena *a, struct box *b, size_t n, struct span msg, struct summary *out)
{
	struct header_field f;
	int zone;
	*out = (struct summary){ .number = n, .flags = box_flags(b, n, msg), .size = msg.n };
	if (!header_find(msg, "Date", &f) || !date_parse(f.value, &out->date, &zone))
		out->date = box_arrival(b, n);
	out->from = first_author(a, msg);
	out->from_field = summary_field(a, msg, "From");
	out->to = summary_field(a, msg, "To");
	out->cc = summary_field(a, msg, "Cc");
	out->subject = summary_field(a, msg, "Subject");
	out->id = header_find(msg, "Message-ID", &f) ? arena_span(a, span_trim(f.value)) : SPAN("");
}
