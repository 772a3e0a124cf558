/* SPDX-License-Identifier: ISC
 *
 * The text of a queue file, waypost-queue(5), without any file: what the writer appends and what the reader
 * understands. Values are percent-encoded so that no byte of an address or a reply can end a line or a word. Reading is
 * total: a head either is whole and plain or gives ERR_DATA; of what follows the content only lines that are whole
 * count, so that an append that a crash cut is as if it had not begun.
 */
#ifndef MTA_RELAY_SPOOL_FORMAT_H
#define MTA_RELAY_SPOOL_FORMAT_H

#include "base/buf.h"
#include "mta-relay/spool/spool.h"

#define SPOOL_MAGIC "waypost-queue 1\nsize: "
enum {
	SPOOL_SIZE_AT = sizeof SPOOL_MAGIC - 1, /* where the content's size stands, SPOOL_SIZE_DIGITS wide */
	SPOOL_SIZE_DIGITS = 15,
	SPOOL_TEXT_MAX = 1000, /* bytes of a reply that are kept */
};

/* A recipient as the outcome lines leave it. */
struct spool_rcpt_state {
	struct spool_outcome last; /* spans in the arena */
	unsigned attempts;         /* that were deferred */
	bool warned;               /* a delay report is in the queue or went out */
	bool reported;             /* so is the report of failure or success */
};
struct spool_file {
	struct spool_envelope env;
	struct spool_rcpt_state *state; /* env.n_rcpt of them */
	uint64_t size;                  /* of the content */
	uint64_t content_at;            /* the content's offset; its end is followed by one LF and the outcome lines */
};

/* The head up to and including the blank line, with size 0. */
void spool_format_head(const struct spool_envelope *env, struct buf *out);
/* The size as it stands at SPOOL_SIZE_AT. */
void spool_format_size(uint64_t size, char out[SPOOL_SIZE_DIGITS + 1]);
/* One outcome line. `when` must be set. */
void spool_format_outcome(size_t rcpt, const struct spool_outcome *o, struct buf *out);
enum spool_note {
	SPOOL_WARNED,
	SPOOL_REPORTED
};
/* One line saying that the sender was told, by the message called id ("" when nothing had to be told). */
void spool_format_note(size_t rcpt, enum spool_note note, int64_t when, const char *id, struct buf *out);

/* From when on it was to be sent: when it came, or was held until. Seconds since 1970. */
static inline int64_t spool_began(const struct spool_envelope *env)
{
	int64_t arrived = env->arrived / 1000000;
	return env->hold_until > arrived ? env->hold_until : arrived;
}

/* "deferred" and so on. */
const char *spool_state_name(enum spool_state st);
static inline bool spool_state_final(enum spool_state st)
{
	return st >= SPOOL_DELIVERED;
}

/* text: the file's beginning. 1: not the whole head yet, 0, or -1 with ERR_DATA. Spans of *out lie in the arena. */
int spool_parse_head(struct span text, struct arena *a, struct spool_file *out, struct err *err);
/* One line of what follows the content, without its LF. What is no whole record of a recipient is ignored. */
void spool_parse_line(struct span line, struct arena *a, struct spool_file *f);

#endif
