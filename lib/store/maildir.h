/* SPDX-License-Identifier: ISC
 *
 * Maildir++ as Dovecot and Courier keep it: cur/ new/ tmp/, subfolders .Folder.Sub/, flags in ":2,", sizes ,S= (as
 * stored) and ,W= (with CRLF) in the file name, LF line ends, dovecot-uidlist version 3 for UIDs and UIDVALIDITY,
 * dovecot-keywords, subscriptions. Everything is published through io/durable. The file-system contract
 * (docs/ARCHITECTURE.md) holds: after ENOENT or ESTALE list again, shared files are replaced whole under a lock.
 */
#ifndef WP_STORE_MAILDIR_H
#define WP_STORE_MAILDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "io/durable/durable.h"

/* System flags, and the letters they have in a file name. */
enum mail_flag {
	FLAG_SEEN = 1,
	FLAG_ANSWERED = 2,
	FLAG_FLAGGED = 4,
	FLAG_DELETED = 8,
	FLAG_DRAFT = 16,
	FLAG_PASSED = 32,
	FLAG_RECENT = 64, /* never stored */
};

/* A folder's keywords are the letters a to z of its file names (dovecot-keywords says which is which): no more fit. */
enum {
	MAILDIR_KEYWORDS = 26
};

struct maildir; /* one user's store: the root and its subfolders */
/* create: make cur new tmp when missing. NULL with err. */
struct maildir *maildir_open(const char *path, bool create, enum durable_mode mode, struct err *err);
void maildir_close(struct maildir *m);
const char *maildir_path(const struct maildir *m);
/* The user's quota in bytes, from the users file; 0: the limit is what the store's own maildirsize says, if it has one.
 */
void maildir_limit(struct maildir *m, uint64_t bytes);
/* Would that many bytes more still fit? ERR_TEMP, 452 4.2.2, when not. A commit asks by itself. */
int maildir_quota_check(struct maildir *m, uint64_t bytes, struct err *err);

/* Folders, named as IMAP does: "INBOX", "Work/2026" with '/' as separator, UTF-8. On disk ".Work.2026" in modified
 * UTF-7. */
int maildir_list(struct maildir *m, struct arena *a, struct span **names, size_t *n, struct err *err);
int maildir_create(struct maildir *m, struct span folder, struct err *err);
int maildir_delete(struct maildir *m, struct span folder, struct err *err);
int maildir_rename(struct maildir *m, struct span from, struct span to, struct err *err);
int maildir_subscribe(struct maildir *m, struct span folder, bool on, struct err *err);
int maildir_subscriptions(struct maildir *m, struct arena *a, struct span **names, size_t *n, struct err *err);

/* A message being delivered or appended. Content may have CRLF or LF; it is stored with LF. */
struct maildir_writer;
struct maildir_writer *maildir_begin(struct maildir *m, struct span folder, struct err *err);
int maildir_write(struct maildir_writer *w, struct span data);
struct maildir_commit {
	unsigned flags; /* 0 goes to new/, otherwise (or in_cur) to cur/ */
	bool in_cur;
	const struct span *keywords;
	size_t n_keywords;
	int64_t internal_date; /* Unix time kept as the file's mtime, 0: now */
	bool want_uid;         /* allot a UID now (APPEND, COPY with UIDPLUS) */
	uint32_t uid,
	    uidvalidity; /* out, when wanted; 0 if none could be allotted: the message is there all the same */
	char *name;      /* out: path of the file, NULL on failure; free() */
};
/* Publishes: from 0 on the message is there for good. Frees w in any case. */
int maildir_commit(struct maildir_writer *w, struct maildir_commit *c, struct err *err);
/* One message for several recipients, whatever stores they are in: one sync for each file and directory. All are there
 * for good or, on failure, none. Frees all writers. */
int maildir_commit_all(struct maildir_writer **w, struct maildir_commit *c, size_t n, struct err *err);
void maildir_abort(struct maildir_writer *w);

