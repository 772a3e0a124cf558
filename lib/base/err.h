/* SPDX-License-Identifier: ISC
 *
 * What went wrong, carried from where it is known to the one place that decides: the protocol engine maps
 * it to a reply, cmd/ to a sysexits status. Set once, never logged and returned too. An err owns nothing.
 */
#ifndef WP_BASE_ERR_H
#define WP_BASE_ERR_H

#include <stdarg.h>

enum err_class {
	ERR_NONE,
	ERR_TEMP,   /* may succeed later: 4xx, EX_TEMPFAIL */
	ERR_PERM,   /* will not succeed: 5xx, EX_UNAVAILABLE */
	ERR_PROTO,  /* the peer broke its protocol: EX_PROTOCOL */
	ERR_LIMIT,  /* a named limit was met: EX_DATAERR */
	ERR_USAGE,  /* command line: EX_USAGE */
	ERR_CONFIG, /* configuration file or environment: EX_CONFIG */
	ERR_DATA,   /* the message or input is malformed: EX_DATAERR */
	ERR_NOUSER, /* EX_NOUSER */
	ERR_NOHOST, /* EX_NOHOST */
	ERR_ACCESS, /* permission, failed authentication: EX_NOPERM */
	ERR_BUG,    /* EX_SOFTWARE */
};

struct err {
	enum err_class class;
	int sys;      /* errno, 0 when none is behind it */
	int code;     /* the peer's or our protocol reply code (550), 0 when none */
	char enh[12]; /* enhanced status code (RFC 3463) as "5.7.1", empty when none */
	char text[512];
};

/* Each returns -1, so that a caller can `return err_set(...)`. e may be NULL. No newline in text. */
int err_set(struct err *e, enum err_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* With errno: ENOSPC, EDQUOT, EIO, EAGAIN, EMFILE and the like are ERR_TEMP, EACCES and EPERM ERR_ACCESS, and
 * all others ERR_TEMP too: an unknown failure of ours must never bounce a message. Appends strerror. */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With a reply code and enhanced status, e.g. err_reply(e, 550, "5.1.1", "no such user"): the class follows
 * from the first digit. */
int err_reply(struct err *e, int code, const char *enh, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Puts "prefix: " before the text, e.g. the file name. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);

/* The sysexits.h status for it; 0 for ERR_NONE. */
int err_exit_status(const struct err *e);
/* "temp", "perm" or "ok", as trace events say it. */
const char *err_result(const struct err *e);

#endif
