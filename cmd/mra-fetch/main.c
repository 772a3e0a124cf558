/* SPDX-License-Identifier: ISC
 *
 * mra-fetch: retrieves mail from IMAP and POP3 servers. One process for each account.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/account.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "io/stream.h"
#include "io/trace.h"
#include "mra-fetch/fetch.h"

enum {
	BACKOFF_MIN_MS = 5 * 1000,
	BACKOFF_MAX_MS = 5 * 60 * 1000,
	IDLE_RENEW_MS = 29 * 60 * 1000, /* RFC 2177: servers may end it after 30 minutes */
};

static const struct fetch_options defaults = {
	.max_size = LIMIT_MESSAGE_DEFAULT,
	.timeout = 5 * 60 * 1000,
	.idle_time = IDLE_RENEW_MS,
	.poll = 60 * 1000,
};
static struct fetch_options options;

#define AT(member) offsetof(struct fetch_options, member)
static const struct opt table[] = {
	{ "account", 'A', OPT_LIST, AT(account), "NAME", "an [account NAME] of the configuration; may be repeated",
	    NULL, OPT_NO_CONFIG },
	{ "url", 0, OPT_STR, AT(url), "URL", "from where, as the operand", NULL, 0 },
	{ "to", 't', OPT_STR, AT(to), "DESTINATION", "maildir:DIR, mbox:FILE, '|COMMAND', lmtp:..., smtp://HOST", NULL,
	    0 },
	{ "keep", 'k', OPT_FLAG, AT(keep), NULL, "leave messages on the server (the default)", NULL, 0 },
	{ "delete", 0, OPT_FLAG, AT(delete), NULL, "delete messages on the server once they are safe here", NULL, 0 },
	{ "idle", 0, OPT_FLAG, AT(idle), NULL, "stay and fetch what comes (IMAP)", NULL, 0 },
	{ "check", 'c', OPT_FLAG, AT(check), NULL, "only tell what is new", NULL, OPT_NO_CONFIG },
	{ "limit", 'n', OPT_UINT, AT(limit), "N", "at most so many messages", NULL, 0 },
	{ "max-size", 0, OPT_SIZE, AT(max_size), "SIZE", "leave larger messages where they are (100M)", NULL, 0 },
	{ "rcpt", 0, OPT_LIST, AT(rcpt), "ADDRESS", "recipient for lmtp and smtp (the user)", NULL, 0 },
	{ "state", 0, OPT_STR, AT(state), "FILE", "remember here what was fetched", NULL, 0 },
	{ "password-command", 0, OPT_STR, AT(password_command), "CMD",
	    "its first line of output is the password or token", NULL, 0 },
	{ "netrc", 0, OPT_STR, AT(netrc), "FILE", "instead of ~/.netrc", NULL, 0 },
	{ "auth", 0, OPT_STR, AT(auth), "MECHANISM", "authenticate by this one: PLAIN, XOAUTH2, EXTERNAL, ...", NULL,
	    0 },
	{ "allow-plaintext", 0, OPT_FLAG, AT(allow_plaintext), NULL, "show the password to servers without TLS", NULL,
	    0 },
	{ "starttls", 0, OPT_CHOICE, AT(starttls), NULL, "for imap: and pop3: (require)", "require|try|never", 0 },
	{ "tls-ca", 0, OPT_STR, AT(tls_ca), "FILE", "trust these certificates only", NULL, 0 },
	{ "tls-cert", 0, OPT_STR, AT(tls_cert), "FILE", "our certificate, for servers that ask", NULL, 0 },
	{ "tls-key", 0, OPT_STR, AT(tls_key), "FILE", "and its key", NULL, 0 },
	{ "tls-fingerprint", 0, OPT_STR, AT(tls_fingerprint), "SHA256", "trust just the certificate with this one",
	    NULL, 0 },
	{ "timeout", 0, OPT_DURATION, AT(timeout), "TIME", "for each answer of the server (5m)", NULL, 0 },
	{ "idle-time", 0, OPT_DURATION, AT(idle_time), "TIME", "renew IDLE after this (29m)", NULL, 0 },
	{ "poll", 0, OPT_DURATION, AT(poll), "TIME", "with --idle, ask servers without IDLE so often (1m)", NULL, 0 },
	{ "json", 0, OPT_FLAG, AT(json), NULL, "one JSON object a line for each message", NULL, OPT_NO_CONFIG },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events to FILE", NULL, 0 },
	{ "explain", 0, OPT_FLAG, AT(explain), NULL, "tell each step on stderr", NULL, OPT_NO_CONFIG },
	{ NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, 0 },
};

static const struct opt_group groups[] = { { confine_options, AT(confine) }, { NULL, 0 } };

static struct opts opts = {
	.prog = "mra-fetch",
	.synopsis =
	    "[OPTION]... --to=DESTINATION imap[s]://[USER@]HOST[:PORT][/MAILBOX] | pop3[s]://[USER@]HOST[:PORT]\n"
	    "[OPTION]... --account=NAME...",
	.about = "Retrieves mail by IMAP or POP3.",
	.table = table,
	.groups = groups,
	.values = &options,
	.personal = true,
};

static volatile sig_atomic_t stopping;

static void on_stop(int sig)
{
	(void)sig;
	int keep = errno;
	uint64_t one = 1;
	stopping = 1;
	if (write(stream_interrupt_fd, &one, sizeof one) < 0)
		errno = keep;
	errno = keep;
}

