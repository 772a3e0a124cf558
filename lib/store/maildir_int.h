/* SPDX-License-Identifier: ISC
 *
 * What the files of the Maildir++ store share among themselves; nobody else includes this.
 */
#ifndef WP_STORE_MAILDIR_INT_H
#define WP_STORE_MAILDIR_INT_H

#include <sys/stat.h>
#include <time.h>

#include "store/dotlock.h"
#include "store/maildir.h"
#include "store/maildir_name.h"
#include "store/uidlist.h"

enum {
	MAILDIR_PATH_MAX = 4096,
	MAILDIR_FILES_MAX = 10000000,              /* in one folder */
	MAILDIR_SMALL_FILE_MAX = 64 * 1024 * 1024, /* subscriptions, keywords, maildirsize */
	MAILDIR_STALE_TMP_S = 36 * 3600,           /* Maildir's own convention for files left in tmp/ */
};

struct maildir {
	char *path; /* no '/' at its end */
	struct durable_dir *d;
	mode_t dir_mode, file_mode; /* as the root's, so that a store shared by a group stays so */
	uint64_t limit;             /* quota in bytes, 0: what maildirsize says */
	int64_t no_quota;           /* until then no maildirsize is looked for: there was none a moment ago */
	char **swept;               /* folders whose tmp/ was looked through */
	size_t n_swept;
};

/* The directory of a folder, allocated; NULL with err when the name has no form on disk. */
char *maildir_dir(const struct maildir *m, struct span folder, struct err *err);
/* cur, new and tmp (and Maildir++'s marker file in a subfolder) where they are missing. */
int maildir_make(struct maildir *m, const char *dir, struct err *err);
/* Calls fn with each entry of a directory whose name does not begin with '.' unless dots. -1 with err, or what fn
 * returned first. */
typedef int maildir_entry_fn(void *arg, struct span name, unsigned char type);
int maildir_each(const char *dir, bool dots, maildir_entry_fn *fn, void *arg, struct err *err);
/* A file's bytes into out, 1; 0 when it is missing. */
int maildir_slurp(const char *path, struct buf *out, struct err *err);

/* maildir_uids.c: a folder's dovecot-uidlist on disk. A missing list is empty, its uidvalidity 0. */
int maildir_uids_load(const char *dir, struct uidlist *u, struct err *err);
int maildir_uids_store(struct maildir *m, const char *dir, const struct uidlist *u, struct err *err);
int maildir_uids_lock(const char *dir, struct dotlock *l, struct err *err);
/* Starts a list when there was none. Under the lock. */
int maildir_uids_start(struct maildir *m, struct uidlist *u, struct err *err);
/* The UID of one file, allotted if it has none yet. */
struct maildir_uid {
	uint32_t uid, uidvalidity;
};
int maildir_uids_one(struct maildir *m, const char *dir, struct span base, struct maildir_uid *out, struct err *err);

/* maildir_keywords.c: dovecot-keywords. */
struct keywords {
	char name[MAILDIR_KEYWORDS][64];
	unsigned n;
};
int keywords_load(const char *dir, struct keywords *k, struct err *err);
/* Index of a name; -1. */
int keywords_find(const struct keywords *k, struct span name);
/* The same, added to the file and to k when missing; -1 with err. */
int keywords_add(struct maildir *m, const char *dir, struct keywords *k, struct span name, struct err *err);

/* maildir_quota.c: tells maildirsize what happened; it is an estimate, so failures are not told. */
void maildir_quota_add(struct maildir *m, int64_t bytes, int64_t messages);

/* maildir_scan.c: a folder's files as they are now, each base name once. */
struct scan_entry {
	struct span name, base;
	bool in_new, used;
};
struct scan {
	struct arena *names;
	struct scan_entry *e;
	size_t n, cap;
	uint32_t *slot;
	size_t n_slots;
	struct timespec new_mtime, cur_mtime; /* before it was read */
	bool settled;                         /* both are so old that a change after the reading has another mtime */
};
void scan_init(struct scan *s);
void scan_free(struct scan *s);
/* Reads new/, then cur/. Once more into the same scan adds what was missed: a file renamed while the directory was
 * being read. */
int scan_read(struct scan *s, const char *dir, struct err *err);
struct scan_entry *scan_find(const struct scan *s, struct span base);
/* Do the directories still have the mtimes that the scan saw? */
bool scan_current(const struct timespec *new_mtime, const struct timespec *cur_mtime, const char *dir);

/* A selected folder: the public part first. */
struct folder {
	struct maildir_folder pub;
	struct maildir *m;
	char *dir;
	bool read_only;
	uint32_t last_uid; /* the highest ever shown: what has a lower one can only be shown at the next select */
	bool dirty;        /* a message was found gone between rescans */
	size_t cap;
	struct arena *names; /* what msg[].name points into */
	struct timespec new_mtime, cur_mtime;
	bool settled;
	int watch; /* inotify, -1 */
	struct buf content;
	void *map;
	size_t map_len;
	struct durable_removals *removals; /* since maildir_expunged, NULL: none */
};
static inline struct folder *folder_of(struct maildir_folder *f)
{
	/* UNSAFE: pub is the first member of every struct folder, and none exists outside of one. */
	return (struct folder *)(void *)f;
}
/* Looks for a message under a new name; refreshes all names on the way. 0 found, -1 with err (sys ENOENT): marked gone.
 */
int maildir_find_again(struct folder *f, struct maildir_msg *msg, struct err *err);
/* The path of a message's file. */
char *maildir_msg_path(const struct folder *f, const struct maildir_msg *msg);

#endif
