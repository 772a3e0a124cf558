/* SPDX-License-Identifier: ISC
 *
 * --ready: is the server up that has this configuration? Looks at its files and opens no conversation.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sysexits.h>

#include "io/listen/heartbeat.h"
#include "mta-relay/relay.h"

/* As whoever asks may be another user, this is not about his rights. */
static int has_room(const char *queue, struct err *err)
{
	struct statvfs v;
	if (statvfs(queue, &v) < 0)
		return err_sys(err, "%s", queue);
	if (v.f_flag & ST_RDONLY)
		return err_set(err, ERR_TEMP, "%s: the file system is read-only", queue);
	if (!v.f_bavail || (v.f_files && !v.f_favail))
		return err_set(err, ERR_TEMP, "%s: no space is left", queue);
	return 0;
}

int relay_ready(const char *prog, const char *ready_file, const char *queue)
{
	struct err err = { 0 };
	int rc;
	if (!ready_file) {
		err_set(&err, ERR_USAGE, "--ready needs the server's --ready-file");
		relay_complain(prog, &err);
		return err_exit_status(&err);
	}
	rc = heartbeat_check(ready_file, &err);
	/* serve makes its queue with the first message. */
	if (rc == 0 && has_room(queue, &err) < 0 && err.sys != ENOENT)
		rc = -1;
	if (rc == 0) {
		printf("%s: ready\n", prog);
		return EX_OK;
	}
	relay_complain(prog, &err);
	return EX_TEMPFAIL;
}
