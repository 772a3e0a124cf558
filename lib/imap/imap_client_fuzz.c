/* SPDX-License-Identifier: ISC
 *
 * A hostile IMAP server: any bytes after the greeting, in pieces of the first byte's size. Each message that is begun
 * must end or be given up, whole ones with a UID that was asked for, and nobody must be asked for the same UID twice.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "imap/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
	bool open;
	uint64_t size, got;
	unsigned seen; /* bit per UID */
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int begin(void *arg, uint64_t size, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	check(!t->open);
	t->open = true;
	t->size = size;
	t->got = 0;
	return 0;
}

static int piece(void *arg, struct span s, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	check(t->open);
	t->got += s.n;
	return 0;
}

static int end(void *arg, const struct imap_fetched *m, struct err *err)
{
	struct taken *t = arg;
	(void)err;
	check(t->open && t->got == t->size);
	check(m->uid >= 1 && m->uid <= 8 && !(t->seen & 1U << m->uid));
	t->seen |= 1U << m->uid;
	t->open = false;
	return 0;
}

static void give_up(void *arg)
{
	struct taken *t = arg;
	check(t->open);
	t->open = false;
}

static void converse(struct imap_client *c)
{
	static const uint32_t uids[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct imap_mailbox box;
	struct imap_items l = { 0 };
	struct taken t = { 0 };
	struct imap_sink sink = { begin, piece, end, give_up, &t };
	struct err err;
	bool expunged;
	if (imap_client_select(c, SPAN("INBOX"), false, &box, &err) == 0)
		check(box.uidvalidity != 0);
	if (imap_client_alive(c) && imap_client_list(c, 1, &l, &err) == 0)
		for (size_t i = 1; i < l.n; i++)
			check(l.v[i - 1].uid < l.v[i].uid);
	free(l.v);
	if (imap_client_alive(c))
		imap_client_fetch(c, uids, 8, &sink, &err);
	check(!t.open);
	if (imap_client_alive(c))
		imap_client_delete(c, uids, 8, &expunged, &err);
	if (imap_client_alive(c))
		imap_client_idle(c, 10, 10, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sasl_client_config auth = { .user = "u", .password = "p", .allow_plaintext = true };
	static const char greeting[] = "* PREAUTH [CAPABILITY IMAP4rev1 UIDPLUS IDLE] hi\r\na1 OK\r\n";
	struct imap_client_config config = { .policy = IMAP_TLS_NEVER, .host = "h", .auth = &auth };
	struct err err = { 0 };
	if (size < 2)
		return 0;
	struct buf in;
	buf_init(&in, 1 << 20);
	if (data[1] & 1) /* or it logs us in itself */
		buf_adds(&in, greeting);
	buf_add(&in, data + 2, size - 2);
	struct imap_client *c = imap_client_open(stream_from_mem(buf_span(&in), data[0]), &config, &err);
	check(c ? err.class == ERR_NONE : err.class != ERR_NONE);
	if (c)
		converse(c);
	imap_client_close(c, true);
	buf_free(&in);
	return 0;
}
