/* SPDX-License-Identifier: ISC
 *
 * `mta-relay state`: what serve remembers about clients and users, and what an administrator wants forgotten.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "io/state/state.h"
#include "mta-relay/guard/guard.h"
#include "mta-relay/relay.h"

struct state_options {
	const char *state, *shared_state, *shared_state_password, *shared_state_ca, *shared_state_cert;
};

#define AT(member) offsetof(struct state_options, member)
const struct opt relay_state_options[] = {
	{ "state", 0, OPT_STR, AT(state), "DIR", "serve's (default " GUARD_STATE_DIR ")", NULL, 0 },
	{ "shared-state", 0, OPT_STR, AT(shared_state), "URL", "serve's", NULL, 0 },
	{ "shared-state-password", 0, OPT_STR, AT(shared_state_password), "FILE", "serve's", NULL, 0 },
	{ "shared-state-ca", 0, OPT_STR, AT(shared_state_ca), "FILE", "serve's", NULL, 0 },
	{ "shared-state-cert", 0, OPT_STR, AT(shared_state_cert), "FILE", "serve's", NULL, 0 },
	{ 0 },
};

static int print(void *arg, struct span key, const struct state_value *v)
{
	(void)arg;
	printf("%.*s\t%llu\t%lld\n", SPAN_FMT(key), (unsigned long long)v->n, (long long)v->left);
	return 0;
}

static int list(struct state *s, int argc, char **argv, struct err *err)
{
	if (argc > 1)
		return err_set(err, ERR_USAGE, "list takes one beginning of keys");
	return state_list(s, argc ? argv[0] : "", print, NULL, err);
}

static int forget(struct state *s, int argc, char **argv, struct err *err)
{
	size_t n = 0;
	if (!argc)
		return err_set(err, ERR_USAGE, "forget which keys?");
	for (int i = 0; i < argc; i++) {
		struct state_value v;
		struct span key = span_str(argv[i]);
		if (key.n > STATE_KEY_MAX || span_has_ctl(key))
			return err_set(err, ERR_USAGE, "%s is no key", log_quote(key));
		if (state_get(s, key, &v) < 0 || (v.there && state_drop(s, key) < 0))
			return err_set(err, ERR_TEMP, "the state can't be changed");
		n += v.there;
		if (!v.there)
			fprintf(stderr, "mta-relay state: nothing is known of %s\n", log_quote(key));
	}
	return n == (size_t)argc ? 0 : err_set(err, ERR_DATA, "%zu of %d forgotten", n, argc);
}

static int work(struct state *s, int argc, char **argv, struct err *err)
{
	if (!argc || !strcmp(argv[0], "list"))
		return list(s, argc ? argc - 1 : 0, argv + 1, err);
	if (!strcmp(argv[0], "forget"))
		return forget(s, argc - 1, argv + 1, err);
	return err_set(err, ERR_USAGE, "there is no '%s'", argv[0]);
}

static void told(const char *what, const char *why)
{
	fprintf(stderr, "mta-relay state: now in %s: %s\n", what, why);
}

int relay_state(int argc, char **argv)
{
	struct state_options o = { .state = GUARD_STATE_DIR };
	const struct opts opts = { .prog = argv[0],
		.synopsis = "[OPTION]... [list [BEGINNING] | forget KEY...]",
		.about = "Lists and changes what serve remembers about clients and users.",
		.table = relay_state_options,
		.values = &o };
	struct err err = { 0 };
	int first, status;
	if (relay_options(argc, argv, &opts, &first, &status) != OPTS_OK)
		return status;
	struct state_config c = { .dir = o.state,
		.url = o.shared_state,
		.password_file = o.shared_state_password,
		.ca_file = o.shared_state_ca,
		.cert_file = o.shared_state_cert,
		.told = told,
		.existing = true };
	struct state *s = state_open(&c, &err);
	int rc = s ? work(s, argc - first, argv + first, &err) : -1;
	state_close(s);
	if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
		err_sys(&err, "output");
	if (err.class != ERR_NONE)
		relay_complain(argv[0], &err);
	return err_exit_status(&err);
}
