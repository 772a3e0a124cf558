/* SPDX-License-Identifier: ISC
 *
 * Landlock's rules can only become fewer. So all mail is in the first ones, since anybody may log in, and when somebody
 * has, the process lays a second ring around his: it then serves nobody else, and ends with the conversation.
 */
#include "maa_confine.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/xalloc.h"

int maa_confine_set_up(struct maa_confine *m, const struct maa_confine_options *o, const char *users, struct err *err)
{
	*m = (struct maa_confine){ .o = o, .users = users };
	if (o->confine.mode == CONFINE_OFF)
		return 0;
	m->broker = broker_new();
	return confine_check(o->confine.mode, err);
}

static void allow_mail(struct maa_confine *m, const struct maa_config *c)
{
	struct user only = { .name = span_str(c->preauth ? c->preauth : ""), .home = span_str(c->home ? c->home : "") };
	only.mail = only.secret = SPAN("");
	places_allow(&(struct places){ .location = c->mail,
			 .users = c->users,
			 .only = c->preauth && !c->checkpassword ? &only : NULL,
			 .more = &m->o->places.more,
			 .others = PLACES_ANYWHERE },
	    m->rules);
}

void maa_confine_prepare(struct maa_confine *m, const struct maa_config *c)
{
	if (m->o->confine.mode == CONFINE_OFF)
		return;
	confine_rules_free(m->rules);
	m->rules = confine_rules_new();
	confine_allow_path(m->rules, m->users, CONFINE_READ | CONFINE_REPLACED);
	/* The state of a commit log that is still to be opened (io/durable/durable_log.h). */
	if (c->durable == DURABLE_FILE)
		confine_allow_path(m->rules, "/dev/shm", CONFINE_ALL);
	confine_allow_calls(m->rules, CONFINE_FURTHER | (geteuid() == 0 ? (unsigned)CONFINE_IDS : 0));
	allow_mail(m, c);
	m->how = (struct confine){ .mode = m->o->confine.mode, .rules = m->rules, .memory = m->o->confine.memory };
	confine_prepare(m->rules);
}

bool maa_confine_stale(struct maa_confine *m, const struct maa_config *c)
{
	struct err ignored;
	if (m->o->confine.mode == CONFINE_OFF)
		return false;
	/* A row may have a place that none had; a bad file is told at the next login. */
	bool rows = c->users && users_refresh(c->users, &ignored) > 0;
	return confine_replaced(m->rules) || rows;
}

int maa_confine_worker(struct maa_confine *m, struct err *err)
{
	if (m->o->confine.mode == CONFINE_OFF)
		return 0;
	if (broker_attach(m->broker, NULL, 0, err) < 0)
		return -1;
	return confine(&m->how, err);
}

void maa_confine_clean_up(struct maa_confine *m)
{
	broker_free(m->broker);
	confine_rules_free(m->rules);
	m->broker = NULL;
	m->rules = NULL;
}

/* Folders may be symbolic links to elsewhere: of what was in reach before, it still is. */
static void allow_links(struct confine_rules *r, const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct stat st;
		if (e->d_type != DT_LNK && e->d_type != DT_UNKNOWN)
			continue;
		char *entry = xasprintf("%s/%s", path, e->d_name);
		if (lstat(entry, &st) == 0 && S_ISLNK(st.st_mode))
			confine_allow_path(r, entry, CONFINE_ALL);
		free(entry);
	}
	if (d)
		closedir(d);
}

/* The commit log is all users' whose mail this process could have served. */
static void allow_log(struct confine_rules *r, struct span location)
{
	struct buf path;
	buf_init(&path, 4096);
	if (durable_log_is_open() && location_root(location, &path)) {
		buf_adds(&path, "/waypost-log");
		confine_allow_path(r, buf_cstr(&path), CONFINE_ALL);
		confine_allow_path(r, "/dev/shm", CONFINE_ALL);
	}
	buf_free(&path);
}

int maa_confine_to(const struct maa_config *c, const char *path, struct err *err)
{
	if (!c->confined)
		return 0;
	struct confine_rules *r = confine_rules_new();
	confine_allow_path(r, path, CONFINE_ALL);
	allow_links(r, path);
	allow_log(r, c->mail);
	int rc = confine_narrow(r, err);
	confine_rules_free(r);
	/* No command is needed any more. */
	if (rc == 0 && c->broker && broker_fd(c->broker) >= 0)
		broker_leave(c->broker);
	return rc;
}
