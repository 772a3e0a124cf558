/* SPDX-License-Identifier: ISC
 *
 * How a domain is written to be compared. Apart from domains.c, whose tables others do not need.
 */
#include <idn2.h>

#include "base/limits.h"
#include "users/domains.h"

/* U-labels to A-labels (RFC 5891 5.3, as UTS 46 maps them). */
static bool to_ascii(struct span s, struct buf *out)
{
	char text[4 * LIMIT_DOMAIN + 1], *ascii = NULL;
	if (s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK)
		return false;
	buf_adds(out, ascii);
	idn2_free(ascii);
	return true;
}

bool domain_normalise(struct span s, struct buf *out)
{
	bool ascii = true;
	size_t from = out->len;
	if (s.n && s.p[s.n - 1] == '.')
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 127)
			return false;
		ascii &= (unsigned char)s.p[i] < 128;
	}
	if (!s.n || (!ascii && !to_ascii(s, out)))
		return false;
	if (ascii)
		buf_addspan(out, s);
	for (size_t i = from; i < out->len; i++)
		out->p[i] = ascii_lower(out->p[i]);
	return !out->bad;
}
