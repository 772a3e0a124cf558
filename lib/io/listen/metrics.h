/* SPDX-License-Identifier: ISC
 *
 * Counters and gauges in memory that a process shares with those that it forks afterwards, and their text in
 * Prometheus' exposition format 0.0.4. The text goes to a file under a temporary name, which then takes its name: the
 * contract of node_exporter's textfile collector, which must never read half of one.
 *
 * The table's rows say everything but the numbers; rows of one name stand together and share its HELP and TYPE. It
 * must outlive the metrics. A NULL struct metrics counts nothing.
 */
#ifndef WP_IO_METRICS_H
#define WP_IO_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE
};
struct metric {
	const char *name;   /* "mail_delivery_total" */
	const char *labels; /* "result=\"delivered\",dsn=\"2\"", NULL for none */
	enum metric_type type;
	const char *help;
};

struct metrics;
/* path: the file that metrics_write writes, NULL: nothing is written. common: labels of every row, "service=\"mta\"":
 * two files that a collector joins may not have a name and labels in common. Both are borrowed. NULL with err. */
struct metrics *metrics_new(
    const struct metric *table, size_t rows, const char *path, const char *common, struct err *err);
void metrics_free(struct metrics *m);

void metrics_add(struct metrics *m, size_t row, int64_t n);
void metrics_set(struct metrics *m, size_t row, int64_t value);
int64_t metrics_get(const struct metrics *m, size_t row);

void metrics_format(const struct metrics *m, struct buf *out);
/* ERR_TEMP or ERR_CONFIG by errno; the old file stays then. */
int metrics_write(const struct metrics *m, struct err *err);
/* metrics_write when METRICS_EVERY_MS have passed since the last one by `now` (milliseconds of any clock that only goes
 * forward). 0 also when it was not yet time. */
int metrics_tick(struct metrics *m, int64_t now, struct err *err);
enum {
	METRICS_EVERY_MS = 10000
};

#endif
