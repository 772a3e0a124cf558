/* SPDX-License-Identifier: ISC */
#include "mra-fetch/dest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/temp.h"
#include "base/xalloc.h"
#include "io/broker.h"
#include "mra-fetch/dest_int.h"
#include "msg/header.h"
#include "users/places.h"

static const struct scheme {
	const char *prefix;
	deliver_fn *deliver; /* NULL: Maildir */
	bool to_lf, lmtp;
} schemes[] = {
	{ "maildir:", NULL, false, false },
	{ "mbox:", dest_to_mbox, false, false },
	{ "|", dest_to_command, true, false },
	{ "lmtp:", dest_to_smtp, false, true },
	{ "smtp://", dest_to_smtp, false, false },
};

static const struct scheme *find_scheme(const char *spec)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (span_starts(span_str(spec), schemes[i].prefix) && strlen(spec) > strlen(schemes[i].prefix))
			return &schemes[i];
	return NULL;
}

static int make_spool(struct err *err)
{
	const char *dir = getenv("TMPDIR");
	return temp_file(dir && *dir ? dir : "/tmp", err);
}

struct dest *dest_open(const struct dest_config *c, struct err *err)
{
	const struct scheme *s = find_scheme(c->spec);
	if (!s) {
		err_set(err, ERR_USAGE,
		    "'%s' is no destination: maildir:DIR, mbox:FILE, '|COMMAND', lmtp:HOST:PORT, lmtp:unix:PATH, "
		    "smtp://HOST",
		    c->spec);
		return NULL;
	}
	struct dest *d = xcalloc(1, sizeof *d);
	d->config = *c;
	d->target = c->spec + strlen(s->prefix);
	d->deliver = s->deliver;
	d->to_lf = s->to_lf;
	d->lmtp = s->lmtp;
	d->spool = d->spare = -1;
	buf_init(&d->head, HEAD_MAX);
	buf_init(&d->mid, LIMIT_SMTP_REPLY_LINE);
	buf_init(&d->out, LIMIT_STREAM_READ * 2);
	if (!s->deliver && !(d->maildir = maildir_open(d->target, true, DURABLE_FILE, err))) {
		dest_close(d);
		return NULL;
	}
	if (s->deliver && (d->spare = make_spool(err)) < 0) {
		dest_close(d);
		return NULL;
	}
	return d;
}

int dest_register(const char *spec, struct broker *b, struct err *err)
{
	static const char *const env[] = { "UID_ON_SERVER", "SENDER", NULL };
	const struct scheme *s = find_scheme(spec);
	if (!s || s->deliver != dest_to_command)
		return 0;
	return broker_add(b, &(struct broker_command){ .command = spec + 1, .env = env }, err) < 0 ? -1 : 0;
}

void dest_allow(const struct dest *d, struct confine_rules *r)
{
	if (!d->deliver)
		places_allow_one(r, LOCATION_MAILDIR, d->target);
	else if (d->deliver == dest_to_mbox)
		places_allow_one(r, LOCATION_MBOX, d->target);
	else if (d->deliver == dest_to_smtp)
		dest_allow_server(d, r);
}

void dest_close(struct dest *d)
{
	if (!d)
		return;
	dest_abort(d);
	if (d->maildir)
		maildir_close(d->maildir);
	if (d->spare >= 0)
		close(d->spare);
	smtp_client_close(d->smtp, true);
	tls_ctx_free(d->tls);
	buf_free(&d->head);
	buf_free(&d->mid);
	buf_free(&d->out);
	free(d);
}

const char *dest_name(const struct dest *d)
{
	return d->config.spec;
}

/* ---- taking a message in ---- */

/* One file takes a message after the other: a confined process makes none later. */
static int use_spool(struct dest *d, struct err *err)
{
	if (ftruncate(d->spare, 0) < 0 || lseek(d->spare, 0, SEEK_SET) < 0)
		return err_sys(err, "temporary file");
	d->spool = d->spare;
	return 0;
}

int dest_begin(struct dest *d, struct err *err)
{
	buf_reset(&d->head);
	buf_reset(&d->mid);
	d->mid_known = d->cr = false;
	d->size = 0;
	if (!d->deliver)
		return (d->writer = maildir_begin(d->maildir, SPAN("INBOX"), err)) ? 0 : -1;
	return use_spool(d, err);
}

static int write_all(int fd, struct span data, struct err *err)
{
	while (data.n) {
		ssize_t n = write(fd, data.p, data.n);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "temporary file");
		if (n > 0)
			data = span_from(data, (size_t)n);
	}
	return 0;
}

/* A CR that ends a piece is held back until it is known what follows. */
static void add_as_lf(struct dest *d, struct span piece)
{
	if (d->cr && !span_starts(piece, "\n"))
		buf_addc(&d->out, '\r');
	d->cr = span_ends(piece, "\r");
	if (d->cr)
		piece.n--;
	ptrdiff_t at;
	while ((at = span_find(piece, SPAN("\r\n"))) >= 0) {
		buf_add(&d->out, piece.p, (size_t)at);
		buf_addc(&d->out, '\n');
		piece = span_from(piece, (size_t)at + 2);
	}
	buf_addspan(&d->out, piece);
}

static int spool_piece(struct dest *d, struct span piece, struct err *err)
{
	if (!d->to_lf)
		return write_all(d->spool, piece, err);
	while (piece.n) {
		struct span part = span_slice(piece, 0, LIMIT_STREAM_READ);
		add_as_lf(d, part);
		if (write_all(d->spool, buf_span(&d->out), err))
			return -1;
		buf_reset(&d->out);
		piece = span_from(piece, part.n);
	}
	return 0;
}

int dest_write(struct dest *d, struct span piece, struct err *err)
{
	d->size += piece.n;
	buf_addspan(&d->head, span_slice(piece, 0, HEAD_MAX - d->head.len));
	if (d->deliver)
		return spool_piece(d, piece, err);
	return maildir_write(d->writer, piece) ? err_set(err, ERR_TEMP, "%s: cannot write", d->config.spec) : 0;
}

static void end_message(struct dest *d)
{
	d->spool = -1;
	d->writer = NULL;
}

void dest_abort(struct dest *d)
{
	if (d->writer)
		maildir_abort(d->writer);
	end_message(d);
}

/* ---- giving it on ---- */

static int to_maildir(struct dest *d, const struct dest_meta *meta, struct err *err)
{
	struct maildir_commit c = { .flags = meta->flags, .internal_date = meta->date };
	struct maildir_writer *w = d->writer;
	d->writer = NULL;
	int rc = maildir_commit(w, &c, err);
	free(c.name);
	return rc;
}

int dest_commit(struct dest *d, const struct dest_meta *meta, struct err *err)
{
	int rc = d->cr ? write_all(d->spool, SPAN("\r"), err) : 0;
	if (rc == 0)
		rc = d->deliver ? d->deliver(d, meta, err) : to_maildir(d, meta, err);
	if (d->writer)
		maildir_abort(d->writer);
	end_message(d);
	return rc;
}

struct span dest_message_id(struct dest *d)
{
	struct header_field f;
	if (!d->mid_known && header_find(buf_span(&d->head), "Message-ID", &f))
		header_unfold(f.value, &d->mid);
	d->mid_known = true;
	return d->mid.bad ? SPAN("") : buf_span(&d->mid);
}

uint64_t dest_size(const struct dest *d)
{
	return d->size;
}
