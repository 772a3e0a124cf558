/* SPDX-License-Identifier: ISC
 *
 * From the text that was read and the options: sender, recipients, header, and what the message needs of a server.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/hostname.h"
#include "io/trace.h"
#include "msg/addr.h"
#include "msg/charset.h"
#include "msg/date.h"
#include "msg/header.h"
#include "mua-send/compose.h"
#include "mua-send/fixup.h"
#include "mua-send/mua.h"
#include "smtp/param.h"

enum {
	HEADER_ROOM = 65536 /* what fixup adds at the most */
};

/* The domain of addresses without one: Debian's /etc/mailname, else the host's name. */
static const char *own_domain(struct mail *m)
{
	struct buf text;
	const char *name = hostname_full();
	if (m->o->domain)
		return m->o->domain;
	buf_init(&text, LIMIT_CONFIG_LINE);
	if (config_slurp("/etc/mailname", &text, NULL) == 0) {
		struct span rest = buf_span(&text), line = span_trim(span_cut(&rest, '\n'));
		if (addr_domain_ok(line, true))
			name = arena_str(m->arena, line);
	}
	buf_free(&text);
	return name;
}

static const char *own_address(struct mail *m, const char *domain)
{
	const struct passwd *pw = getpwuid(getuid());
	if (pw)
		return arena_printf(m->arena, "%s@%s", pw->pw_name, domain);
	return arena_printf(m->arena, "uid%lu@%s", (unsigned long)getuid(), domain);
}

/* RFC 5322 3.6.2: Sender says who really sent it, From who wrote it. NULL when neither gives one address. */
static const char *header_sender(struct mail *m, struct span text, const char *domain)
{
	static const char *const fields[] = { "Resent-Sender", "Resent-From", "Sender", "From" };
	struct header_field f;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		struct addr_list list;
		if (!header_find(text, fields[i], &f))
			continue;
		addr_parse_list(m->arena, f.value, &list);
		if (list.n != 1 || list.skipped)
			continue;
		const char *found = recipients_normal(m->arena, f.value, domain, NULL);
		if (found && *found)
			return found;
	}
	return NULL;
}

static int find_sender(struct mail *m, struct span text, bool has_header, const char *domain, struct err *err)
{
	m->from = m->o->from   ? recipients_normal(m->arena, span_str(m->o->from), domain, err)
		  : has_header ? header_sender(m, text, domain)
			       : NULL;
	if (!m->from && m->o->from)
		return -1;
	if (!m->from)
		m->from = own_address(m, domain);
	return 0;
}

/* A list may be folded, as in a header. Any other line end is somebody's attempt at a line of his own. */
static int one_line(const char *text, const char *what, struct err *err)
{
	struct span s = span_trim(span_str(text));
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] == '\n' || s.p[i] == '\r') && !ascii_isblank(s.p[i + 1]) && s.p[i + 1] != '\n')
			return err_set(err, ERR_USAGE, "%s: a line end in %s", what, log_quote(s));
	return 0;
}

static int add_list(struct mail *m, const struct opt_list *list, const char *what, struct err *err)
{
	for (size_t i = 0; i < list->n; i++)
		if (one_line(list->v[i], what, err) || recipients_add(&m->rcpt, span_str(list->v[i]), what, err))
			return -1;
	return 0;
}

static int find_recipients(struct mail *m, struct span text, char **operands, size_t n, struct err *err)
{
	struct opt_list given = { .v = (const char **)operands, .n = n };
	if (add_list(m, &given, "recipient", err) || add_list(m, &m->o->to, "--to", err) ||
	    add_list(m, &m->o->cc, "--cc", err) || add_list(m, &m->o->bcc, "--bcc", err)) {
		err->class = ERR_USAGE;
		return -1;
	}
	if (m->o->header_recipients && recipients_from_header(&m->rcpt, text, err))
		return -1;
	if (m->rcpt.n)
		return 0;
	if (m->o->header_recipients)
		return err_set(err, ERR_DATA, "the header names no recipient in To, Cc or Bcc");
	return err_set(err, ERR_USAGE, "to whom? Give recipients, or -t to take them from the header");
}

/* ---- reports ---- */

static char *upper(struct arena *a, const char *text)
{
	char *out = arena_str(a, span_str(text));
	for (char *p = out; *p; p++)
		*p = ascii_upper(*p);
	return out;
}

