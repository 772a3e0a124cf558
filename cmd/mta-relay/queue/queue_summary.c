/* SPDX-License-Identifier: ISC
 *
 * The queue at a glance: recipients by domain and age, the fullest domain first, as qshape(1) shows it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "mta-relay/hop/route.h"
#include "mta-relay/queue/queue_list.h"

enum {
	AGES = 6,
	BUCKETS = 4096,
	DOMAINS_MAX = 20000, /* what lies beyond is counted together */
	SHOWN = 63,          /* bytes of a domain */
};
static const struct {
	int64_t below; /* seconds */
	const char *name;
} ages[AGES] = { { 600, "10m" }, { 3600, "1h" }, { 6 * 3600, "6h" }, { 24 * 3600, "1d" }, { 3 * 24 * 3600, "3d" },
	{ INT64_MAX, "older" } };

struct row {
	char domain[SHOWN + 1];
	size_t n[AGES], total;
	struct row *chain;
};
struct summary {
	struct spool *s;
	const struct queue_select *select;
	int64_t now;
	struct row *bucket[BUCKETS];
	struct row others, all;
	size_t rows;
};

static void name_of(struct span domain, char out[SHOWN + 1])
{
	size_t n = 0;
	for (; n < domain.n && n < SHOWN; n++)
		out[n] = domain.p[n] > ' ' && domain.p[n] != 0x7f ? ascii_lower(domain.p[n]) : '?';
	out[n] = '\0';
}

static struct row *row_of(struct summary *x, struct span domain)
{
	char name[SHOWN + 1];
	uint32_t h = 2166136261u;
	name_of(domain, name);
	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	struct row **bucket = &x->bucket[h % BUCKETS], *r = *bucket;
	while (r && strcmp(r->domain, name) != 0)
		r = r->chain;
	if (r)
		return r;
	if (x->rows >= DOMAINS_MAX)
		return &x->others;
	x->rows++;
	r = xcalloc(1, sizeof *r);
	memcpy(r->domain, name, sizeof name);
	r->chain = *bucket;
	return *bucket = r;
}

static int count(void *arg, const char *id)
{
	struct summary *x = arg;
	struct spool_msg *m;
	size_t age = 0;
	if (spool_get(x->s, id, SPOOL_UNLOCKED, &m, NULL) < 0)
		return 0;
	while (x->now - m->file.env.arrived / 1000000 >= ages[age].below)
		age++;
	for (size_t i = 0; i < m->file.env.n_rcpt && queue_matches(x->select, m, x->now); i++) {
		if (spool_state_final(m->file.state[i].last.state))
			continue;
		struct row *r = row_of(x, route_domain(m->file.env.rcpt[i].addr));
		r->n[age]++;
		r->total++;
		x->all.n[age]++;
		x->all.total++;
	}
	spool_put(m);
	return 0;
}

static int fullest(const void *a, const void *b)
{
	const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->domain, y->domain);
}

static void put_row(const char *name, const struct row *r, FILE *out)
{
	fprintf(out, "%-40s %8zu", name, r->total);
	for (size_t i = 0; i < AGES; i++)
		fprintf(out, " %7zu", r->n[i]);
	fputc('\n', out);
}

static void put_json_row(const struct row *r, FILE *out)
{
	json_t *o = json_object(), *n = json_object();
	json_object_set_new(o, "domain", json_string(r->domain));
	json_object_set_new(o, "recipients", json_integer((json_int_t)r->total));
	for (size_t i = 0; i < AGES; i++)
		json_object_set_new(n, ages[i].name, json_integer((json_int_t)r->n[i]));
	json_object_set_new(o, "age", n);
	json_dumpf(o, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(o);
}

static void put_table(struct summary *x, struct row *const *rows, FILE *out)
{
	fprintf(out, "%-40s %8s", "", "total");
	for (size_t i = 0; i < AGES; i++)
		fprintf(out, " %s%*s", i + 1 < AGES ? "<" : " ", -6, ages[i].name);
	fputc('\n', out);
	put_row("TOTAL", &x->all, out);
	for (size_t i = 0; i < x->rows; i++)
		put_row(*rows[i]->domain ? rows[i]->domain : "(no domain)", rows[i], out);
	if (x->others.total)
		put_row("(others)", &x->others, out);
}

int queue_summary(struct spool *s, const struct queue_select *select, bool json, FILE *out, struct err *err)
{
	struct summary *x = xcalloc(1, sizeof *x);
	*x = (struct summary){ .s = s, .select = select, .now = spool_now() / 1000000 };
	int rc = queue_each(s, select->held ? QUEUE_HELD : QUEUE_WAITING | QUEUE_HELD, count, x, err);
	struct row **rows = xcalloc(x->rows + 1, sizeof(struct row *));
	size_t n = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct row *r = x->bucket[i]; r; r = r->chain)
			rows[n++] = r;
	qsort(rows, n, sizeof(struct row *), fullest);
	if (rc == 0 && !json)
		put_table(x, rows, out);
	for (size_t i = 0; rc == 0 && json && i < n; i++) {
		fputs(i ? ",\n" : "[", out);
		put_json_row(rows[i], out);
	}
	fputs(rc == 0 && json ? (n ? "]\n" : "[]\n") : "", out);
	for (size_t i = 0; i < n; i++)
		free(rows[i]);
	free(rows);
	free(x);
	return rc;
}
