/* SPDX-License-Identifier: ISC
 *
 * Names: U-labels and A-labels (RFC 5890) by libidn2, and what counts as the domain of a mailbox (RFC 5321 4.1.2).
 */
#include <idn2.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "dns/dns.h"

enum {
	DOMAIN_TEXT_MAX = 253
};

static bool is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

/* sub-domain = Let-dig [Ldh-str] */
static bool label_ok(struct span l)
{
	if (!l.n || l.n > 63 || l.p[0] == '-' || l.p[l.n - 1] == '-')
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (!ascii_isalnum(l.p[i]) && l.p[i] != '-')
			return false;
	return true;
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_isdigit(s.p[i]))
			return false;
	return true;
}

/* No final dot. The last label is never a number: "192.0.2.1" is an address (RFC 1123 2.1, RFC 3696 2). */
static bool domain_ok(struct span d)
{
	struct span label = span_str("");
	if (!d.n || d.n > DOMAIN_TEXT_MAX || d.p[d.n - 1] == '.')
		return false;
	while (d.n) {
		label = span_cut(&d, '.');
		if (!label_ok(label))
			return false;
	}
	return !all_digits(label);
}

static void add_lower(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, ascii_lower(s.p[i]));
}

static bool convert(struct span domain, struct buf *out)
{
	uint8_t *ascii = NULL;
	char *text = xstrndup(domain.p, domain.n);
	int rc = memchr(domain.p, 0, domain.n)
		     ? IDN2_MALLOC
		     : idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	bool ok = rc == IDN2_OK && domain_ok(span_str((char *)ascii));
	if (ok)
		add_lower(span_str((char *)ascii), out);
	free(text);
	if (ascii)
		idn2_free(ascii);
	return ok && !out->bad;
}

bool dns_to_ascii(struct span domain, struct buf *out)
{
	/* U-labels are longer in UTF-8 than their A-labels at most by a factor of four. */
	if (!domain.n || domain.n > 4 * LIMIT_DOMAIN)
		return false;
	if (domain.p[domain.n - 1] == '.')
		domain.n--;
	if (!is_ascii(domain))
		return convert(domain, out);
	if (!domain_ok(domain))
		return false;
	add_lower(domain, out);
	return !out->bad;
}

void dns_to_unicode(struct span domain, struct buf *out)
{
	char *text = xstrndup(domain.p, domain.n), *unicode = NULL;
	if (span_ifind(domain, SPAN("xn--")) >= 0 && idn2_to_unicode_8z8z(text, &unicode, 0) == IDN2_OK)
		buf_adds(out, unicode);
	else
		buf_addspan(out, domain);
	free(text);
	if (unicode)
		idn2_free(unicode);
}
