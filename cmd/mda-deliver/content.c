/* SPDX-License-Identifier: ISC */
#include "mda-deliver/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/temp.h"

void content_init(struct content *c, const char *dir, uint64_t max)
{
	*c = (struct content){ .dir = dir, .max = max, .fd = -1, .spare = -1 };
	buf_init(&c->held, CONTENT_IN_MEMORY);
}

static int open_file(struct content *c)
{
	c->fd = c->spare >= 0 ? c->spare : temp_file(c->dir, &c->failed);
	/* Nothing of an earlier message may be left in it. */
	if (c->fd >= 0 && c->fd == c->spare && (ftruncate(c->fd, 0) < 0 || lseek(c->fd, 0, SEEK_SET) < 0)) {
		err_sys(&c->failed, "temporary file");
		c->fd = -1;
	}
	return c->fd < 0 ? -1 : 0;
}

/* The spare one's space at once, if it can be: it is emptied before it is used again. */
static void close_file(struct content *c)
{
	if (c->fd >= 0 && c->fd != c->spare)
		close(c->fd);
	else if (c->fd >= 0 && ftruncate(c->fd, 0) < 0)
		log_warn("temporary file error=%s", log_quote(span_str(strerror(errno))));
	c->fd = -1;
}

static int write_out(struct content *c, struct span s)
{
	if (c->fd < 0 && open_file(c) < 0)
		return -1;
	while (s.n) {
		ssize_t n = write(c->fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(&c->failed, "temporary file in %s", c->dir);
		s = span_from(s, (size_t)n);
	}
	return 0;
}

static int flush(struct content *c)
{
	int rc = write_out(c, buf_span(&c->held));
	buf_reset(&c->held);
	return rc;
}

int content_add(struct content *c, struct span piece)
{
	if (c->failed.class != ERR_NONE)
		return -1;
	c->size += piece.n;
	if (c->max && c->size > c->max) {
		err_reply(
		    &c->failed, 552, "5.3.4", "the message is larger than %llu bytes", (unsigned long long)c->max);
		c->failed.class = ERR_LIMIT;
		return -1;
	}
	if (c->held.len + piece.n > CONTENT_IN_MEMORY && flush(c) < 0)
		return -1;
	if (piece.n > CONTENT_IN_MEMORY)
		return write_out(c, piece);
	buf_addspan(&c->held, piece);
	return 0;
}

static int map_file(struct content *c, struct err *err)
{
	if (c->map)
		return 0;
	void *map = mmap(NULL, (size_t)c->size, PROT_READ, MAP_PRIVATE, c->fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "mapping the message");
	c->map = map;
	c->map_len = (size_t)c->size;
	return 0;
}

int content_get(struct content *c, struct span *out, struct err *err)
{
	if (c->failed.class == ERR_NONE && c->fd >= 0)
		flush(c);
	if (c->failed.class != ERR_NONE) {
		*err = c->failed;
		return -1;
	}
	if (c->fd >= 0 && map_file(c, err) < 0)
		return -1;
	*out = c->fd >= 0 ? span_of(c->map, c->map_len) : buf_span(&c->held);
	return 0;
}

void content_reset(struct content *c)
{
	if (c->map)
		munmap(c->map, c->map_len);
	close_file(c);
	c->map = NULL;
	c->size = 0;
	err_clear(&c->failed);
	buf_reset(&c->held);
}

void content_free(struct content *c)
{
	content_reset(c);
	buf_free(&c->held);
}
