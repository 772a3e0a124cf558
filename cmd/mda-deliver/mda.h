/* SPDX-License-Identifier: ISC
 *
 * What the parts of mda-deliver share: the configuration, a recipient on its way to a mailbox, and the steps of a
 * delivery.
 */
#ifndef MDA_DELIVER_MDA_H
#define MDA_DELIVER_MDA_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/opts.h"
#include "base/span.h"
#include "io/confine/confine.h"
#include "io/durable/durable.h"
#include "mda-deliver/letter.h"
#include "users/aliases.h"
#include "users/places.h"
#include "users/users.h"

struct mda_options {
	const char *sender, *original, *user, *mailbox; /* one delivery's */
	const char *mail, *users, *delimiters, *hostname, *tmp, *trace, *ready_file, *store_id;
	const char *aliases, *alias_user;
	bool alias_commands, alias_files;
	int64_t alias_timeout;
	bool detail_mailbox, create, lmtp, explain, sync;
	int durability; /* enum durability */
	uint64_t quota, max_size;
	struct confine_settings confine;
	struct place_settings places;
	struct opt_list listen;
	unsigned workers, max_clients, max_rcpt;
};
struct mda {
	struct mda_options o;
	struct users *users;     /* NULL: no users file */
	struct aliases *aliases; /* NULL: none that ask for a command or a file */
	struct boxes *boxes;
	struct mda_confine *confine; /* NULL: nothing confines us */
	int spare;                   /* content.h; of a confined worker */
};

/* A recipient. Everything is the transaction arena's. */
struct target {
	struct span rcpt; /* for Delivered-To and the logs */
	struct user user;
	uid_t uid; /* (uid_t)-1: as we are */
	gid_t gid;
	enum location_kind kind;
	const char *path;
	struct span mailbox; /* the folder, "INBOX" */
	const char *command; /* NULL: it is filed at path */
	bool action;         /* what an alias asks for */
	bool discard;        /* /dev/null */
	/* out */
	struct err err;    /* class ERR_NONE: it is filed */
	const char *place; /* "new/NAME" below the mailbox, "" for an mbox */
};

/* Who is this, and where is the mail kept? ERR_NOUSER 550 5.1.1, ERR_TEMP 451, ERR_CONFIG. address NULL n: whoever runs
 * us. */
int target_find(struct mda *m, struct arena *a, struct span address, struct target *t, struct err *err);

/* Files one letter for all targets whose err is unset; sets err and place of each. top: how the trace fields begin.
 * What can be is made durable together. Targets with another uid are served by a child of that uid (only root can). */
struct filing {
	struct mda *m;
	struct arena *a;
	const struct letter *letter;
	struct letter_trace top; /* rcpt is set for each target */
	int64_t when;
	struct target *target;
	size_t n;
};
void filing_run(struct filing *f);

/* action.c: what aliases ask for. 0, or -1 with err. */
int action_open(struct mda *m, struct err *err);
/* Does the address stand for such a thing? */
bool action_is(const struct mda *m, struct span address);
int action_find(struct mda *m, struct arena *a, struct span address, struct target *t, struct err *err);
/* Who does it. */
struct action_user {
	uid_t uid; /* (uid_t)-1: as we are */
	gid_t gid;
};
int action_user(const struct mda *m, struct action_user *u, struct err *err);
/* Runs its command, with these fields on top; sets err or place. */
void action_run(struct filing *f, struct target *t, struct span top);

/* Becomes the target's user for good; for the process that delivers one message. */
int become_user(const struct target *t, struct err *err);

/* Stores kept open between deliveries. */
struct boxes;
/* The commit log of the stores, when they lie in one directory that is there: 0 or -1 with err. */
int boxes_log(const struct mda_options *o, struct err *err);
struct boxes *boxes_new(const struct mda_options *o);
void boxes_free(struct boxes *b);
/* None of these lies where the users' mail does: no log is looked for there, where we may not be let in. */
void boxes_elsewhere(struct boxes *b);
struct maildir;
/* Opened and created if needed; borrowed until drop or the next get. */
struct maildir *boxes_get(struct boxes *b, const char *path, struct err *err);
void boxes_drop(struct boxes *b, const char *path);

/* mda_confine.c: what an LMTP server may do. 0, or -1 with err. */
int mda_confine_set_up(struct mda *m, struct err *err);
/* In the parent: has what that depends on changed? Then it is looked at anew. */
bool mda_confine_stale(struct mda *m);
int mda_confine_reload(struct mda *m, struct err *err);
/* Before anything is read. */
int mda_confine_worker(struct mda *m, struct err *err);
void mda_confine_clean_up(struct mda *m);
/* Who starts the command of an alias, as which; false: this process has nobody who would. */
struct spawn;
bool mda_confine_command(const struct mda *m, struct spawn *sp);
/* May a user, or the place of one, be unknown because this process can't see the files that tell? */
bool mda_confine_outdated(const struct mda *m, const struct err *err);
/* The conversation ends after this command: the next process sees the files as they are. */
int mda_confine_retire(struct err *err);

/* Serves LMTP on stdin or on sockets; an exit status. */
int lmtp_serve(struct mda *m, struct err *err);

/* Logs and traces what became of a target. */
void target_report(const struct target *t, struct span sender);

#endif
