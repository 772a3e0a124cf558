/* SPDX-License-Identifier: ISC
 *
 * --generic: how addresses are written to other hosts, in envelope and header. The message in the queue stays as it is.
 */
#ifndef MTA_RELAY_GENERIC_H
#define MTA_RELAY_GENERIC_H

#include "mta-relay/policy/rewrite.h"
#include "mta-relay/spool/spool_msg.h"

/* 1: *head is to be sent instead of the first *instead bytes of the content; 0: it stays; -1 with err, ERR_TEMP 451. A
 * header that is longer than what is looked at stays. */
int generic_head(
    const struct rewrite_rules *rules, struct spool_msg *m, struct span *head, uint64_t *instead, struct err *err);
/* The address as it is written there, in the arena; NULL with err. "" stays "". */
const char *generic_address(
    const struct rewrite_rules *rules, struct arena *a, enum rewrite_role role, struct span address, struct err *err);

#endif
