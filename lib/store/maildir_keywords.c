/* SPDX-License-Identifier: ISC
 *
 * dovecot-keywords: "0 $Forwarded" on a line says that the letter 'a' of this folder's file names is the keyword
 * $Forwarded, "1" is 'b', and so on. Replaced whole under dovecot-keywords.lock; a line that is not understood is kept
 * out and lost at the next change.
 */
#include <stdlib.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

static void parse(struct span text, struct keywords *k)
{
	memset(k, 0, sizeof *k);
	while (text.n) {
		struct span name = span_cut(&text, '\n');
		uint64_t i;
		if (!span_u64(span_cut(&name, ' '), MAILDIR_KEYWORDS - 1, &i) || !name.n ||
		    name.n >= sizeof k->name[0] || span_has_ctl(name))
			continue;
		memset(k->name[i], 0, sizeof k->name[i]);
		memcpy(k->name[i], name.p, name.n);
		if (k->n <= i)
			k->n = (unsigned)i + 1;
	}
}

int keywords_load(const char *dir, struct keywords *k, struct err *err)
{
	struct buf text;
	char *path = xasprintf("%s/dovecot-keywords", dir);
	buf_init(&text, MAILDIR_SMALL_FILE_MAX);
	int rc = maildir_slurp(path, &text, err);
	if (rc == 0)
		buf_reset(&text);
	if (rc >= 0)
		parse(buf_span(&text), k);
	buf_free(&text);
	free(path);
	return rc < 0 ? -1 : 0;
}

int keywords_find(const struct keywords *k, struct span name)
{
	for (unsigned i = 0; i < k->n; i++)
		if (k->name[i][0] && span_ieqs(name, k->name[i]))
			return (int)i;
	return -1;
}

static bool name_ok(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 0x7f)
			return false;
	return name.n > 0 && name.n < sizeof((struct keywords *)0)->name[0];
}

static int store(struct maildir *m, const char *dir, const struct keywords *k, struct err *err)
{
	struct buf text;
	char *path = xasprintf("%s/dovecot-keywords", dir);
	buf_init(&text, MAILDIR_SMALL_FILE_MAX);
	for (unsigned i = 0; i < k->n; i++)
		if (k->name[i][0])
			buf_addf(&text, "%u %s\n", i, k->name[i]);
	int rc = durable_replace(m->d, path, buf_span(&text), m->file_mode, err);
	buf_free(&text);
	free(path);
	return rc;
}

/* Under the lock: somebody else may have added it, or taken the letter, since we read the file. */
static int add_locked(struct maildir *m, const char *dir, struct keywords *k, struct span name, struct err *err)
{
	struct keywords now;
	unsigned i = 0;
	if (keywords_load(dir, &now, err) < 0)
		return -1;
	*k = now;
	int known = keywords_find(&now, name);
	if (known >= 0)
		return known;
	while (i < now.n && now.name[i][0])
		i++;
	if (i == MAILDIR_KEYWORDS)
		return err_set(err, ERR_LIMIT, "this mailbox has %d keywords already", MAILDIR_KEYWORDS);
	memcpy(now.name[i], name.p, name.n);
	if (now.n <= i)
		now.n = i + 1;
	if (store(m, dir, &now, err) < 0)
		return -1;
	*k = now;
	return (int)i;
}

int keywords_add(struct maildir *m, const char *dir, struct keywords *k, struct span name, struct err *err)
{
	struct dotlock lock;
	int i = keywords_find(k, name);
	if (i >= 0)
		return i;
	if (!name_ok(name))
		return err_set(err, ERR_PERM, "a keyword has 1 to 63 characters, no blank or control among them");
	char *path = xasprintf("%s/dovecot-keywords", dir);
	if (dotlock_take_named(&lock, path, DOTLOCK_WAIT_MS, err) == 0) {
		i = add_locked(m, dir, k, name, err);
		dotlock_release(&lock);
	}
	free(path);
	return i;
}
