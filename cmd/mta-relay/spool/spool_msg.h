/* SPDX-License-Identifier: ISC
 *
 * Messages that are in the queue: finding, reading, recording what became of their recipients, and letting them go. A
 * file's modification time is when its next attempt is due, so that a queue of any length is known by its directory
 * alone; it is a hint (a copied queue is simply due at once), everything else that matters stands in the file.
 *
 * Locks: who delivers a message holds it SPOOL_SHARED (several destinations of one message may be served at once), who
 * holds, removes or finishes it, SPOOL_OWNED. Records of several processes never mix.
 */
#ifndef MTA_RELAY_SPOOL_MSG_H
#define MTA_RELAY_SPOOL_MSG_H

#include "mta-relay/spool/spool_dir.h"
#include "mta-relay/spool/spool_format.h"

enum spool_lock {
	SPOOL_UNLOCKED,
	SPOOL_SHARED,
	SPOOL_OWNED
};

struct spool_msg {
	char id[SPOOL_ID_SIZE];
	struct spool_file file;
	int64_t due;         /* seconds since 1970 */
	uint64_t bytes;      /* of the file when it was opened */
	bool held;           /* stands in hold/ */
	struct arena *arena; /* of everything in file; lives until spool_put */
	struct spool *s;
	int fd;
};

/* ID as given on a command line: is it one at all? */
bool spool_id_ok(const char *id);
/* 0 with *out; -1 with err: sys ENOENT when it is not (any more) there, sys EWOULDBLOCK when SPOOL_OWNED is refused
 * because somebody delivers it, ERR_DATA when it can't be understood. */
int spool_get(struct spool *s, const char *id, enum spool_lock lock, struct spool_msg **out, struct err *err);
/* Ends the lock and frees; NULL is fine. */
void spool_put(struct spool_msg *m);
/* Content from offset `at`: up to n bytes, 0 at its end, -1 with err. */
ssize_t spool_read(struct spool_msg *m, uint64_t at, char *p, size_t n, struct err *err);
/* The first bytes of the content, at most max, in the message's arena. */
int spool_read_head(struct spool_msg *m, size_t max, struct span *out, struct err *err);

/* Room for about n records, so that a full disk is met before something is delivered rather than after it. */
int spool_reserve(struct spool_msg *m, size_t n, struct err *err);
/* Lines made by spool_format_outcome and spool_format_note, on disk when it returns 0; they are then part of m->file
 * too. */
int spool_record(struct spool_msg *m, struct span lines, struct err *err);
/* The same without a sync: for what may be forgotten, an attempt that failed for now. */
int spool_record_lightly(struct spool_msg *m, struct span lines, struct err *err);
/* Sets when it is due, and tells the scheduler. */
int spool_set_due(struct spool_msg *m, int64_t due, struct err *err);
/* The same by the scheduler itself, which need not be told. */
int spool_postpone(struct spool_msg *m, int64_t due, struct err *err);
/* The same without opening it; one that has gone is no error. */
int spool_postpone_id(const struct spool *s, const char *id, int64_t due, struct err *err);
/* Every recipient settled and reported where that is due, and recorded so: a crash may bring the file back, which is
 * removed again then. */
int spool_remove_done(struct spool_msg *m, struct err *err);
/* Stays removed. */
int spool_remove(struct spool_msg *m, struct err *err);
/* Puts it on hold or lets it go on. */
int spool_hold(struct spool_msg *m, bool hold, struct err *err);
/* Moves what can't be understood to bad/, where somebody may look at it. */
int spool_set_aside(struct spool *s, const char *id, struct err *err);

/* Removes what writers left in tmp/ that are gone; returns how many. */
int spool_sweep(struct spool *s);

#endif
