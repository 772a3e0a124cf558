/* SPDX-License-Identifier: ISC
 *
 * Retrieving by IMAP: what is new is every UID that the state does not know.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "imap/client.h"
#include "mra-fetch/fetch.h"
#include "store/maildir.h"

struct imap_work {
	struct job *j;
	struct imap_client *c;
	struct imap_mailbox box;
	uint32_t safe[FETCH_BATCH]; /* of the present batch, to be deleted */
	size_t n_safe;
};

/* ---- one message ---- */

static int begin(void *arg, uint64_t size, struct err *err)
{
	struct imap_work *w = arg;
	(void)size;
	return dest_begin(w->j->dest, err);
}

static int data(void *arg, struct span piece, struct err *err)
{
	struct imap_work *w = arg;
	return dest_write(w->j->dest, piece, err);
}

static void give_up(void *arg)
{
	struct imap_work *w = arg;
	dest_abort(w->j->dest);
}

static unsigned store_flags(unsigned flags)
{
	return (flags & IMAP_SEEN ? FLAG_SEEN : 0U) | (flags & IMAP_ANSWERED ? FLAG_ANSWERED : 0U) |
	       (flags & IMAP_FLAGGED ? FLAG_FLAGGED : 0U) | (flags & IMAP_DRAFT ? FLAG_DRAFT : 0U);
}

static int end(void *arg, const struct imap_fetched *m, struct err *err)
{
	struct imap_work *w = arg;
	char uid[16];
	bool safe;
	snprintf(uid, sizeof uid, "%u", (unsigned)m->uid);
	struct dest_meta meta = { .flags = store_flags(m->flags), .date = m->date, .uid = uid };
	if (job_commit(w->j, &meta, &safe, err))
		return -1;
	if (!safe)
		return 0;
	state_add_uid(w->j->state, m->uid, w->j->o->delete);
	w->safe[w->n_safe++] = m->uid;
	return job_save(w->j, false, err);
}

/* ---- deleting ---- */

static int delete (struct imap_work *w, const uint32_t *uids, size_t n, struct err *err)
{
	bool expunged;
	for (size_t at = 0; at < n; at += FETCH_BATCH) {
		size_t some = n - at < FETCH_BATCH ? n - at : FETCH_BATCH;
		if (imap_client_delete(w->c, uids + at, some, &expunged, err))
			return err_prefix(err, "deleting");
		if (!expunged)
			log_warn("delete result=marked why=\"the server has no UIDPLUS: expunge there yourself\"");
		w->j->deleted += (unsigned)some;
	}
	return 0;
}

/* What an earlier run fetched with --delete but did not live to delete. */
static int delete_doomed(struct imap_work *w, struct err *err)
{
	size_t n;
	const uint32_t *doomed = state_doomed(w->j->state, &n);
	if (!n || !w->j->o->delete)
		return 0;
	uint32_t *copy = malloc(n * sizeof *copy);
	if (!copy)
		return err_sys(err, "deleting");
	memcpy(copy, doomed, n * sizeof *copy);
	int rc = delete (w, copy, n, err);
	for (size_t i = 0; i < n && rc == 0; i++)
		state_deleted(w->j->state, copy[i]);
	free(copy);
	return rc;
}

/* ---- what is new ---- */

static int fetch_batch(struct imap_work *w, const uint32_t *uids, size_t n, struct err *err)
{
	static const struct imap_sink shape = { begin, data, end, give_up, NULL };
	struct imap_sink sink = shape;
	sink.arg = w;
	w->n_safe = 0;
	int rc = imap_client_fetch(w->c, uids, n, &sink, err);
	struct err ignored;
	/* Saved in any case: what is safe stays fetched. */
	if (job_save(w->j, true, rc ? &ignored : err))
		rc = -1;
	return rc ? -1 : delete_doomed(w, err);
}

static int check_only(struct job *j, const struct imap_item *item)
{
	char uid[16];
	snprintf(uid, sizeof uid, "%u", (unsigned)item->uid);
	job_report(j, uid, item->size, "new", NULL);
	j->fetched++;
	j->bytes += item->size;
	return 0;
}

static bool wants(struct job *j, const struct imap_item *item)
{
	char uid[16];
	snprintf(uid, sizeof uid, "%u", (unsigned)item->uid);
	return !state_has_uid(j->state, item->uid) && !job_too_large(j, uid, item->size);
}

static int fetch_listed(struct imap_work *w, const struct imap_items *l, struct err *err)
{
	struct job *j = w->j;
	uint32_t batch[FETCH_BATCH];
	size_t n = 0;
	uint64_t bytes = 0;
	for (size_t i = 0; i < l->n && !job_limit_reached(j, n); i++) {
		if (!wants(j, &l->v[i]))
			continue;
		if (j->o->check) {
			check_only(j, &l->v[i]);
			continue;
		}
		batch[n++] = l->v[i].uid;
		bytes += l->v[i].size;
		if (n < FETCH_BATCH && bytes < FETCH_BATCH_BYTES)
			continue;
		if (fetch_batch(w, batch, n, err))
			return -1;
		n = 0;
		bytes = 0;
	}
	return n ? fetch_batch(w, batch, n, err) : 0;
}

/* UIDs below the last listed one that the server no longer has never come back (RFC 9051 2.3.1.1): the record gets
 * shorter by them. */
static void settle(struct job *j, uint32_t from, const struct imap_items *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].uid > from)
			state_settle(j->state, from, l->v[i].uid - 1);
		from = l->v[i].uid + 1;
	}
}

static int fetch_new(struct imap_work *w, struct err *err)
{
	struct job *j = w->j;
	struct imap_items l;
	uint32_t from = state_first_uid(j->state);
	if (imap_client_list(w->c, from, &l, err))
		return -1;
	int rc = fetch_listed(w, &l, err);
	if (rc == 0 && !j->o->check) {
		settle(j, from, &l);
		rc = state_unsaved(j->state) ? state_compact(j->state, err) : 0;
	}
	free(l.v);
	return rc;
}

static int select_mailbox(struct imap_work *w, struct err *err)
{
	struct job *j = w->j;
	if (imap_client_select(w->c, buf_span(&j->mailbox), !j->o->delete || j->o->check, &w->box, err))
		return err_prefix(err, "%s", j->url.path[0] ? j->url.path : "INBOX");
	if (state_uidvalidity(j->state, w->box.uidvalidity))
		log_warn("uidvalidity why=\"the server numbered the mailbox anew: all of it is fetched again\"");
	return j->o->check ? 0 : delete_doomed(w, err);
}

static int work(struct imap_work *w, struct err *err)
{
	const struct fetch_options *o = w->j->o;
	if (select_mailbox(w, err) || fetch_new(w, err))
		return -1;
	while (o->idle && !o->check && !job_limit_reached(w->j, 0)) {
		int news = imap_client_idle(w->c, o->idle_time, o->poll, err);
		if (news < 0 || (news > 0 && fetch_new(w, err)))
			return -1;
	}
	return 0;
}

int fetch_imap(struct job *j, struct stream *s, const struct sasl_client_config *auth, struct err *err)
{
	struct imap_client_config c = { .tls = j->tls,
		.host = j->host.p,
		.auth = auth,
		.policy = j->implicit_tls ? IMAP_TLS_IMPLICIT : (enum imap_tls)(j->o->starttls + 1) };
	struct imap_work w = { .j = j, .c = imap_client_open(s, &c, err) };
	if (!w.c)
		return -1;
	j->logged_in = true;
	int rc = work(&w, err);
	imap_client_close(w.c, true);
	return rc;
}
