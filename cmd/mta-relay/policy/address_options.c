/* SPDX-License-Identifier: ISC */
#include "mta-relay/policy/address_options.h"

#include <string.h>

#include "users/aliases.h"

#define AT(member) offsetof(struct address_options, member)

const struct opt relay_address_options[] = {
	{ "virtual", 0, OPT_STR, AT(virtual), "TABLE", "addresses and domains that lead to other addresses", NULL, 0 },
	{ "relay-recipients", 0, OPT_STR, AT(relay_recipients), "TABLE", "who exists in the domains of --relay-to",
	    NULL, 0 },
	{ "sender-owners", 0, OPT_STR, AT(sender_owners), "TABLE", "which users may send as an address or @domain",
	    NULL, 0 },
	{ "alias-commands", 0, OPT_FLAG, AT(alias_commands), NULL, "aliases may name commands, which the MDA runs",
	    NULL, 0 },
	{ "alias-files", 0, OPT_FLAG, AT(alias_files), NULL, "aliases may name files, which the MDA appends to", NULL,
	    0 },
	{ "postmaster", 0, OPT_STR, AT(postmaster), "ADDRESS", "has postmaster's mail where nobody of that name exists",
	    NULL, 0 },
	{ "srs-domain", 0, OPT_STR, AT(srs_domain), "DOMAIN", "rewrites senders of mail that is sent on", NULL, 0 },
	{ "srs-secret", 0, OPT_STR, AT(srs_secret), "FILE", "what such addresses are signed with", NULL, 0 },
	{ 0 },
};

const struct opt relay_rewrite_options[] = {
	{ "canonical", 0, OPT_STR, AT(canonical), "TABLE", "how addresses are written, in envelope and header", NULL,
	    0 },
	{ "sender-canonical", 0, OPT_STR, AT(sender_canonical), "TABLE", "the same of senders, asked first", NULL, 0 },
	{ "recipient-canonical", 0, OPT_STR, AT(recipient_canonical), "TABLE", "the same of recipients, asked first",
	    NULL, 0 },
	{ "masquerade", 0, OPT_STR, AT(masquerade), "LIST|FILE", "domains whose hosts are hidden behind them", NULL,
	    0 },
	{ "masquerade-except", 0, OPT_STR, AT(masquerade_except), "TABLE", "local parts whose hosts are not", NULL, 0 },
	{ "append-domain", 0, OPT_STR, AT(append_domain), "DOMAIN", "for addresses in the header that have none", NULL,
	    0 },
	{ 0 },
};

/* Where each table of the options is kept. */
static const struct place {
	size_t option, table;
} places[] = {
	{ AT(virtual), offsetof(struct address_tables, virtual) },
	{ AT(relay_recipients), offsetof(struct address_tables, relay_recipients) },
	{ AT(sender_owners), offsetof(struct address_tables, sender_owners) },
	{ AT(canonical), offsetof(struct address_tables, canonical) },
	{ AT(sender_canonical), offsetof(struct address_tables, sender_canonical) },
	{ AT(recipient_canonical), offsetof(struct address_tables, recipient_canonical) },
	{ AT(masquerade_except), offsetof(struct address_tables, masquerade_except) },
};
enum {
	PLACES = sizeof places / sizeof *places
};

static const char *spec_of(const struct address_options *o, size_t i)
{
	/* UNSAFE: the offset is that of a member of this type. */
	return *(const char *const *)(const void *)((const char *)o + places[i].option);
}

static struct table **table_of(struct address_tables *t, size_t i)
{
	/* UNSAFE: as above. */
	return (struct table **)(void *)((char *)t + places[i].table);
}

unsigned address_aliases_allow(const struct address_options *o)
{
	return (o->alias_commands ? (unsigned)ALIASES_COMMANDS : 0) | (o->alias_files ? (unsigned)ALIASES_FILES : 0);
}

static int check(const struct address_options *o, struct err *err)
{
	if (!o->srs_domain != !o->srs_secret)
		return err_set(err, ERR_USAGE, "--srs-domain and --srs-secret need each other");
	if (o->masquerade_except && !o->masquerade)
		return err_set(err, ERR_USAGE, "--masquerade-except is for --masquerade");
	if (o->append_domain && !addr_domain_ok(span_str(o->append_domain), true))
		return err_set(err, ERR_USAGE, "--append-domain: '%.100s' is no domain", o->append_domain);
	return 0;
}

/* An address, or a user of the first of our domains. */
static int read_postmaster(struct address_tables *t, const char *text, struct err *err)
{
	t->arena = arena_new();
	if (!text)
		return 0;
	t->postmaster = (struct addr){ .local = span_str(text) };
	bool address = strchr(text, '@');
	if (!*text || (address && !addr_parse_mailbox(span_str(text), true, false, &t->postmaster, t->arena)))
		return err_set(err, ERR_USAGE, "--postmaster: '%.100s' is no address", text);
	return 0;
}

static void make_rules(struct address_tables *t, const struct address_options *o, const char *delimiters)
{
	t->rewrite = (struct rewrite_rules){ .by_role = { t->sender_canonical, t->recipient_canonical },
		.both = t->canonical,
		.masquerade = t->masquerade,
		.exposed = t->masquerade_except,
		.append = o->append_domain,
		.delimiters = delimiters };
	t->rewrites =
	    t->sender_canonical || t->recipient_canonical || t->canonical || t->masquerade || o->append_domain;
}

int address_tables_open(
    struct address_tables *t, const struct address_options *o, const char *delimiters, struct err *err)
{
	*t = (struct address_tables){ 0 };
	int rc = check(o, err);
	if (rc == 0)
		rc = read_postmaster(t, o->postmaster, err);
	for (size_t i = 0; i < PLACES && rc == 0; i++)
		if (spec_of(o, i) && !(*table_of(t, i) = table_open(spec_of(o, i), err)))
			rc = -1;
	if (rc == 0 && o->masquerade && !(t->masquerade = domains_open(o->masquerade, err)))
		rc = -1;
	if (rc == 0 && o->srs_domain && !(t->srs = srs_open(o->srs_domain, o->srs_secret, err)))
		rc = -1;
	make_rules(t, o, delimiters);
	if (rc < 0)
		address_tables_close(t);
	return rc;
}

void address_tables_close(struct address_tables *t)
{
	for (size_t i = 0; i < PLACES; i++)
		table_close(*table_of(t, i));
	domains_free(t->masquerade);
	srs_free(t->srs);
	arena_free(t->arena);
	*t = (struct address_tables){ 0 };
}

int address_tables_refresh(struct address_tables *t, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; i < PLACES; i++)
		if (table_refresh(*table_of(t, i), rc == 0 ? err : NULL) < 0)
			rc = -1;
	if (domains_refresh(t->masquerade, rc == 0 ? err : NULL) < 0)
		rc = -1;
	return rc;
}

bool address_tables_out_of_reach(const struct address_tables *t)
{
	return table_out_of_reach(t->virtual) || table_out_of_reach(t->relay_recipients) ||
	       table_out_of_reach(t->sender_owners);
}
