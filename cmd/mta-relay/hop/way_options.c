/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/way_options.h"

#include "mta-relay/relay.h"

enum {
	MINUTE = 60 * 1000,
	HOUR = 60 * MINUTE,
};

#define AT(member) offsetof(struct way_options, member)
const struct opt relay_way_options[] = {
	{ "hostname", 0, OPT_STR, AT(hostname), "NAME", "our name in EHLO and in reports", NULL, 0 },
	{ "domains", 0, OPT_STR, AT(domains), "LIST|FILE", "domains whose mail goes to the MDA", NULL, 0 },
	{ "mda", 0, OPT_STR, AT(mda), "SPEC", "lmtp:unix:PATH, lmtp:HOST:PORT or lmtp:|COMMAND", NULL, 0 },
	{ "routes", 0, OPT_STR, AT(routes), "FILE", "where mail for some domains goes", NULL, 0 },
	{ "smarthost", 0, OPT_STR, AT(smarthost), "URL", "smtp[s]://[USER@]HOST[:PORT] for all other mail", NULL, 0 },
	{ "starttls", 0, OPT_CHOICE, AT(starttls), "require|try|never",
	    "towards a smarthost (default: require with a user, else as --tls)", "require|try|never", 0 },
	{ "tls", 0, OPT_CHOICE, AT(tls), "none|may|encrypt|verify",
	    "towards MX hosts, and servers that nothing else is said of (default: may)", "none|may|encrypt|verify", 0 },
	{ "tls-ca", 0, OPT_STR, AT(tls_ca), "FILE", "certificates that verify theirs", NULL, 0 },
	{ "source", 0, OPT_STR, AT(source), "ADDR,...", "our address, one of each family", NULL, 0 },
	{ "ip", 0, OPT_CHOICE, AT(ip), "any|4|6|4first|6first", "IP versions that are used, or come first",
	    RELAY_IP_CHOICES, 0 },
	{ "port", 0, OPT_UINT, AT(port), "PORT", "of MX hosts (default 25)", NULL, 0 },
	{ "resolver", 0, OPT_STR, AT(resolver), "HOST[:PORT]", "DNS server instead of the system's", NULL, 0 },
	{ "generic", 0, OPT_STR, AT(generic), "TABLE", "how addresses are written to other hosts", NULL, 0 },
	{ "retry-min", 0, OPT_DURATION, AT(retry_min), "TIME", "until the second attempt (default 10m)", NULL, 0 },
	{ "retry-max", 0, OPT_DURATION, AT(retry_max), "TIME", "between later attempts at most (default 3h)", NULL, 0 },
	{ "expire", 0, OPT_DURATION, AT(expire), "TIME", "until a recipient is given up (default 5d)", NULL, 0 },
	{ 0 },
};

const struct way_options way_defaults = {
	.starttls = ROUTE_STARTTLS_UNSET,
	.tls = ROUTE_TLS_MAY - ROUTE_TLS_NONE,
	.port = 25,
	.retry_min = 10 * MINUTE,
	.retry_max = 3 * HOUR,
	.expire = (int64_t)5 * 24 * HOUR,
};

int way_check(const struct way_options *o, struct err *err)
{
	if (!o->port || o->port > 65535)
		return err_set(err, ERR_USAGE, "--port is 1 to 65535");
	if (o->retry_min < 1000 || o->retry_max < o->retry_min || o->expire < 1000)
		return err_set(
		    err, ERR_USAGE, "--retry-min and --expire are 1s at least, --retry-max is not below --retry-min");
	return 0;
}

struct route_config way_route_config(const struct way_options *o)
{
	return (struct route_config){ .domains = o->domains,
		.mda = o->mda,
		.file = o->routes,
		.smarthost = o->smarthost,
		.starttls = o->starttls,
		.source = o->source,
		.tls_ca = o->tls_ca,
		.generic = o->generic,
		.tls = (enum route_tls)(o->tls + ROUTE_TLS_NONE),
		.family = relay_family(o->ip) };
}