/* RFC 3461 4.1: NEVER alone, or some of the others. */
static bool notify_ok(const char *notify)
{
	struct span rest = span_str(notify);
	if (span_eqs(rest, "NEVER"))
		return true;
	while (rest.n) {
		struct span word = span_cut(&rest, ',');
		if (!span_eqs(word, "SUCCESS") && !span_eqs(word, "FAILURE") && !span_eqs(word, "DELAY"))
			return false;
	}
	return *notify;
}

static char *xtext(struct arena *a, const char *prefix, const char *text)
{
	struct buf b;
	buf_init(&b, 4 * (size_t)LIMIT_SMTP_PATH);
	buf_adds(&b, prefix);
	xtext_encode(span_str(text), &b);
	char *out = b.bad || b.len > SMTP_ORCPT_MAX ? NULL : arena_str(a, buf_span(&b));
	buf_free(&b);
	return out;
}

static int find_reports(struct mail *m, struct err *err)
{
	const struct mua_options *o = m->o;
	if (o->dsn && !notify_ok(upper(m->arena, o->dsn)))
		return err_set(err, ERR_USAGE, "--dsn is never, or some of success,failure,delay: not '%s'", o->dsn);
	if (o->ret && !span_ieqs(span_str(o->ret), "full") && !span_ieqs(span_str(o->ret), "hdrs"))
		return err_set(err, ERR_USAGE, "--ret is full or hdrs: not '%s'", o->ret);
	m->ret = o->ret ? upper(m->arena, o->ret) : NULL;
	m->envid = o->envid ? xtext(m->arena, "", o->envid) : NULL;
	if (o->envid && (!m->envid || !*m->envid || strlen(m->envid) > SMTP_ENVID_MAX))
		return err_set(err, ERR_USAGE, "--envid is empty or too long");
	for (size_t i = 0; o->dsn && i < m->rcpt.n; i++) {
		bool ascii = !addr_needs_utf8(span_str(m->rcpt.v[i].address));
		m->rcpt.v[i].notify = upper(m->arena, o->dsn);
		m->rcpt.v[i].orcpt = ascii ? xtext(m->arena, "rfc822;", m->rcpt.v[i].address) : NULL;
	}
	return 0;
}

static void add_param(struct smtp_args *args, const char *name, const char *value)
{
	if (value)
		args->v[args->n++] = (struct smtp_param){ span_str(name), span_str(value), true };
}

/* In the words of MAIL, which are judged here as a server would. */
static int find_wishes(struct mail *m, struct err *err)
{
	const struct mua_options *o = m->o;
	struct smtp_args args = { .n = 0 };
	struct smtp_mail_params p;
	const char *hold_for = NULL;
	if (o->hold_for)
		hold_for = arena_printf(m->arena, "%lld", (long long)(o->hold_for + 999) / 1000);
	add_param(&args, "HOLDFOR", hold_for);
	add_param(&args, "HOLDUNTIL", o->hold_until);
	add_param(&args, "BY", o->by);
	add_param(&args, "MT-PRIORITY", o->priority);
	if (smtp_mail_params(&args, &p, err) < 0) {
		err->class = ERR_USAGE;
		return -1;
	}
	m->by = p.by;
	m->has_priority = p.has_priority;
	m->priority = p.priority;
	if (p.hold.n)
		m->hold = arena_printf(m->arena, "%s=%.*s", hold_for ? "HOLDFOR" : "HOLDUNTIL", SPAN_FMT(p.hold));
	return 0;
}

/* ---- what it needs ---- */

static bool field_needs_utf8(struct mail *m, const struct header_field *f)
{
	static const char *const names[] = { "From", "Sender", "Reply-To", "To", "Cc", "Resent-From", "Resent-Sender",
		"Resent-To", "Resent-Cc" };
	struct addr_list list;
	bool address = false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		address |= span_ieqs(f->name, names[i]);
	if (!address || !addr_needs_utf8(f->value) || !utf8_valid(f->value))
		return false;
	addr_parse_list(m->arena, f->value, &list);
	for (size_t i = 0; i < list.n; i++)
		if (addr_needs_utf8(list.v[i].local) || addr_needs_utf8(list.v[i].domain))
			return true;
	return false;
}