/* flags: 0 where a wait is to end by a signal, SA_RESTART where files are at work. */
static void handle_signals(int flags)
{
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = flags };
	sigemptyset(&sa.sa_mask);
	if (stream_interrupt_fd >= 0)
		close(stream_interrupt_fd);
	stream_interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int failed(const char *what, const struct err *err)
{
	if (log_where() == LOG_TO_SYSLOG)
		log_err("failed url=%s why=\"%s\"", what ? what : "", err->text);
	else
		fprintf(stderr, "mra-fetch: %s%s%s\n", what ? what : "", what ? ": " : "", err->text);
	return err_exit_status(err);
}

/* Waits, but not through a signal to stop. */
static void pause_for(int64_t ms)
{
	struct stream *s = stream_from_fds(eventfd(0, EFD_CLOEXEC), -1);
	stream_wait(s, -1, ms);
	stream_abandon(s);
}

/* Connections one after another, while --idle and what broke may work again. */
static int run(struct job *j, struct err *err)
{
	int64_t backoff = BACKOFF_MIN_MS;
	bool ever = false;
	for (;;) {
		int rc = job_run(j, err);
		if (stopping)
			return 0;
		ever |= j->logged_in;
		bool hopeless =
		    err->class == ERR_USAGE || err->class == ERR_CONFIG || (err->class == ERR_ACCESS && !ever);
		if (rc == 0 || !j->o->idle || hopeless)
			return rc;
		if (j->logged_in)
			backoff = BACKOFF_MIN_MS;
		log_warn("reconnect url=%s after=%llds why=\"%s\"", j->o->url, (long long)(backoff / 1000), err->text);
		pause_for(backoff);
		if (stopping)
			return 0;
		backoff = backoff * 2 < BACKOFF_MAX_MS ? backoff * 2 : BACKOFF_MAX_MS;
		err_clear(err);
	}
}

static int fetch_account(void)
{
	struct err err = { 0 };
	struct job j;
	if (trace_open("mra-fetch", "mra", options.trace, options.explain, &err))
		return failed(NULL, &err);
	int status = job_open(&j, &options, &err) || run(&j, &err) ? failed(options.url, &err) : EX_OK;
	if (status == EX_OK && j.refused)
		status = err_exit_status(&j.refusal);
	log_info("%s url=%s messages=%u bytes=%llu refused=%u too_large=%u deleted=%u",
	    options.check ? "check" : "fetch", options.url ? options.url : "", j.fetched, (unsigned long long)j.bytes,
	    j.refused, j.too_large, j.deleted);
	job_close(&j);
	if ((fflush(stdout) || ferror(stdout)) && status == EX_OK)
		status = EX_IOERR;
	return status;
}

/* The command line again, over this account's section. */
static int read_account(const char *name, int argc, char **argv)
{
	struct err err = { 0 };
	int first;
	options = defaults;
	opts.section = xasprintf("account %s", name);
	opts.also = account_tables;
	if (opts_parse(&opts, argc, argv, &first, &err) != OPTS_OK)
		return failed(NULL, &err);
	if (!options.url) {
		err_set(&err, ERR_CONFIG, "no [account %s] with a url in the configuration", name);
		return failed(NULL, &err);
	}
	return fetch_account();
}

static pid_t fork_account(const char *name, int argc, char **argv)
{
	pid_t parent = getpid(), pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_TEMPFAIL);
	handle_signals(SA_RESTART);
	_exit(read_account(name, argc, argv));
}

/* All at once; the worst status of all. */
static int fetch_accounts(const struct opt_list *names, int argc, char **argv)
{
	int worst = 0, status;
	pid_t *pids = xcalloc(names->n, sizeof *pids);
	handle_signals(0);
	for (size_t i = 0; i < names->n; i++)
		if ((pids[i] = fork_account(names->v[i], argc, argv)) < 0)
			worst = EX_OSERR;
	for (size_t left = names->n; left > 0;) {
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno == EINTR) {
			for (size_t i = 0; i < names->n; i++)
				if (pids[i] > 0)
					kill(pids[i], SIGTERM);
			continue;
		}
		if (pid < 0)
			break;
		left--;
		status = WIFEXITED(status) ? WEXITSTATUS(status) : EX_TEMPFAIL;
		worst = status > worst ? status : worst;
	}
	free(pids);
	return worst;
}

int main(int argc, char **argv)
{
	struct err err = { 0 };
	int first;
	handle_signals(SA_RESTART);
	log_open("mra-fetch", LOG_TO_AUTO, LOG_LVL_INFO);
	options = defaults;
	enum opts_result parsed = opts_parse(&opts, argc, argv, &first, &err);
	if (parsed == OPTS_DONE)
		return EX_OK;
	if (parsed == OPTS_OK && first < argc) {
		if (options.account.n || first + 1 < argc)
			err_set(&err, ERR_USAGE, "give either one URL or --account");
		options.url = argv[first];
	}
	if (parsed == OPTS_ERROR || err.class != ERR_NONE)
		return failed(NULL, &err);
	if (!options.account.n)
		return fetch_account();
	static struct opt_list names; /* outlives the options, which each account reads anew */
	names = options.account;
	if (names.n == 1)
		return read_account(names.v[0], argc, argv);
	return fetch_accounts(&names, argc, argv);
}