/* A folder as a list of messages in UID order. */
struct maildir_msg {
	uint32_t uid;
	unsigned flags;
	uint64_t keywords; /* bit i: keyword i of the folder */
	struct span name;  /* file name without directory, as last seen */
	bool in_new;
	bool gone;            /* expunged by somebody since the last rescan reported it */
	uint64_t size, vsize; /* from S= and W=, else measured on demand; UINT64_MAX: not known yet */
};
struct maildir_folder {
	uint32_t uidvalidity, uidnext;
	struct maildir_msg *msg;
	size_t n;
	char keyword[MAILDIR_KEYWORDS][64]; /* "" for a letter that has no name (yet) */
	unsigned n_keywords;                /* index of the last named one, + 1 */
	size_t recent;
};
struct maildir_folder *maildir_select(struct maildir *m, struct span folder, bool read_only, struct err *err);
void maildir_deselect(struct maildir_folder *f);
/* Reads the directory again if it has changed: new messages appended with UIDs, flags updated, vanished ones marked
 * gone. Changes: 1 if anything changed, 0, -1 with err. maildir_forget drops those marked gone from the array. */
int maildir_rescan(struct maildir_folder *f, struct err *err);
void maildir_forget(struct maildir_folder *f);
/* The descriptor of an inotify watch on the folder (a hint, local node only), -1 when there is none. Drained by
 * maildir_rescan. */
int maildir_watch(struct maildir_folder *f);

/* The message's content as stored (LF), mapped or read; valid until the next call for this folder. ENOENT after looking
 * again: err->sys. */
int maildir_content(struct maildir_folder *f, struct maildir_msg *msg, struct span *out, struct err *err);
int maildir_internal_date(struct maildir_folder *f, struct maildir_msg *msg, int64_t *unix_time, struct err *err);
/* Sizes are measured when the name does not tell: size on disk, vsize with CRLF (RFC822.SIZE, POP3 octets). */
int maildir_sizes(struct maildir_folder *f, struct maildir_msg *msg, struct err *err);
/* Sets flags and keywords by rename. */
int maildir_set_flags(
    struct maildir_folder *f, struct maildir_msg *msg, unsigned flags, uint64_t keywords, struct err *err);
/* Index of a keyword, added to dovecot-keywords when new; -1 with err: ERR_LIMIT when the folder
 * has MAILDIR_KEYWORDS already, ERR_PERM when the name is empty, too long or holds blanks or controls. */
int maildir_keyword(struct maildir_folder *f, struct span name, bool add, struct err *err);
/* Copies messages into another folder, or the same: flags, keywords and dates kept, all or none, and there for good
 * when it returns. Messages never change, so a copy is another name for the same file where the file system can do
 * that. A message that is gone is an error (sys ENOENT) and marked so; a folder that is not there is ENOENT too. */
struct maildir_copy {
	struct maildir_msg **msg;
	size_t n;
	bool moving;                /* the originals go afterwards: what is there already passes the quota */
	uint32_t *uid, uidvalidity; /* out: a UID for each, in order; 0 if none could be allotted */
	char **path;                /* out, when moving: where the copies are, until maildir_moved */
	size_t in_both;             /* out, of maildir_moved */
};
int maildir_copy(struct maildir_folder *f, struct span folder, struct maildir_copy *c, struct err *err);
/* The second half of moving, after a maildir_copy that succeeded: removes the originals, which are marked gone. The
 * copy of one that could not be removed is taken back. -1 with the first err; in_both: how many copies stayed although
 * their originals did, or may have. */
int maildir_moved(struct maildir_folder *f, struct maildir_copy *c, struct err *err);
/* Removes a message; what was removed is gone for good from 0 of maildir_expunged on. */
int maildir_expunge(struct maildir_folder *f, struct maildir_msg *msg, struct err *err);
int maildir_expunged(struct maildir_folder *f, struct err *err);

#endif
