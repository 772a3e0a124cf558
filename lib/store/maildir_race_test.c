/* SPDX-License-Identifier: ISC
 *
 * Several processes deliver, append with UIDs, select, change flags and expunge in one folder at once. Afterwards: no
 * message that was not expunged is missing, each UID belongs to one message, and each UID told by a commit leads to the
 * message it was told for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "store/maildir.h"

enum {
	DELIVERERS = 3,
	READERS = 2,
	EACH = 150,
};

static char root[64];
/* Shared: the UID told for each message, 0 when none was asked for. */
static uint32_t *told;

static struct maildir *open_or_die(void)
{
	struct err err = { 0 };
	struct maildir *m = maildir_open(root, true, DURABLE_NONE, &err);
	if (!m) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	return m;
}

static void check(bool ok, const char *what, const struct err *err)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, err->text);
	_exit(1);
}

static void deliverer(unsigned who)
{
	struct maildir *m = open_or_die();
	struct err err = { 0 };
	for (unsigned i = 0; i < EACH; i++) {
		char text[32];
		unsigned id = who * EACH + i;
		struct maildir_commit c = { .want_uid = i % 3 == 0 };
		struct maildir_writer *w = maildir_begin(m, SPAN("INBOX"), &err);
		check(w != NULL, "begin", &err);
		snprintf(text, sizeof text, "message %u\r\n", id);
		maildir_write(w, span_str(text));
		check(maildir_commit(w, &c, &err) == 0, "commit", &err);
		check(!c.want_uid || c.uid, "no UID was allotted", &err);
		told[id] = c.uid;
		free(c.name);
	}
	maildir_close(m);
	_exit(0);
}

static unsigned id_of(struct span content)
{
	uint64_t id = UINT64_MAX;
	span_u64(span_trim(span_from(content, 8)), UINT32_MAX, &id);
	return (unsigned)id;
}

/* Looks at everything again and again; each message keeps its content under its UID as long as the folder is open. */
static void reader(unsigned who)
{
	struct maildir *m = open_or_die();
	struct err err = { 0 };
	static unsigned seen[DELIVERERS * EACH * 2];
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), who == 1, &err);
	check(f != NULL, "select", &err);
	for (int i = 0; i < 150; i++) {
		check(maildir_rescan(f, &err) >= 0, "rescan", &err);
		uint32_t last = 0;
		for (size_t k = 0; k < f->n; k++) {
			struct span content;
			check(f->msg[k].uid > last, "UIDs do not ascend", &err);
			last = f->msg[k].uid;
			if (f->msg[k].gone || (k + (size_t)i) % 5)
				continue;
			check(maildir_content(f, &f->msg[k], &content, &err) == 0, "content", &err);
			unsigned id = id_of(content) + 1;
			check(
			    last < sizeof seen / sizeof *seen && (!seen[last] || seen[last] == id), "UID moved", &err);
			seen[last] = id;
			if (who == 0)
				check(maildir_set_flags(f, &f->msg[k], f->msg[k].flags ^ FLAG_SEEN, 0, &err) == 0,
				    "flags", &err);
		}
		for (size_t k = 0; k < f->n; k++)
			check(!f->msg[k].gone, "a message vanished", &err);
	}
	maildir_deselect(f);
	maildir_close(m);
	_exit(0);
}

static void nothing_is_lost(void **state)
{
	(void)state;
	pid_t pid[DELIVERERS + READERS];
	static unsigned times[DELIVERERS * EACH];
	for (unsigned i = 0; i < DELIVERERS + READERS; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (i < DELIVERERS && pid[i] == 0)
			deliverer(i);
		if (pid[i] == 0)
			reader(i - DELIVERERS);
	}
	for (unsigned i = 0; i < DELIVERERS + READERS; i++) {
		int status;
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	struct maildir *m = open_or_die();
	struct err err = { 0 };
	struct maildir_folder *f = maildir_select(m, SPAN("INBOX"), true, &err);
	assert_non_null(f);
	assert_int_equal(f->n, DELIVERERS * EACH);
	for (size_t i = 0; i < f->n; i++) {
		struct span content;
		assert_int_equal(maildir_content(f, &f->msg[i], &content, &err), 0);
		unsigned id = id_of(content);
		assert_true(id < DELIVERERS * EACH);
		assert_int_equal(times[id]++, 0);
		if (told[id])
			assert_int_equal(told[id], f->msg[i].uid);
	}
	/* No gaps either: no UID was given to something that is not there. */
	assert_int_equal(f->uidnext, DELIVERERS * EACH + 1);
	maildir_deselect(f);
	maildir_close(m);
}

int main(void)
{
	snprintf(root, sizeof root, "/tmp/waypost-race-XXXXXX");
	told = mmap(NULL, DELIVERERS * EACH * sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!mkdtemp(root) || told == MAP_FAILED)
		return 1;
	const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_lost) };
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	char *command = xasprintf("rm -rf '%s'", root);
	if (system(command) != 0)
		rc = 1;
	free(command);
	return rc;
}
