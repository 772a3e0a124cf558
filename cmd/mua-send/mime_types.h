/* SPDX-License-Identifier: ISC
 *
 * A file's media type by its name's extension.
 */
#ifndef MUA_SEND_MIME_TYPES_H
#define MUA_SEND_MIME_TYPES_H

#include "base/arena.h"
#include "base/span.h"

/* From a table in the form of /etc/mime.types ("type/subtype ext ext"), else from a small one of our own;
 * "application/octet-stream" when neither knows. */
const char *mime_type_of(struct arena *a, struct span table, const char *file_name);

#endif
