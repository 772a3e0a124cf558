/* SPDX-License-Identifier: ISC */
#include "mta-relay/spool/spool_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/xalloc.h"
#include "mta-relay/spool/spool_msg.h"

struct spool_walk {
	DIR *dir;
	bool held;
};

struct spool_walk *spool_walk_open(struct spool *s, const char *folder, struct err *err)
{
	char *path = xasprintf("%s/%s", s->dir, folder);
	DIR *dir = opendir(path);
	struct spool_walk *w = dir ? xcalloc(1, sizeof *w) : NULL;
	if (w)
		*w = (struct spool_walk){ .dir = dir, .held = strcmp(folder, "hold") == 0 };
	else
		err_sys(err, "%s", path);
	free(path);
	return w;
}

int spool_walk_name(struct spool_walk *w, struct spool_entry *out)
{
	const struct dirent *de;
	while ((de = readdir(w->dir)) && !spool_id_ok(de->d_name))
		continue;
	if (de)
		*out = (struct spool_entry){ .id = de->d_name, .held = w->held };
	return de ? 1 : 0;
}

int spool_walk_next(struct spool_walk *w, struct spool_entry *out)
{
	struct stat st;
	while (spool_walk_name(w, out)) {
		if (fstatat(dirfd(w->dir), out->id, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		out->due = st.st_mtime;
		out->size = st.st_size;
		out->changed = st.st_ctim;
		return 1;
	}
	return 0;
}

void spool_walk_close(struct spool_walk *w)
{
	if (w)
		closedir(w->dir);
	free(w);
}
