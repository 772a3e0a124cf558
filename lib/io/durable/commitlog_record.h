/* SPDX-License-Identifier: ISC
 *
 * The records of a commit log's segment, as bytes. A segment is a header and records one behind the other; each
 * record tells its segment's nonce and its place, so that neither what an earlier use of the same file left behind nor
 * anything inside a message is ever taken for a record, and carries a checksum, so that a torn last record ends the
 * log. Reading is total: any bytes give some records and an end.
 *
 *   0 magic u32 | 4 crc32 of all behind it u32 | 8 nonce u64 | 16 place u64 | 24 kind u32 | 28 mode u32 |
 *   32 at u64 | 40 file u64 | 48 path length u32 | 52 data length u32 | 56 path, data, zeros up to a multiple of 8
 *
 * Numbers are little-endian, so that another node may replay it. Paths are relative to the tree that the log serves.
 */
#ifndef WP_IO_COMMITLOG_RECORD_H
#define WP_IO_COMMITLOG_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum {
	COMMITLOG_HEADER = 64, /* bytes before a segment's first record */
	COMMITLOG_RECORD_HEAD = 56,
	COMMITLOG_PATH_MAX = 4096,
	COMMITLOG_BOOT = 36, /* characters of the kernel's boot id */
};

enum commitlog_kind {
	COMMITLOG_PUT = 1, /* a file with this content stands at path */
	COMMITLOG_APPEND,  /* data stands in the file from offset `at` on */
	COMMITLOG_REMOVE,  /* nothing stands at path */
	COMMITLOG_RENAME,  /* what stood at path stands at data, a path too */
};
struct commitlog_record {
	enum commitlog_kind kind;
	uint32_t mode; /* PUT: permissions */
	uint64_t at;   /* APPEND: offset */
	uint64_t file; /* which file it is about, whatever its name (commitlog_file_at); 0: not known */
	struct span path, data;
};

/* Bytes that the record takes in a segment. */
size_t commitlog_record_size(const struct commitlog_record *r);
/* Appends it to out as it must stand at `place` of the segment with that nonce. */
void commitlog_record_encode(const struct commitlog_record *r, uint64_t nonce, uint64_t place, struct buf *out);
/* The record at place of the segment's bytes, spans into them. False at the log's end: no whole record stands there. */
bool commitlog_record_decode(struct span bytes, uint64_t nonce, uint64_t place, struct commitlog_record *r);

/* A segment's first COMMITLOG_HEADER bytes: its nonce, a random number, and the boot id of the kernel that wrote it
 * (COMMITLOG_BOOT characters). */
void commitlog_header_encode(uint64_t nonce, const char *boot, struct buf *out);
bool commitlog_header_decode(struct span bytes, uint64_t *nonce, struct span *boot);

#endif
