/* SPDX-License-Identifier: ISC
 *
 * One message of a selected folder: its bytes, its sizes, its flags. A name may have changed since it was read: ENOENT
 * means "look again".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/maildir_int.h"

enum {
	MAP_FROM = 128 * 1024, /* smaller files are read: cheaper than a mapping and its faults */
};

char *maildir_msg_path(const struct folder *f, const struct maildir_msg *msg)
{
	return xasprintf("%s/%s/%.*s", f->dir, msg->in_new ? "new" : "cur", SPAN_FMT(msg->name));
}

static int gone_error(const struct maildir_msg *msg, struct err *err)
{
	errno = ENOENT;
	return err_sys(err, "message %u", msg->uid);
}

static int open_msg(struct folder *f, struct maildir_msg *msg, struct err *err)
{
	for (int again = 0;; again++) {
		if (msg->gone)
			return gone_error(msg, err);
		char *path = maildir_msg_path(f, msg);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			err_sys(err, "%s", path);
		free(path);
		if (fd >= 0 || (errno != ENOENT && errno != ESTALE) || again == 3)
			return fd;
		if (maildir_find_again(f, msg, err) < 0)
			return -1;
	}
}

static int read_small(struct folder *f, int fd, size_t n, struct err *err)
{
	buf_reset(&f->content);
	char *at = buf_room(&f->content, n + 1);
	if (!at)
		return err_set(err, ERR_LIMIT, "the message is too large");
	for (size_t have = 0;;) {
		ssize_t got = read(fd, at + have, n + 1 - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, "reading a message");
		have += (size_t)got;
		if (got == 0 || have > n) {
			buf_grew(&f->content, have > n ? n : have);
			return 0;
		}
	}
}

static void unmap(struct folder *f)
{
	if (f->map)
		munmap(f->map, f->map_len);
	f->map = NULL;
}

static int load(struct folder *f, int fd, struct span *out, struct err *err)
{
	struct stat st;
	unmap(f);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "fstat of a message");
	size_t n = (size_t)st.st_size;
	if (n < MAP_FROM) {
		if (read_small(f, fd, n, err) < 0)
			return -1;
		*out = buf_span(&f->content);
		return 0;
	}
	void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "mapping a message");
	f->map = map;
	f->map_len = n;
	*out = span_of(map, n);
	return 0;
}

int maildir_content(struct maildir_folder *pub, struct maildir_msg *msg, struct span *out, struct err *err)
{
	struct folder *f = folder_of(pub);
	int fd = open_msg(f, msg, err);
	if (fd < 0)
		return -1;
	int rc = load(f, fd, out, err);
	close(fd);
	return rc;
}

int maildir_internal_date(struct maildir_folder *pub, struct maildir_msg *msg, int64_t *unix_time, struct err *err)
{
	struct stat st;
	int fd = open_msg(folder_of(pub), msg, err);
	if (fd < 0)
		return -1;
	int rc = fstat(fd, &st) < 0 ? err_sys(err, "fstat of a message") : 0;
	close(fd);
	if (rc == 0)
		*unix_time = st.st_mtime;
	return rc;
}

/* What it is with CRLF line ends: one more for each LF that no CR precedes. */
static uint64_t virtual_size(struct span s)
{
	uint64_t n = s.n;
	const char *end = s.p + s.n;
	for (const char *p = s.p; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n += p == s.p || p[-1] != '\r';
	return n;
}

int maildir_sizes(struct maildir_folder *pub, struct maildir_msg *msg, struct err *err)
{
	struct span content;
	if (msg->size != UINT64_MAX && msg->vsize != UINT64_MAX)
		return 0;
	if (maildir_content(pub, msg, &content, err) < 0)
		return -1;
	msg->size = content.n;
	msg->vsize = virtual_size(content);
	return 0;
}

static int rename_msg(struct folder *f, struct maildir_msg *msg, struct span name, struct err *err)
{
	char *from = maildir_msg_path(f, msg), *to = xasprintf("%s/cur/%.*s", f->dir, SPAN_FMT(name));
	/* Not synced: no reply promises that a flag survives a power cut, and a sync for each message of a STORE would
	 * make it crawl. */
	int rc = rename(from, to) < 0 ? err_sys(err, "%s", from) : 0;
	if (rc == 0) {
		msg->name = arena_span(f->names, name);
		msg->in_new = false;
	}
	free(from);
	free(to);
	return rc;
}

int maildir_set_flags(
    struct maildir_folder *pub, struct maildir_msg *msg, unsigned flags, uint64_t keywords, struct err *err)
{
	struct folder *f = folder_of(pub);
	struct err why = { 0 };
	struct buf name;
	int rc = -1;
	flags &= ~(unsigned)FLAG_RECENT;
	buf_init(&name, MAILDIR_PATH_MAX);
	for (int again = 0; rc < 0 && again < 3; again++) {
		if (msg->gone) {
			gone_error(msg, &why);
			break;
		}
		struct maildir_name old;
		maildir_name_parse(msg->name, &old);
		buf_reset(&name);
		buf_addspan(&name, old.base);
		maildir_name_flags(flags, keywords, old.other, &name);
		bool same = !msg->in_new && span_eq(buf_span(&name), msg->name);
		rc = same ? 0 : rename_msg(f, msg, buf_span(&name), &why);
		if (rc < 0 && ((why.sys != ENOENT && why.sys != ESTALE) || maildir_find_again(f, msg, &why) < 0))
			break;
	}
	if (rc == 0) {
		msg->flags = flags | (msg->flags & FLAG_RECENT);
		msg->keywords = keywords;
	} else if (err) {
		*err = why;
	}
	buf_free(&name);
	return rc;
}

int maildir_keyword(struct maildir_folder *pub, struct span name, bool add, struct err *err)
{
	struct folder *f = folder_of(pub);
	struct keywords k = { .n = pub->n_keywords };
	memcpy(k.name, pub->keyword, sizeof k.name);
	int i = keywords_find(&k, name);
	if (i >= 0)
		return i;
	if (!add)
		return err_set(err, ERR_PERM, "no such keyword");
	i = keywords_add(f->m, f->dir, &k, name, err);
	memcpy(pub->keyword, k.name, sizeof k.name);
	pub->n_keywords = k.n;
	return i;
}

int maildir_expunge(struct maildir_folder *pub, struct maildir_msg *msg, struct err *err)
{
	struct folder *f = folder_of(pub);
	for (int again = 0; !msg->gone; again++) {
		char *path = maildir_msg_path(f, msg);
		struct err why = { 0 };
		if (!f->removals)
			f->removals = durable_removals_new(f->m->d);
		int rc = durable_remove(f->removals, path, &why);
		free(path);
		if (rc == 0) {
			if (msg->size != UINT64_MAX)
				maildir_quota_add(f->m, -(int64_t)msg->size, -1);
			msg->gone = true;
			f->dirty = true;
			return 0;
		}
		if ((why.sys != ENOENT && why.sys != ESTALE) || again == 3) {
			if (err)
				*err = why;
			return -1;
		}
		/* Renamed: once more. Removed by somebody else: that is what was asked for. */
		if (maildir_find_again(f, msg, err) < 0 && !msg->gone)
			return -1;
	}
	return 0;
}

int maildir_expunged(struct maildir_folder *pub, struct err *err)
{
	struct folder *f = folder_of(pub);
	struct durable_removals *r = f->removals;
	f->removals = NULL;
	return r ? durable_removals_end(r, err) : 0;
}
