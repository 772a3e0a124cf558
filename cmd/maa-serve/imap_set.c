/* SPDX-License-Identifier: ISC
 *
 * From the numbers that a client names to places in the selected mailbox. Ranges stay ranges: nothing is expanded.
 */
#include "imap_session.h"

size_t imap_uid_place(const struct imap *s, uint32_t uid)
{
	size_t lo = 0, hi = s->shown;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (s->f->msg[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Ranges of UIDs to ranges of numbers; those that meet no message vanish. */
static void uids_to_numbers(const struct imap *s, struct imap_set *set)
{
	size_t n = 0;
	for (size_t i = 0; i < set->n; i++) {
		struct imap_range r = set->v[i];
		size_t first = imap_uid_place(s, r.first);
		size_t end = r.last == UINT32_MAX ? s->shown : imap_uid_place(s, r.last + 1);
		if (first < end)
			set->v[n++] = (struct imap_range){ (uint32_t)first + 1, (uint32_t)end };
	}
	set->n = n;
}

bool imap_to_places(struct imap *s, struct imap_set *set, bool uids)
{
	if (s->shown == 0) {
		/* '*' means no message here; a number cannot be meant. */
		for (size_t i = 0; !uids && i < set->n; i++)
			if (set->v[i].first > 1 || set->v[i].last > 1 || (set->v[i].first && set->v[i].last))
				return imap_fail(&s->in, "no such message");
		set->n = 0;
		return true;
	}
	imap_set_resolve(set, uids ? s->f->msg[s->shown - 1].uid : (uint32_t)s->shown);
	if (uids)
		uids_to_numbers(s, set);
	else if (set->n && set->v[set->n - 1].last > s->shown)
		return imap_fail(&s->in, "no such message");
	return true;
}

bool imap_places(struct imap *s, struct imap_set *out)
{
	return imap_sequence_set(&s->in, out) && imap_to_places(s, out, s->uid);
}
