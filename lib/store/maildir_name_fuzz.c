/* SPDX-License-Identifier: ISC
 *
 * File and folder names as a directory may hold them, and as a client may ask for them.
 */
#include <stdint.h>
#include <stdlib.h>

#include "store/maildir.h"
#include "store/maildir_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What we write of a name's flags means the same when read again, and stays below the directory. */
static void file_name(struct span in)
{
	struct maildir_name name, again;
	struct buf b;
	buf_init(&b, 1 << 20);
	maildir_name_parse(in, &name);
	buf_addspan(&b, name.base);
	maildir_name_flags(name.flags, name.keywords, name.other, &b);
	maildir_name_parse(buf_span(&b), &again);
	if (!span_eq(name.base, again.base) || name.flags != again.flags || name.keywords != again.keywords ||
	    name.size != again.size)
		abort();
	if (maildir_name_order(in, in) != 0)
		abort();
	buf_free(&b);
}

static void folder_name(struct span in)
{
	struct buf there, back;
	struct err err;
	buf_init(&there, 1 << 20);
	buf_init(&back, 1 << 20);
	if (maildir_folder_from_disk(in, &there) && there.len < 200) {
		if (maildir_folder_to_disk(buf_span(&there), &back, &err) < 0 || !span_eq(buf_span(&back), in))
			abort();
	}
	buf_reset(&there);
	buf_reset(&back);
	if (maildir_folder_to_disk(in, &there, &err) == 0 && there.len) {
		if (memchr(there.p, '/', there.len) || there.p[0] != '.' || span_eqs(buf_span(&there), ".."))
			abort();
		if (!maildir_folder_from_disk(buf_span(&there), &back) || !span_eq(buf_span(&back), in))
			abort();
	}
	buf_free(&there);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of((const char *)data, size);
	file_name(in);
	folder_name(in);
	return 0;
}
