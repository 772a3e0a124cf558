/* SPDX-License-Identifier: ISC */
#include "mta-relay/content/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temp.h"
#include "base/xalloc.h"
#include "msg/header.h"
#include "msg/priority.h"

void content_init(struct content *c)
{
	*c = (struct content){ .fd = -1 };
	buf_init(&c->above, CONTENT_PREFIX / 2);
	buf_init(&c->prefix, CONTENT_PREFIX);
	buf_init(&c->mem, CONTENT_MEMORY);
}

/* Files that were opened while they could be: for the message in hand and for what filters and changes make of it. */
static int pool[CONTENT_FILES];
static size_t pooled, made;
static dev_t pool_dev[CONTENT_FILES];
static ino_t pool_ino[CONTENT_FILES];

static bool is_pooled(int fd)
{
	struct stat st;
	if (!made || fstat(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < made; i++)
		if (pool_dev[i] == st.st_dev && pool_ino[i] == st.st_ino)
			return true;
	return false;
}

/* What can't be emptied is not used again. */
static void give_back(int fd)
{
	if (pooled < made && is_pooled(fd) && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0)
		pool[pooled++] = fd;
	else
		close(fd);
}

void content_reset(struct content *c)
{
	if (c->fd >= 0)
		give_back(c->fd);
	c->fd = -1;
	c->spilled = 0;
	err_clear(&c->err);
	buf_reset(&c->above);
	buf_reset(&c->prefix);
	buf_reset(&c->mem);
	content_rewind(c);
}

void content_free(struct content *c)
{
	content_reset(c);
	buf_free(&c->above);
	buf_free(&c->prefix);
	buf_free(&c->mem);
	free(c->block);
}

void content_prepare(void)
{
	struct err err;
	struct stat st;
	while (made < CONTENT_FILES) {
		int fd = temp_file("/tmp", &err);
		if (fd < 0 || fstat(fd, &st) < 0)
			break;
		pool_dev[made] = st.st_dev;
		pool_ino[made++] = st.st_ino;
		pool[pooled++] = fd;
	}
}

static int open_temporary(struct err *err)
{
	return pooled ? pool[--pooled] : temp_file("/tmp", err);
}

static int spill(struct content *c, struct span s)
{
	if (c->err.class != ERR_NONE)
		return -1;
	if (c->fd < 0 && (c->fd = open_temporary(&c->err)) < 0)
		return -1;
	while (s.n) {
		ssize_t n = write(c->fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(&c->err, "temporary file");
		c->spilled += (uint64_t)n;
		s = span_from(s, (size_t)n);
	}
	return 0;
}

int content_add(struct content *c, struct span piece)
{
	size_t room = c->mem.len < CONTENT_MEMORY ? CONTENT_MEMORY - c->mem.len : 0;
	struct span first = span_slice(piece, 0, room);
	if (c->fd < 0 && first.n)
		buf_addspan(&c->mem, first);
	else
		first.n = 0;
	piece = span_from(piece, first.n);
	return piece.n ? spill(c, piece) : 0;
}

uint64_t content_size(const struct content *c)
{
	return c->prefix.len + c->mem.len + c->spilled;
}

void content_rewind(void *content)
{
	struct content *c = content;
	c->stage = CONTENT_READ_PREFIX;
	c->at = 0;
}

static int read_file(struct content *c, struct span *out, struct err *err)
{
	if (!c->block)
		c->block = xmalloc(CONTENT_BLOCK);
	ssize_t n;
	do
		n = pread(c->fd, c->block, CONTENT_BLOCK, (off_t)c->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "temporary file");
	if (n == 0 && c->at != c->spilled)
		return err_set(err, ERR_TEMP, "temporary file: shorter than what was written");
	c->at += (uint64_t)n;
	*out = span_of(c->block, (size_t)n);
	return n > 0;
}

int content_read(void *content, struct span *out, struct err *err)
{
	struct content *c = content;
	while (c->stage < CONTENT_READ_FILE) {
		*out = buf_span(c->stage == CONTENT_READ_PREFIX ? &c->prefix : &c->mem);
		c->stage++;
		if (out->n)
			return 1;
	}
	return c->fd < 0 ? 0 : read_file(c, out, err);
}

void content_swap(struct content *a, struct content *b)
{
	struct content was = *a;
	a->mem = b->mem;
	a->fd = b->fd;
	a->spilled = b->spilled;
	b->mem = was.mem;
	b->fd = was.fd;
	b->spilled = was.spilled;
	content_rewind(a);
	content_rewind(b);
}

void content_take_file(struct content *c, struct content *from)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = from->fd;
	c->spilled = from->spilled;
	from->fd = -1;
	from->spilled = 0;
}

void content_put_above(struct content *c, struct span text)
{
	struct buf b;
	if (!text.n)
		return;
	buf_init(&b, CONTENT_PREFIX / 2);
	buf_addspan(&b, text);
	buf_addspan(&b, buf_span(&c->above));
	buf_free(&c->above);
	c->above = b;
}

void content_look_field(const struct header_field *h, struct content_facts *f)
{
	if (span_ieqs(h->name, "TLS-Required")) {
		f->tls_optional |= span_ieqs(span_trim(h->value), "No");
	} else if (span_ieqs(h->name, "MT-Priority")) {
		/* RFC 6758 3.1 4a: a single one. */
		f->has_priority = priority_parse(h->value, &f->priority) && !f->priorities;
		f->priorities++;
	}
}

void content_look(const struct content *c, struct content_facts *f)
{
	struct span rest = buf_span(&c->mem);
	struct header_field h;
	*f = (struct content_facts){ .headless = !rest.n, .mid = SPAN(""), .from_value = SPAN("") };
	for (bool first = true; header_next(&rest, &h); first = false) {
		f->headless |= first && !h.name.n;
		if (f->headless)
			return; /* all of it is body */
		if (span_ieqs(h.name, "Received")) {
			f->received++;
		} else if (span_ieqs(h.name, "Message-ID")) {
			f->message_id = true;
			f->mid = span_trim(h.value);
		} else if (span_ieqs(h.name, "From")) {
			f->froms++;
			f->from_value = h.value;
		}
		content_look_field(&h, f);
		f->date |= span_ieqs(h.name, "Date");
		f->bcc |= span_ieqs(h.name, "Bcc") || span_ieqs(h.name, "Resent-Bcc");
	}
}

void content_drop_from_line(struct content *c)
{
	struct span rest = buf_span(&c->mem), line = rest;
	struct header_field h;
	while (span_starts(line, ">"))
		line = span_from(line, 1);
	/* "From :" is a field. */
	if (!span_starts(line, "From ") || span_chr(line, '\n') < 0 || !header_next(&rest, &h) || h.name.n)
		return;
	buf_drop(&c->mem, c->mem.len - span_from(line, (size_t)span_chr(line, '\n') + 1).n);
}

void content_drop_bcc(struct content *c)
{
	struct span rest = buf_span(&c->mem);
	struct header_field h;
	struct buf kept;
	buf_init(&kept, CONTENT_MEMORY);
	size_t header = 0;
	while (header_next(&rest, &h)) {
		header += h.raw.n;
		if (!span_ieqs(h.name, "Bcc") && !span_ieqs(h.name, "Resent-Bcc"))
			buf_addspan(&kept, h.raw);
	}
	buf_addspan(&kept, span_from(buf_span(&c->mem), header));
	buf_free(&c->mem);
	c->mem = kept;
}
