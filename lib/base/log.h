/* SPDX-License-Identifier: ISC
 *
 * One line per event: `event key=value ...`, to where the process was started from: stderr at a shell,
 * stderr with the <N> priority that sd-daemon(3) reads when JOURNAL_STREAM is set, syslog when fd 2 is a socket
 * (under inetd it is the client's, RFC 5321 4.2: nothing but replies may go there). A process-wide singleton;
 * only cmd/ and the server loops log, libraries return errors.
 *
 * Tools that read another program's log want its name and syslog's traditional line (RFC 3164 4.1.2): LOG_STYLE_SYSLOG
 * and log_as.
 */
#ifndef WP_BASE_LOG_H
#define WP_BASE_LOG_H

#include <stdbool.h>

#include "base/span.h"

enum log_level {
	LOG_LVL_ERR = 3,
	LOG_LVL_WARN = 4,
	LOG_LVL_INFO = 6,
	LOG_LVL_DEBUG = 7
};

enum log_target {
	LOG_TO_AUTO,
	LOG_TO_STDERR,
	LOG_TO_JOURNAL,
	LOG_TO_SYSLOG,
	LOG_TO_NONE
};

/* prog must outlive the process's logging. AUTO decides as the header says. */
void log_open(const char *prog, enum log_target target, enum log_level most);
/* To a file instead: appended to, each line by one write and with time and host; opened again by log_reopen (SIGHUP,
 * after a rotation). path must outlive the logging. 0, or -1 with errno: nothing changed then. */
int log_to_file(const char *path);
int log_reopen(void);
/* Before log_style everything is native. */
enum log_style {
	LOG_STYLE_NATIVE,
	/* "Nov 30 10:00:00 host PROG[PID]: text" in a file and on stderr, warnings and errors marked in the text. Where
	 * the journal reads stderr, syslog's socket is used if there is one, since a line on stderr can't carry PROG;
	 * else the line begins with PROG[PID]. */
	LOG_STYLE_SYSLOG
};
void log_style(enum log_style style, const char *prog);
/* What AUTO decided, also when lines go to a file; LOG_TO_SYSLOG tells a caller that stderr must not be written to. */
enum log_target log_where(void);
/* The session id put on each line as `session=ID`; NULL for none. Copied. */
void log_session(const char *id);

/* fmt gives the whole line; a peer's bytes go through log_quote. No newline. errno is kept. */
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Lines about one thing that come at once: from log_hold on they are kept, log_release writes them by one write where
 * that is possible (not to syslog, and no more than a pipe takes at once). */
void log_hold(void);
void log_release(void);

/* Under another program's name and without the session. */
void log_as(const char *prog, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A peer's bytes as a quoted string: control characters, quotes, backslashes and bytes above 126 escaped, cut at
 * about 200 bytes. Points at one of eight rotating static buffers: use at most eight in one log call. */
const char *log_quote(struct span s);

#endif
