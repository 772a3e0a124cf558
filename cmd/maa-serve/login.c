/* SPDX-License-Identifier: ISC */
#include "maa.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "checkpassword.h"
#include "io/trace.h"
#include "maa_confine.h"
#include "msg/header.h"

enum {
	LOGIN_DELAY_MAX = 30 * 1000
};

void maa_session_end(struct maa_session *x)
{
	if (x->store)
		maildir_close(x->store);
	x->store = NULL;
	arena_free(x->arena);
	x->arena = NULL;
}

bool maa_plaintext_ok(const struct maa_session *x)
{
	return x->tls || x->c->allow_plaintext;
}

bool maa_stopping(const struct maa_session *x)
{
	return x->c->stopping && *x->c->stopping;
}

void maa_mechs(struct maa_session *x, struct buf *out)
{
	sasl_server_mechs(x->s, x->c->allow_plaintext, &x->sasl, x, out);
}

static enum users_result lookup(void *arg, struct span name, struct user *out, struct err *err)
{
	struct maa_session *x = arg;
	if (!x->c->users) {
		*out = (struct user){ .name = arena_span(x->arena, name), .uid = (uid_t)-1, .gid = (gid_t)-1 };
		out->secret = out->mail = span_of("", 0);
		out->home = span_str(x->c->home);
		return USERS_OK;
	}
	enum users_result r = users_lookup(x->c->users, x->arena, name, "", out, err);
	return r == USERS_OK && out->nologin ? USERS_UNKNOWN : r;
}

/* A confined process can't read what took the place of its users file; the next one will. */
static bool doubtful(void *arg)
{
	const struct maa_session *x = arg;
	return x->c->users && users_out_of_reach(x->c->users);
}

static int refuse(struct maa_session *x, const char *why, struct err *err)
{
	return doubtful(x) ? err_set(err, ERR_TEMP, "the users file was replaced, and is not read yet")
			   : err_set(err, ERR_ACCESS, "%s", why);
}

static bool verify_outside(void *arg, struct span name, struct span password, struct err *err)
{
	struct maa_session *x = arg;
	const struct checkpassword check = { x->c->checkpassword, x->c->broker, x->c->check };
	if (checkpassword(&check, x->arena, name, password, &x->user, err) < 0)
		return false;
	x->have_ids = true;
	return true;
}

static int token(void *arg, const struct sasl_token *t, struct buf *user, struct err *err)
{
	struct maa_session *x = arg;
	return sasl_proofs_token(&x->c->proofs, t, x->peer, user, err);
}

static bool certificate(void *arg, struct buf *user)
{
	struct maa_session *x = arg;
	return sasl_proofs_certificate(&x->c->proofs, x->s, user);
}

void maa_session_begin(struct maa_session *x, const struct maa_config *c, struct stream *s, const char *peer)
{
	*x = (struct maa_session){ .c = c, .s = s, .arena = arena_new(), .peer = peer, .tls = stream_tls(s) != NULL };
	x->sasl = (struct sasl_server_ops){ .lookup = c->users ? lookup : NULL,
		.verify = c->checkpassword ? verify_outside : NULL,
		.token = c->proofs.oauth.command ? token : NULL,
		.certificate = c->proofs.ask_client ? certificate : NULL,
		.doubtful = doubtful };
}

struct sasl_server *maa_sasl_new(struct maa_session *x, struct span mech)
{
	return sasl_server_new(mech, x->s, x->c->allow_plaintext, &x->sasl, x);
}

int maa_login(struct maa_session *x, struct span name, struct span password, struct err *err)
{
	struct user u = { .secret = span_of("", 0) };
	if (x->c->checkpassword) {
		if (!verify_outside(x, name, password, err))
			return -1;
		return maa_enter(x, x->user.name, err);
	}
	enum users_result r = x->c->users ? lookup(x, name, &u, err) : USERS_UNKNOWN;
	if (r == USERS_ERROR)
		return -1;
	/* The same work is done for an unknown user, so that time does not tell who exists. */
	bool ok = users_verify(r == USERS_OK ? u.secret : span_of("", 0), password);
	if (!ok || r != USERS_OK)
		return refuse(x, r == USERS_OK ? "wrong password" : "no such user", err);
	return maa_enter(x, u.name, err);
}

