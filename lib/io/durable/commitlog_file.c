/* SPDX-License-Identifier: ISC */
#include "io/durable/commitlog_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	return x ^ x >> 29;
}

int commitlog_file_at(int fd, const char *path, struct commitlog_file *file)
{
	struct statx x;
	int flags = AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH);
	if (statx(fd, path, flags, STATX_BASIC_STATS | STATX_BTIME, &x) < 0)
		return -1;
	/* The inode number alone may be that of a later file; where no time of birth is kept it must do. */
	uint64_t born = x.stx_mask & STATX_BTIME ? (uint64_t)x.stx_btime.tv_sec << 30 ^ x.stx_btime.tv_nsec : 0;
	uint64_t id = mix(x.stx_ino) ^ born;
	*file = (struct commitlog_file){
		.id = id ? id : 1,
		.dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.mode = x.stx_mode,
		.linked = x.stx_nlink > 1,
	};
	return 0;
}
