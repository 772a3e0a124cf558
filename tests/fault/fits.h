/* SPDX-License-Identifier: ISC
 *
 * Which errors fit which system call, for faultlib.c.
 */
#ifndef WP_TESTS_FAULT_FITS_H
#define WP_TESTS_FAULT_FITS_H

#include <errno.h>

enum {
	SHORT = -1, /* beside errors: half is done */
	FITS = 6,
};

/* Of errors that no program of ours tells apart one only: EMFILE stands for ENFILE and ENOBUFS. */
static const struct fit {
	const char *call;
	int errors[FITS];
} fits[] = {
	{ "open", { EIO, EMFILE } },
	{ "create", { ENOSPC, EIO, EMFILE, EDQUOT } },
	{ "read", { EIO, SHORT } },
	{ "recv", { ECONNRESET, ETIMEDOUT, SHORT, EINTR, EAGAIN } },
	{ "write", { ENOSPC, EIO, SHORT, EDQUOT, EINTR } },
	{ "pwrite", { ENOSPC, EIO, SHORT, EDQUOT, EINTR } },
	{ "send", { EPIPE, ECONNRESET, SHORT, EINTR, EAGAIN } },
	{ "fsync", { EIO, ENOSPC, EINTR } },
	{ "fdatasync", { EIO, ENOSPC, EINTR } },
	{ "syncfs", { EIO, ENOSPC } },
	{ "close", { EIO, EINTR } },
	{ "rename", { EIO, ENOSPC } },
	{ "link", { EIO, ENOSPC } },
	{ "unlink", { EIO } },
	{ "mkdir", { EIO, ENOSPC } },
	{ "ftruncate", { EIO, ENOSPC } },
	{ "fallocate", { ENOSPC, EIO, EOPNOTSUPP, EINTR } },
	{ "stat", { EIO, ENOMEM } },
	{ "chmod", { EIO } },
	{ "utimens", { EIO } },
	{ "opendir", { EMFILE, EIO } },
	{ "readdir", { EIO } },
	{ "lock", { ENOLCK, EINTR } },
	{ "mmap", { ENOMEM } },
	{ "inotify", { EMFILE, ENOSPC } },
	{ "fdnew", { EMFILE } },
	{ "pidfd", { EMFILE } },
	{ "socket", { EMFILE } },
	{ "bind", { EADDRINUSE } },
	{ "listen", { EADDRINUSE } },
	{ "accept", { EMFILE, ECONNABORTED, EINTR } },
	{ "connect", { ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH } },
	{ "poll", { EINTR, ENOMEM } },
	{ "epoll", { EINTR } },
	{ "epollctl", { ENOSPC, ENOMEM } },
	{ "fork", { EAGAIN, ENOMEM } },
	{ "exec", { ENOMEM, EIO } },
	{ "wait", { EINTR } },
	{ "futex", { EINTR, EAGAIN } },
};

static const struct {
	const char *name;
	int error;
} names[] = {
	{ "short", SHORT },
	{ "EIO", EIO },
	{ "ENOSPC", ENOSPC },
	{ "EDQUOT", EDQUOT },
	{ "EINTR", EINTR },
	{ "EAGAIN", EAGAIN },
	{ "EPIPE", EPIPE },
	{ "ECONNRESET", ECONNRESET },
	{ "ECONNREFUSED", ECONNREFUSED },
	{ "ECONNABORTED", ECONNABORTED },
	{ "ETIMEDOUT", ETIMEDOUT },
	{ "EHOSTUNREACH", EHOSTUNREACH },
	{ "EMFILE", EMFILE },
	{ "ENFILE", ENFILE },
	{ "ENOMEM", ENOMEM },
	{ "ENOBUFS", ENOBUFS },
	{ "ENOLCK", ENOLCK },
	{ "EADDRINUSE", EADDRINUSE },
	{ "EOPNOTSUPP", EOPNOTSUPP },
};

#endif
