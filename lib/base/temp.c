/* SPDX-License-Identifier: ISC */
#include "base/temp.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"

int temp_file(const char *dir, struct err *err)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* Not every file system has files that never had a name. */
	char *path = xasprintf("%s/waypost-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		err_sys(err, "temporary file in %s", dir);
	else
		unlink(path);
	free(path);
	return fd;
}
