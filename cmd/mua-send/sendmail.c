/* SPDX-License-Identifier: ISC */
#include "mua-send/sendmail.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"

/* What an option takes, and what becomes of it. */
enum takes {
	NOTHING,
	REST,  /* what stands right behind it, if anything */
	VALUE, /* that, or the next word */
};
typedef int option_fn(struct sendmail *s, const char *value, struct err *err);

static void add(struct sendmail *s, char *word)
{
	s->argv[s->argc++] = word;
}

/* -oi is -i; the others tune a sendmail that is not here. */
static int old_option(struct sendmail *s, const char *value, struct err *err)
{
	(void)err;
	if (span_eqs(span_str(value), "i"))
		add(s, arena_str(s->arena, SPAN("--ignore-dots")));
	return 0;
}

static int long_option(struct sendmail *s, const char *value, struct err *err)
{
	(void)err;
	if (span_ieqs(span_str(value), "requiretls=yes"))
		add(s, arena_str(s->arena, SPAN("--requiretls")));
	return 0;
}

static int config_file(struct sendmail *s, const char *value, struct err *err)
{
	(void)err;
	s->config = value;
	return 0;
}

static int nothing_to_do(struct sendmail *s, const char *value, struct err *err)
{
	(void)value, (void)err;
	s->act = SENDMAIL_NOTHING;
	return 0;
}

static int mode(struct sendmail *s, const char *value, struct err *err)
{
	static const struct {
		char letter;
		enum sendmail_act act;
	} modes[] = { { 'm', SENDMAIL_SEND }, { 'a', SENDMAIL_SEND }, { 's', SENDMAIL_STDIN }, { 'p', SENDMAIL_LIST },
		{ 'i', SENDMAIL_NOTHING }, { 'h', SENDMAIL_NOTHING }, { 'H', SENDMAIL_NOTHING },
		{ 'v', SENDMAIL_VERIFY }, { 'd', SENDMAIL_DAEMON }, { 'l', SENDMAIL_LOCAL } };
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		if (value[0] == modes[i].letter && !value[1]) {
			s->act = modes[i].act;
			return 0;
		}
	}
	return err_set(err, ERR_USAGE, "unknown mode -b%s", value);
}

/* -qR and -qS once searched for a text; here it is an address or a domain. */
static const char *condition(struct sendmail *s, const char *value)
{
	const char *text = value + 1, *at = strchr(text, '@');
	if (value[0] == 'S')
		return arena_printf(s->arena, "--sender=%s%s", at || !strcmp(text, "<>") ? "" : "@", text);
	if (at && at != text)
		return arena_printf(s->arena, "--recipient=%s", text);
	return arena_printf(s->arena, "--domain=%s", at ? text + 1 : text);
}

/* Beside -bd an interval says how often the queue is run, which mta-relay run decides by itself. */
static int queue_run(struct sendmail *s, const char *value, struct err *err)
{
	if (value[0] && strchr("IRS", value[0])) {
		if (!value[1])
			return err_set(err, ERR_USAGE, "-q%c needs a text right behind it", value[0]);
		s->act = SENDMAIL_RETRY;
		s->which = value[0] == 'I' ? value + 1 : condition(s, value);
	} else if (s->act == SENDMAIL_SEND) {
		s->act = SENDMAIL_RUN;
	}
	return 0;
}

/* Those with neither are accepted and ignored. */
static const struct {
	char letter;
	enum takes takes;
	const char *becomes; /* ours, the value behind it */
	option_fn *fn;
} options[] = {
	{ 'A', REST, NULL, NULL },
	{ 'B', VALUE, NULL, NULL }, /* what the body needs is seen in it */
	{ 'C', VALUE, "--config=", config_file },
	{ 'F', VALUE, "--name=", NULL },
	{ 'G', NOTHING, NULL, NULL },
	{ 'I', NOTHING, NULL, nothing_to_do },
	{ 'L', VALUE, NULL, NULL },
	{ 'N', VALUE, "--dsn=", NULL },
	{ 'O', VALUE, NULL, long_option },
	{ 'R', VALUE, "--ret=", NULL },
	{ 'U', NOTHING, NULL, NULL },
	{ 'V', VALUE, "--envid=", NULL },
	{ 'X', VALUE, NULL, NULL },
	{ 'b', VALUE, NULL, mode },
	{ 'e', REST, NULL, NULL },
	{ 'f', VALUE, "--from=", NULL },
	{ 'h', VALUE, NULL, NULL },
	{ 'i', NOTHING, "--ignore-dots", NULL },
	{ 'm', NOTHING, NULL, NULL },
	{ 'n', NOTHING, NULL, NULL },
	{ 'o', VALUE, NULL, old_option },
	{ 'p', VALUE, NULL, NULL },
	{ 'q', REST, NULL, queue_run },
	{ 'r', VALUE, "--from=", NULL },
	{ 't', NOTHING, "--read-recipients", NULL },
	{ 'v', NOTHING, "--verbose", NULL },
};

