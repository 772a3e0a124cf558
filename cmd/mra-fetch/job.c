/* SPDX-License-Identifier: ISC */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "dns/dns.h"
#include "io/secret.h"
#include "io/trace.h"
#include "mra-fetch/fetch.h"
#include "store/mutf7.h"

static const struct scheme {
	const char *name;
	bool imap, tls;
	uint16_t port;
} schemes[] = {
	{ "imap", true, false, 143 },
	{ "imaps", true, true, 993 },
	{ "pop3", false, false, 110 },
	{ "pop3s", false, true, 995 },
};

/* ---- preparing ---- */

static int read_url(struct job *j, struct err *err)
{
	if (!j->o->url)
		return err_set(err, ERR_USAGE, "from where? Give imaps://USER@HOST/MAILBOX or pop3s://USER@HOST");
	if (url_parse(j->o->url, &j->url, err))
		return -1;
	const struct scheme *s = NULL;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (span_ieqs(span_str(j->url.scheme), schemes[i].name))
			s = &schemes[i];
	if (!s)
		return err_set(err, ERR_USAGE, "'%s' is neither imap, imaps, pop3 nor pop3s", j->url.scheme);
	j->imap = s->imap;
	j->implicit_tls = s->tls;
	j->port = j->url.port ? j->url.port : s->port;
	buf_adds(&j->user, j->url.user);
	struct net_addr literal;
	if (net_addr_parse(j->url.host, 0, &literal))
		buf_adds(&j->host, j->url.host);
	else if (!dns_to_ascii(span_str(j->url.host), &j->host))
		return err_set(err, ERR_USAGE, "'%s' is no host name", j->url.host);
	if (!mutf7_encode(span_str(j->url.path[0] ? j->url.path : "INBOX"), &j->mailbox))
		return err_set(err, ERR_USAGE, "the mailbox name is not UTF-8");
	if (!j->imap && j->url.path[0])
		return err_set(err, ERR_USAGE, "POP3 has no mailboxes: '/%s'", j->url.path);
	if (!j->imap && j->o->idle)
		return err_set(err, ERR_USAGE, "--idle needs IMAP");
	return 0;
}

/* A name that is a file's in any file system: other bytes than letters, digits, '.', '-' as %XX. */
static void add_escaped(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (ascii_isalnum(s.p[i]) || s.p[i] == '-' || (s.p[i] == '.' && i > 0))
			buf_addc(out, s.p[i]);
		else
			buf_addf(out, "%%%02X", (unsigned)(unsigned char)s.p[i]);
	}
}

/* One state for each account, mailbox and destination: a second destination gets all of it too. */
static int open_state(struct job *j, struct err *err)
{
	struct buf name, path;
	buf_init(&name, LIMIT_SMTP_PATH * 8);
	buf_init(&path, LIMIT_SMTP_PATH * 32);
	buf_addf(&name, "%s://%s@%s:%u/%s %s", j->imap ? "imap" : "pop3", j->user.p, j->host.p, (unsigned)j->port,
	    j->imap ? j->mailbox.p : "", j->o->to);
	if (j->o->state) {
		buf_adds(&path, j->o->state);
	} else {
		const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
		buf_addf(&path, "%s%s/waypost/fetch-",
		    xdg && *xdg ? xdg
		    : home      ? home
				: ".",
		    xdg && *xdg ? "" : "/.local/state");
		size_t start = path.len;
		add_escaped(&path, buf_span(&name));
		if (path.len - start > 200) { /* NAME_MAX, with what durable and the lock add */
			buf_truncate(&path, start + 180);
			buf_addf(&path, "-%016llx", (unsigned long long)span_hash(SPAN_HASH, buf_span(&name)));
		}
	}
	int rc = name.bad || path.bad || span_has_ctl(buf_span(&name))
		     ? err_set(err, ERR_USAGE, "names too long, or with a line end, for a state file")
		     : 0;
	if (rc == 0 && !(j->state = state_open(path.p, name.p, err)))
		rc = -1;
	buf_free(&name);
	buf_free(&path);
	return rc;
}

static int open_dest(struct job *j, struct err *err)
{
	static char host[256];
	if (gethostname(host, sizeof host - 1))
		snprintf(host, sizeof host, "localhost");
	struct dest_config c = { .spec = j->o->to,
		.rcpt = j->o->rcpt.v,
		.n_rcpt = j->o->rcpt.n,
		.helo = host,
		.tls_ca = j->o->tls_ca,
		.fallback = j->user.p,
		.timeout_ms = 30 * 60 * 1000,
		.broker = j->broker };
	return (j->dest = dest_open(&c, err)) ? 0 : -1;
}

static int open_tls(struct job *j, struct err *err)
{
	const char *const *alpn =
	    j->imap ? (const char *const[]){ "imap", NULL } : (const char *const[]){ "pop3", NULL };
	struct tls_client_config c = { .verify = TLS_VERIFY_NAME,
		.ca_file = j->o->tls_ca,
		.cert_file = j->o->tls_cert,
		.key_file = j->o->tls_key,
		.alpn = alpn,
		.fingerprint = j->o->tls_fingerprint };
	return (j->tls = tls_client_new(&c, err)) ? 0 : -1;
}

