/* SPDX-License-Identifier: ISC
 *
 * A folder's dovecot-uidlist on disk: read without a lock (it is always replaced whole), changed under
 * dovecot-uidlist.lock. The root's dovecot-uidvalidity holds the last UIDVALIDITY given, so that a folder deleted and
 * made again never gets the same one.
 */
#include <stdlib.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

static char *list_path(const char *dir)
{
	return xasprintf("%s/dovecot-uidlist", dir);
}

int maildir_uids_load(const char *dir, struct uidlist *u, struct err *err)
{
	char *path = list_path(dir);
	int rc = maildir_slurp(path, &u->text, err);
	free(path);
	if (rc == 0)
		buf_reset(&u->text);
	if (rc >= 0)
		uidlist_parse(u);
	return rc < 0 ? -1 : 0;
}

int maildir_uids_store(struct maildir *m, const char *dir, const struct uidlist *u, struct err *err)
{
	struct buf text;
	char *path = list_path(dir);
	buf_init(&text, UIDLIST_BYTES_MAX);
	uidlist_format(u, &text);
	int rc = text.bad ? err_set(err, ERR_TEMP, "%s: too large", path)
			  : durable_replace(m->d, path, buf_span(&text), m->file_mode, err);
	buf_free(&text);
	free(path);
	return rc;
}

int maildir_uids_lock(const char *dir, struct dotlock *l, struct err *err)
{
	char *path = list_path(dir);
	int rc = dotlock_take_named(l, path, DOTLOCK_WAIT_MS, err);
	free(path);
	return rc;
}

static uint32_t parse_hex(struct span s)
{
	uint32_t v = 0;
	if (s.n < 8)
		return 0;
	for (size_t i = 0; i < 8; i++) {
		int digit = ascii_hex(s.p[i]);
		if (digit < 0)
			return 0;
		v = v << 4 | (uint32_t)digit;
	}
	return v;
}

int maildir_uids_start(struct maildir *m, struct uidlist *u, struct err *err)
{
	struct buf text;
	char *path = xasprintf("%s/dovecot-uidvalidity", m->path);
	uint32_t v = (uint32_t)time(NULL), last = 0;
	buf_init(&text, 1024);
	if (maildir_slurp(path, &text, NULL) > 0)
		last = parse_hex(buf_span(&text));
	if (last >= v && last < UINT32_MAX)
		v = last + 1;
	buf_reset(&text);
	buf_addf(&text, "%08x", v);
	int rc = durable_replace(m->d, path, buf_span(&text), m->file_mode, err);
	if (rc == 0)
		uidlist_fresh(u, v);
	buf_free(&text);
	free(path);
	return rc;
}

static int allot_locked(struct maildir *m, const char *dir, struct uidlist *u, struct span base, struct err *err)
{
	if (maildir_uids_load(dir, u, err) < 0)
		return -1;
	if (!u->uidvalidity && maildir_uids_start(m, u, err) < 0)
		return -1;
	if (uidlist_find(u, base))
		return 0;
	if (!uidlist_add(u, base))
		return err_set(err, ERR_TEMP, "%s: no UID is left", dir);
	return maildir_uids_store(m, dir, u, err);
}

int maildir_uids_one(struct maildir *m, const char *dir, struct span base, struct maildir_uid *out, struct err *err)
{
	struct dotlock lock;
	struct uidlist u;
	if (maildir_uids_lock(dir, &lock, err) < 0)
		return -1;
	uidlist_init(&u);
	int rc = allot_locked(m, dir, &u, base, err);
	if (rc == 0)
		*out = (struct maildir_uid){ uidlist_find(&u, base)->uid, u.uidvalidity };
	uidlist_free(&u);
	dotlock_release(&lock);
	return rc;
}
