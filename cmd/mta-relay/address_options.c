/* SPDX-License-Identifier: ISC */
#include "mta-relay/address_options.h"

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
	{ "srs-domain", 0, OPT_STR, AT(srs_domain), "DOMAIN", "rewrites senders of mail that is sent on", NULL, 0 },
	{ "srs-secret", 0, OPT_STR, AT(srs_secret), "FILE", "what such addresses are signed with", NULL, 0 },
	{ 0 },
};

/* Where each table of the options is kept. */
static const struct place {
	size_t option, table;
} places[] = {
	{ AT(virtual), offsetof(struct address_tables, virtual) },
	{ AT(relay_recipients), offsetof(struct address_tables, relay_recipients) },
	{ AT(sender_owners), offsetof(struct address_tables, sender_owners) },
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

int address_tables_open(struct address_tables *t, const struct address_options *o, struct err *err)
{
	int rc = 0;
	*t = (struct address_tables){ 0 };
	if (!o->srs_domain != !o->srs_secret)
		return err_set(err, ERR_USAGE, "--srs-domain and --srs-secret need each other");
	for (size_t i = 0; i < PLACES && rc == 0; i++)
		if (spec_of(o, i) && !(*table_of(t, i) = table_open(spec_of(o, i), err)))
			rc = -1;
	if (rc == 0 && o->srs_domain && !(t->srs = srs_open(o->srs_domain, o->srs_secret, err)))
		rc = -1;
	if (rc < 0)
		address_tables_close(t);
	return rc;
}

void address_tables_close(struct address_tables *t)
{
	for (size_t i = 0; i < PLACES; i++)
		table_close(*table_of(t, i));
	srs_free(t->srs);
	*t = (struct address_tables){ 0 };
}

int address_tables_refresh(struct address_tables *t, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; i < PLACES; i++)
		if (table_refresh(*table_of(t, i), rc == 0 ? err : NULL) < 0)
			rc = -1;
	return rc;
}
