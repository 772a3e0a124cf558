/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/route_settings.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "io/tls/tls.h"
#include "sasl/sasl.h"

const char *const route_tls_names[] = {
	[ROUTE_TLS_UNSET] = "",
	[ROUTE_TLS_NONE] = "none",
	[ROUTE_TLS_MAY] = "may",
	[ROUTE_TLS_ENCRYPT] = "encrypt",
	[ROUTE_TLS_VERIFY] = "verify",
	[ROUTE_TLS_FINGERPRINT] = "fingerprint",
};
const char *const route_family_names[] = {
	[MX_ANY] = "any",
	[MX_V4_FIRST] = "4first",
	[MX_V6_FIRST] = "6first",
	[MX_V4_ONLY] = "4",
	[MX_V6_ONLY] = "6",
};

/* The index of the name from `from` on, -1 when it is none of them. */
static int choose(struct span value, const char *const *names, int from, int n)
{
	for (int i = from; i < n; i++)
		if (span_eqs(value, names[i]))
			return i;
	return -1;
}

static int set_tls(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	(void)a;
	int i = choose(value, route_tls_names, ROUTE_TLS_NONE, ROUTE_TLS_FINGERPRINT + 1);
	if (i < 0)
		return err_set(err, ERR_CONFIG, "tls= is none, may, encrypt, verify or fingerprint");
	out->tls = (enum route_tls)i;
	return 0;
}

static int set_family(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	(void)a;
	int i = choose(value, route_family_names, 0, MX_V6_ONLY + 1);
	if (i < 0)
		return err_set(err, ERR_CONFIG, "ip= is any, 4, 6, 4first or 6first");
	out->family = (enum mx_family)i;
	out->has_family = true;
	return 0;
}

static int set_fingerprint(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	out->fingerprint = arena_str(a, value);
	return tls_fingerprint_check(out->fingerprint, err);
}

/* One that only its owner may read is checked when it is read: whoever asks for an explanation needn't be he. */
static int set_file(struct arena *a, struct span value, const char **out, struct err *err)
{
	struct stat st;
	*out = arena_str(a, value);
	if (stat(*out, &st) < 0 && errno != EACCES)
		return err_sys(err, "%s", *out);
	return 0;
}

static int set_ca(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	return set_file(a, value, &out->tls_ca, err);
}

static int set_password_file(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	return set_file(a, value, &out->password_file, err);
}

static int set_cert(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	return set_file(a, value, &out->tls_cert, err);
}

static int set_key(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	return set_file(a, value, &out->tls_key, err);
}

static int set_auth(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	out->auth = arena_str(a, value);
	return sasl_client_knows(value) ? 0
					: err_set(err, ERR_CONFIG, "auth=%s is no mechanism that is known", out->auth);
}

static bool name_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isalnum(s.p[i]) && !memchr("-._[]:", s.p[i], 6))
			return false;
	return s.n > 0 && s.n <= LIMIT_DOMAIN;
}

static int set_name(struct arena *a, struct span value, const char **out, struct err *err)
{
	*out = arena_str(a, value);
	return name_ok(value) ? 0 : err_set(err, ERR_CONFIG, "'%s' is no host name", *out);
}

static int set_tls_name(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	return set_name(a, value, &out->tls_name, err);
}

static int set_helo(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	return set_name(a, value, &out->helo, err);
}

int route_source(struct span value, struct route_settings *out, struct err *err)
{
	do {
		struct span one = span_trim(span_cut(&value, ','));
		char text[64];
		struct net_addr addr;
		snprintf(text, sizeof text, "%.*s", one.n < sizeof text ? (int)one.n : 0, one.p);
		if (!net_addr_parse(text, 0, &addr))
			return err_set(err, ERR_CONFIG, "the source '%s' is no IP address", text);
		struct net_addr *at = addr.sa.ss_family == AF_INET ? &out->source4 : &out->source6;
		if (at->len)
			return err_set(err, ERR_CONFIG, "the source '%s' is the second of its family", text);
		*at = addr;
	} while (value.n);
	return 0;
}

static int set_source(struct arena *a, struct span value, struct route_settings *out, struct err *err)
{
	(void)a;
	return route_source(value, out, err);
}

