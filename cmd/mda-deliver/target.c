/* SPDX-License-Identifier: ISC
 *
 * From an address to a place: the users file, or the system's own users, and the location.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "io/trace.h"
#include "mda-deliver/mda.h"
#include "msg/addr.h"
#include "store/maildir_name.h"

static int no_user(struct err *err)
{
	err_reply(err, 550, "5.1.1", "no such user");
	err->class = ERR_NOUSER;
	return -1;
}

static int from_file(struct mda *m, struct arena *a, struct span address, struct target *t, struct err *err)
{
	switch (users_lookup(m->users, a, address, m->o.delimiters, &t->user, err)) {
	case USERS_OK:
		return 0;
	case USERS_UNKNOWN:
		return m->confine && users_out_of_reach(m->users) ? mda_confine_retire(err) : no_user(err);
	case USERS_ERROR:
		break;
	}
	/* A users file that can't be read now may be mended: nobody is told that the user is unknown. */
	err->code = 451;
	snprintf(err->enh, sizeof err->enh, "4.3.5");
	return -1;
}

static void take_passwd(struct arena *a, const struct passwd *pw, struct target *t)
{
	t->user.home = arena_span(a, span_str(pw->pw_dir));
	t->user.uid = pw->pw_uid;
	t->user.gid = pw->pw_gid;
}

/* getpwnam found none: because there is none, or because it could not look. */
static int passwd_failed(int sys, struct err *err)
{
	if (!sys || sys == ENOENT || sys == ESRCH || sys == EBADF || sys == EPERM)
		return no_user(err);
	errno = sys;
	return err_sys(err, "looking up the user");
}

static struct span without_detail(struct span local, const char *delimiters, struct span *detail)
{
	for (size_t i = 1; i < local.n; i++) {
		if (!strchr(delimiters, local.p[i]))
			continue;
		*detail = span_from(local, i + 1);
		return span_slice(local, 0, i);
	}
	*detail = span_str("");
	return local;
}

static struct span local_part(struct span address)
{
	ptrdiff_t at = span_rchr(address, '@');
	return at < 0 ? address : span_slice(address, 0, (size_t)at);
}

/* Without a users file: a user of the system or, where --mail says where the mail of anybody is, any name. */
static int from_system(struct mda *m, struct arena *a, struct span address, struct target *t, struct err *err)
{
	struct span detail, local = local_part(address), name = without_detail(local, m->o.delimiters, &detail);
	char *text = arena_str(a, name);
	errno = 0;
	struct passwd *pw = strlen(text) == name.n && name.n ? getpwnam(text) : NULL;
	if (!pw && !m->o.mail)
		return passwd_failed(errno, err);
	struct span domain = m->o.mail ? span_from(address, local.n) : span_str("");
	t->user.name = span_str(arena_printf(a, "%s%.*s", text, SPAN_FMT(domain)));
	if (pw)
		take_passwd(a, pw, t);
	return 0;
}

/* Whoever started us: his own mail. */
static int from_self(struct arena *a, struct target *t, struct err *err)
{
	errno = 0;
	struct passwd *pw = getpwuid(getuid());
	if (!pw)
		return passwd_failed(errno, err);
	t->rcpt = t->user.name = arena_span(a, span_str(pw->pw_name));
	take_passwd(a, pw, t);
	return 0;
}

static int find_place(struct mda *m, struct arena *a, struct target *t, struct err *err)
{
	struct buf path;
	struct span location = t->user.mail.n ? t->user.mail : span_str(m->o.mail ? m->o.mail : "maildir:~/Maildir");
	buf_init(&path, 4096);
	int rc = location_expand(location, &t->user, &t->kind, &path, err);
	if (rc == 0)
		t->path = arena_str(a, buf_span(&path));
	else if (err->class == ERR_DATA)
		no_user(err); /* a name that would lead out of its directory is nobody's */
	buf_free(&path);
	return rc;
}

/* What a stranger writes behind the '+' need not be a mailbox's name; no mail is lost by that. */
static bool may_name_mailbox(struct span detail)
{
	struct buf entry;
	buf_init(&entry, LIMIT_SMTP_PATH);
	bool ok = detail.n && maildir_folder_to_disk(detail, &entry, NULL) == 0;
	buf_free(&entry);
	return ok;
}

static void choose_mailbox(const struct mda *m, struct arena *a, struct target *t)
{
	struct span detail;
	t->mailbox = span_str(m->o.mailbox && *m->o.mailbox ? m->o.mailbox : "INBOX");
	if (!m->o.detail_mailbox || m->o.mailbox)
		return;
	without_detail(local_part(addr_unquoted(t->rcpt, a)), m->o.delimiters, &detail);
	if (may_name_mailbox(detail))
		t->mailbox = detail;
}

/* A mount that failed leaves an empty directory: what is delivered below it would be lost to sight when the mount is
 * back. */
static int check_store(const struct mda *m, struct err *err)
{
	if (!m->o.store_id || access(m->o.store_id, F_OK) == 0)
		return 0;
	err_sys(err, "%s (--store-id)", m->o.store_id);
	err->class = ERR_TEMP;
	return -1;
}

int target_find(struct mda *m, struct arena *a, struct span address, struct target *t, struct err *err)
{
	*t = (struct target){ .uid = (uid_t)-1, .gid = (gid_t)-1, .rcpt = arena_span(a, address), .place = "" };
	address = addr_unquoted(t->rcpt, a);
	t->user = (struct user){ .name = address,
		.home = span_str(""),
		.mail = span_str(""),
		.secret = span_str(""),
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	if (check_store(m, err) < 0)
		return -1;
	if (action_is(m, address))
		return action_find(m, a, address, t, err);
	int rc = !address.n ? from_self(a, t, err)
		 : m->users ? from_file(m, a, address, t, err)
			    : from_system(m, a, address, t, err);
	if (rc < 0 || find_place(m, a, t, err) < 0)
		return -1;
	if (!t->user.quota)
		t->user.quota = m->o.quota;
	if (geteuid() == 0 && t->user.uid != (uid_t)-1 && t->user.uid != 0) {
		t->uid = t->user.uid;
		t->gid = t->user.gid != (gid_t)-1 ? t->user.gid : (gid_t)t->user.uid;
	}
	choose_mailbox(m, a, t);
	return 0;
}

void target_report(const struct target *t, struct span sender)
{
	const char *rcpt = log_quote(t->rcpt), *from = log_quote(sender);
	if (t->err.class != ERR_NONE) {
		log_warn("refused rcpt=%s sender=%s result=%s why=%s", rcpt, from, err_result(&t->err),
		    log_quote(span_str(t->err.text)));
		return;
	}
	log_info("stored rcpt=%s sender=%s mailbox=%s file=%s", rcpt, from, log_quote(t->mailbox),
	    log_quote(span_str(*t->place ? t->place : t->path)));
	trace_why("store", "ok", NULL, "<%.*s>: %.*s %s", SPAN_FMT(t->rcpt), SPAN_FMT(t->mailbox),
	    *t->place ? t->place : t->path);
}
