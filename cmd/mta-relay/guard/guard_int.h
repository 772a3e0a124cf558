/* SPDX-License-Identifier: ISC
 *
 * Inside of the guard: guard.c has the options, what is remembered where, and who a client is; each of the others is a
 * check.
 */
#ifndef MTA_RELAY_GUARD_INT_H
#define MTA_RELAY_GUARD_INT_H

#include "io/net.h"
#include "io/state/state.h"
#include "mta-relay/guard/guard.h"
#include "mta-relay/guard/guard_dnsbl.h"
#include "mta-relay/guard/guard_list.h"
#include "mta-relay/guard/guard_rate.h"
#include "mta-relay/serve/serve_check.h"

enum {
	GUARD_NET_TEXT = 64,
	GUARD_KEY = STATE_KEY_MAX + 1,
};

/* What is counted of a user, each in several spans of time. */
enum user_count {
	USER_MESSAGES,
	USER_RECIPIENTS,
	USER_NEW_RECIPIENTS,
	USER_REFUSALS,
	USER_COUNTS
};
enum {
	USER_RATES = 8
};
struct user_rates {
	struct rate v[USER_RATES];
	size_t n;
};

struct guard_lists {
	struct dnsbl *v;
	size_t n;
	const char *class; /* of the keys of what they said */
	char hash[9];      /* of what they are */
};

struct guard {
	struct guard_lists clients, domains; /* DNS lists of addresses, and of names */
	unsigned checks;                     /* --check's, as bits of guard_dns.c */
	struct user_rates user[USER_COUNTS];
	bool users; /* any of them */
	struct guard_list *grey_exempt;
	struct state *state;
	struct net_list *exempt; /* networks that are named */
	bool exempt_loopback, exempt_trust;
	struct rate connections, messages, recipients, errors, auth_failures, account_failures;
};

/* Who a client is to us; anew when a proxy or XCLIENT has told of another one. */
struct guard_client {
	char ip[64];              /* whose fields these are */
	struct net_addr addr;     /* len 0: no address, such as a pipe's */
	char net[GUARD_NET_TEXT]; /* "192.0.2.0/24", "unknown" */
	bool exempt, renamed;
};
/* guard_dns.c: what was found out, and for whom. */
struct guard_dns_memo {
	bool client_known, sender_known;
	char ip[64];
	const char *helo;
	struct list_score {
		int score;
		uint32_t by;               /* bits of the lists that have it */
	} score;                           /* the client's */
	struct smtp_answer client, sender; /* code 0: nothing against him */
};
struct guard_session {
	struct guard_client client;
	unsigned errors;     /* refused commands */
	struct span account; /* whose password is being shown */
	struct guard_dns_memo *dns;
};

/* The conversation's, filled; NULL when no guard is on. */
struct guard_session *guard_session(struct relay_session *s, const struct smtp_session *x);
/* Is there somebody to watch? Not who is exempt, and not whom we know no address of. */
bool guard_watches(struct relay_session *s, const struct smtp_session *x);
/* The same, but a user who has authenticated is no stranger. */
bool guard_stranger(struct relay_session *s, const struct smtp_session *x);
/* "192.0.2.0/24" of an address; "" for none. */
void guard_network(const struct net_addr *a, unsigned prefix4, unsigned prefix6, char out[GUARD_NET_TEXT]);

/* A key of the state: "class part part". */
struct guard_key {
	char text[GUARD_KEY];
};
struct span guard_key(struct guard_key *k, const char *class, struct span a, struct span b);
/* Adds to the class's counter of a: beyond the rate? False where nothing is known. *v (may be NULL) gets the sum. */
bool guard_beyond(struct guard *g, const struct rate *r, const char *class, struct span a, struct state_value *v);

extern const struct serve_check guard_check;   /* first: what the others need */
extern const struct serve_check limit_check;   /* guard_limit.c */
extern const struct serve_check account_check; /* guard_account.c */
extern const struct serve_check user_check;    /* guard_user.c */
extern const struct serve_check grey_check;    /* guard_grey.c */
extern const struct serve_check greet_check;   /* guard_greet.c */
extern const struct serve_check dns_check;     /* guard_dns.c */
/* guard_dns.c: its options, and whether it has work. */
int guard_dns_read(const struct guard_settings *o, struct guard *g, struct err *err);
bool guard_dns_wanted(const struct guard *g);

#endif
