/* SPDX-License-Identifier: ISC
 *
 * What serve does against abuse: limits of clients and of users, greylisting, a pause before the greeting, and what the
 * DNS says about a client. Each is a serve_check of its own and costs nothing while it is off; what they remember is in
 * io/state/state.h. This is what the rest of serve sees of them.
 */
#ifndef MTA_RELAY_GUARD_H
#define MTA_RELAY_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/opts.h"

#define GUARD_STATE_DIR "/var/lib/waypost/state"

struct guard_settings {
	const char *state, *shared_state, *shared_state_password, *shared_state_ca, *shared_state_cert;
	const char *exempt;
	unsigned prefix4, prefix6, max_per_network;
	/* N/TIME */
	const char *connections, *messages, *recipients, *errors, *auth_failures, *account_failures;
	int64_t lockout, tarpit, account_known;
	/* Of users who have authenticated */
	struct opt_list user_messages, user_recipients, user_new_recipients, user_refusals;
	const char *user_exempt;
	int user_beyond; /* enum guard_beyond_do */
	int64_t user_brake;
	int64_t greylist, greylist_window, greylist_keep;
	unsigned greylist_auto;
	const char *greylist_exempt;
	int64_t greet_delay, greet_keep;
	struct opt_list dnsbl, rhsbl;
	unsigned dnsbl_threshold;
	int64_t dnsbl_cache, dns_time;
	const char *check;
};
enum guard_beyond_do {
	BEYOND_REFUSE,
	BEYOND_HOLD
};
extern const struct opt guard_options[];
extern const struct guard_settings guard_defaults;

struct relay_server;
struct net_addr;
/* Is an address exempt, as far as it alone tells? For struct serve_options. */
bool guard_exempts(void *relay_server, const struct net_addr *a);

struct relay_session;
struct smtp_session;
/* Will the client be refused at once? Then nothing need be looked up about it. */
bool guard_turns_away(struct relay_session *s, const struct smtp_session *x);

struct span;
struct err;
/* Somebody is about to show a password for this account, named as it is filed. -1 with err, ERR_TEMP: he may not. */
int guard_account_look(struct relay_session *s, struct span user, struct err *err);

struct guard;         /* of the process; NULL: nothing is on */
struct guard_session; /* of a conversation; NULL until it is needed */

#endif
