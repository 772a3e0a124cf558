/* SPDX-License-Identifier: ISC
 *
 * Which file stands at a name: an identity that survives renames and a reboot, made of the inode's number and its time
 * of birth, so that a replay never takes somebody else's file of the same name for the one that was logged. It needs a
 * file system whose inode numbers are stored (all but FAT and some in user space).
 */
#ifndef WP_IO_COMMITLOG_FILE_H
#define WP_IO_COMMITLOG_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct commitlog_file {
	uint64_t id; /* never 0 */
	dev_t dev;
	mode_t mode; /* type and permissions */
	bool linked; /* it has more than one name: identity tells nothing about which */
};

/* Of fd itself when path is "", else of path (below fd, or AT_FDCWD); symbolic links are not followed. -1 with errno.
 */
int commitlog_file_at(int fd, const char *path, struct commitlog_file *file);

#endif
