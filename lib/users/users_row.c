/* SPDX-License-Identifier: ISC */
#include "users/users_row.h"

#include "base/opts.h"
#include "users/users_secret.h"

static int parse_id(struct span field, const char *what, unsigned *out, struct err *err)
{
	uint64_t v = (uint64_t)-1;
	/* The largest value means "none" to setuid and chown: it is not a number that a file may give. */
	if (field.n && !span_u64(field, 0xfffffffeu, &v))
		return err_set(err, ERR_CONFIG, "the %s is no number", what);
	*out = (unsigned)v;
	return 0;
}

static int parse_quota(struct span value, uint64_t *quota, struct err *err)
{
	char text[32];
	if (value.n < sizeof text && !memchr(value.p, 0, value.n)) {
		memcpy(text, value.p, value.n);
		text[value.n] = '\0';
		if (opts_parse_size(text, quota))
			return 0;
	}
	return err_set(err, ERR_CONFIG, "quota= is no size");
}

/* Dovecot's quota_rule=*:storage=SIZE (kilobytes without a unit) and *:bytes=SIZE. Rules of single folders are not
 * ours. */
static int parse_quota_rule(struct span value, uint64_t *quota, struct err *err)
{
	if (!span_starts(value, "*:"))
		return 0;
	value = span_from(value, 2);
	while (value.n) {
		struct span limit = span_cut(&value, ':');
		bool bytes = span_starts(limit, "bytes=");
		if (!bytes && !span_starts(limit, "storage="))
			continue;
		span_cut(&limit, '=');
		if (parse_quota(limit, quota, err) < 0)
			return -1;
		if (!bytes && limit.n && ascii_isdigit(limit.p[limit.n - 1]))
			*quota = *quota > UINT64_MAX / 1024 ? UINT64_MAX : *quota * 1024;
	}
	return 0;
}

static int parse_extra(struct span word, struct user *u, struct err *err)
{
	struct span value = word, key = span_cut(&value, '=');
	if (span_starts(key, "userdb_"))
		key = span_from(key, 7);
	if (span_eqs(key, "mail"))
		u->mail = value;
	else if (span_eqs(key, "nologin"))
		u->nologin = true;
	else if (span_eqs(key, "quota") || span_eqs(key, "quota_storage_size"))
		return parse_quota(value, &u->quota, err);
	else if (span_eqs(key, "quota_rule"))
		return parse_quota_rule(value, &u->quota, err);
	else if (span_eqs(key, "allow_nets"))
		/* To pass over a restriction would let in whom the file keeps out. */
		return err_set(err, ERR_CONFIG, "allow_nets= is not supported");
	return 0;
}

int users_row_parse(struct span line, struct user *out, struct err *err)
{
	*out =
	    (struct user){ .name = span_str(""), .secret = span_str(""), .home = span_str(""), .mail = span_str("") };
	if (span_ends(line, "\r"))
		line.n--;
	if (!span_trim(line).n || line.p[0] == '#')
		return 0;
	if (memchr(line.p, 0, line.n))
		return err_set(err, ERR_CONFIG, "a NUL stands in the line");
	out->name = span_cut(&line, ':');
	if (!out->name.n || memchr(out->name.p, '/', out->name.n) || span_has_ctl(out->name))
		return err_set(err, ERR_CONFIG, "the user name is empty or holds a '/'");
	out->secret = span_cut(&line, ':');
	if (out->secret.n && users_secret_check(out->secret, err) < 0)
		return -1;
	if (parse_id(span_cut(&line, ':'), "uid", &out->uid, err) < 0 ||
	    parse_id(span_cut(&line, ':'), "gid", &out->gid, err) < 0)
		return -1;
	span_cut(&line, ':'); /* gecos */
	out->home = span_cut(&line, ':');
	span_cut(&line, ':'); /* shell */
	for (struct span word; (word = span_word(&line)).n;)
		if (parse_extra(word, out, err) < 0)
			return -1;
	return 1;
}
