/* SPDX-License-Identifier: ISC */
#include "mta-relay/guard/guard_list.h"

#include <stdlib.h>

#include "base/config.h"
#include "base/xalloc.h"
#include "users/domains.h"

enum {
	TEXT_MAX = 4 * 1024 * 1024,
};

struct guard_list {
	struct net_list *nets;
	struct domains *domains;
	char **addresses;
	size_t n;
};

/* What the words of a list are, as texts for the parsers of each kind. */
struct sorted {
	struct buf nets, domains;
};

static bool separator(char c)
{
	return ascii_isblank(c) || c == ',' || c == '\n' || c == '\r';
}

static void one_word(struct guard_list *l, struct sorted *s, struct span word)
{
	bool at = span_chr(word, '@') >= 0;
	bool net =
	    !at && (span_chr(word, '/') >= 0 || span_chr(word, ':') >= 0 || word.n == strspn(word.p, "0123456789."));
	if (at) {
		l->addresses = xreallocarray(l->addresses, l->n + 1, sizeof *l->addresses);
		l->addresses[l->n++] = xstrndup(word.p, word.n);
	} else {
		struct buf *b = net ? &s->nets : &s->domains;
		buf_addf(b, "%s%.*s", b->len ? ", " : "", SPAN_FMT(word));
	}
}

static void words_of(struct guard_list *l, struct sorted *s, struct span text)
{
	while (text.n) {
		struct span line = span_cut(&text, '\n');
		line = span_cut(&line, '#');
		for (size_t i = 0, from = 0; i <= line.n; i++) {
			if (i < line.n && !separator(line.p[i]))
				continue;
			if (i > from) {
				char *word = xstrndup(line.p + from, i - from);
				one_word(l, s, span_str(word));
				free(word);
			}
			from = i + 1;
		}
	}
}

static int parse(struct guard_list *l, struct span text, struct err *err)
{
	struct sorted s;
	int rc = 0;
	buf_init(&s.nets, TEXT_MAX * 2);
	buf_init(&s.domains, TEXT_MAX * 2);
	words_of(l, &s, text);
	if (s.nets.len && !(l->nets = net_list_parse(s.nets.p, err)))
		rc = -1;
	if (rc == 0 && s.domains.len && !(l->domains = domains_open(s.domains.p, err)))
		rc = -1;
	buf_free(&s.nets);
	buf_free(&s.domains);
	return rc;
}

struct guard_list *guard_list_open(const char *text, struct err *err)
{
	struct guard_list *l = xcalloc(1, sizeof *l);
	struct span list = span_str(text);
	struct buf file;
	bool is_file = span_starts(list, "/") || span_starts(list, "./");
	buf_init(&file, TEXT_MAX);
	int rc = is_file ? config_slurp(text, &file, err) : 0;
	if (rc == 0)
		rc = parse(l, is_file ? buf_span(&file) : list, err);
	buf_free(&file);
	if (rc == 0)
		return l;
	guard_list_free(l);
	return NULL;
}

void guard_list_free(struct guard_list *l)
{
	if (!l)
		return;
	net_list_free(l->nets);
	domains_free(l->domains);
	for (size_t i = 0; i < l->n; i++)
		free(l->addresses[i]);
	free(l->addresses);
	free(l);
}

bool guard_list_network(const struct guard_list *l, const struct net_addr *a)
{
	return l && l->nets && a->len && net_list_match(l->nets, a);
}

bool guard_list_address(const struct guard_list *l, struct span address)
{
	ptrdiff_t at = span_rchr(address, '@');
	if (!l || at < 0)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (span_ieqs(address, l->addresses[i]))
			return true;
	return domains_match(l->domains, span_from(address, (size_t)at + 1));
}
