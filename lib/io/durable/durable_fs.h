/* SPDX-License-Identifier: ISC
 *
 * The system calls under io/durable, each made whole: EINTR repeated, short writes continued. Private to that module.
 * The first failure of an fsync is final and is never repeated on the same descriptor: the kernel may have dropped the
 * dirty pages and would report success the second time. Results are those of the calls, with errno.
 */
#ifndef WP_IO_DURABLE_FS_H
#define WP_IO_DURABLE_FS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

int fs_open(const char *path, int flags, mode_t mode);
int fs_write_all(int fd, const char *p, size_t n);
int fs_pwrite_all(int fd, const char *p, size_t n, off_t at);
int fs_sync(int fd);
int fs_datasync(int fd);
int fs_sync_all(int fd); /* syncfs */
int fs_truncate(int fd, off_t size);
int fs_link(const char *from, const char *to);
int fs_rename(const char *from, const char *to);
int fs_unlink(const char *path);
int fs_mkdir(const char *path, mode_t mode);

/* fsync of the directory that path stands in; of each distinct one once. */
int fs_sync_parent(const char *path, struct err *err);
int fs_sync_parents(const char *const *paths, size_t n, struct err *err);

#endif
