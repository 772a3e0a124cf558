/* SPDX-License-Identifier: ISC
 *
 * mda-deliver: files a message into a Maildir or mbox. The message is on stdin, or comes over LMTP.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/trace.h"
#include "mda-deliver/content.h"
#include "mda-deliver/mda.h"

#define AT(member) offsetof(struct mda_options, member)

static const struct opt table[] = {
	{ "sender", 'f', OPT_STR, AT(sender), "ADDR", "envelope sender, for Return-Path; empty for bounces", NULL,
	    OPT_NO_CONFIG },
	{ "original-recipient", 'a', OPT_STR, AT(original), "ADDR", "the address it was sent to, for Delivered-To",
	    NULL, OPT_NO_CONFIG },
	{ "user", 'd', OPT_STR, AT(user), "USER", "deliver to this user instead of whoever runs it", NULL,
	    OPT_NO_CONFIG },
	{ "mailbox", 'm', OPT_STR, AT(mailbox), "MAILBOX", "folder, instead of INBOX", NULL, 0 },
	{ "create", 0, OPT_FLAG, AT(create), NULL, "make a missing folder instead of using INBOX", NULL, 0 },
	{ "mail", 0, OPT_STR, AT(mail), "LOCATION", "where mail is kept: maildir:PATH, mbox:PATH, with %u %n %d %h",
	    NULL, 0 },
	{ "store-id", 0, OPT_STR, AT(store_id), "FILE", "deliver only while this file is there: the store is mounted",
	    NULL, 0 },
	{ "users", 0, OPT_STR, AT(users), "FILE", "who has a mailbox here", NULL, 0 },
	{ "aliases", 0, OPT_STR, AT(aliases), "FILE", "where the relay's commands and files stand", NULL, 0 },
	{ "alias-commands", 0, OPT_FLAG, AT(alias_commands), NULL, "run commands of aliases", NULL, 0 },
	{ "alias-files", 0, OPT_FLAG, AT(alias_files), NULL, "append to files of aliases", NULL, 0 },
	{ "alias-user", 0, OPT_STR, AT(alias_user), "USER",
	    "who does that when root owns the aliases, nobody by default", NULL, 0 },
	{ "alias-timeout", 0, OPT_DURATION, AT(alias_timeout), "TIME", "for a command, 30s by default", NULL, 0 },
	{ "delimiter", 0, OPT_STR, AT(delimiters), "CHARS", "what separates user and detail, + by default", NULL, 0 },
	{ "detail-mailbox", 0, OPT_FLAG, AT(detail_mailbox), NULL, "user+detail goes to the folder 'detail'", NULL, 0 },
	{ "quota", 0, OPT_SIZE, AT(quota), "SIZE", "of users whose row gives none", NULL, 0 },
	{ "max-size", 0, OPT_SIZE, AT(max_size), "SIZE", "largest message taken, 100M by default", NULL, 0 },
	{ "sync", 0, OPT_FLAG, AT(sync), NULL, "wait for the disk before saying yes; the default", NULL, 0 },
	{ "durability", 0, OPT_CHOICE, AT(durability), NULL,
	    "how: each file by itself, by a log that many share, or as fits", DURABILITY_CHOICES, 0 },
	{ "tmp", 0, OPT_STR, AT(tmp), "DIR", "for large messages on their way in, /var/tmp by default", NULL, 0 },
	{ "lmtp", 0, OPT_FLAG, AT(lmtp), NULL, "speak LMTP on stdin and stdout, or on sockets", NULL, OPT_NO_CONFIG },
	{ "listen", 0, OPT_LIST, AT(listen), "SOCKET", "ADDR:PORT or unix:PATH, with --lmtp", NULL, 0 },
	{ "ready-file", 0, OPT_STR, AT(ready_file), "FILE", "gets the sockets' addresses once they listen", NULL, 0 },
	{ "workers", 0, OPT_UINT, AT(workers), "N", "processes; as many as needed by default", NULL, 0 },
	{ "max-clients", 0, OPT_UINT, AT(max_clients), "N", "conversations at once, 100 by default", NULL, 0 },
	{ "max-recipients", 0, OPT_UINT, AT(max_rcpt), "N", "recipients of one message", NULL, 0 },
	{ "hostname", 0, OPT_STR, AT(hostname), "NAME", "our name in replies and Received fields", NULL, 0 },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events to FILE", NULL, 0 },
	{ "explain", 0, OPT_FLAG, AT(explain), NULL, "say on stderr what is done and why", NULL, OPT_NO_CONFIG },
	{ 0 },
};

static const struct opt_group groups[] = { { confine_options, AT(confine) }, { place_options, AT(places) },
	{ NULL, 0 } };

static int read_stdin(struct content *c, struct err *err)
{
	char piece[65536];
	for (;;) {
		ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "reading the message");
		if (n == 0)
			break;
		if (content_add(c, span_of(piece, (size_t)n)) < 0) {
			*err = c->failed;
			return -1;
		}
	}
	return c->size ? 0 : err_set(err, ERR_DATA, "there is no message on stdin");
}

static int file_one(struct mda *m, struct arena *a, struct target *t, struct span content)
{
	struct letter letter;
	letter_read(&letter, a, content);
	trace_mid(letter.message_id);
	if (letter_check_loop(&letter, t->rcpt, &t->err) == 0) {
		struct filing f = {
			.m = m, .a = a, .letter = &letter, .when = (int64_t)time(NULL), .target = t, .n = 1
		};
		f.top.sender = span_str(m->o.sender);
		/* Only one message: there is nothing to come back to root for. */
		if (become_user(t, &t->err) == 0)
			filing_run(&f);
	}
	if (t->err.class == ERR_NONE)
		target_report(t, span_str(m->o.sender));
	else
		trace_event(&(struct trace_event){
		    .ev = "refuse", .result = err_result(&t->err), .code = t->err.code, .why = t->err.text });
	return t->err.class == ERR_NONE ? 0 : -1;
}

