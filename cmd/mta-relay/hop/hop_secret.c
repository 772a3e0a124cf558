/* SPDX-License-Identifier: ISC */
#include "mta-relay/hop/hop_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/spawn.h"

static int read_line(int fd, const char *file, struct buf *out, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "%s", file);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return err_set(err, ERR_ACCESS, "%s: others may read it: chmod 600", file);
	for (;;) {
		char *at = buf_room(out, 1024);
		ssize_t n = at ? read(fd, at, 1024) : 0;
		if (n < 0 && errno != EINTR)
			return err_sys(err, "%s", file);
		if (n == 0)
			break;
		if (n > 0)
			buf_grew(out, (size_t)n);
	}
	ptrdiff_t end = span_chr(buf_span(out), '\n');
	if (end >= 0)
		buf_truncate(out, (size_t)end);
	if (out->len && out->p[out->len - 1] == '\r')
		buf_truncate(out, out->len - 1);
	return buf_cstr(out) && out->len ? 0 : err_set(err, ERR_CONFIG, "%s: no password in it", file);
}

int hop_secret(const char *file, const char *command, const struct broker *b, struct buf *out, struct err *err)
{
	if (!file && command && b)
		return spawn_secret_by(b, broker_find(b, command), out, err);
	if (!file)
		return command ? spawn_secret(command, out, err)
			       : err_set(err, ERR_CONFIG, "no --password-file and no --password-command");
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "%s", file);
	int rc = read_line(fd, file, out, err);
	close(fd);
	return rc;
}
