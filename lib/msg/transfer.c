/* SPDX-License-Identifier: ISC */
#include "msg/transfer.h"

/* Base64 when more than a sixth of the bytes would be escaped: it is shorter then, too. */
enum codec transfer_choose(bool text, struct span content)
{
	size_t escaped = 0;
	if (!text)
		return CODEC_BASE64;
	for (size_t i = 0; i < content.n; i++)
		escaped += (unsigned char)content.p[i] >= 0x7f || content.p[i] == '=';
	return escaped <= content.n / 6 ? CODEC_QP : CODEC_BASE64;
}

const char *transfer_name(enum codec codec)
{
	return codec == CODEC_QP ? "quoted-printable" : "base64";
}

/* RFC 2045 6.8: line ends of text are CRLF before base64. */
static void text_to_crlf(struct span text, struct buf *out)
{
	while (text.n) {
		ptrdiff_t lf = span_chr(text, '\n');
		struct span line = span_cut(&text, '\n');
		buf_addspan(out, line);
		if (lf >= 0)
			buf_adds(out, span_ends(line, "\r") ? "\n" : "\r\n");
	}
}

void transfer_encode(enum codec codec, bool text, struct span content, const char *eol, struct buf *out)
{
	struct buf canonical;
	if (codec == CODEC_QP) {
		qp_encode(content, false, eol, out);
		return;
	}
	buf_init(&canonical, 2 * content.n + 2);
	if (text) {
		text_to_crlf(content, &canonical);
		content = buf_span(&canonical);
	}
	base64_encode(content, eol, out);
	buf_free(&canonical);
}
