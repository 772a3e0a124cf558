/* SPDX-License-Identifier: ISC
 *
 * The password towards a smarthost: the first line of a file that others can't read, or of a command's output.
 */
#ifndef MTA_RELAY_HOP_SECRET_H
#define MTA_RELAY_HOP_SECRET_H

#include "base/buf.h"
#include "base/err.h"
#include "io/broker.h"

/* The file when it is given, else the command's. -1 with ERR_CONFIG when there is neither, ERR_ACCESS when others may
 * read the file. b: who starts the command, NULL: we do. out is to be wiped by the caller. */
int hop_secret(const char *file, const char *command, const struct broker *b, struct buf *out, struct err *err);

#endif
