/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/pid.h"

enum {
	QUOTE_SLOTS = 8,
	QUOTE_BYTES = 256,
	LINE_BYTES = 2048,
	HELD_BYTES = 4096, /* PIPE_BUF: what several processes write to a pipe does not mix */
};

static struct {
	const char *prog;
	enum log_target target;
	enum log_level most;
	char session[64];
	enum log_style style;
	const char *path; /* of the file that is written to, NULL: none */
	int fd;
	bool hold;
	char held[HELD_BYTES];
	size_t n_held;
} state = { .prog = "waypost", .target = LOG_TO_STDERR, .most = LOG_LVL_INFO, .fd = STDERR_FILENO };

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

int log_to_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0)
		return -1;
	if (state.path)
		close(state.fd);
	state.path = path;
	state.fd = fd;
	return 0;
}

int log_reopen(void)
{
	return state.path ? log_to_file(state.path) : 0;
}

void log_style(enum log_style style, const char *prog)
{
	state.style = style;
	state.prog = prog;
	if (style == LOG_STYLE_SYSLOG && state.target == LOG_TO_JOURNAL && access("/dev/log", W_OK) == 0)
		state.target = LOG_TO_SYSLOG;
	if (state.target == LOG_TO_SYSLOG)
		openlog(prog, LOG_PID, LOG_MAIL);
}

/* RFC 3164 4.1.2: "Nov  3 10:00:00 host ". */
static void stamp(char *out, size_t size)
{
	char host[256] = "", when[32];
	time_t now = time(NULL);
	struct tm tm;
	localtime_r(&now, &tm);
	strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
	if (gethostname(host, sizeof host - 1) < 0 || !*host)
		snprintf(host, sizeof host, "localhost");
	host[strcspn(host, ".")] = '\0';
	snprintf(out, size, "%s %s ", when, host);
}

static size_t cut(int n, size_t room)
{
	return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void write_held(void)
{
	size_t n = state.n_held;
	state.n_held = 0;
	/* Nothing can be done if it fails. */
	if (n && write(state.fd, state.held, n) < 0)
		return;
}

void log_hold(void)
{
	state.hold = true;
}

void log_release(void)
{
	int keep = errno;
	state.hold = false;
	write_held();
	errno = keep;
}

static void write_line(const char *prog, enum log_level level, const char *text, size_t text_n)
{
	char line[LINE_BYTES + 512], before[300] = "";
	bool journal = !state.path && state.target == LOG_TO_JOURNAL;
	int len;
	if (journal)
		snprintf(before, sizeof before, "<%d>", (int)level);
	else if (state.style == LOG_STYLE_SYSLOG || state.path)
		stamp(before, sizeof before);
	if (journal && state.style == LOG_STYLE_NATIVE)
		len = snprintf(line, sizeof line, "%s%.*s\n", before, (int)text_n, text);
	else
		len =
		    snprintf(line, sizeof line, "%s%s[%ld]: %.*s\n", before, prog, (long)own_pid(), (int)text_n, text);
	/* One write for whole lines, so that those of several processes do not mix. */
	size_t n = cut(len, sizeof line);
	if (state.n_held + n > sizeof state.held)
		write_held();
	memcpy(state.held + state.n_held, line, n);
	state.n_held += n;
	if (!state.hold)
		write_held();
}

static void put(const char *prog, enum log_level level, const char *text, size_t n)
{
	if (state.path || state.target != LOG_TO_SYSLOG) {
		write_line(prog, level, text, n);
		return;
	}
	if (prog != state.prog)
		openlog(prog, LOG_PID, LOG_MAIL);
	syslog((int)level, "%.*s", (int)n, text);
	if (prog != state.prog)
		openlog(state.prog, LOG_PID, LOG_MAIL);
}

__attribute__((format(printf, 2, 0))) static void log_v(enum log_level level, const char *fmt, va_list ap)
{
	int keep = errno;
	if (level > state.most || state.target == LOG_TO_NONE)
		return;
	char text[LINE_BYTES];
	size_t len = 0;
	if (state.style == LOG_STYLE_SYSLOG && level <= LOG_LVL_WARN)
		len = cut(
		    snprintf(text, sizeof text, "%s", level == LOG_LVL_WARN ? "warning: " : "error: "), sizeof text);
	errno = keep; /* for %m */
	len += cut(vsnprintf(text + len, sizeof text - len, fmt, ap), sizeof text - len);
	if (state.session[0])
		len += cut(snprintf(text + len, sizeof text - len, " session=%s", state.session), sizeof text - len);
	put(state.prog, level, text, len);
	errno = keep;
}

void log_as(const char *prog, enum log_level level, const char *fmt, ...)
{
	int keep = errno;
	char text[LINE_BYTES];
	va_list ap;
	if (level > state.most || state.target == LOG_TO_NONE)
		return;
	va_start(ap, fmt);
	put(prog, level, text, cut(vsnprintf(text, sizeof text, fmt, ap), sizeof text));
	va_end(ap);
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
