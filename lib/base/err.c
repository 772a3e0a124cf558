/* SPDX-License-Identifier: ISC */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

__attribute__((format(printf, 4, 0))) static void fill(
    struct err *e, enum err_class class, int sys, const char *fmt, va_list ap)
{
	*e = (struct err){ .class = class, .sys = sys };
	vsnprintf(e->text, sizeof e->text, fmt, ap);
}

int err_set(struct err *e, enum err_class class, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (e)
		fill(e, class, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;
	va_start(ap, fmt);
	if (e) {
		fill(e, sys == EACCES || sys == EPERM ? ERR_ACCESS : ERR_TEMP, sys, fmt, ap);
		size_t n = strlen(e->text);
		snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(sys));
	}
	va_end(ap);
	errno = sys;
	return -1;
}

int err_reply(struct err *e, int code, const char *enh, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (e) {
		fill(e, code >= 500 ? ERR_PERM : code >= 400 ? ERR_TEMP : ERR_PROTO, 0, fmt, ap);
		e->code = code;
		snprintf(e->enh, sizeof e->enh, "%s", enh ? enh : "");
	}
	va_end(ap);
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char old[sizeof e->text];
	memcpy(old, e->text, sizeof old);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	size_t n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %s", old);
	return -1;
}

void err_clear(struct err *e)
{
	if (e)
		*e = (struct err){ 0 };
}

int err_exit_status(const struct err *e)
{
	static const int status[] = {
		[ERR_NONE] = EX_OK,
		[ERR_TEMP] = EX_TEMPFAIL,
		[ERR_PERM] = EX_UNAVAILABLE,
		[ERR_PROTO] = EX_PROTOCOL,
		[ERR_LIMIT] = EX_DATAERR,
		[ERR_USAGE] = EX_USAGE,
		[ERR_CONFIG] = EX_CONFIG,
		[ERR_DATA] = EX_DATAERR,
		[ERR_NOUSER] = EX_NOUSER,
		[ERR_NOHOST] = EX_NOHOST,
		[ERR_ACCESS] = EX_NOPERM,
		[ERR_BUG] = EX_SOFTWARE,
	};
	return status[e->class];
}

const char *err_result(const struct err *e)
{
	switch (e->class) {
	case ERR_NONE:
		return "ok";
	case ERR_TEMP:
		return "temp";
	default:
		return "perm";
	}
}
