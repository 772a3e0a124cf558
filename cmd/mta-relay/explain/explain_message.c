/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "msg/addr.h"
#include "msg/header.h"
#include "mta-relay/explain/explain_int.h"

enum {
	PIECE = 65536,
	HEAD_MAX = 1048576,
};

static void take_piece(struct explain_message *m, const char *p, size_t n, char *last)
{
	for (size_t i = 0; i < n; i++) {
		m->eightbit |= (unsigned char)p[i] > 127;
		m->size += p[i] == '\n' && *last != '\r' ? 2 : 1;
		*last = p[i];
	}
	size_t room = m->head.max - m->head.len;
	buf_add(&m->head, p, n < room ? n : room);
}

int explain_message_read(struct explain_message *m, const char *path, struct err *err)
{
	static char piece[PIECE];
	bool in = !strcmp(path, "-");
	int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	char last = 0;
	ssize_t n;
	buf_init(&m->head, HEAD_MAX);
	if (fd < 0)
		return err_sys(err, "%s", path);
	while ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
		take_piece(m, piece, n > 0 ? (size_t)n : 0, &last);
	int rc = n < 0 ? err_sys(err, "%s", in ? "stdin" : path) : 0;
	if (!in)
		close(fd);
	return rc;
}

static struct span header_part(const struct explain_message *m)
{
	struct span body;
	return header_of(buf_span(&m->head), &body);
}

static const char *format(struct arena *a, const struct addr *addr)
{
	struct buf text;
	buf_init(&text, LIMIT_HEADER_FIELD);
	addr_format(addr, &text);
	const char *out = arena_str(a, buf_span(&text));
	buf_free(&text);
	return out;
}

struct span explain_message_from(const struct explain_message *m, struct arena *a)
{
	struct header_field f;
	struct addr_list list = { 0 };
	if (header_find(header_part(m), "From", &f))
		addr_parse_list(a, f.value, &list);
	return list.n && list.v[0].local.n ? span_str(format(a, &list.v[0])) : span_str("");
}

void explain_message_rcpts(
    const struct explain_message *m, struct arena *a, void (*found)(void *arg, const char *address), void *arg)
{
	struct span rest = header_part(m);
	struct header_field f;
	while (header_next(&rest, &f)) {
		struct addr_list list;
		if (!span_ieqs(f.name, "To") && !span_ieqs(f.name, "Cc") && !span_ieqs(f.name, "Bcc"))
			continue;
		addr_parse_list(a, f.value, &list);
		for (size_t i = 0; i < list.n; i++)
			if (list.v[i].local.n)
				found(arg, format(a, &list.v[i]));
	}
}

void explain_message_tell(const struct explain_message *m, const struct explain *x)
{
	bool utf8 = addr_needs_utf8(header_part(m));
	printf("The message: %llu bytes, %s\n", (unsigned long long)m->size,
	    utf8          ? "a header beyond ASCII"
	    : m->eightbit ? "8-bit content"
			  : "7-bit content");
	if (x->o.max_size && m->size > x->o.max_size)
		printf("  serve refuses it: 552 5.3.4, it is larger than --max-size\n");
	printf("  a host that announces a smaller SIZE is not offered it: it is returned (RFC 1870)\n");
	if (m->eightbit && !utf8)
		printf("  a host without 8BITMIME gets it re-encoded, or it is returned with 5.6.3 (RFC 6152 3)\n");
	if (utf8)
		printf("  a host without SMTPUTF8 can't have it: it is returned with 5.6.7 (RFC 6531 3.2)\n");
}
