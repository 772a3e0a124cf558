/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog_record.h"

#include <zlib.h>

enum {
	MAGIC = 0x314c5057, /* "WPL1" */
	HEADER_CHECKED = 16 + COMMITLOG_BOOT,
};

static void put32(struct buf *b, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		buf_addc(b, (char)(v >> (8 * i)));
}

static void put64(struct buf *b, uint64_t v)
{
	put32(b, (uint32_t)v);
	put32(b, (uint32_t)(v >> 32));
}

static uint32_t get32(const char *p)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < 4; i++)
		v |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return v;
}

static uint64_t get64(const char *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static uint32_t checksum(struct span s)
{
	return (uint32_t)crc32_z(0, (const unsigned char *)s.p, s.n);
}

static size_t padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

size_t commitlog_record_size(const struct commitlog_record *r)
{
	return padded(COMMITLOG_RECORD_HEAD + r->path.n + r->data.n);
}

void commitlog_record_encode(const struct commitlog_record *r, uint64_t nonce, uint64_t place, struct buf *out)
{
	static const char zeros[8];
	size_t start = out->len, size = commitlog_record_size(r);
	if (!buf_room(out, size))
		return;
	put32(out, MAGIC);
	put32(out, 0);
	put64(out, nonce);
	put64(out, place);
	put32(out, r->kind);
	put32(out, r->mode);
	put64(out, r->at);
	put64(out, r->file);
	put32(out, (uint32_t)r->path.n);
	put32(out, (uint32_t)r->data.n);
	buf_addspan(out, r->path);
	buf_addspan(out, r->data);
	buf_add(out, zeros, start + size - out->len);
	uint32_t sum = checksum(span_slice(buf_span(out), start + 8, start + size));
	/* UNSAFE: the eight bytes of magic and checksum were added above. */
	for (unsigned i = 0; i < 4; i++)
		out->p[start + 4 + i] = (char)(sum >> (8 * i));
}

bool commitlog_record_decode(struct span bytes, uint64_t nonce, uint64_t place, struct commitlog_record *r)
{
	if (place > bytes.n || bytes.n - place < COMMITLOG_RECORD_HEAD)
		return false;
	struct span s = span_from(bytes, place);
	if (get32(s.p) != MAGIC || get64(s.p + 8) != nonce || get64(s.p + 16) != place)
		return false;
	*r = (struct commitlog_record){
		.kind = get32(s.p + 24), .mode = get32(s.p + 28), .at = get64(s.p + 32), .file = get64(s.p + 40)
	};
	uint64_t path = get32(s.p + 48), data = get32(s.p + 52);
	if (r->kind < COMMITLOG_PUT || r->kind > COMMITLOG_RENAME || path > COMMITLOG_PATH_MAX)
		return false;
	if (path + data > s.n - COMMITLOG_RECORD_HEAD)
		return false;
	r->path = span_slice(s, COMMITLOG_RECORD_HEAD, COMMITLOG_RECORD_HEAD + path);
	r->data = span_slice(s, COMMITLOG_RECORD_HEAD + path, COMMITLOG_RECORD_HEAD + path + data);
	size_t size = commitlog_record_size(r);
	return size <= s.n && get32(s.p + 4) == checksum(span_slice(s, 8, size));
}

void commitlog_header_encode(uint64_t nonce, const char *boot, struct buf *out)
{
	struct buf checked;
	buf_init(&checked, COMMITLOG_HEADER);
	put32(&checked, MAGIC);
	put32(&checked, COMMITLOG_HEADER);
	put64(&checked, nonce);
	buf_add(&checked, boot, COMMITLOG_BOOT);
	buf_addspan(out, buf_span(&checked));
	put32(out, checksum(buf_span(&checked)));
	buf_free(&checked);
	for (unsigned i = HEADER_CHECKED + 4; i < COMMITLOG_HEADER; i++)
		buf_addc(out, '\0');
}

bool commitlog_header_decode(struct span bytes, uint64_t *nonce, struct span *boot)
{
	if (bytes.n < COMMITLOG_HEADER || get32(bytes.p) != MAGIC || get32(bytes.p + 4) != COMMITLOG_HEADER)
		return false;
	*nonce = get64(bytes.p + 8);
	*boot = span_slice(bytes, 16, 16 + COMMITLOG_BOOT);
	return get32(bytes.p + HEADER_CHECKED) == checksum(span_slice(bytes, 0, HEADER_CHECKED));
}
