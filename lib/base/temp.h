/* SPDX-License-Identifier: ISC
 *
 * A file without a name, for what memory is too dear for: gone when it is closed, whatever becomes of us.
 */
#ifndef WP_BASE_TEMP_H
#define WP_BASE_TEMP_H

#include "base/err.h"

/* In that directory, close-on-exec, for reading and writing by us alone. -1 with err. */
int temp_file(const char *dir, struct err *err);

#endif