/* A word "-abc": single letters, until one takes the rest or the next word. */
static int letters(struct sendmail *s, const char *p, int argc, char **argv, int *i, struct err *err)
{
	while (*p) {
		size_t k = 0;
		while (k < sizeof options / sizeof *options && options[k].letter != *p)
			k++;
		if (k == sizeof options / sizeof *options)
			return err_set(err, ERR_USAGE, "unknown option -%c", *p);
		const char *value = ++p;
		if (options[k].takes == VALUE && !*p && ++*i >= argc)
			return err_set(err, ERR_USAGE, "-%c needs an argument", options[k].letter);
		if (options[k].takes == VALUE && !*p)
			value = argv[*i];
		if (options[k].becomes)
			add(s, arena_printf(
				   s->arena, "%s%s", options[k].becomes, options[k].takes == NOTHING ? "" : value));
		if (options[k].fn && options[k].fn(s, value, err))
			return -1;
		if (options[k].takes != NOTHING)
			return 0;
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

bool sendmail_is(const char *argv0)
{
	struct span name = span_str(argv0 ? base_name(argv0) : "");
	return span_eqs(name, "sendmail") || span_eqs(name, "mailq") || span_eqs(name, "newaliases");
}

int sendmail_parse(int argc, char **argv, struct sendmail *out, struct err *err)
{
	struct span name = span_str(base_name(argv[0]));
	char **rcpt = xcalloc((size_t)argc + 1, sizeof *rcpt);
	int n = 0, rc = 0;
	bool only_operands = false;
	*out = (struct sendmail){ .arena = arena_new() };
	out->argv = arena_alloc(out->arena, (2 * (size_t)argc + 3) * sizeof *out->argv);
	out->act = span_eqs(name, "mailq")        ? SENDMAIL_LIST
		   : span_eqs(name, "newaliases") ? SENDMAIL_NOTHING
						  : SENDMAIL_SEND;
	add(out, argv[0]);
	for (int i = 1; i < argc && rc == 0; i++) {
		if (only_operands || argv[i][0] != '-' || !argv[i][1])
			rcpt[n++] = argv[i];
		else if (argv[i][1] != '-')
			rc = letters(out, argv[i] + 1, argc, argv, &i, err);
		else if (argv[i][2])
			add(out, argv[i]); /* a long one of our own: --server=URL */
		else
			only_operands = true;
	}
	add(out, arena_str(out->arena, SPAN("--")));
	out->operands = out->argc;
	for (int i = 0; i < n; i++)
		add(out, rcpt[i]);
	free(rcpt);
	return rc;
}

const char *relay_path(struct arena *a)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	struct span dir = span_of(self, n > 0 ? (size_t)n : 0);
	ptrdiff_t slash = span_rchr(dir, '/');
	if (slash >= 0) {
		char *path = arena_printf(a, "%.*s/mta-relay", (int)slash, self);
		if (access(path, X_OK) == 0)
			return path;
	}
	return "mta-relay";
}

int sendmail_become_relay(const struct sendmail *s, struct err *err)
{
	static const char *const words[][4] = {
		[SENDMAIL_STDIN] = { "serve", "--role=msa", "--stdin" },
		[SENDMAIL_LIST] = { "queue", "mailq" },
		[SENDMAIL_RUN] = { "run", "--once" },
		[SENDMAIL_RETRY] = { "queue", "retry" },
		[SENDMAIL_VERIFY] = { "explain" },
		[SENDMAIL_DAEMON] = { "serve" },
		[SENDMAIL_LOCAL] = { "serve", "--listen=127.0.0.1:25" },
	};
	const char *path = relay_path(s->arena);
	const char **argv = arena_alloc(s->arena, ((size_t)s->argc + 8) * sizeof *argv);
	int n = 0;
	argv[n++] = path;
	for (size_t i = 0; i < 4 && words[s->act][i]; i++)
		argv[n++] = words[s->act][i];
	if (s->config)
		argv[n++] = arena_printf(s->arena, "--config=%s", s->config);
	if (s->act == SENDMAIL_RETRY)
		argv[n++] = s->which;
	for (int i = s->operands; i < s->argc && s->act == SENDMAIL_VERIFY; i++)
		argv[n++] = s->argv[i];
	execvp(path, (char *const *)(uintptr_t)argv);
	return err_sys(err, "%s", path);
}
