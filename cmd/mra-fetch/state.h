/* SPDX-License-Identifier: ISC
 *
 * What was fetched before, for one account and mailbox: UIDs under one UIDVALIDITY, or POP3's unique ids. Kept in a
 * text file that is appended to durably after messages are safe, so that a crash fetches again at most what was not yet
 * recorded; torn ends are dropped. `doomed` are those to be deleted on the server because they were fetched with
 * --delete: they stay so over a crash, until the server has deleted them.
 *
 * One process at a time: the file is locked from state_open to state_close.
 */
#ifndef MRA_FETCH_STATE_H
#define MRA_FETCH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct state;

/* identity: whose state it is (a URL); a file of another identity is refused (ERR_CONFIG). ERR_TEMP while locked by
 * another process. Directories are made. */
struct state *state_open(const char *path, const char *identity, struct err *err);
/* The directory that it writes to. */
const char *state_dir(const struct state *st);
/* Unsaved records are dropped. NULL is fine. */
void state_close(struct state *st);

/* Another validity than the recorded one forgets all UIDs: true then (but not the first time). */
bool state_uidvalidity(struct state *st, uint32_t validity);
bool state_has_uid(const struct state *st, uint32_t uid);
/* The lowest UID that is not recorded. */
uint32_t state_first_uid(const struct state *st);
void state_add_uid(struct state *st, uint32_t uid, bool doomed);
/* All UIDs from first to last are dealt with (fetched, or gone from the server): keeps the record short. */
void state_settle(struct state *st, uint32_t first, uint32_t last);
/* Those to be deleted; sorted, valid until the next change. */
const uint32_t *state_doomed(const struct state *st, size_t *n);
void state_deleted(struct state *st, uint32_t uid);

bool state_has_uidl(const struct state *st, const char *uidl, bool *doomed);
void state_add_uidl(struct state *st, const char *uidl, bool doomed);
/* Of a complete listing: ids that were not seen there since state_open are forgotten by state_compact. */
void state_saw_uidl(struct state *st, const char *uidl);

/* Unsaved records? */
unsigned state_unsaved(const struct state *st);
/* From 0 on what was added is on disk. */
int state_save(struct state *st, struct err *err);
/* state_save, written anew in its shortest form. */
int state_compact(struct state *st, struct err *err);

#endif