static int find_secret(struct job *j, struct err *err)
{
	/* Confined, by the broker; until then as always, with the terminal as its stdin. */
	const struct broker *by = j->confined ? j->broker : NULL;
	struct secret_source src = { .command = j->o->password_command,
		.broker = by,
		.index = by ? broker_find(by, j->o->password_command) : -1,
		.netrc = j->o->netrc,
		.host = j->host.p,
		.none = j->o->auth && span_ieqs(span_str(j->o->auth), "EXTERNAL") };
	return secret_find(&src, &j->user, &j->password, err);
}

int job_open(struct job *j, const struct fetch_options *o, struct err *err)
{
	*j = (struct job){ .o = o };
	buf_init(&j->user, LIMIT_SMTP_PATH);
	buf_init(&j->password, LIMIT_SECRET);
	buf_init(&j->host, LIMIT_SMTP_PATH);
	buf_init(&j->mailbox, LIMIT_SMTP_PATH);
	if (o->keep && o->delete)
		return err_set(err, ERR_USAGE, "--keep and --delete exclude each other");
	if (!o->to)
		return err_set(
		    err, ERR_USAGE, "where to? Give --to=maildir:DIR, mbox:FILE, '|COMMAND', lmtp:... or smtp://...");
	if (read_url(j, err) || job_prepare_commands(j, err) || open_tls(j, err) || find_secret(j, err))
		return -1;
	return open_dest(j, err) || open_state(j, err) || job_confine(j, err) ? -1 : 0;
}

void job_close(struct job *j)
{
	dest_close(j->dest);
	state_close(j->state);
	tls_ctx_free(j->tls);
	broker_free(j->broker);
	url_free(&j->url);
	explicit_bzero(j->password.p, j->password.len);
	buf_free(&j->password);
	buf_free(&j->user);
	buf_free(&j->host);
	buf_free(&j->mailbox);
}

/* ---- messages ---- */

void job_report(const struct job *j, const char *uid, uint64_t size, const char *result, const char *why)
{
	if (!j->o->json) {
		if (j->o->check)
			printf("%s %llu\n", uid, (unsigned long long)size);
		return;
	}
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s*}", "url", j->o->url, "mailbox", j->mailbox.p, "uid", uid,
	    "size", (json_int_t)size, "result", result, "why", why);
	if (o && json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	json_decref(o);
	fflush(stdout);
}

bool job_too_large(struct job *j, const char *uid, uint64_t size)
{
	if (!j->o->max_size || size <= j->o->max_size)
		return false;
	log_warn("fetch uid=%s size=%llu result=skipped why=\"larger than --max-size\"", uid, (unsigned long long)size);
	j->too_large++;
	return true;
}

bool job_limit_reached(const struct job *j, size_t planned)
{
	return j->o->limit && j->fetched + j->refused + planned >= j->o->limit;
}

int job_commit(struct job *j, const struct dest_meta *meta, bool *safe, struct err *err)
{
	trace_mid(dest_message_id(j->dest));
	unsigned long long size = dest_size(j->dest);
	trace_why("fetch", "ok", NULL, "message %s, %llu bytes", meta->uid, size);
	struct err why = { 0 };
	int rc = dest_commit(j->dest, meta, &why);
	*safe = rc == 0;
	trace_why("store", rc ? err_result(&why) : "ok", NULL, "%s%s%s", dest_name(j->dest), rc ? ": " : "",
	    rc ? why.text : "");
	trace_mid(SPAN(""));
	job_report(j, meta->uid, size, rc ? err_result(&why) : "ok", rc ? why.text : NULL);
	if (rc == 0) {
		j->fetched++;
		j->bytes += size;
		return 0;
	}
	j->refused++;
	j->refusal = why;
	log_warn("store uid=%s to=%s result=%s why=\"%s\"", meta->uid, dest_name(j->dest), err_result(&why), why.text);
	/* This one only, or does the destination fail? */
	if (why.class == ERR_PERM || why.class == ERR_DATA || why.class == ERR_LIMIT)
		return 0;
	*err = why;
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int job_save(struct job *j, bool now, struct err *err)
{
	if (!now && state_unsaved(j->state) < FETCH_SAVE_EVERY && now_ms() - j->saved_at < FETCH_SAVE_MS)
		return 0;
	j->saved_at = now_ms();
	return state_save(j->state, err);
}

/* ---- a connection ---- */

int job_run(struct job *j, struct err *err)
{
	char peer[300];
	struct net_addr got;
	if (j->logged_in && j->o->password_command && find_secret(j, err)) /* a token may have run out */
		return -1;
	j->logged_in = false;
	snprintf(peer, sizeof peer, "%.255s:%u", j->host.p, (unsigned)j->port);
	trace_begin(peer);
	int fd = net_connect_host(j->host.p, j->port, TIME_CONNECT, &got, err);
	trace_why("conn.open", fd < 0 ? err_result(err) : "ok", NULL, "%s", fd < 0 ? err->text : peer);
	if (fd < 0) {
		trace_end();
		return -1;
	}
	struct stream *s = stream_from_fds(fd, fd);
	stream_set_timeout(s, j->o->timeout);
	struct sasl_client_config auth = { .user = j->user.p,
		.password = j->password.p,
		.host = j->host.p,
		.port = j->port,
		.mech = j->o->auth,
		.allow_plaintext = j->o->allow_plaintext };
	int rc = j->imap ? fetch_imap(j, s, &auth, err) : fetch_pop3(j, s, &auth, err);
	trace_end();
	return rc;
}