/* The message on stdin, for one user. */
static int deliver(struct mda *m, struct err *err)
{
	struct content c;
	struct target t;
	struct span content;
	struct arena *a = arena_new();
	content_init(&c, m->o.tmp, m->o.max_size);
	trace_begin("local");
	int rc = target_find(m, a, span_str(m->o.user), &t, err);
	if (rc == 0 && m->o.original)
		t.rcpt = span_str(m->o.original);
	if (rc == 0)
		rc = read_stdin(&c, err);
	if (rc == 0)
		rc = content_get(&c, &content, err);
	if (rc == 0) {
		rc = file_one(m, a, &t, content);
		*err = t.err;
	}
	trace_end();
	content_free(&c);
	arena_free(a);
	return rc;
}

static int check_options(const struct mda_options *o, struct err *err)
{
	if (o->listen.n && !o->lmtp)
		return err_set(err, ERR_USAGE, "--listen is for --lmtp");
	if (o->lmtp && (o->user || o->original || *o->sender))
		return err_set(err, ERR_USAGE, "with --lmtp the recipients and the sender come over LMTP");
	if (o->users && !o->lmtp && !o->user)
		return err_set(err, ERR_USAGE, "--users needs -d USER");
	return 0;
}

static const char *own_name(void)
{
	static char name[LIMIT_DOMAIN + 1];
	return gethostname(name, sizeof name - 1) == 0 && *name ? name : "localhost";
}

static int run(struct mda *m, struct err *err)
{
	if (check_options(&m->o, err) < 0 || trace_open("mda-deliver", "mda", m->o.trace, m->o.explain, err) < 0)
		return err_exit_status(err);
	if (m->o.users && !(m->users = users_open(m->o.users, err)))
		return err_exit_status(err);
	if (action_open(m, err) < 0)
		return err_exit_status(err);
	/* What a crash left is mended before the first letter. */
	if (m->o.sync && boxes_log(&m->o, err) < 0)
		return err_exit_status(err);
	m->boxes = boxes_new(&m->o);
	int status = m->o.lmtp ? lmtp_serve(m, err) : deliver(m, err) < 0 ? err_exit_status(err) : 0;
	boxes_free(m->boxes);
	durable_log_close();
	users_close(m->users);
	aliases_free(m->aliases);
	return status;
}

int main(int argc, char **argv)
{
	/* What options give lives as long as the process. */
	static struct mda m = { .spare = -1,
		.o = { .sender = "",
		    .delimiters = "+",
		    .alias_user = "nobody",
		    .alias_timeout = 30 * 1000,
		    .tmp = "/var/tmp",
		    .sync = true,
		    .durability = DURABILITY_AUTO,
		    .max_size = LIMIT_MESSAGE_DEFAULT,
		    .max_rcpt = LIMIT_SMTP_RCPT } };
	struct opts opts = { .prog = "mda-deliver",
		.synopsis = "[-f SENDER] [-a ORIGINAL-RCPT] [-d USER] [-m MAILBOX] [--mail=LOCATION] <message\n"
			    "--lmtp [--listen=SOCKET]... [--users=FILE] [--mail=LOCATION]",
		.about = "Files a message from stdin, or what comes over LMTP, into a Maildir or mbox.",
		.table = table,
		.groups = groups,
		.values = &m.o };
	struct err err = { 0 };
	int first;
	signal(SIGPIPE, SIG_IGN);
	enum opts_result parsed = opts_parse(&opts, argc, argv, &first, &err);
	if (parsed == OPTS_DONE)
		return EX_OK;
	/* Modes come from the store; what nobody shares must not be open to others. */
	umask(0007);
	log_open("mda-deliver", LOG_TO_AUTO, m.o.lmtp ? LOG_LVL_INFO : LOG_LVL_WARN);
	if (!m.o.hostname)
		m.o.hostname = own_name();
	int status = parsed == OPTS_ERROR ? err_exit_status(&err) : first < argc ? EX_USAGE : run(&m, &err);
	if (parsed != OPTS_ERROR && first < argc)
		err_set(&err, ERR_USAGE, "%s: unexpected argument (recipients are given with -d)", argv[first]);
	if (status)
		log_err("%s", err.class == ERR_NONE ? "failed" : err.text);
	return status;
}
