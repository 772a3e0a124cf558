/* SPDX-License-Identifier: ISC */
#include "io/listen/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"

enum {
	TEXT_MAX = 1 << 20
};

struct metrics {
	const struct metric *table;
	size_t rows;
	const char *path, *common;
	int64_t written; /* by the caller's clock */
	bool any;
	_Atomic int64_t *value; /* shared */
};

struct metrics *metrics_new(
    const struct metric *table, size_t rows, const char *path, const char *common, struct err *err)
{
	void *shared =
	    mmap(NULL, rows * sizeof(_Atomic int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		err_sys(err, "metrics");
		return NULL;
	}
	struct metrics *m = xcalloc(1, sizeof *m);
	*m = (struct metrics){ .table = table, .rows = rows, .path = path, .common = common, .value = shared };
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	munmap((void *)m->value, m->rows * sizeof *m->value);
	free(m);
}

void metrics_add(struct metrics *m, size_t row, int64_t n)
{
	if (m)
		atomic_fetch_add_explicit(&m->value[row], n, memory_order_relaxed);
}

void metrics_set(struct metrics *m, size_t row, int64_t value)
{
	if (m)
		atomic_store_explicit(&m->value[row], value, memory_order_relaxed);
}

int64_t metrics_get(const struct metrics *m, size_t row)
{
	return m ? atomic_load_explicit(&m->value[row], memory_order_relaxed) : 0;
}

void metrics_format(const struct metrics *m, struct buf *out)
{
	const char *name = "";
	for (size_t i = 0; i < m->rows; i++) {
		const struct metric *r = &m->table[i];
		if (strcmp(name, r->name) != 0)
			buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name,
			    r->type == METRIC_COUNTER ? "counter" : "gauge");
		name = r->name;
		buf_adds(out, name);
		buf_addf(out, "{%s%s%s}", m->common, r->labels ? "," : "", r->labels ? r->labels : "");
		buf_addf(out, " %" PRId64 "\n", metrics_get(m, i));
	}
}

static int write_text(const char *path, struct span text, struct err *err)
{
	FILE *f = fopen(path, "we");
	if (!f)
		return err_sys(err, "%s", path);
	/* The collector is another user's process. */
	fchmod(fileno(f), 0644);
	bool bad = fwrite(text.p, 1, text.n, f) != text.n;
	if (fclose(f) || bad)
		return err_sys(err, "%s", path);
	return 0;
}

int metrics_write(const struct metrics *m, struct err *err)
{
	struct buf text;
	if (!m || !m->path)
		return 0;
	/* Not *.prom: that would be read. */
	char *tmp = xasprintf("%s.%ld.tmp", m->path, (long)getpid());
	buf_init(&text, TEXT_MAX);
	metrics_format(m, &text);
	int rc = write_text(tmp, buf_span(&text), err);
	if (rc == 0 && rename(tmp, m->path) < 0)
		rc = err_sys(err, "%s", m->path);
	if (rc < 0)
		unlink(tmp);
	buf_free(&text);
	free(tmp);
	return rc;
}

int metrics_tick(struct metrics *m, int64_t now, struct err *err)
{
	if (!m || (m->any && now - m->written < METRICS_EVERY_MS))
		return 0;
	m->any = true;
	m->written = now;
	return metrics_write(m, err);
}
