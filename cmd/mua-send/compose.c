/* SPDX-License-Identifier: ISC */
#include "mua-send/compose.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/config.h"
#include "base/limits.h"
#include "msg/charset.h"
#include "msg/encword.h"
#include "msg/header.h"
#include "msg/param2231.h"
#include "msg/transfer.h"
#include "mua-send/mime_types.h"

enum {
	HEADER_ROOM = 1 << 20
};

bool compose_wanted(const struct mua_options *o)
{
	return o->subject || o->attach.n || o->to.n || o->cc.n;
}

/* ---- header ---- */

static int add_addresses(const char *name, const char *const *v, size_t n, struct buf *out, struct err *err)
{
	struct buf list;
	int rc = 0;
	buf_init(&list, HEADER_ROOM);
	for (size_t i = 0; i < n; i++) {
		if (span_has_ctl(span_str(v[i])))
			rc = err_set(err, ERR_USAGE, "%s: an address with a line end in it", name);
		buf_addf(&list, "%s%s", i ? ", " : "", v[i]);
	}
	if (rc == 0 && n)
		header_fold(name, buf_span(&list), "\n", out);
	buf_free(&list);
	return rc;
}

static int add_subject(const char *subject, struct buf *out, struct err *err)
{
	struct buf encoded;
	if (!subject)
		return 0;
	if (span_has_ctl(span_str(subject)) || !utf8_valid(span_str(subject)))
		return err_set(err, ERR_USAGE, "-s: a subject is one line of UTF-8");
	buf_init(&encoded, HEADER_ROOM);
	encword_encode(span_str(subject), false, &encoded);
	header_fold("Subject", buf_span(&encoded), "\n", out);
	buf_free(&encoded);
	return 0;
}

/* ---- parts ---- */

static bool is_ascii(struct span s)
{
	unsigned char all = 0;
	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return !(all & 0x80);
}

static const char *charset_of(struct span text)
{
	return is_ascii(text) ? "us-ascii" : utf8_valid(text) ? "utf-8" : "unknown-8bit";
}

static bool needs_encoding(struct span content)
{
	struct msg_needs n;
	struct buf b;
	/* As a body: behind an empty header. */
	buf_init(&b, content.n + 2);
	buf_addc(&b, '\n');
	buf_addspan(&b, content);
	msg_scan(buf_span(&b), &n);
	buf_free(&b);
	return n.eightbit || n.nul || n.bare_cr || n.long_line;
}

/* Content-Transfer-Encoding, the blank line and the content. */
static void add_encoded(enum codec codec, bool text, struct span content, struct buf *out)
{
	if (codec == CODEC_IDENTITY) {
		buf_adds(out, "Content-Transfer-Encoding: 7bit\n\n");
		buf_addspan(out, content);
		return;
	}
	buf_addf(out, "Content-Transfer-Encoding: %s\n\n", transfer_name(codec));
	transfer_encode(codec, text, content, "\n", out);
}

static void add_text(struct span text, struct buf *out)
{
	enum codec codec = needs_encoding(text) ? transfer_choose(true, text) : CODEC_IDENTITY;
	buf_addf(out, "Content-Type: text/plain; charset=%s\n", charset_of(text));
	add_encoded(codec, true, text, out);
	if (codec == CODEC_IDENTITY && text.n && !span_ends(text, "\n"))
		buf_addc(out, '\n');
}

/* How a file comes back as it is: as text only when its line ends are LF and the last one its own, since the one before
 * a boundary is not the content's (RFC 2046 5.1.1) and CRLF becomes the reader's line end. */
static enum codec file_codec(bool text, struct span content)
{
	if (!text || span_chr(content, '\r') >= 0 || (content.n && !span_ends(content, "\n")))
		return CODEC_BASE64;
	return needs_encoding(content) ? transfer_choose(true, content) : CODEC_IDENTITY;
}

/* RFC 2046 5.2.1: a message within a message may not be encoded; one that would have to be is a file like others. */
static void add_file(const char *type, const char *name, struct span content, struct buf *out)
{
	struct span t = span_str(type);
	bool text = span_starts(t, "text/"), message = span_starts(t, "message/");
	if (message && needs_encoding(content)) {
		type = "application/octet-stream";
		message = false;
	}
	buf_addf(out, "Content-Type: %s", type);
	if (text)
		buf_addf(out, "; charset=%s", charset_of(content));
	param2231_add("name", span_str(name), "\n", out);
	buf_adds(out, "\nContent-Disposition: attachment");
	param2231_add("filename", span_str(name), "\n", out);
	buf_addc(out, '\n');
	if (message) {
		buf_addc(out, '\n');
		buf_addspan(out, content);
	} else {
		add_encoded(file_codec(text, content), false, content, out);
	}
}

static int attach(struct mail *m, struct span types, const char *path, struct buf *out, struct err *err)
{
	struct buf content;
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	buf_init(&content, m->o->max_size);
	if (config_slurp(path, &content, err)) {
		buf_free(&content);
		err->class = ERR_DATA;
		return -1;
	}
	add_file(mime_type_of(m->arena, types, name), name, buf_span(&content), out);
	buf_free(&content);
	return 0;
}

/* RFC 2046 5.1.1; a line that begins so can't stand in a part but by a chance of 1 in 2^64. */
static const char *new_boundary(struct arena *a)
{
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		random = (uint64_t)getpid();
	return arena_printf(a, "=_%016llx", (unsigned long long)random);
}

static int add_multipart(struct mail *m, struct span text, struct buf *out, struct err *err)
{
	const char *boundary = new_boundary(m->arena);
	struct buf types;
	int rc = 0;
	buf_init(&types, LIMIT_CONFIG_FILE);
	if (config_slurp("/etc/mime.types", &types, NULL))
		buf_reset(&types);
	buf_addf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\n\n", boundary);
	if (text.n) {
		buf_addf(out, "--%s\n", boundary);
		add_text(text, out);
	}
	for (size_t i = 0; i < m->o->attach.n && rc == 0; i++) {
		buf_addf(out, "%s--%s\n", i || text.n ? "\n" : "", boundary);
		rc = attach(m, buf_span(&types), m->o->attach.v[i], out, err);
	}
	buf_addf(out, "\n--%s--\n", boundary);
	buf_free(&types);
	return rc;
}

int compose(struct mail *m, struct span text, char **operands, size_t n, struct span *out, struct err *err)
{
	const struct mua_options *o = m->o;
	struct buf b;
	buf_init(&b, 4 * (size_t)o->max_size);
	int rc = o->to.n ? add_addresses("To", o->to.v, o->to.n, &b, err)
			 : add_addresses("To", (const char *const *)operands, n, &b, err);
	if (rc == 0)
		rc = add_addresses("Cc", o->cc.v, o->cc.n, &b, err) || add_subject(o->subject, &b, err) ? -1 : 0;
	buf_adds(&b, "MIME-Version: 1.0\n");
	if (rc == 0 && o->attach.n)
		rc = add_multipart(m, text, &b, err);
	else if (rc == 0)
		add_text(text, &b);
	if (rc == 0 && b.bad)
		rc = err_set(err, ERR_LIMIT, "the message is larger than --max-size");
	m->composed = b;
	*out = buf_span(&m->composed);
	return rc;
}
