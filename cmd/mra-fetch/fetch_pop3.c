/* SPDX-License-Identifier: ISC
 *
 * Retrieving by POP3: what is new is every unique id that the state does not know.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "mra-fetch/fetch.h"
#include "pop3/client.h"

struct pop3_work {
	struct job *j;
	struct pop3_client *c;
	struct pop3_items l;
	bool *doomed; /* by index in l: to be deleted */
};

/* ---- one message ---- */

static int begin(void *arg, const struct pop3_item *item, struct err *err)
{
	struct pop3_work *w = arg;
	(void)item;
	return dest_begin(w->j->dest, err);
}

static int data(void *arg, struct span piece, struct err *err)
{
	struct pop3_work *w = arg;
	/* LIST's size is a hint, a server may send on for ever. */
	if (w->j->o->max_size && dest_size(w->j->dest) + piece.n > w->j->o->max_size + w->j->o->max_size / 8)
		return err_set(err, ERR_LIMIT, "a message far larger than the server said");
	return dest_write(w->j->dest, piece, err);
}

static void give_up(void *arg)
{
	struct pop3_work *w = arg;
	dest_abort(w->j->dest);
}

static int end(void *arg, const struct pop3_item *item, struct err *err)
{
	struct pop3_work *w = arg;
	struct dest_meta meta = { .uid = item->uidl };
	bool safe;
	if (job_commit(w->j, &meta, &safe, err))
		return -1;
	if (!safe)
		return 0;
	w->doomed[item - w->l.v] = w->j->o->delete; /* UNSAFE: item is one of l's */
	if (!w->l.has_uidl)
		return 0;
	state_add_uidl(w->j->state, item->uidl, w->j->o->delete);
	return job_save(w->j, false, err);
}

static void gone(void *arg, const struct pop3_item *item, const struct err *why)
{
	struct pop3_work *w = arg;
	w->j->refused++;
	w->j->refusal = *why;
	log_warn("fetch uid=%s result=%s why=\"%s\"", item->uidl, err_result(why), why->text);
	job_report(w->j, item->uidl, item->size, err_result(why), why->text);
}

/* ---- the mailbox ---- */

static int delete (struct pop3_work *w, struct err *err)
{
	for (size_t i = 0; i < w->l.n; i++) {
		if (!w->doomed[i])
			continue;
		if (pop3_client_dele(w->c, w->l.v[i].number, err))
			return err_prefix(err, "deleting");
		w->j->deleted++;
	}
	return 0;
}

/* Chooses the new ones, in order. */
static size_t choose(struct pop3_work *w, const struct pop3_item **out)
{
	struct job *j = w->j;
	size_t n = 0;
	for (size_t i = 0; i < w->l.n && !job_limit_reached(j, n); i++) {
		const struct pop3_item *item = &w->l.v[i];
		bool doomed = false, known = w->l.has_uidl && state_has_uidl(j->state, item->uidl, &doomed);
		/* Fetched with --delete by a run that did not live to see QUIT. */
		w->doomed[i] = doomed && j->o->delete;
		if (known || job_too_large(j, item->uidl, item->size))
			continue;
		if (j->o->check) {
			job_report(j, item->uidl, item->size, "new", NULL);
			j->fetched++;
			j->bytes += item->size;
		} else {
			out[n++] = item;
		}
	}
	return n;
}

static int retrieve(struct pop3_work *w, const struct pop3_item *const *items, size_t n, struct err *err)
{
	static const struct pop3_sink shape = { begin, data, end, give_up, gone, NULL };
	struct pop3_sink sink = shape;
	struct err ignored;
	sink.arg = w;
	int rc = pop3_client_retr(w->c, items, n, &sink, err);
	/* Saved in any case: what is safe stays fetched. */
	if (job_save(w->j, true, rc ? &ignored : err))
		rc = -1;
	return rc;
}

static int work(struct pop3_work *w, struct err *err)
{
	struct job *j = w->j;
	if (pop3_client_list(w->c, &w->l, err))
		return -1;
	if (!w->l.has_uidl && !j->o->delete)
		return err_set(err, ERR_PROTO, "the server has no UIDL: without --delete nobody can know what is new");
	for (size_t i = 0; i < w->l.n; i++)
		state_saw_uidl(j->state, w->l.v[i].uidl);
	w->doomed = xcalloc(w->l.n + 1, sizeof *w->doomed);
	const struct pop3_item **items = xcalloc(w->l.n + 1, sizeof(struct pop3_item *));
	size_t n = choose(w, items);
	int rc = j->o->check ? 0 : retrieve(w, items, n, err);
	free(items);
	return rc || j->o->check ? rc : delete (w, err);
}

int fetch_pop3(struct job *j, struct stream *s, const struct sasl_client_config *auth, struct err *err)
{
	struct pop3_client_config c = { .tls = j->tls,
		.host = j->host.p,
		.auth = auth,
		.policy = j->implicit_tls ? POP3_TLS_IMPLICIT : (enum pop3_tls)(j->o->starttls + 1) };
	struct pop3_work w = { .j = j, .c = pop3_client_open(s, &c, err) };
	if (!w.c)
		return -1;
	j->logged_in = true;
	int rc = work(&w, err);
	if (rc)
		pop3_client_close(w.c);
	else
		rc = pop3_client_quit(w.c, err);
	/* Ids that the server no longer has are of no use: it has told all that it has. */
	if (rc == 0 && !j->o->check && w.l.has_uidl)
		rc = state_compact(j->state, err);
	free(w.l.v);
	free(w.doomed);
	return rc;
}
