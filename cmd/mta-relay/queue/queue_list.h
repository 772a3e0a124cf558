/* SPDX-License-Identifier: ISC
 *
 * Showing messages of the queue, to people or as JSON.
 */
#ifndef MTA_RELAY_QUEUE_LIST_H
#define MTA_RELAY_QUEUE_LIST_H

#include <stdio.h>

#include "mta-relay/queue/queue_select.h"

enum queue_style {
	QUEUE_PLAIN,
	QUEUE_MAILQ, /* as Postfix and sendmail print it */
	QUEUE_JSON   /* an array of objects */
};
/* Every message that matches, the oldest first, one at a time: a queue may be long. -1 with err. */
int queue_list(struct spool *s, enum queue_style style, const struct queue_select *select, FILE *out, struct err *err);
/* How many recipients wait for each domain, by the age of their messages. */
int queue_summary(struct spool *s, const struct queue_select *select, bool json, FILE *out, struct err *err);
/* One message's envelope and recipients, and for people its content. */
int queue_show(struct spool_msg *m, bool json, FILE *out, struct err *err);

#endif
