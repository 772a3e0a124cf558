/* SPDX-License-Identifier: ISC
 *
 * For tests and fuzz targets only: a Maildir of its own with fixed UIDs and UIDVALIDITY, and a users file with bob,
 * password sesame. What fails aborts.
 */
#ifndef WP_MAA_SERVE_TESTBED_H
#define WP_MAA_SERVE_TESTBED_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	TESTBED_TIME = 1700000000
};

struct testbed_mail {
	char name[40]; /* in cur/ */
	struct span text;
};
struct testbed {
	char root[32], mail[64], users[64]; /* mail: a LOCATION */
};

static inline void testbed_file(const char *path, struct span text)
{
	struct timespec when[2] = { { .tv_sec = TESTBED_TIME }, { .tv_sec = TESTBED_TIME } };
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || futimens(fd, when) < 0)
		abort();
	close(fd);
}

/* The mail has the UIDs from 1, in order. */
static inline void testbed_make(struct testbed *t, const struct testbed_mail *mail, size_t n)
{
	static const char *const dirs[] = { "", "/cur", "/new", "/tmp" };
	struct buf list;
	char path[320];
	snprintf(t->root, sizeof t->root, "/tmp/testbed.XXXXXX");
	if (!mkdtemp(t->root))
		abort();
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/m%s", t->root, dirs[i]);
		if (mkdir(path, 0700) < 0)
			abort();
	}
	buf_init(&list, 1 << 20);
	buf_addf(&list, "3 V%d N%zu G00112233445566778899aabbccddeeff\n", TESTBED_TIME, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct span name = span_str(mail[i].name), base = span_cut(&name, ':');
		buf_addf(&list, "%zu :%.*s\n", i + 1, SPAN_FMT(base));
		snprintf(path, sizeof path, "%s/m/cur/%s", t->root, mail[i].name);
		testbed_file(path, mail[i].text);
	}
	snprintf(path, sizeof path, "%s/m/dovecot-uidlist", t->root);
	testbed_file(path, buf_span(&list));
	buf_free(&list);
	snprintf(t->mail, sizeof t->mail, "maildir:%s/m", t->root);
	snprintf(t->users, sizeof t->users, "%s/users", t->root);
	testbed_file(t->users, SPAN("bob:{PLAIN}sesame\n"));
}

static inline int testbed_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void testbed_remove(struct testbed *t)
{
	nftw(t->root, testbed_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
