/* SPDX-License-Identifier: ISC
 *
 * The segments of a commit log as files of its directory: preallocated and zeroed, so that syncing a record
 * changes no metadata; one that is dropped is kept as a spare and used again.
 */
#ifndef WP_IO_COMMITLOG_SEGMENT_H
#define WP_IO_COMMITLOG_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* The file of a segment for reading and writing, or -1 with errno. */
int segment_open(int dir_fd, uint64_t segment);
/* Makes it, from the spare when there is one; from 0 on it is on disk, empty. *nonce is what its records carry. */
int segment_create(int dir_fd, uint64_t segment, const char *boot, uint64_t *nonce, struct err *err);
/* Drops all segments below `below`, the oldest first: one becomes the spare (none when below is UINT64_MAX), the others
 * are removed. */
int segment_drop(int dir_fd, uint64_t below, struct err *err);
/* The highest number in the directory, 0 when there is none. -1 with errno when nobody can tell. */
int segment_highest(int dir_fd, uint64_t *highest);
/* Was any segment written under another boot id than this one (or can't be read, so that nobody knows)? */
bool segment_any_of_other_boot(int dir_fd, const char *boot);
/* All numbers in ascending order, allocated; returns how many, -1 with errno. */
ssize_t segment_list(int dir_fd, uint64_t **numbers);

#endif
