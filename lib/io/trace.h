/* SPDX-License-Identifier: ISC
 *
 * Events: what this hop did, as one JSON line each, appended with one write to the file of --trace or WAYPOST_TRACE,
 * safe with many writers on one host. Off (every call returns at once) when neither is given. Fields and their order
 * are DESIGN's: t prog role pid conv mid qid env ev dir line peer tls result code why rfc ms. A process-wide singleton,
 * since a process serves one conversation at a time. --explain prints each event's `why` to stderr as well, unless
 * stderr may be a client's socket. waypost-trace(5) says which events each role writes.
 */
#ifndef WP_IO_TRACE_H
#define WP_IO_TRACE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"

/* path NULL: WAYPOST_TRACE decides. A file that cannot be opened is an error: a trace that was asked for must not be
 * lost silently. */
int trace_open(const char *prog, const char *role, const char *path, bool explain, struct err *err);
void trace_role(const char *role);
/* Protocol lines go to stderr too, "< " before what is received and "> " before what is sent, redacted as in the file.
 * After trace_open. */
void trace_transcript(void);
/* Events go somewhere: to a file, or to stderr by --explain or as a transcript. */
bool trace_on(void);

/* A new conversation: a fresh id, the clock for `ms`, the peer ("192.0.2.1:25", copied). The outer conversation
 * (serving) and an inner one (talking to the next hop) nest: trace_end returns to the outer. mid, qid and env carry
 * over into the inner one; trace_end brings back what they were before its trace_begin. */
void trace_begin(const char *peer);
void trace_end(void);
/* An inner conversation that outlives the outer one: trace_leave takes it off, trace_enter puts it on again, with mid,
 * qid and env of now, until trace_end or the next trace_leave. Owned by the caller in between; NULL while off, or when
 * there was none. */
struct trace_talk;
struct trace_talk *trace_leave(void);
void trace_enter(struct trace_talk *talk);
/* "" outside a conversation and while off. */
const char *trace_conv(void);
/* Known from now on, put on each event until changed; "" for none. Copied. */
void trace_mid(struct span message_id);
void trace_qid(const char *queue_id);
void trace_env(struct span envid);
void trace_tls(const char *summary); /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */

struct trace_event {
	const char
	    *ev;  /* conn.open, tls, line, smtp.mail, smtp.rcpt, accept, refuse, queue, route, dns, deliver, ... */
	char dir; /* '<' received, '>' sent, 0 */
	struct span line;   /* a protocol line; redacted as trace_line does */
	const char *result; /* "ok" "temp" "perm" */
	int code;
	const char *why; /* a sentence for a person */
	const char *rfc; /* "5321#4.5.4.1" */
};
void trace_event(const struct trace_event *e);
/* trace_event with ev, result, rfc and a printf'd why. */
void trace_why(const char *ev, const char *result, const char *rfc, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A protocol line. What follows AUTH, PASS, LOGIN, APOP or AUTHENTICATE is replaced by *** here (case-insensitively,
 * IMAP tag skipped, a known mechanism's name kept), and so are the responses and literals that follow in the same
 * direction; for anything else of an authentication exchange the caller says secret. */
void trace_line(char dir, struct span line, bool secret);

#endif
