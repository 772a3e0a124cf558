/* SPDX-License-Identifier: ISC
 *
 * What a log's records come to, before anything on disk is touched: one entry for each file that they speak of, under
 * its last name, with all its names, its content, or that it is gone. So a replay writes each file once, and never
 * shows what was removed later. Spans point into the records' bytes. Total: any records give a plan.
 */
#ifndef WP_IO_COMMITLOG_PLAN_H
#define WP_IO_COMMITLOG_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/durable/commitlog_record.h"

struct plan_patch {
	uint64_t at;
	struct span data;
};

struct plan_file {
	uint64_t id; /* commitlog_file_at, 0: not known */
	uint32_t mode;
	bool has_content; /* its PUT is in the log: content is whole with the patches on it */
	bool gone;
	struct span content;
	struct span *names; /* the last one is the present one */
	size_t n_names;
	struct plan_patch *patches;
	size_t n_patches;
};

struct commitlog_plan {
	struct plan_file *files;
	size_t n_files;
	struct plan_slot *slots; /* present names: an open hash table */
	size_t n_slots, used;
	size_t *by_id; /* latest file of each identity, index + 1: an open hash table of as many slots as files allow */
	size_t n_by_id;
};

void commitlog_plan_init(struct commitlog_plan *p);
void commitlog_plan_free(struct commitlog_plan *p);
void commitlog_plan_add(struct commitlog_plan *p, const struct commitlog_record *r);
/* What a Maildir file is known by, whatever its flags and whether in new/ or cur/: the directory above those (with its
 * slash, empty for the root), and its
 * unique name (what stands before the ':'). Of another path: all of it as dir, unique empty. */
struct plan_key {
	struct span dir, unique;
};
struct plan_key commitlog_plan_key(struct span path);
/* The name that the file has at the end, or had when it was removed. */
struct span commitlog_plan_name(const struct plan_file *f);

#endif
