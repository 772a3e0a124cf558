/* SPDX-License-Identifier: ISC
 *
 * IMAP's tokens (RFC 3501 9, RFC 9051 9), read from a command or response that lies in memory as it came, literals in
 * place: "a1 LOGIN {3}\r\nbob \"secret\"". Both the server's commands and the client's responses are read with it.
 * Whoever reads the peer takes care that a literal is complete; one that is cut is an error here.
 *
 * The first error is sticky: every later function fails at once, so that a caller may read a whole command and look at
 * `bad` in the end. Spans point into the text, or into the arena when something had to be undone (quoting). Numbers
 * never overflow, sets are ranges and are never expanded.
 */
#ifndef WP_IMAP_PARSE_H
#define WP_IMAP_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

struct imap_in {
	struct span text;
	size_t at;
	struct arena *arena;
	const char *bad; /* what was expected, a string constant; NULL while all is well */
};

void imap_in_init(struct imap_in *in, struct span text, struct arena *a);
/* Notes what was expected, unless an error stands already. Returns false. */
bool imap_fail(struct imap_in *in, const char *expected);

/* The next byte without taking it, 0 at the end (or after an error). */
char imap_peek(const struct imap_in *in);
/* Takes c if it is next: a question, not an error. */
bool imap_eat(struct imap_in *in, char c);
/* The same of a keyword in any case; it must end where an atom ends. */
bool imap_eat_word(struct imap_in *in, const char *word);
bool imap_expect(struct imap_in *in, char c);
/* Exactly one space. */
bool imap_sp(struct imap_in *in);
/* Nothing may be left. */
bool imap_end(struct imap_in *in);

bool imap_tag(struct imap_in *in, struct span *out);
bool imap_atom(struct imap_in *in, struct span *out);
bool imap_string(struct imap_in *in, struct span *out);
/* NIL gives *nil and the empty span. */
bool imap_nstring(struct imap_in *in, struct span *out, bool *nil);
bool imap_astring(struct imap_in *in, struct span *out);
/* astring in which % and * may stand: LIST's pattern. */
bool imap_list_mailbox(struct imap_in *in, struct span *out);
/* A flag: "\Seen" with its backslash, or a keyword. "\*" is one too (only servers send it). */
bool imap_flag(struct imap_in *in, struct span *out);
/* "(flag flag)". */
struct imap_words {
	struct span *v;
	size_t n;
};
bool imap_flag_list(struct imap_in *in, struct imap_words *out);
void imap_words_add(struct arena *a, struct imap_words *w, struct span word);

/* At most 32 bits, as the grammar says; imap_nz_number: not 0; imap_number64 for sizes and mod-sequences (63 bits). */
bool imap_number(struct imap_in *in, uint32_t *out);
bool imap_nz_number(struct imap_in *in, uint32_t *out);
bool imap_number64(struct imap_in *in, uint64_t *out);

/* The literal's header at the place: {n}, {n+}, ~{n}, without the line end; false when there is none (no error). */
struct imap_literal {
	uint64_t size;
	bool sync;   /* the sender waits for a continuation */
	bool binary; /* literal8 */
};
bool imap_literal_header(struct span line, size_t at, struct imap_literal *out, size_t *len);
/* Does the line (without its line end) end with a literal's header? */
bool imap_line_literal(struct span line, struct imap_literal *out);

/* Sequence sets. `*` is kept as 0 until imap_set_resolve puts the largest number in its place, orders the ranges and
 * joins those that touch. A set with 0 in it is malformed. */
struct imap_range {
	uint32_t first, last;
};
struct imap_set {
	struct imap_range *v;
	size_t n;
};
bool imap_sequence_set(struct imap_in *in, struct imap_set *out);
void imap_set_resolve(struct imap_set *s, uint32_t largest);
/* Of a resolved set, by halving. */
bool imap_set_has(const struct imap_set *s, uint32_t n);

/* date: "1-Feb-2026" or quoted, as days since 1970-01-01. date-time: "\" 1-Feb-2026 10:00:00 +0100\"" as Unix time. */
bool imap_date(struct imap_in *in, int64_t *days);
bool imap_date_time(struct imap_in *in, int64_t *unix_time);

/* May it be sent as a quoted string, or even as an atom? */
bool imap_is_atom(struct span s);
bool imap_is_quotable(struct span s);

#endif
