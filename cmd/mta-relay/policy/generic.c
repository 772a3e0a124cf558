/* SPDX-License-Identifier: ISC */
#include "mta-relay/policy/generic.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "msg/header.h"

enum {
	HEADER_LOOK = 262144
};

static int put_off(struct err *err)
{
	log_err("table error=%s", log_quote(span_str(err->text)));
	return err_reply(err, 451, "4.3.0", "an address cannot be looked up now");
}

int generic_head(
    const struct rewrite_rules *rules, struct spool_msg *m, struct span *head, uint64_t *instead, struct err *err)
{
	struct span old, body;
	struct buf new;
	if (spool_read_head(m, HEADER_LOOK, &old, err) < 0)
		return -1;
	struct span header = header_of(old, &body);
	if (header.n == old.n && m->file.size > old.n)
		return 0;
	buf_init(&new, 4 * HEADER_LOOK);
	int rc = rewrite_header(rules, m->arena, header, &new, err);
	if (rc > 0 && new.bad)
		rc = 0;
	if (rc > 0)
		*head = arena_span(m->arena, buf_span(&new));
	*instead = rc > 0 ? header.n : 0;
	buf_free(&new);
	return rc < 0 ? put_off(err) : rc;
}

const char *generic_address(
    const struct rewrite_rules *rules, struct arena *a, enum rewrite_role role, struct span address, struct err *err)
{
	struct addr addr;
	struct buf text;
	const char *out = arena_str(a, address);
	if (!address.n || !addr_parse_mailbox(address, true, false, &addr, a))
		return out;
	int rc = rewrite_address(rules, a, role, &addr, err);
	if (rc < 0)
		put_off(err);
	if (rc <= 0)
		return rc < 0 ? NULL : out;
	buf_init(&text, LIMIT_SMTP_PATH);
	addr_format(&addr, &text);
	out = arena_str(a, buf_span(&text));
	buf_free(&text);
	return out;
}
