/* SPDX-License-Identifier: ISC
 *
 * Showing messages of the queue, to people or as JSON.
 */
#ifndef MTA_RELAY_QUEUE_LIST_H
#define MTA_RELAY_QUEUE_LIST_H

#include <stdio.h>

#include "mta-relay/spool_msg.h"

/* Every message, the oldest first, one at a time: a queue may be long. -1 with err. json: an array of objects. */
int queue_list(struct spool *s, bool json, FILE *out, struct err *err);
/* One message's envelope and recipients, and for people its content. */
int queue_show(struct spool_msg *m, bool json, FILE *out, struct err *err);

#endif
