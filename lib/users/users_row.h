/* SPDX-License-Identifier: ISC
 *
 * One line of a users file, name:{SCHEME}secret:uid:gid:gecos:home:shell:extra, taken apart. Spans point into the line.
 * Errors are ERR_CONFIG and name the field; the caller adds file and line. No file is opened here.
 */
#ifndef WP_USERS_USERS_ROW_H
#define WP_USERS_USERS_ROW_H

#include "base/err.h"
#include "base/span.h"
#include "users/users.h"

/* 1 with a row, 0 for a blank line or a comment, -1 with err. */
int users_row_parse(struct span line, struct user *out, struct err *err);

#endif