static void find_utf8(struct mail *m)
{
	struct span header = buf_span(&m->head);
	struct header_field f;
	m->utf8 = addr_needs_utf8(span_str(m->from));
	for (size_t i = 0; i < m->rcpt.n; i++)
		m->utf8 |= addr_needs_utf8(span_str(m->rcpt.v[i].address));
	while (m->needs.eightbit_header && !m->utf8 && header_next(&header, &f))
		m->utf8 = field_needs_utf8(m, &f);
}

/* RFC 5321 2.3.8: what can be read as a line end by some and not by others must not travel as text. In the body it is
 * encoded, or sent as binary MIME. */
static int find_needs(struct mail *m, struct span text, bool has_header, struct err *err)
{
	struct msg_needs header;
	struct span body;
	msg_scan(text, &m->needs);
	msg_scan(has_header ? header_of(text, &body) : SPAN(""), &header);
	m->needs.eightbit_header &= has_header;
	if (header.nul)
		return err_set(err, ERR_DATA, "the header holds a NUL byte: RFC 5322 2.2 forbids it");
	if (header.bare_cr)
		return err_set(err, ERR_DATA, "the header holds a CR without LF: RFC 5321 2.3.8 forbids it");
	return 0;
}

/* ---- the header ---- */

static char *new_message_id(struct mail *m, const char *domain, time_t now)
{
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		random = (uint64_t)getpid();
	return arena_printf(m->arena, "<%llx.%016llx@%s>", (unsigned long long)now, (unsigned long long)random, domain);
}

static const char *own_name(struct mail *m)
{
	const struct passwd *pw = getpwuid(getuid());
	if (m->o->name || !pw || !pw->pw_gecos)
		return m->o->name;
	struct span rest = span_str(pw->pw_gecos), name = span_trim(span_cut(&rest, ','));
	return utf8_valid(name) && !span_has_ctl(name) ? arena_str(m->arena, name) : NULL;
}

static void make_header(struct mail *m, struct span text, const char *domain)
{
	time_t now = time(NULL);
	struct header_field f;
	struct buf mid;
	struct fixup c = { .from = *m->from ? m->from : own_address(m, domain),
		.name = own_name(m),
		.message_id = new_message_id(m, domain, now),
		.now = now,
		.zone_min = date_local_zone(now) };
	buf_init(&m->head, text.n + HEADER_ROOM);
	fixup_message(&c, text, &m->head, &m->body);
	buf_init(&mid, LIMIT_CONFIG_LINE);
	if (header_find(buf_span(&m->head), "Message-ID", &f))
		header_unfold(f.value, &mid);
	m->message_id = arena_str(m->arena, buf_span(&mid));
	buf_free(&mid);
}

static int check_options(const struct mua_options *o, struct err *err)
{
	if (o->direct && o->server)
		return err_set(err, ERR_USAGE, "--direct and --server exclude each other");
	if (o->name && (span_has_ctl(span_str(o->name)) || !utf8_valid(span_str(o->name))))
		return err_set(err, ERR_USAGE, "-F: a name is one line of UTF-8");
	return 0;
}

void mail_init(struct mail *m)
{
	buf_init(&m->composed, 0);
	buf_init(&m->head, 0);
}

int mail_prepare(struct mail *m, struct span text, char **operands, size_t n, struct err *err)
{
	const char *domain = own_domain(m);
	m->rcpt = (struct recipients){ .arena = m->arena, .domain = domain };
	if (check_options(m->o, err))
		return -1;
	bool composing = compose_wanted(m->o);
	size_t read = text.n;
	if (composing ? compose(m, text, operands, n, &text, err) : 0)
		return -1;
	if (!composing)
		text = fixup_without_from_line(text);
	bool has_header = fixup_has_header(text);
	struct span header = has_header ? text : SPAN("");
	if (find_needs(m, text, has_header, err) || find_sender(m, text, has_header, domain, err) ||
	    find_recipients(m, header, operands, n, err) || find_reports(m, err) || find_wishes(m, err))
		return -1;
	make_header(m, text, domain);
	find_utf8(m);
	trace_mid(span_str(m->message_id));
	trace_env(span_str(m->o->envid));
	trace_why(
	    "compose", "ok", NULL, "%s standard input, %zu bytes", composing ? "composed from" : "read from", read);
	return 0;
}

void mail_free(struct mail *m)
{
	recipients_free(&m->rcpt);
	buf_free(&m->head);
	buf_free(&m->composed);
	arena_free(m->arena);
}
