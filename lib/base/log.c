/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum {
	QUOTE_SLOTS = 8,
	QUOTE_BYTES = 256,
	LINE_BYTES = 2048
};

static struct {
	const char *prog;
	enum log_target target;
	enum log_level most;
	char session[64];
} state = { "waypost", LOG_TO_STDERR, LOG_LVL_INFO, "" };

static enum log_target detect(void)
{
	struct stat st;
	if (getenv("JOURNAL_STREAM"))
		return LOG_TO_JOURNAL;
	if (fstat(STDERR_FILENO, &st) < 0 || S_ISSOCK(st.st_mode))
		return LOG_TO_SYSLOG;
	return LOG_TO_STDERR;
}

void log_open(const char *prog, enum log_target target, enum log_level most)
{
	state.prog = prog;
	state.target = target == LOG_TO_AUTO ? detect() : target;
	state.most = most;
	if (state.target == LOG_TO_SYSLOG)
		openlog(prog, LOG_PID, LOG_MAIL);
}

enum log_target log_where(void)
{
	return state.target;
}

void log_session(const char *id)
{
	snprintf(state.session, sizeof state.session, "%s", id ? id : "");
}

static void write_line(enum log_level level, const char *text, size_t n)
{
	char line[LINE_BYTES + 128];
	int len;
	if (state.target == LOG_TO_JOURNAL)
		len = snprintf(line, sizeof line, "<%d>%.*s\n", (int)level, (int)n, text);
	else
		len = snprintf(line, sizeof line, "%s[%ld]: %.*s\n", state.prog, (long)getpid(), (int)n, text);
	/* One write per line, so that several processes' lines do not mix. Nothing can be done if it fails. */
	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

__attribute__((format(printf, 2, 0))) static void log_v(enum log_level level, const char *fmt, va_list ap)
{
	int keep = errno;
	if (level > state.most || state.target == LOG_TO_NONE)
		return;
	char text[LINE_BYTES];
	int n = vsnprintf(text, sizeof text, fmt, ap);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
	if (state.session[0]) {
		int more = snprintf(text + len, sizeof text - len, " session=%s", state.session);
		if (more > 0)
			len = len + (size_t)more < sizeof text ? len + (size_t)more : sizeof text - 1;
	}
	if (state.target == LOG_TO_SYSLOG)
		syslog((int)level, "%.*s", (int)len, text);
	else
		write_line(level, text, len);
	errno = keep;
}

#define LOG_FUNCTION(name, level)                                                                                      \
	void name(const char *fmt, ...)                                                                                \
	{                                                                                                              \
		va_list ap;                                                                                            \
		va_start(ap, fmt);                                                                                     \
		log_v(level, fmt, ap);                                                                                 \
		va_end(ap);                                                                                            \
	}

LOG_FUNCTION(log_err, LOG_LVL_ERR)
LOG_FUNCTION(log_warn, LOG_LVL_WARN)
LOG_FUNCTION(log_info, LOG_LVL_INFO)
LOG_FUNCTION(log_debug, LOG_LVL_DEBUG)

static size_t quote_byte(char *out, unsigned char c)
{
	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	if (c >= 32 && c < 127) {
		out[0] = (char)c;
		return 1;
	}
	return (size_t)snprintf(out, 5, "\\x%02x", c);
}

const char *log_quote(struct span s)
{
	static char slots[QUOTE_SLOTS][QUOTE_BYTES];
	static unsigned turn;
	char *out = slots[turn++ % QUOTE_SLOTS];
	size_t n = 0;
	out[n++] = '"';
	for (size_t i = 0; i < s.n; i++) {
		if (n > QUOTE_BYTES - 12) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		n += quote_byte(out + n, (unsigned char)s.p[i]);
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}
