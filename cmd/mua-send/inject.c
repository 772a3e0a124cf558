/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/spawn.h"
#include "io/trace.h"
#include "mua-send/sendmail.h"

static int write_all(int fd, struct span s, struct err *err)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "the message in memory");
		if (n > 0)
			s = span_from(s, (size_t)n);
	}
	return 0;
}

/* The message as a file on its stdin: our death can't cut it off. */
static int message_file(const struct mail *m, struct err *err)
{
	int fd = memfd_create("message", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "the message in memory");
	if (write_all(fd, buf_span(&m->head), err) || write_all(fd, m->body, err) || lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static const char **command(const struct mail *m)
{
	const struct mua_options *o = m->o;
	struct arena *a = m->arena;
	const char **argv = arena_alloc(a, (m->rcpt.n + 16) * sizeof *argv);
	size_t n = 0;
	argv[n++] = relay_path(a);
	argv[n++] = "inject";
	argv[n++] = arena_printf(a, "--from=%s", m->from);
	if (m->relay_config)
		argv[n++] = arena_printf(a, "--config=%s", m->relay_config);
	if (m->ret)
		argv[n++] = arena_printf(a, "--ret=%s", m->ret);
	if (o->envid)
		argv[n++] = arena_printf(a, "--envid=%s", o->envid);
	if (o->dsn)
		argv[n++] = arena_printf(a, "--notify=%s", m->rcpt.v[0].notify);
	if (o->requiretls)
		argv[n++] = "--requiretls";
	if (mail_is_binary(m))
		argv[n++] = "--binarymime";
	if (o->hold_for)
		argv[n++] = arena_printf(a, "--hold-for=%lldms", (long long)o->hold_for);
	if (o->hold_until)
		argv[n++] = arena_printf(a, "--hold-until=%s", o->hold_until);
	if (o->by)
		argv[n++] = arena_printf(a, "--by=%s", o->by);
	if (o->priority)
		argv[n++] = arena_printf(a, "--priority=%s", o->priority);
	if (o->trace)
		argv[n++] = arena_printf(a, "--trace=%s", o->trace);
	argv[n++] = "--";
	for (size_t i = 0; i < m->rcpt.n; i++)
		argv[n++] = m->rcpt.v[i].address;
	return argv;
}

/* Its status back into a class; one that means nothing is temporary: the message is still the caller's. */
static enum err_class class_of(int status)
{
	static const enum err_class classes[] = { ERR_USAGE, ERR_DATA, ERR_NOUSER, ERR_NOHOST, ERR_PERM, ERR_ACCESS,
		ERR_CONFIG };
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (err_exit_status(&(struct err){ .class = classes[i] }) == status)
			return classes[i];
	return ERR_TEMP;
}

/* What it said on stderr: shown when it failed. */
static void words_of(int fd, struct buf *out)
{
	char *at = buf_room(out, out->max);
	ssize_t n = pread(fd, at, out->max, 0);
	buf_grew(out, n > 0 ? (size_t)n : 0);
	for (size_t i = 0; i < out->len; i++)
		if (out->p[i] == '\n')
			out->p[i] = ' ';
}

static int judge(struct mail *m, int status, int said, struct err *err)
{
	struct buf words;
	if (status == EX_OK) {
		for (size_t i = 0; i < m->rcpt.n; i++)
			snprintf(m->rcpt.v[i].reply, sizeof m->rcpt.v[i].reply, "queued");
		return 0;
	}
	buf_init(&words, sizeof err->text - 1);
	words_of(said, &words);
	struct span text = span_trim(buf_span(&words));
	err_set(err, class_of(status), "%.*s%smta-relay inject ended with status %d", SPAN_FMT(text),
	    text.n ? ": " : "", status);
	buf_free(&words);
	return -1;
}

int mail_inject(struct mail *m, struct err *err)
{
	struct child child;
	int fd = message_file(m, err), said = memfd_create("words", MFD_CLOEXEC), rc = -1;
	struct spawn sp = { .argv = command(m), .in = fd, .out = SPAWN_NULL, .errfd = said };
	if (fd >= 0 && said < 0)
		err_sys(err, "memory for messages");
	else if (fd >= 0 && spawn_start(&sp, &child, err) == 0) {
		int status = spawn_wait(&child, -1, err);
		rc = status < 0 ? -1 : judge(m, status, said, err);
	}
	trace_why("route", rc ? err_result(err) : "ok", NULL, "%s", rc ? err->text : "into the queue of this host");
	if (fd >= 0)
		close(fd);
	if (said >= 0)
		close(said);
	return rc;
}
