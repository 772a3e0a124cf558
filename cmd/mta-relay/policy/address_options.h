/* SPDX-License-Identifier: ISC
 *
 * What becomes of addresses, as far as tables say: options that serve, inject and explain share, and the tables
 * themselves. They are opened before workers are forked and looked at again at the start of each conversation.
 */
#ifndef MTA_RELAY_ADDRESS_OPTIONS_H
#define MTA_RELAY_ADDRESS_OPTIONS_H

#include "base/opts.h"
#include "mta-relay/policy/rewrite.h"
#include "mta-relay/policy/srs.h"
#include "users/table.h"

struct address_options {
	const char *virtual, *relay_recipients, *sender_owners; /* tables */
	const char *srs_domain, *srs_secret;
	const char *canonical, *sender_canonical, *recipient_canonical, *masquerade_except; /* tables */
	const char *masquerade, *append_domain;
	const char *postmaster;
	bool alias_commands, alias_files;
};
/* Where addresses lead to; how they are written. */
extern const struct opt relay_address_options[], relay_rewrite_options[];

/* What aliases_open_allowing may allow. */
unsigned address_aliases_allow(const struct address_options *o);

struct address_tables {
	struct table *virtual, *relay_recipients, *sender_owners; /* NULL: none */
	struct table *canonical, *sender_canonical, *recipient_canonical, *masquerade_except;
	struct domains *masquerade;
	struct srs *srs;              /* NULL: senders stay as they are */
	struct arena *arena;          /* of postmaster */
	struct addr postmaster;       /* no local part: none; no domain: ours */
	struct rewrite_rules rewrite; /* made of these */
	bool rewrites;                /* there are such rules */
};
/* 0, or -1 with err and nothing open. */
int address_tables_open(
    struct address_tables *t, const struct address_options *o, const char *delimiters, struct err *err);
void address_tables_close(struct address_tables *t);
/* -1 with the first one's err when any is bad now: its old rows stay. */
int address_tables_refresh(struct address_tables *t, struct err *err);
/* table_out_of_reach, of any that says who is taken. */
bool address_tables_out_of_reach(const struct address_tables *t);

#endif
