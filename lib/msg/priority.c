/* SPDX-License-Identifier: ISC */
#include "msg/priority.h"

#include "msg/header.h"

bool priority_parse(struct span value, int *out)
{
	value = header_skip_cfws(value);
	bool minus = span_starts(value, "-");
	if (minus)
		value = span_from(value, 1);
	/* RFC 6710 7: zero has no sign. */
	if (!value.n || !ascii_isdigit(value.p[0]) || (minus && value.p[0] == '0'))
		return false;
	*out = minus ? '0' - value.p[0] : value.p[0] - '0';
	return header_skip_cfws(span_from(value, 1)).n == 0;
}

bool priority_in(struct span header)
{
	struct header_field f;
	return header_find(header, "MT-Priority", &f);
}

void priority_replace(struct span header, int priority, struct buf *out)
{
	struct header_field f;
	struct span rest = header;
	size_t fields = 0;
	buf_addf(out, "MT-Priority: %d\r\n", priority);
	while (header_next(&rest, &f)) {
		fields += f.raw.n;
		if (!span_ieqs(f.name, "MT-Priority"))
			buf_addspan(out, f.raw);
	}
	buf_addspan(out, span_from(header, fields));
}
