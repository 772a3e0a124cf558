/* SPDX-License-Identifier: ISC */
#include "checkpassword.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/xalloc.h"
#include "io/spawn.h"

enum {
	CHECKPASSWORD_ANSWER = 8192,
	CHECKPASSWORD_TIME = 30 * 1000
};

/* What runs at the chain's end, as the user: four lines say who that is. */
static const char reply_script[] = "printf '%s\\n' \"$USER\" \"$HOME\"; id -u; id -g";

static bool read_id(struct span *rest, uint32_t *out)
{
	uint64_t v;
	/* (uid_t)-1 is no user but "leave as is" to setuid(2). */
	if (!span_u64(span_cut(rest, '\n'), UINT32_MAX - 1, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

static int read_reply(struct arena *a, struct span asked, struct span rest, struct user *out, struct err *err)
{
	struct span name = span_cut(&rest, '\n'), home = span_cut(&rest, '\n');
	*out = (struct user){ .name = arena_span(a, name.n ? name : asked), .home = arena_span(a, home) };
	out->secret = out->mail = span_of("", 0);
	if (!read_id(&rest, &out->uid) || !read_id(&rest, &out->gid))
		return err_set(err, ERR_TEMP, "checkpassword: the command did not run the program it was given");
	return 0;
}

/* The chain's argv: CMD is the shell's, what follows it is its arguments. */
struct chain {
	char *script;
	const char *argv[8];
};

static void make_chain(struct chain *c, const char *command)
{
	c->script = xasprintf("exec 3<&0 0</dev/null; exec %s \"$@\"", command);
	const char *const argv[8] = { "/bin/sh", "-c", c->script, "checkpassword", "/bin/sh", "-c", reply_script,
		NULL };
	memcpy(c->argv, argv, sizeof argv);
}

int checkpassword_add(struct broker *b, const char *command, struct err *err)
{
	struct chain c;
	make_chain(&c, command);
	int index = broker_add(b, &(struct broker_command){ .argv = c.argv }, err);
	free(c.script);
	return index;
}

int checkpassword(const struct checkpassword *check, struct arena *a, struct span name, struct span password,
    struct user *out, struct err *err)
{
	struct buf in, answer;
	struct chain chain;
	/* A NUL would move the password's border. */
	if (memchr(name.p, 0, name.n) || memchr(password.p, 0, password.n))
		return err_set(err, ERR_ACCESS, "NUL in name or password");
	buf_init(&in, LIMIT_SECRET);
	buf_init(&answer, CHECKPASSWORD_ANSWER);
	buf_addspan(&in, name);
	buf_addc(&in, '\0');
	buf_addspan(&in, password);
	buf_add(&in, "\0001\0", 3); /* a timestamp nobody reads */
	make_chain(&chain, check->command);
	struct spawn sp = { .argv = chain.argv,
		.in = SPAWN_PIPE,
		.out = SPAWN_PIPE,
		.errfd = SPAWN_INHERIT,
		.broker = check->broker,
		.index = check->index };
	int rc = in.bad ? err_set(err, ERR_ACCESS, "name or password too long")
			: spawn_run(&sp, buf_span(&in), &answer, CHECKPASSWORD_TIME, err);
	/* The interface: 1 refused, 2 misused, 111 temporary, anything else is no answer. */
	if (rc == 0)
		rc = read_reply(a, name, buf_span(&answer), out, err);
	else if (rc == 1)
		rc = err_set(err, ERR_ACCESS, "checkpassword refused");
	else if (rc > 0)
		rc = err_set(err, ERR_TEMP, "checkpassword: exit status %d", rc);
	explicit_bzero(in.p, in.len);
	buf_free(&in);
	buf_free(&answer);
	free(chain.script);
	return rc;
}
