/* SPDX-License-Identifier: ISC
 *
 * The checkpassword interface: a command that reads "name NUL password NUL timestamp NUL" on descriptor 3, and, when
 * they fit, becomes the user (uid, gid, USER, HOME) and runs the program named by its arguments. So LDAP, PAM or SQL
 * stay outside our code. The program that we name prints who it has become.
 */
#ifndef WP_MAA_SERVE_CHECKPASSWORD_H
#define WP_MAA_SERVE_CHECKPASSWORD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "io/broker.h"
#include "users/users.h"

struct checkpassword {
	const char *command;
	const struct broker *broker; /* who starts it, as what; NULL: we do */
	int index;
};
/* Its index, or -1 with err. */
int checkpassword_add(struct broker *b, const char *command, struct err *err);

/* 0 with out filled from the arena (name, uid, gid, home); -1: ERR_ACCESS refused, ERR_TEMP the check itself failed. */
int checkpassword(const struct checkpassword *check, struct arena *a, struct span name, struct span password,
    struct user *out, struct err *err);

#endif
