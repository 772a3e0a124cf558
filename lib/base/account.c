/* SPDX-License-Identifier: ISC */
#include "base/account.h"

#define KEY(name)                                                                                                      \
	{                                                                                                              \
		name, 0, OPT_STR, 0, NULL, NULL, NULL, 0                                                               \
	}

/* Keys of one of the two only; tests/mra-fetch.bats holds these against the programs' own tables. */
static const struct opt retrieving[] = { KEY("url"), KEY("to"), KEY("keep"), KEY("delete"), KEY("idle"), KEY("limit"),
	KEY("rcpt"), KEY("state"), KEY("allow-plaintext"), KEY("idle-time"), KEY("poll"), KEY("confine"),
	KEY("confine-memory"), KEY(NULL) };
static const struct opt sending[] = { KEY("from"), KEY("name"), KEY("ignore-dots"), KEY("server"), KEY("direct"),
	KEY("resolver"), KEY("port"), KEY("hostname"), KEY("domain"), KEY("tls-cert"), KEY("tls-key"),
	KEY("requiretls"), KEY("user"), KEY("dsn"), KEY("ret"), KEY("priority"), KEY(NULL) };

const struct opt *const account_tables[] = { retrieving, sending, NULL };
