/* SPDX-License-Identifier: ISC
 *
 * The words that another program wants a client to be told.
 */
#ifndef MTA_RELAY_HOOK_REPLY_H
#define MTA_RELAY_HOOK_REPLY_H

#include <stdbool.h>

#include "base/span.h"

/* Takes an enhanced status code (RFC 3463 2) that fits the reply code from the front of *rest; false when there is
 * none, and *rest stays. */
bool hook_take_enhanced(struct span *rest, int code, char enh[12]);

#endif
