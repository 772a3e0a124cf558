/* SPDX-License-Identifier: ISC
 *
 * IMAP's tokens out of hostile text: the first byte chooses the function, the rest is read with it to the end.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "imap/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_set(struct imap_in *in)
{
	struct imap_set set;
	if (!imap_sequence_set(in, &set))
		return false;
	imap_set_resolve(&set, 1000);
	for (size_t i = 0; i < set.n; i++)
		if (set.v[i].first > set.v[i].last || (i && set.v[i].first <= set.v[i - 1].last) ||
		    !imap_set_has(&set, set.v[i].first))
			abort();
	return true;
}

static bool read_one(struct imap_in *in, unsigned what)
{
	struct span out;
	struct imap_words words;
	int64_t t;
	uint64_t n;
	bool nil;
	switch (what % 9) {
	case 0:
		return imap_astring(in, &out);
	case 1:
		return imap_nstring(in, &out, &nil);
	case 2:
		return imap_list_mailbox(in, &out);
	case 3:
		return imap_flag_list(in, &words);
	case 4:
		return read_set(in);
	case 5:
		return imap_date(in, &t);
	case 6:
		return imap_date_time(in, &t);
	case 7:
		return imap_number64(in, &n);
	default:
		return imap_tag(in, &out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_in in;
	struct imap_literal l;
	if (!size)
		return 0;
	struct arena *a = arena_new();
	imap_in_init(&in, span_of((const char *)data + 1, size - 1), a);
	imap_line_literal(in.text, &l);
	for (unsigned what = data[0]; read_one(&in, what); what += data[0] / 9)
		if (!imap_eat(&in, ' '))
			break;
	if (in.at > in.text.n)
		abort();
	arena_free(a);
	return 0;
}
