/* SPDX-License-Identifier: ISC
 *
 * Inside the IMAP server: the session, and what its files call of each other. imap.c has the loop and the table of
 * commands, imap_read.c reads a command with its literals, and each family of commands has a file.
 *
 * A handler reads its arguments from s->in, acts, writes untagged responses, and sets s->reply when the answer is not
 * "OK done". When it returns with s->in.bad set, the loop answers BAD with that text.
 *
 * Sequence numbers: the client knows messages 1..s->shown, which are f->msg[0..shown). Vanished ones keep their places
 * until imap_sync reports them, which only happens where the protocol allows it (RFC 3501 7.4.1).
 */
#ifndef WP_MAA_SERVE_IMAP_SESSION_H
#define WP_MAA_SERVE_IMAP_SESSION_H

#include "imap/parse.h"
#include "maa.h"

enum imap_state {
	IMAP_NONAUTH = 1,
	IMAP_AUTH = 2,
	IMAP_SELECTED = 4,
	IMAP_LOGOUT = 8
};

enum imap_status {
	IMAP_OK,
	IMAP_NO,
	IMAP_BAD
};
struct imap_reply {
	enum imap_status status;
	const char *code; /* response code without brackets, in the command's arena; NULL for none */
	char text[300];
};

/* What the client was last told of a message. */
struct imap_shown {
	unsigned flags;
	uint64_t keywords;
};

/* Where a partial fetch ended: the next chunk starts there instead of counting from the front. */
struct imap_resume {
	uint32_t uid;  /* 0: none */
	size_t offset; /* of the section in the stored message */
	size_t length;
	uint64_t total; /* octets of the section as presented */
	uint64_t shown;
	size_t stored;
};

struct imap {
	struct maa_session *x;
	struct stream *s;
	enum imap_state state;
	struct arena *arena; /* the command's */
	struct buf command;  /* as read, literals in place */
	struct imap_in in;
	struct imap_reply reply;
	bool uid;      /* "UID FETCH": numbers are UIDs */
	bool answered; /* the tagged answer is out already: STARTTLS */
	unsigned bad;  /* BAD answers before login */

	/* A literal of APPEND that is not read yet. */
	bool pending;
	struct imap_literal literal;

	/* The selected mailbox. */
	struct maildir_folder *f;
	struct span mailbox;
	char *mailbox_mem;
	bool read_only;
	struct imap_shown *told;
	size_t shown, told_cap;
	unsigned n_keywords_told;
	size_t recent_told;
	int64_t last_scan; /* monotonic ms */
	struct imap_resume resume;
};

/* ---- imap_write.c: responses */
void imap_ok(struct imap *s, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void imap_no(struct imap *s, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* NO with the response code of RFC 5530 that fits the error. */
void imap_no_err(struct imap *s, const struct err *err);
void imap_untagged(struct imap *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A string as atom (when atom_ok), quoted or literal. */
void imap_put_string(struct stream *o, struct span text, bool atom_ok);
/* A mailbox name, UTF-8 in, modified UTF-7 out. */
void imap_put_mailbox(struct stream *o, struct span name);
void imap_put_flags(struct imap *s, unsigned flags, uint64_t keywords);
/* "1:3,7" of ascending numbers. */
void imap_put_set(struct buf *out, const uint32_t *v, size_t n);

/* ---- imap_read.c */
enum imap_read {
	IMAP_READ_OK,
	IMAP_READ_SKIP /* answered already */,
	IMAP_READ_END
};
/* Reads one command into s->command; stops before the message literal of APPEND with s->pending set. */
enum imap_read imap_read_command(struct imap *s, struct err *err);
/* After the literal of APPEND: the rest of its line must be empty. */
bool imap_read_tail(struct imap *s);
/* Reads and throws away n bytes. */
bool imap_skip(struct imap *s, uint64_t n);
/* A line of an exchange (AUTHENTICATE, IDLE) into *out; false when the conversation is over. */
bool imap_read_line(struct imap *s, size_t max, bool secret, struct span *out);

/* ---- imap_name.c: mailbox names and lists of them */
/* An astring as a mailbox name, UTF-8, "INBOX" in capitals; false with in->bad set, or NO said. */
bool imap_mailbox(struct imap *s, struct span *out);
/* The second half of it. */
bool imap_mailbox_name(struct imap *s, struct span raw, struct span *out);
void imap_cmd_list(struct imap *s);
void imap_cmd_lsub(struct imap *s);
void imap_cmd_namespace(struct imap *s);
void imap_cmd_subscribe(struct imap *s);
void imap_cmd_unsubscribe(struct imap *s);

/* ---- imap_folder.c */
void imap_cmd_create(struct imap *s);
void imap_cmd_delete(struct imap *s);
void imap_cmd_rename(struct imap *s);
void imap_cmd_status(struct imap *s);

/* ---- imap_auth.c */
void imap_put_capabilities(struct imap *s, struct buf *out);
void imap_cmd_capability(struct imap *s);
void imap_cmd_id(struct imap *s);
void imap_cmd_enable(struct imap *s);
void imap_cmd_starttls(struct imap *s);
void imap_cmd_login(struct imap *s);
void imap_cmd_authenticate(struct imap *s);

/* ---- imap_select.c */
void imap_cmd_select(struct imap *s);
void imap_cmd_examine(struct imap *s);
void imap_cmd_close(struct imap *s);
void imap_cmd_unselect(struct imap *s);
void imap_cmd_expunge(struct imap *s);
void imap_leave(struct imap *s);
/* FLAGS and PERMANENTFLAGS with the mailbox's keywords. */
void imap_tell_keywords(struct imap *s);
/* Looks for changes and reports them: vanished messages only when `expunges`; not more than once a second unless
 * `now`. */
void imap_sync(struct imap *s, bool expunges, bool now);
/* Drops what is marked gone from the array, telling the client. */
void imap_report_gone(struct imap *s);
void imap_cmd_idle(struct imap *s);

/* ---- imap_set.c: which messages a command means */
/* A sequence set (or UID set, by s->uid) as ranges of places in f->msg. A number beyond the last message is BAD. */
bool imap_places(struct imap *s, struct imap_set *out);
/* A set that is known already: UIDs or numbers to places. */
bool imap_to_places(struct imap *s, struct imap_set *set, bool uids);
/* The place of a UID, or where it would stand. */
size_t imap_uid_place(const struct imap *s, uint32_t uid);

/* ---- imap_flags.c */
struct imap_flag_set {
	unsigned flags;
	uint64_t keywords;
};
/* Names to bits; keywords are made when `add`. False (and NO or BAD said) when one cannot be had. */
bool imap_flags_of(struct imap *s, const struct imap_words *names, bool add, struct imap_flag_set *out);
unsigned imap_flag_bit(struct span name); /* 0: a keyword, or a flag nobody knows */
void imap_cmd_store(struct imap *s);
/* Tells of one message's flags, as FETCH. */
void imap_tell_flags(struct imap *s, size_t place);
int imap_change_flags(struct imap *s, size_t place, struct imap_flag_set to, struct err *err);

void imap_cmd_fetch(struct imap *s);
void imap_cmd_search(struct imap *s);
void imap_cmd_append(struct imap *s);
/* Are the arguments before the message literal of an APPEND all there? Then the literal is the message. */
bool imap_append_ready(struct imap *s);
void imap_cmd_copy(struct imap *s);
void imap_cmd_move(struct imap *s);

#endif