static const struct setting {
	const char *name;
	int (*set)(struct arena *a, struct span value, struct route_settings *out, struct err *err);
} settings[] = {
	{ "tls=", set_tls },
	{ "tls-fingerprint=", set_fingerprint },
	{ "tls-ca=", set_ca },
	{ "tls-name=", set_tls_name },
	{ "source=", set_source },
	{ "ip=", set_family },
	{ "helo=", set_helo },
	{ "password-file=", set_password_file },
	{ "auth=", set_auth },
	{ "tls-cert=", set_cert },
	{ "tls-key=", set_key },
};

int route_setting(struct arena *a, struct span word, struct route_settings *out, struct err *err)
{
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const struct setting *s = &settings[i];
		if (!span_starts(word, s->name))
			continue;
		struct span value = span_from(word, strlen(s->name));
		if (!value.n)
			return err_set(err, ERR_CONFIG, "%s has no value", s->name);
		return s->set(a, value, out, err);
	}
	return err_set(err, ERR_CONFIG, "'%s' is no setting", arena_str(a, word));
}

int route_settings_check(struct route_settings *s, struct err *err)
{
	if (s->fingerprint && s->tls == ROUTE_TLS_UNSET)
		s->tls = ROUTE_TLS_FINGERPRINT;
	if (s->tls_ca && s->tls == ROUTE_TLS_UNSET)
		s->tls = ROUTE_TLS_VERIFY;
	if (s->tls == ROUTE_TLS_FINGERPRINT && !s->fingerprint)
		return err_set(err, ERR_CONFIG, "tls=fingerprint needs tls-fingerprint=SHA256:HEX");
	if (s->fingerprint && s->tls != ROUTE_TLS_FINGERPRINT)
		return err_set(err, ERR_CONFIG, "tls-fingerprint= has no part in tls=%s", route_tls_names[s->tls]);
	if (s->tls_ca && s->tls != ROUTE_TLS_VERIFY)
		return err_set(err, ERR_CONFIG, "tls-ca= has no part in tls=%s", route_tls_names[s->tls]);
	if (s->tls_name && s->tls == ROUTE_TLS_NONE)
		return err_set(err, ERR_CONFIG, "tls-name= has no part in tls=none");
	if (s->tls_cert && s->tls == ROUTE_TLS_NONE)
		return err_set(err, ERR_CONFIG, "tls-cert= has no part in tls=none");
	if (s->tls_key && !s->tls_cert)
		return err_set(err, ERR_CONFIG, "tls-key= needs tls-cert=");
	return 0;
}

static void add_text(struct buf *out, const char *name, const char *value)
{
	if (value)
		buf_addf(out, " %s=%s", name, value);
}

void route_settings_text(const struct route_settings *s, struct buf *out)
{
	char ip[64];
	add_text(out, "tls", s->tls ? route_tls_names[s->tls] : NULL);
	add_text(out, "tls-fingerprint", s->fingerprint);
	add_text(out, "tls-ca", s->tls_ca);
	add_text(out, "tls-name", s->tls_name);
	if (s->source4.len) {
		net_addr_text(&s->source4, ip, sizeof ip);
		add_text(out, "source", ip);
	}
	if (s->source6.len) {
		net_addr_text(&s->source6, ip, sizeof ip);
		add_text(out, s->source4.len ? "source6" : "source", ip);
	}
	add_text(out, "ip", s->has_family ? route_family_names[s->family] : NULL);
	add_text(out, "helo", s->helo);
	add_text(out, "password-file", s->password_file);
	add_text(out, "auth", s->auth);
	add_text(out, "tls-cert", s->tls_cert);
	add_text(out, "tls-key", s->tls_key);
}

void route_settings_fill(struct route_settings *own, const struct route_settings *other)
{
	const char **mine[] = { &own->tls_ca, &own->tls_name, &own->helo, &own->password_file };
	const char *theirs[] = { other->tls_ca, other->tls_name, other->helo, other->password_file };
	for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
		if (!*mine[i])
			*mine[i] = theirs[i];
	if (!own->tls)
		own->tls = other->tls;
	/* A line's source is all of it: not one family's from here and the other's from there. */
	if (!own->source4.len && !own->source6.len) {
		own->source4 = other->source4;
		own->source6 = other->source6;
	}
	if (!own->has_family) {
		own->family = other->family;
		own->has_family = other->has_family;
	}
}
