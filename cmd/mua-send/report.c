/* SPDX-License-Identifier: ISC */
#include <jansson.h>
#include <stdio.h>
#include <sysexits.h>

#include "mua-send/mua.h"

static bool is_bad_mailbox(const struct err *e)
{
	if (*e->enh)
		return !strncmp(e->enh, "5.1.", 4);
	return e->code == 550 || e->code == 551 || e->code == 553;
}

static int status_of(const struct err *e)
{
	/* A certificate that is not the right one: trying again would not be safer. */
	if (!strcmp(e->enh, "4.7.5") && strstr(e->text, "certificate"))
		return EX_NOPERM;
	if (e->class != ERR_PERM)
		return err_exit_status(e);
	if (!strcmp(e->enh, "5.1.2") || !strcmp(e->enh, "5.1.10"))
		return EX_NOHOST;
	return is_bad_mailbox(e) ? EX_NOUSER : EX_UNAVAILABLE;
}

int mail_status(const struct mail *m, const struct err *err)
{
	int status = status_of(err);
	for (size_t i = 0; i < m->rcpt.n && err->class == ERR_NONE; i++) {
		int own = status_of(&m->rcpt.v[i].result);
		if (own == EX_TEMPFAIL || !status)
			status = own;
	}
	return status;
}

static json_t *text(const char *s)
{
	json_t *j = s ? json_string(s) : NULL;
	return j ? j : json_null();
}

static json_t *recipient(const struct smtp_rcpt *r, const struct err *session, bool sent)
{
	const struct err *e = session->class != ERR_NONE ? session : &r->result;
	json_t *o = json_pack("{s:o}", "recipient", text(r->address));
	if (!sent)
		return o;
	json_object_set_new(o, "result", text(err_result(e)));
	if (e->code)
		json_object_set_new(o, "code", json_integer(e->code));
	if (*e->enh)
		json_object_set_new(o, "enhanced", text(e->enh));
	json_object_set_new(o, "reply", text(e->class != ERR_NONE ? e->text : r->reply));
	return o;
}

static void print_json(const struct mail *m, const struct err *err, bool sent, int status)
{
	json_t *list = json_array();
	for (size_t i = 0; i < m->rcpt.n; i++)
		json_array_append_new(list, recipient(&m->rcpt.v[i], err, sent));
	json_t *o =
	    json_pack("{s:o, s:o, s:I, s:b, s:o, s:i}", "message_id", text(m->message_id), "from", text(m->from),
		"size", (json_int_t)(m->head.len + m->body.n), "dry_run", !sent, "recipients", list, "status", status);
	if (o && json_dumpf(o, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	json_decref(o);
}

int mail_report(const struct mail *m, const char *prog, const struct err *err)
{
	int status = mail_status(m, err);
	if (m->o->json)
		print_json(m, err, true, status);
	if (err->class != ERR_NONE)
		fprintf(stderr, "%s: %s\n", prog, err->text);
	for (size_t i = 0; i < m->rcpt.n && err->class == ERR_NONE; i++)
		if (m->rcpt.v[i].result.class != ERR_NONE)
			fprintf(stderr, "%s: <%s>: %s\n", prog, m->rcpt.v[i].address, m->rcpt.v[i].result.text);
	if (m->o->json && (fflush(stdout) || ferror(stdout)) && !status)
		status = EX_IOERR;
	return status;
}

int mail_print(const struct mail *m)
{
	if (m->o->json) {
		print_json(m, &(struct err){ 0 }, false, EX_OK);
	} else {
		printf("MAIL FROM:<%s>\n", m->from);
		for (size_t i = 0; i < m->rcpt.n; i++)
			printf("RCPT TO:<%s>\n", m->rcpt.v[i].address);
		printf("DATA\n");
		fwrite(m->head.p, 1, m->head.len, stdout);
		fwrite(m->body.p, 1, m->body.n, stdout);
	}
	return fflush(stdout) || ferror(stdout) ? EX_IOERR : EX_OK;
}
