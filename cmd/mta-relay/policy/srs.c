/* SPDX-License-Identifier: ISC */
#include "mta-relay/policy/srs.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "msg/addr.h"
#include "users/domains.h"

enum {
	SECRETS = 4,
	SECRET_MIN = 16,
	HASH_CHARS = 8,
	DAYS = 1024, /* two characters */
	DAYS_GOOD = 21,
	DAY = 86400
};

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";

struct srs {
	char *domain;
	struct buf text;
	struct span secret[SECRETS];
	size_t n;
};

void srs_free(struct srs *s)
{
	if (!s)
		return;
	if (s->text.len)
		OPENSSL_cleanse(s->text.p, s->text.len);
	buf_free(&s->text);
	free(s->domain);
	free(s);
}

static int read_secrets(struct srs *s, struct err *err)
{
	struct span rest = buf_span(&s->text);
	while (rest.n) {
		struct span line = span_trim(span_cut(&rest, '\n'));
		if (!line.n || line.p[0] == '#')
			continue;
		if (line.n < SECRET_MIN)
			return err_set(err, ERR_CONFIG, "an SRS secret has %d characters at least", SECRET_MIN);
		if (s->n == SECRETS)
			return err_set(err, ERR_CONFIG, "more than %d SRS secrets", SECRETS);
		s->secret[s->n++] = line;
	}
	return s->n ? 0 : err_set(err, ERR_CONFIG, "no SRS secret");
}

struct srs *srs_new(const char *domain, struct span secrets, struct err *err)
{
	struct srs *s = xcalloc(1, sizeof *s);
	struct buf name;
	buf_init(&name, LIMIT_DOMAIN);
	buf_init(&s->text, LIMIT_SECRET);
	buf_addspan(&s->text, secrets);
	bool ok = domain_normalise(span_str(domain), &name) && addr_domain_ok(buf_span(&name), false);
	s->domain = buf_steal(&name);
	int rc = ok ? read_secrets(s, err) : err_set(err, ERR_USAGE, "'%.100s' is no domain", domain);
	buf_free(&name);
	if (rc == 0)
		return s;
	srs_free(s);
	return NULL;
}

struct srs *srs_open(const char *domain, const char *secret_file, struct err *err)
{
	struct buf text;
	struct stat st;
	struct srs *s = NULL;
	buf_init(&text, LIMIT_SECRET);
	if (stat(secret_file, &st) == 0 && st.st_mode & S_IRWXO)
		err_set(err, ERR_CONFIG, "others may read it or write to it");
	else if (config_slurp(secret_file, &text, err) == 0)
		s = srs_new(domain, buf_span(&text), err);
	if (!s)
		err_prefix(err, "%s", secret_file);
	if (text.len)
		OPENSSL_cleanse(text.p, text.len);
	buf_free(&text);
	return s;
}

struct span srs_domain(const struct srs *s)
{
	return span_str(s->domain);
}

static bool is_separator(char c)
{
	return c == '=' || c == '+' || c == '-';
}

static bool is_form(struct span local, char digit)
{
	return local.n > 5 && span_istarts(local, "SRS") && local.p[3] == digit && is_separator(local.p[4]);
}

bool srs_is(struct span local)
{
	return is_form(local, '0') || is_form(local, '1');
}

/* Of what stands behind the hash, in lower case. */
static void hash(struct span secret, struct span text, char out[HASH_CHARS + 1])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	struct buf lower;
	uint64_t bits = 0;
	buf_init(&lower, 2 * LIMIT_SMTP_PATH);
	for (size_t i = 0; i < text.n; i++)
		buf_addc(&lower, ascii_lower(text.p[i]));
	HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)lower.p, lower.len, mac, &n);
	buf_free(&lower);
	for (size_t i = 0; i < 5; i++)
		bits = bits << 8 | mac[i];
	for (size_t i = 0; i < HASH_CHARS; i++)
		out[i] = base32[bits >> 5 * (HASH_CHARS - 1 - i) & 31];
	out[HASH_CHARS] = 0;
}

