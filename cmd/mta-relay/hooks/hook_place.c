/* SPDX-License-Identifier: ISC */
#include "mta-relay/hooks/hook_place.h"

#include <stdlib.h>

#include "base/span.h"
#include "base/xalloc.h"
#include "io/confine/confine.h"
#include "io/net.h"

static char *dup_span(struct span s)
{
	return xstrndup(s.p, s.n);
}

/* "HOST:PORT", "[V6]:PORT" or "PORT@HOST". */
static bool parse_inet(struct span s, struct hook_place *p)
{
	ptrdiff_t at = span_chr(s, '@'), colon = span_rchr(s, ':');
	struct span host, port;
	uint64_t number;
	if (at >= 0) {
		port = span_slice(s, 0, (size_t)at);
		host = span_from(s, (size_t)at + 1);
	} else if (colon >= 0) {
		host = span_slice(s, 0, (size_t)colon);
		port = span_from(s, (size_t)colon + 1);
	} else {
		return false;
	}
	if (span_starts(host, "[") && span_ends(host, "]"))
		host = span_slice(host, 1, host.n - 1);
	if (!host.n || !span_u64(port, 65535, &number) || !number)
		return false;
	p->host = dup_span(host);
	p->port = (uint16_t)number;
	return true;
}

static int set_one(struct span setting, const struct opt *settings, void *values, struct err *err)
{
	struct span value = setting, name = span_cut(&value, '=');
	bool bare = name.n == setting.n;
	for (const struct opt *o = settings; o && o->name; o++) {
		if (!span_eqs(name, o->name) || (bare && o->type != OPT_FLAG))
			continue;
		char *text = bare ? xstrdup("yes") : dup_span(value);
		int rc = opts_set(o, values, text, err);
		free(text);
		return rc;
	}
	return err_set(err, ERR_USAGE, "'%.*s' is no setting", SPAN_FMT(span_slice(setting, 0, 100)));
}

static int parse(const char *spec, const struct opt *settings, void *values, struct hook_place *p, struct err *err)
{
	struct span rest = span_str(spec), place = span_cut(&rest, ',');
	p->name = dup_span(place);
	struct span where = place, kind = span_cut(&where, ':');
	bool inet = span_eqs(kind, "inet") || span_eqs(kind, "inet6");
	bool local = span_eqs(kind, "unix") || span_eqs(kind, "local");
	if (local && where.n)
		p->path = dup_span(where);
	else if (!inet || !parse_inet(where, p))
		return err_set(err, ERR_USAGE, "it is none of inet:HOST:PORT, inet6:HOST:PORT, unix:PATH");
	while (rest.n)
		if (set_one(span_cut(&rest, ','), settings, values, err) < 0)
			return -1;
	return 0;
}

int hook_place_parse(
    const char *what, const char *spec, const struct opt *settings, void *values, struct hook_place *p, struct err *err)
{
	*p = (struct hook_place){ 0 };
	if (parse(spec, settings, values, p, err) == 0)
		return 0;
	hook_place_free(p);
	err->class = ERR_USAGE;
	return err_prefix(err, "%s '%s'", what, spec);
}

void hook_place_free(struct hook_place *p)
{
	free(p->name);
	free(p->path);
	free(p->host);
	*p = (struct hook_place){ 0 };
}

void hook_place_rules(const struct hook_place *p, struct confine_rules *r)
{
	struct net_addr literal;
	if (!p->host)
		return;
	if (!net_addr_parse(p->host, p->port, &literal))
		confine_allow_names(r);
	confine_allow_connect(r, p->port);
}

int hook_place_connect(const struct hook_place *p, int64_t timeout_ms, struct err *err)
{
	struct net_addr got;
	return p->path ? net_connect_unix(p->path, timeout_ms, err)
		       : net_connect_host(p->host, p->port, timeout_ms, &got, err);
}
