/* SPDX-License-Identifier: ISC
 *
 * One line per event: `event key=value ...`, to where the process was started from: stderr at a shell,
 * stderr with the <N> priority that sd-daemon(3) reads when JOURNAL_STREAM is set, syslog when fd 2 is a socket
 * (under inetd it is the client's, RFC 5321 4.2: nothing but replies may go there). A process-wide singleton;
 * only cmd/ and the server loops log, libraries return errors.
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
/* What AUTO decided; LOG_TO_SYSLOG tells a caller that stderr must not be written to. */
enum log_target log_where(void);
/* The session id put on each line as `session=ID`; NULL for none. Copied. */
void log_session(const char *id);

/* fmt gives the whole line; a peer's bytes go through log_quote. No newline. errno is kept. */
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A peer's bytes as a quoted string: control characters, quotes, backslashes and bytes above 126 escaped, cut at
 * about 200 bytes. Points at one of eight rotating static buffers: use at most eight in one log call. */
const char *log_quote(struct span s);

#endif