/* For good: the worker that serves this conversation ends with it. */
static int become(const struct user *u, struct err *err)
{
	if (geteuid() != 0 || u->uid == (uid_t)-1 || u->uid == 0)
		return 0;
	gid_t gid = u->gid == (gid_t)-1 ? (gid_t)u->uid : u->gid;
	durable_log_close();
	if (setgroups(1, &gid) < 0 || setgid(gid) < 0 || setuid(u->uid) < 0)
		return err_sys(err, "cannot become uid %u", (unsigned)u->uid);
	if (setuid(0) == 0)
		return err_set(err, ERR_BUG, "root came back");
	return 0;
}

static int open_store(struct maa_session *x, struct err *err)
{
	struct buf path;
	enum location_kind kind;
	buf_init(&path, LIMIT_CONFIG_LINE);
	struct span location = x->user.mail.n ? x->user.mail : x->c->mail;
	int rc = location_expand(location, &x->user, &kind, &path, err);
	if (rc == 0 && kind != LOCATION_MAILDIR)
		rc = err_set(err, ERR_CONFIG, "only a Maildir can be served");
	if (rc == 0 && !buf_cstr(&path))
		rc = err_set(err, ERR_DATA, "NUL in the mail location");
	if (rc == 0) {
		umask(077);
		/* Deliveries may have begun one since we looked: they are told what is removed here. */
		if (x->c->durable == DURABLE_FILE)
			rc = location_log(x->c->mail, x->c->durability, err);
	}
	if (rc == 0) {
		x->store = maildir_open(buf_cstr(&path), true, x->c->durable, err);
		rc = x->store ? 0 : -1;
	}
	if (rc == 0) {
		maildir_limit(x->store, x->user.quota);
		rc = maa_confine_to(x->c, path.p, err);
	}
	buf_free(&path);
	return rc;
}

int maa_enter(struct maa_session *x, struct span name, struct err *err)
{
	if (!x->have_ids) {
		enum users_result r = lookup(x, name, &x->user, err);
		if (r == USERS_UNKNOWN)
			return refuse(x, "no such user", err);
		if (r == USERS_ERROR)
			return -1;
	}
	if (become(&x->user, err) < 0 || open_store(x, err) < 0) {
		/* Whatever it was, it is not the user's password: they may try again. */
		if (err && err->class == ERR_ACCESS)
			err->class = ERR_TEMP;
		return -1;
	}
	return 0;
}

bool maa_login_result(struct maa_session *x, struct span name, const struct err *err)
{
	if (!err) {
		log_info("login user=%s peer=%s tls=%s", log_quote(name), x->peer, x->tls ? "yes" : "no");
		trace_why("auth", "ok", NULL, "%.*s logged in", SPAN_FMT(span_slice(name, 0, 100)));
		return false;
	}
	log_warn("login-refused user=%s peer=%s why=\"%s\"", log_quote(name), x->peer, err->text);
	trace_why(
	    "auth", err_result(err), NULL, "login of %.*s refused: %s", SPAN_FMT(span_slice(name, 0, 100)), err->text);
	int64_t delay = x->c->login_delay_ms << (x->refused < 5 ? x->refused : 5);
	x->refused++;
	if (delay > 0) {
		/* Replies to what went before must not wait for it. */
		stream_flush(x->s);
		poll(NULL, 0, (int)(delay < LOGIN_DELAY_MAX ? delay : LOGIN_DELAY_MAX));
	}
	return x->refused >= x->c->login_attempts;
}

int maa_starttls(struct maa_session *x, struct err *err)
{
	if (stream_flush(x->s) < 0)
		return err_set(err, ERR_TEMP, "the peer is gone");
	/* Refused while anything is still buffered: RFC 3501 11.1, RFC 2595 4. */
	if (tls_accept(x->s, x->c->tls, err) < 0)
		return -1;
	x->tls = true;
	const struct tls_info *info = stream_tls(x->s);
	char summary[128];
	snprintf(summary, sizeof summary, "%s %s", info->version, info->cipher);
	trace_tls(summary);
	trace_why("tls", "ok", NULL, "%s", summary);
	return 0;
}

void maa_trace_fetch(struct span content, uint32_t uid)
{
	struct header_field f;
	if (!trace_on())
		return;
	trace_mid(header_find(content, "Message-ID", &f) ? span_trim(f.value) : span_of("", 0));
	trace_why("fetch", "ok", NULL, "message with UID %u was handed out", (unsigned)uid);
	trace_mid(span_of("", 0));
}
