/* SPDX-License-Identifier: ISC
 *
 * Where messages come from: a Maildir's folder, an mbox, a file or standard input with one message. Messages are
 * numbered from 1, in the order of their UIDs or of the file.
 */
#ifndef WP_MUA_READ_BOX_H
#define WP_MUA_READ_BOX_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/maildir.h"
#include "store/mbox.h"

struct location {
	const char *path;   /* "maildir:PATH", "mbox:PATH", a path, or "-" for standard input */
	const char *folder; /* of a Maildir: "INBOX", "Work/2026" */
};

struct box {
	size_t n;
	/* one of: */
	struct maildir *maildir;
	struct mbox_msg *mbox; /* a message alone is an mbox of one without a From_ line */
	/* */
	struct maildir_folder *folder;
	struct arena *arena;
	struct span file;   /* the mbox */
	void *map;          /* of file, NULL: it is in text */
	int fd;             /* of file: holds the lock */
	struct buf text;    /* standard input */
	struct buf message; /* the mbox's message last asked for, unquoted */
};

/* A location that is not there: -1, err->sys is ENOENT. */
int box_open(struct box *b, const struct location *where, struct err *err);
void box_close(struct box *b);
/* Message n (from 1), valid until the next call. */
int box_content(struct box *b, size_t n, struct span *out, struct err *err);
/* Flags of enum mail_flag: from the file's name, or from Status and X-Status of msg, the message's content. */
unsigned box_flags(struct box *b, size_t n, struct span msg);
/* When it arrived, as far as the box knows: 0 when it does not. */
int64_t box_arrival(struct box *b, size_t n);
/* Marks message n as seen. Only a Maildir can. */
int box_mark_seen(struct box *b, size_t n, struct err *err);

#endif
