/* SPDX-License-Identifier: ISC
 *
 * A hostile POP3 server: any bytes, in pieces of the first byte's size. Each message that is begun must end or be given
 * up.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "pop3/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int begin(void *arg, const struct pop3_item *item, struct err *err)
{
	bool *open = arg;
	(void)item;
	(void)err;
	check(!*open);
	*open = true;
	return 0;
}

static int piece(void *arg, struct span s, struct err *err)
{
	const bool *open = arg;
	(void)err;
	check(*open && s.n > 0);
	return 0;
}

static int end(void *arg, const struct pop3_item *item, struct err *err)
{
	bool *open = arg;
	(void)item;
	(void)err;
	check(*open);
	*open = false;
	return 0;
}

static void give_up(void *arg)
{
	bool *open = arg;
	check(*open);
	*open = false;
}

static void gone(void *arg, const struct pop3_item *item, const struct err *why)
{
	const bool *open = arg;
	(void)item;
	check(!*open && why->class != ERR_NONE);
}

static void converse(struct pop3_client *c)
{
	struct pop3_items l;
	struct err err;
	bool open = false;
	struct pop3_sink sink = { begin, piece, end, give_up, gone, &open };
	if (pop3_client_list(c, &l, &err))
		return;
	const struct pop3_item **items = xcalloc(l.n + 1, sizeof(struct pop3_item *));
	for (size_t i = 0; i < l.n; i++) {
		check(i == 0 || l.v[i - 1].number < l.v[i].number);
		check(!l.has_uidl || l.v[i].uidl[0]);
		items[i] = &l.v[i];
	}
	if (pop3_client_retr(c, items, l.n, &sink, &err) == 0 && l.n)
		pop3_client_dele(c, l.v[0].number, &err);
	check(!open);
	free(items);
	free(l.v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sasl_client_config auth = { .user = "u", .password = "p", .allow_plaintext = true };
	struct pop3_client_config config = { .policy = POP3_TLS_NEVER, .host = "h", .auth = &auth };
	struct err err = { 0 };
	if (size < 1)
		return 0;
	struct span in = span_of((const char *)data + 1, size - 1);
	struct pop3_client *c = pop3_client_open(stream_from_mem(in, data[0]), &config, &err);
	check(c ? true : err.class != ERR_NONE);
	if (!c)
		return 0;
	converse(c);
	if (pop3_client_alive(c))
		pop3_client_quit(c, &err);
	else
		pop3_client_close(c);
	return 0;
}
