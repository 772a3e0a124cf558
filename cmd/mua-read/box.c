/* SPDX-License-Identifier: ISC */
#include "mua-read/box.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "msg/date.h"
#include "msg/header.h"

enum {
	LOCK_WAIT_MS = 3000
};

static int open_maildir(struct box *b, const char *path, const char *folder, struct err *err)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return err_sys(err, "%s", path);
	b->maildir = maildir_open(path, false, DURABLE_FILE, err);
	if (!b->maildir)
		return -1;
	/* Read only: reading a list is no reason to move what is new. */
	b->folder = maildir_select(b->maildir, span_str(folder), true, err);
	if (!b->folder)
		return -1;
	b->n = b->folder->n;
	return 0;
}

static bool is_mbox(struct span file)
{
	return span_starts(file, "From ");
}

static void split(struct box *b, bool surely_mbox)
{
	if (is_mbox(b->file) || (surely_mbox && !b->file.n)) {
		mbox_split(b->arena, b->file, &b->mbox, &b->n);
		return;
	}
	b->mbox = arena_alloc(b->arena, sizeof *b->mbox);
	b->mbox->from_line = SPAN("");
	b->mbox->content = b->file;
	b->n = 1;
}

/* A read lock for as long as the mbox is open: nobody who locks truncates it under our map. */
static int lock(int fd, const char *path, struct err *err)
{
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct timespec pause = { .tv_nsec = 10000000 };
	for (int waited = 0; fcntl(fd, F_OFD_SETLK, &whole) < 0; waited += 10) {
		/* A file system without locks: read it all the same. */
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return 0;
		if (waited >= LOCK_WAIT_MS)
			return err_set(err, ERR_TEMP, "%s: locked by another program", path);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int open_file(struct box *b, const char *path, struct err *err)
{
	struct stat st;
	b->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0)
		return err_sys(err, "%s", path);
	if (lock(b->fd, path, err) < 0)
		return -1;
	if (fstat(b->fd, &st) < 0)
		return err_sys(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "%s: not a regular file", path);
	b->file = SPAN("");
	if (!st.st_size)
		return 0;
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, b->fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "%s", path);
	b->map = map;
	b->file = span_of(map, (size_t)st.st_size);
	return 0;
}

static int read_stdin(struct box *b, struct err *err)
{
	for (;;) {
		char *at = buf_room(&b->text, LIMIT_STREAM_READ);
		if (!at)
			return err_set(err, ERR_LIMIT, "standard input: more than %zu bytes", b->text.max);
		ssize_t n = read(STDIN_FILENO, at, LIMIT_STREAM_READ);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "standard input");
		if (n == 0)
			break;
		if (n > 0)
			buf_grew(&b->text, (size_t)n);
	}
	b->file = buf_span(&b->text);
	return 0;
}

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int open_any(struct box *b, const struct location *where, struct err *err)
{
	const char *path = where->path;
	bool mbox = span_starts(span_str(path), "mbox:");
	if (span_starts(span_str(path), "maildir:"))
		return open_maildir(b, path + strlen("maildir:"), where->folder, err);
	if (!mbox && is_directory(path))
		return open_maildir(b, path, where->folder, err);
	if (!span_ieqs(span_str(where->folder), "INBOX"))
		return err_set(err, ERR_USAGE, "%s: only a Maildir has folders", path);
	if (span_eqs(span_str(path), "-") ? read_stdin(b, err) < 0
					  : open_file(b, path + (mbox ? strlen("mbox:") : 0), err) < 0)
		return -1;
	split(b, mbox);
	return 0;
}

int box_open(struct box *b, const struct location *where, struct err *err)
{
	*b = (struct box){ .arena = arena_new(), .file = SPAN(""), .fd = -1 };
	buf_init(&b->text, (size_t)LIMIT_MESSAGE_DEFAULT * 10);
	buf_init(&b->message, SIZE_MAX / 4);
	return open_any(b, where, err);
}

void box_close(struct box *b)
{
	if (b->folder)
		maildir_deselect(b->folder);
	if (b->maildir)
		maildir_close(b->maildir);
	if (b->map)
		munmap(b->map, b->file.n);
	if (b->fd >= 0)
		close(b->fd);
	arena_free(b->arena);
	buf_free(&b->text);
	buf_free(&b->message);
}

int box_content(struct box *b, size_t n, struct span *out, struct err *err)
{
	if (n < 1 || n > b->n) {
		err_set(err, ERR_DATA, "no message %zu, the last is %zu", n, b->n);
		err->sys = ENOENT;
		return -1;
	}
	if (b->folder)
		return maildir_content(b->folder, &b->folder->msg[n - 1], out, err);
	const struct mbox_msg *m = &b->mbox[n - 1];
	*out = m->content;
	/* mboxrd's quoting, where a From_ line tells that the file is an mbox. */
	if (m->from_line.n) {
		buf_reset(&b->message);
		mbox_unquote(m->content, &b->message);
		*out = buf_span(&b->message);
	}
	return 0;
}

/* Status: R seen; X-Status: A answered, F flagged, D deleted, T draft. What mbox programs agree on. */
static unsigned status_flags(struct span msg)
{
	static const struct {
		const char *field;
		char letter;
		unsigned flag;
	} letters[] = { { "Status", 'R', FLAG_SEEN }, { "X-Status", 'A', FLAG_ANSWERED },
		{ "X-Status", 'F', FLAG_FLAGGED }, { "X-Status", 'D', FLAG_DELETED }, { "X-Status", 'T', FLAG_DRAFT } };
	struct header_field f;
	unsigned flags = 0;
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (header_find(msg, letters[i].field, &f) && span_chr(f.value, letters[i].letter) >= 0)
			flags |= letters[i].flag;
	return flags;
}

unsigned box_flags(struct box *b, size_t n, struct span msg)
{
	return b->folder ? b->folder->msg[n - 1].flags : status_flags(msg);
}

int64_t box_arrival(struct box *b, size_t n)
{
	struct err ignored;
	int64_t t = 0;
	int zone;
	if (b->folder)
		return maildir_internal_date(b->folder, &b->folder->msg[n - 1], &t, &ignored) < 0 ? 0 : t;
	/* "From SENDER DATE" */
	struct span rest = b->mbox[n - 1].from_line;
	span_word(&rest);
	span_word(&rest);
	return date_parse(rest, &t, &zone) ? t : 0;
}

int box_mark_seen(struct box *b, size_t n, struct err *err)
{
	if (!b->folder)
		return err_set(err, ERR_USAGE, "--seen: only a Maildir's messages can be marked");
	struct maildir_msg *m = &b->folder->msg[n - 1];
	if (m->flags & FLAG_SEEN)
		return 0;
	return maildir_set_flags(b->folder, m, m->flags | FLAG_SEEN, m->keywords, err);
}
