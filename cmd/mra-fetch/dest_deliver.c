/* SPDX-License-Identifier: ISC
 *
 * A spooled message on its way: into an mbox, a command, or an SMTP or LMTP server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "io/broker.h"
#include "io/confine/confine.h"
#include "io/net.h"
#include "io/spawn.h"
#include "mra-fetch/dest_int.h"
#include "msg/addr.h"
#include "msg/header.h"
#include "store/mbox.h"

/* ---- the spool in memory ---- */

static int map(int fd, struct span *out, struct err *err)
{
	struct stat st;
	*out = SPAN("");
	if (fstat(fd, &st))
		return err_sys(err, "temporary file");
	if (st.st_size == 0)
		return 0;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(err, "temporary file");
	*out = span_of(p, (size_t)st.st_size);
	return 0;
}

static void unmap(struct span s)
{
	if (s.n)
		munmap((void *)(uintptr_t)s.p, s.n);
}

/* What the last delivery put into Return-Path; "" when there is none: bounces then go nowhere, rather than astray. */
static void sender_of(const struct dest *d, struct buf *out)
{
	struct header_field f;
	struct span path = { "", 0 };
	if (header_find(buf_span(&d->head), "Return-Path", &f))
		path = span_trim(f.value);
	if (span_starts(path, "<") && span_ends(path, ">"))
		path = span_slice(path, 1, path.n - 1);
	if (!span_has_ctl(path) && span_chr(path, ' ') < 0 && span_chr(path, '<') < 0 && span_chr(path, '>') < 0)
		buf_addspan(out, path);
}

/* ---- mbox ---- */

int dest_to_mbox(struct dest *d, const struct dest_meta *meta, struct err *err)
{
	struct buf sender;
	struct span message;
	if (map(d->spool, &message, err))
		return -1;
	buf_init(&sender, LIMIT_SMTP_PATH);
	sender_of(d, &sender);
	struct mbox_append how = { .sender = buf_span(&sender), .when = meta->date ? meta->date : time(NULL) };
	int rc = mbox_append(d->target, &how, message, err);
	buf_free(&sender);
	unmap(message);
	return rc;
}

/* ---- a command ---- */

/* Only what the command says for good is for good: everything else is tried again. */
static enum err_class class_of_status(int status)
{
	switch (status) {
	case EX_DATAERR:
	case EX_NOUSER:
	case EX_NOHOST:
	case EX_UNAVAILABLE:
	case EX_NOPERM:
		return ERR_PERM;
	default:
		return ERR_TEMP;
	}
}

int dest_to_command(struct dest *d, const struct dest_meta *meta, struct err *err)
{
	struct child child;
	struct buf sender;
	char env_uid[256], env_sender[LIMIT_SMTP_PATH + 16];
	buf_init(&sender, LIMIT_SMTP_PATH);
	sender_of(d, &sender);
	snprintf(env_uid, sizeof env_uid, "UID_ON_SERVER=%s", meta->uid);
	snprintf(env_sender, sizeof env_sender, "SENDER=%s", sender.p);
	buf_free(&sender);
	if (lseek(d->spool, 0, SEEK_SET) < 0)
		return err_sys(err, "temporary file");
	/* The whole message is a file on the command's stdin: our death cannot cut it off. */
	struct spawn sp = { .command = d->target,
		.in = d->spool,
		.out = STDERR_FILENO,
		.errfd = SPAWN_INHERIT,
		.env = (const char *const[]){ env_uid, env_sender, NULL },
		.broker = d->config.broker };
	if (sp.broker)
		sp.index = broker_find(sp.broker, d->target);
	if (spawn_start(&sp, &child, err))
		return -1;
	int status = spawn_wait(&child, d->config.timeout_ms, err);
	if (status < 0)
		return -1;
	if (status)
		err_set(err, class_of_status(status), "the command ended with status %d", status);
	return status ? -1 : 0;
}

/* ---- SMTP and LMTP ---- */

