/* SPDX-License-Identifier: ISC
 *
 * What an alias has besides addresses: a command that gets the message on its stdin, a file that it is appended to. The
 * relay sends an address that stands for it, "|list=0123456789abcdef@domain"; what is to be done is found in the same
 * aliases file, so that no peer can say what is run. Never as root: by the owner of the file, or --alias-user.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "io/spawn.h"
#include "mda-deliver/mda.h"
#include "store/mbox.h"

enum {
	SAID = 300 /* bytes of a command's output that its refusal may tell */
};

int action_open(struct mda *m, struct err *err)
{
	const struct mda_options *o = &m->o;
	unsigned allow =
	    (o->alias_commands ? (unsigned)ALIASES_COMMANDS : 0) | (o->alias_files ? (unsigned)ALIASES_FILES : 0);
	if (!o->aliases)
		return allow ? err_set(err, ERR_USAGE, "--alias-commands and --alias-files need --aliases") : 0;
	m->aliases = aliases_open_allowing(o->aliases, allow, err);
	return m->aliases ? 0 : -1;
}

bool action_is(const struct mda *m, struct span address)
{
	return m->aliases && aliases_is_action(address);
}

int action_user(const struct mda *m, struct action_user *u, struct err *err)
{
	uid_t owner = aliases_owner(m->aliases);
	*u = (struct action_user){ (uid_t)-1, (gid_t)-1 };
	if (geteuid() != 0)
		return 0; /* as whoever runs us */
	const struct passwd *pw = owner ? getpwuid(owner) : getpwnam(m->o.alias_user);
	if (!pw || pw->pw_uid == 0)
		return err_set(err, ERR_CONFIG, "no user but root to do what an alias asks for");
	*u = (struct action_user){ pw->pw_uid, pw->pw_gid };
	return 0;
}

/* The alias's own address, for Delivered-To and the command: a message that comes back to it is a loop. */
static struct span alias_address(struct arena *a, struct span address)
{
	ptrdiff_t equals = span_rchr(address, '='), at = span_rchr(address, '@');
	struct span name = span_slice(address, 1, equals > 0 ? (size_t)equals : 1);
	struct span domain = at > 0 ? span_from(address, (size_t)at) : SPAN("");
	return span_str(arena_printf(a, "%.*s%.*s", SPAN_FMT(name), SPAN_FMT(domain)));
}

int action_find(struct mda *m, struct arena *a, struct span address, struct target *t, struct err *err)
{
	enum alias_kind kind;
	struct span text, local = span_slice(address, 0, (size_t)span_rchr(address, '@'));
	struct err why = { 0 };
	struct action_user who;
	int fresh = aliases_refresh(m->aliases, &why);
	if (fresh < 0)
		log_err("aliases: %s; the old ones stay", why.text);
	if (m->confine && (fresh > 0 || aliases_out_of_reach(m->aliases)))
		return mda_confine_retire(err);
	if (!aliases_action(m->aliases, a, local, &kind, &text)) {
		err_reply(err, 550, "5.1.1", "no alias asks for that");
		err->class = ERR_NOUSER;
		return -1;
	}
	t->rcpt = t->user.name = alias_address(a, address);
	t->mailbox = SPAN("INBOX");
	t->path = arena_str(a, text);
	t->action = true;
	if (kind == ALIAS_TO_COMMAND)
		t->command = t->path;
	t->kind = span_ends(text, "/") ? LOCATION_MAILDIR : LOCATION_MBOX;
	if (kind == ALIAS_TO_FILE && span_eqs(text, "/dev/null"))
		t->discard = true;
	if (action_user(m, &who, err) < 0)
		return -1;
	t->uid = who.uid;
	t->gid = who.gid;
	return 0;
}

/* LF line ends, with a "From " line above as commands expect it. */
static void text_for(const struct filing *f, struct span top, struct buf *out)
{
	mbox_format(f->top.sender, f->when, SPAN(""), out);
	ptrdiff_t lf = span_chr(buf_span(out), '\n');
	if (lf >= 0)
		buf_truncate(out, (size_t)lf + 1);
	size_t from = out->len, to;
	buf_addspan(out, top);
	for (size_t i = 0; i < f->letter->n; i++)
		buf_addspan(out, f->letter->piece[i]);
	to = from;
	for (size_t i = from; i < out->len; i++)
		if (out->p[i] != '\r' || i + 1 == out->len || out->p[i + 1] != '\n')
			out->p[to++] = out->p[i];
	buf_truncate(out, to);
}

/* sysexits.h; what is wrong on this host is put off, and never returned to the sender. */
static void take_status(struct target *t, int status, struct span said)
{
	static const struct {
		int status, code;
		const char *enh, *text;
	} known[] = {
		{ EX_NOUSER, 550, "5.1.1", "no such user" },
		{ EX_NOPERM, 550, "5.7.1", "permission denied" },
		{ EX_TEMPFAIL, 451, "4.3.0", "the command asks for another attempt" },
		{ EX_OSERR, 451, "4.3.0", "the command met an error of the system" },
		{ EX_OSFILE, 451, "4.3.5", "the command lacks a file" },
		{ EX_CANTCREAT, 451, "4.3.0", "the command could not make a file" },
		{ EX_IOERR, 451, "4.3.0", "the command met an error of a disk" },
		{ EX_CONFIG, 451, "4.3.5", "the command is misconfigured" },
		{ 126, 451, "4.3.5", "the command can't be run" },
		{ 127, 451, "4.3.5", "the command is not there" },
	};
	ptrdiff_t lf = span_chr(said, '\n');
	said = span_trim(lf < 0 ? said : span_slice(said, 0, (size_t)lf));
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].status == status) {
			err_reply(&t->err, known[i].code, known[i].enh, "%s", known[i].text);
			return;
		}
	if (status > 128)
		err_reply(&t->err, 451, "4.3.0", "the command was killed by signal %d", status - 128);
	else if (said.n && !span_has_ctl(said))
		err_reply(&t->err, 554, "5.3.0", "%.*s", SPAN_FMT(said));
	else
		err_reply(&t->err, 554, "5.3.0", "the command ended with status %d", status);
}

void action_run(struct filing *f, struct target *t, struct span top)
{
	struct buf text, said;
	const char *const env[] = { arena_printf(f->a, "SENDER=%.*s", SPAN_FMT(f->top.sender)),
		arena_printf(f->a, "RECIPIENT=%.*s", SPAN_FMT(t->rcpt)), "HOME=/", "SHELL=/bin/sh", NULL };
	struct spawn sp = { .command = t->command, .env = env, .dir = "/", .out = SPAWN_PIPE, .errfd = SPAWN_INHERIT };
	struct err err = { 0 };
	if (geteuid() == 0) {
		err_set(&t->err, ERR_BUG, "no command is run as root");
		return;
	}
	if (f->m->confine && !mda_confine_command(f->m, &sp)) {
		mda_confine_retire(&t->err);
		return;
	}
	buf_init(&text, SIZE_MAX / 4);
	buf_init(&said, SAID);
	text_for(f, top, &text);
	int status = spawn_run(&sp, buf_span(&text), &said, f->m->o.alias_timeout, &err);
	if (status == 0)
		t->place = "command";
	else if (status > 0)
		take_status(t, status, buf_span(&said));
	else
		err_reply(&t->err, 451, "4.3.0", "%s", err.sys == ETIMEDOUT ? "the command takes too long" : err.text);
	buf_free(&text);
	buf_free(&said);
}
