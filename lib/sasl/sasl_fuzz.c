/* SPDX-License-Identifier: ISC
 *
 * A client's messages to each of the server's mechanisms but SCRAM (scram_fuzz.c): the first byte chooses it, LF
 * separates the messages. Nobody gets in who did not show what the callbacks ask for.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "sasl/mech.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool shown;

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	(void)arg;
	(void)err;
	*out = (struct user){ .name = name, .secret = span_str("{PLAIN}sesame") };
	return name.n % 2 ? USERS_OK : USERS_UNKNOWN;
}

static int token(void *arg, const struct sasl_token *t, struct buf *user, struct err *err)
{
	(void)arg;
	if (!t->bearer.n || span_has_ctl(t->bearer) || span_has_ctl(t->user) || span_has_ctl(t->host) ||
	    span_has_ctl(t->port))
		abort();
	if (!span_eqs(t->bearer, "abc"))
		return err_set(err, ERR_ACCESS, "no");
	shown = true;
	buf_adds(user, "bob");
	return 0;
}

static bool certificate(void *arg, struct buf *user)
{
	(void)arg;
	buf_adds(user, "bob");
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sasl_server_ops ops = { .lookup = lookup, .token = token, .certificate = certificate };
	static const char *const names[] = { "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "CRAM-MD5" };
	enum {
		NAMES = sizeof names / sizeof *names
	};
	if (!size || data[0] < 'a' || data[0] >= 'a' + NAMES)
		return 0;
	const char *name = names[data[0] - 'a'];
	sasl_server_choose("PLAIN LOGIN OAUTHBEARER XOAUTH2 EXTERNAL CRAM-MD5", NULL);
	struct stream *s = stream_from_mem(SPAN(""), 0);
	struct span rest = span_of((const char *)data + 1, size - 1);
	struct sasl_server *x = sasl_server_new(span_str(name), s, true, &ops, NULL);
	struct buf out;
	enum sasl_result r = SASL_CONTINUE;
	buf_init(&out, LIMIT_SMTP_AUTH_LINE);
	shown = false;
	for (bool first = true; rest.n && r == SASL_CONTINUE; first = false) {
		struct err err = { 0 };
		bool begins = !first || !span_starts(rest, "\n");
		buf_reset(&out);
		r = sasl_server_step(x, begins, span_cut(&rest, '\n'), &out, &err);
		if ((r == SASL_FAIL) != (err.class != ERR_NONE) && !(r == SASL_CONTINUE && sasl_server_refused(x)))
			abort();
	}
	struct span user = sasl_server_user(x);
	if (r == SASL_OK &&
	    (!user.n || span_has_ctl(user) || (span_find(span_str(name), SPAN("OAUTH")) >= 0 && !shown)))
		abort();
	sasl_server_free(x);
	buf_free(&out);
	stream_close(s);
	return 0;
}
