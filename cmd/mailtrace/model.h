/* SPDX-License-Identifier: ISC
 *
 * What mailtrace knows: events and messages as they were read, and the stories that they make. Everything is allocated
 * in one arena and lives until the end.
 */
#ifndef WP_MAILTRACE_MODEL_H
#define WP_MAILTRACE_MODEL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "msg/received.h"

enum {
	MAX_INPUT = 256 << 20, /* bytes of one file */
	MAX_HOPS = 100,        /* of one story: RFC 5321 6.3 */
	MAX_TALKS = 200,
	MAX_SHARED = 200, /* events of a conversation that are told with each of its messages */
	MAX_RECIPIENTS = 1000,
};

/* One line of a trace file: waypost-trace(5). Texts are "" when absent. */
struct event {
	int64_t us; /* UNIX time in microseconds */
	struct span time, prog, role, conv, mid, qid, env, ev, line, peer, tls, result, why, rfc;
	char dir; /* '<', '>' or 0 */
	int64_t pid;
	int code;
	double ms;         /* since its conversation began; below 0 when absent */
	size_t seq;        /* in which it was read: order among equals */
	struct span group; /* its conversation, or else its process */
};

/* A message file's header. */
struct mail {
	const char *file;
	struct span mid;
	bool has_date;
	int64_t date;
	struct received *hop; /* oldest first */
	size_t n;
};

struct input {
	struct arena *a;
	struct event *event;
	size_t n_events, room_events;
	struct mail *mail;
	size_t n_mails, room_mails;
	size_t malformed; /* lines of trace files that are no events */
};

/* A conversation's part in a story. */
struct talk {
	struct span group, peer, tls, qid; /* qid: the first that it learnt */
	int64_t first_us, last_us;         /* as a hop's */
	bool told;
	unsigned hop;         /* 1 is the first */
	char side;            /* '<' it was served, '>' it was made, 0 not known */
	const char *protocol; /* "ESMTP", "SMTP", "LMTP", "IMAP", "POP3"; "" when no line tells */
	bool secure, auth;
};
/* One program's part: the same program with the same queue id (the server that filled the queue, and what empties it),
 * or else the same process. */
struct hop {
	struct span prog, role, qid;
	int64_t pid, first_us, last_us; /* without the lines and the goodbye at its end */
	int64_t message_us;             /* when it first had to do with the message: their order */
	bool met, told;                 /* message_us is known; last_us is more than a line's */
	unsigned number;                /* 1 is the first */
};
struct step {
	const struct event *e;
	unsigned hop; /* 1 is the first */
};
struct recipient {
	struct span address;
	const struct event *last; /* what became of it so far */
	struct span why;          /* without the address in front */
};
/* All that is known about one message; or, without any id, about one conversation. */
struct story {
	struct span mid;  /* "" when nothing tells it */
	struct span name; /* instead: "queue id 4bKx7q", "conversation 8c1f..." */
	struct step *step;
	size_t n;
	struct hop *hop;
	unsigned n_hops;
	struct talk *talk;
	size_t n_talks;
	struct recipient *recipient;
	size_t n_recipients;
	const struct mail **mail;
	size_t n_mails;
};
struct stories {
	struct story *v;
	size_t n;
};

/* input.c: a file ("-": standard input) with events or a message. -1 with err when it can't be read; what it holds that
 * is no event is only counted. */
int input_read(struct input *in, const char *path, struct err *err);
/* The same of what a file holds: JSON Lines when it begins with '{', a message else. file is kept. */
void input_bytes(struct input *in, const char *file, struct span text);

/* join.c: sorts the events, and tells which belong to which message. */
void join_stories(struct input *in, struct stories *out);
/* hops.c: a story's hops in the order of the message's way, its talks and recipients, from its steps. */
void find_hops(struct arena *a, struct story *s);
/* "ESMTPSA" (RFC 3848) from what a talk showed. */
void talk_protocol(const struct talk *t, char out[24]);

/* Both ways of showing. columns: of the terminal. lines: protocol lines too. */
void show_text(const struct stories *all, size_t columns, bool lines, struct buf *out);
void show_json(const struct input *in, const struct stories *all, bool lines, struct buf *out);

#endif