static bool hash_ok(const struct srs *s, struct span given, struct span text)
{
	char want[HASH_CHARS + 1], got[HASH_CHARS];
	bool ok = false;
	if (given.n != HASH_CHARS)
		return false;
	for (size_t i = 0; i < HASH_CHARS; i++)
		got[i] = ascii_lower(given.p[i]);
	for (size_t i = 0; i < s->n; i++) {
		hash(s->secret[i], text, want);
		ok |= CRYPTO_memcmp(want, got, HASH_CHARS) == 0;
	}
	return ok;
}

bool srs_forward(const struct srs *s, struct span local, struct span domain, int64_t now, struct buf *out)
{
	char mac[HASH_CHARS + 1];
	struct buf rest;
	char form = '1';
	size_t day = (size_t)(now / DAY % DAYS);
	buf_init(&rest, LIMIT_SMTP_PATH);
	if (is_form(local, '0')) {
		buf_addspan(&rest, domain);
		buf_addc(&rest, '=');
		buf_addspan(&rest, span_from(local, 4));
	} else if (is_form(local, '1') && span_chr(span_from(local, 5), '=') >= 0) {
		/* Another's hash gives way to ours. */
		struct span behind = span_from(local, 5);
		span_cut(&behind, '=');
		buf_addspan(&rest, behind);
	} else {
		form = '0';
		buf_addc(&rest, base32[day >> 5]);
		buf_addc(&rest, base32[day & 31]);
		buf_addf(&rest, "=%.*s=%.*s", SPAN_FMT(domain), SPAN_FMT(local));
	}
	hash(s->secret[0], buf_span(&rest), mac);
	bool fits = !rest.bad && rest.len + HASH_CHARS + 6 <= LIMIT_SMTP_LOCALPART_SRS;
	if (fits)
		buf_addf(out, "SRS%c=%s=%s", form, mac, rest.p);
	buf_free(&rest);
	return fits && !out->bad;
}

static int day_of(struct span tt)
{
	int day = 0;
	for (size_t i = 0; i < tt.n; i++) {
		const char *at = strchr(base32, ascii_lower(tt.p[i]));
		if (!tt.p[i] || !at)
			return -1;
		day = day << 5 | (int)(at - base32);
	}
	return tt.n == 2 ? day : -1;
}

static int forged(struct err *err)
{
	return err_reply(err, 550, "5.7.1", "not an address that was made here");
}

static int add_address(struct span local, struct span domain, struct buf *out, struct err *err)
{
	const struct addr a = { .local = local, .domain = domain };
	if (!local.n || span_has_ctl(local) || !addr_domain_ok(domain, true))
		return forged(err);
	addr_format(&a, out);
	return out->bad ? forged(err) : 0;
}

int srs_reverse(const struct srs *s, struct span local, int64_t now, struct buf *out, struct err *err)
{
	struct span rest = span_from(local, 5), mac = span_cut(&rest, '=');
	if (!srs_is(local) || !hash_ok(s, mac, rest))
		return forged(err);
	if (is_form(local, '1')) {
		struct span domain = span_cut(&rest, '=');
		struct buf first;
		buf_init(&first, LIMIT_SMTP_PATH);
		buf_adds(&first, "SRS0");
		buf_addspan(&first, rest);
		int rc =
		    rest.n && is_separator(rest.p[0]) ? add_address(buf_span(&first), domain, out, err) : forged(err);
		buf_free(&first);
		return rc;
	}
	int day = day_of(span_cut(&rest, '='));
	struct span domain = span_cut(&rest, '=');
	if (day < 0)
		return forged(err);
	if ((now / DAY - day) % DAYS > DAYS_GOOD)
		return err_reply(err, 550, "5.7.1", "this address has expired");
	return add_address(rest, domain, out, err);
}