static int connect_to(const struct dest *d, char host[256], struct err *err)
{
	uint16_t port;
	if (d->lmtp && span_starts(span_str(d->target), "unix:")) {
		snprintf(host, 256, "localhost");
		return net_connect_unix(d->target + 5, TIME_CONNECT, err);
	}
	if (net_split_port(d->target, d->lmtp ? 24 : 25, host, &port, err))
		return -1;
	return net_connect_host(host, port, TIME_CONNECT, NULL, err);
}

void dest_allow_server(const struct dest *d, struct confine_rules *r)
{
	char host[256];
	uint16_t port;
	if (d->lmtp && span_starts(span_str(d->target), "unix:"))
		return;
	if (net_split_port(d->target, d->lmtp ? 24 : 25, host, &port, NULL) == 0)
		confine_allow_connect(r, port);
	confine_allow_names(r);
	confine_allow_path(r, d->config.tls_ca, CONFINE_READ);
}

static struct tls_ctx *tls_for(struct dest *d, struct err *err)
{
	/* Towards a relay that the user named: TLS when it is offered, checked only when a CA was given. */
	struct tls_client_config tc = { .verify = d->config.tls_ca ? TLS_VERIFY_NAME : TLS_VERIFY_NONE,
		.ca_file = d->config.tls_ca };
	if (!d->tls)
		d->tls = tls_client_new(&tc, err);
	return d->tls;
}

static int open_smtp(struct dest *d, struct err *err)
{
	char host[256];
	if (d->smtp && smtp_client_alive(d->smtp))
		return 0;
	smtp_client_close(d->smtp, false);
	d->smtp = NULL;
	int fd = tls_for(d, err) ? connect_to(d, host, err) : -1;
	if (fd < 0)
		return err_prefix(err, "%s", d->config.spec);
	struct smtp_client_config c = { .lmtp = d->lmtp,
		.helo = d->config.helo,
		.host = host,
		.tls = d->tls,
		.starttls = d->lmtp ? STARTTLS_NEVER : STARTTLS_TRY };
	d->smtp = smtp_client_open(stream_from_fds(fd, fd), &c, err);
	return d->smtp ? 0 : err_prefix(err, "%s", d->config.spec);
}

struct whole {
	struct span rest;
};

static int read_whole(void *arg, struct span *out, struct err *err)
{
	struct whole *w = arg;
	(void)err;
	*out = w->rest;
	w->rest = SPAN("");
	return out->n > 0;
}

static bool has_eightbit(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

/* Any recipient that was refused means that the message is not done with. */
static int judge(const struct smtp_message *m, struct err *err)
{
	for (size_t i = 0; i < m->n_rcpt; i++) {
		if (m->rcpt[i].result.class == ERR_NONE)
			continue;
		*err = m->rcpt[i].result;
		return err_prefix(err, "<%s>", m->rcpt[i].address);
	}
	return 0;
}

int dest_to_smtp(struct dest *d, const struct dest_meta *meta, struct err *err)
{
	(void)meta;
	struct buf sender;
	struct whole w;
	struct smtp_rcpt *rcpt = calloc(d->config.n_rcpt + 1, sizeof *rcpt);
	if (!rcpt)
		return err_sys(err, "recipients");
	for (size_t i = 0; i < d->config.n_rcpt; i++)
		rcpt[i].address = d->config.rcpt[i];
	if (!d->config.n_rcpt)
		rcpt[0].address = d->config.fallback;
	int rc = open_smtp(d, err) || map(d->spool, &w.rest, err) ? -1 : 0;
	if (rc == 0) {
		struct span message = w.rest;
		buf_init(&sender, LIMIT_SMTP_PATH);
		sender_of(d, &sender);
		struct smtp_message m = { .from = sender.p,
			.rcpt = rcpt,
			.read = read_whole,
			.arg = &w,
			.n_rcpt = d->config.n_rcpt ? d->config.n_rcpt : 1,
			.eightbit = has_eightbit(message),
			.size = message.n };
		rc = smtp_client_send(d->smtp, &m, err) ? -1 : judge(&m, err);
		buf_free(&sender);
		unmap(message);
	}
	free(rcpt);
	return rc;
}
