/* SPDX-License-Identifier: ISC
 *
 * The insides of lib/sasl: a mechanism is a row of a table with its step function; the exchange's state is one
 * struct per side. Tests set the nonces here.
 */
#ifndef WP_SASL_MECH_H
#define WP_SASL_MECH_H

#include "sasl/sasl.h"
#include "sasl/scram.h"

enum mech_flags {
	MECH_PLAINTEXT = 1,  /* shows the password to whoever reads along */
	MECH_BINDS = 2,      /* needs channel binding */
	MECH_ON_REQUEST = 4, /* client: only when asked for by name */
	MECH_SCRAM = 8,
	MECH_CLIENT_FIRST = 16,
	MECH_PASSWORD = 32, /* server: needs lookup, or verify unless MECH_STORED */
	MECH_STORED = 64,   /* server: needs what is stored, not just the answer whether a password is right */
	MECH_TOKEN = 128,   /* server: needs ops->token */
	MECH_CERT = 256,    /* server: needs ops->certificate */
};

typedef enum sasl_result server_step_fn(struct sasl_server *x, struct span in, struct buf *out, struct err *err);
typedef enum sasl_result client_step_fn(struct sasl_client *x, struct span in, struct buf *out, struct err *err);

struct server_mech {
	const char *name;
	server_step_fn *step;
	unsigned flags;
	const char *question; /* the challenge to a client that gave no initial response */
};

struct sasl_server {
	const struct server_mech *mech;
	const struct stream *s;
	const struct sasl_server_ops *ops;
	void *arg;
	unsigned step;
	bool asked;      /* a challenge asked for the initial response */
	struct buf user; /* the authentication identity; after SASL_OK as the users file has it */
	/* SCRAM */
	char nonce[SCRAM_NONCE + 1];
	struct buf gs2, binding, full_nonce, messages;
	struct scram_keys keys;
	bool real; /* the keys are a user's, not made up for one that does not exist */
	/* Tokens */
	bool refused;
	struct err refusal;
	/* CRAM-MD5 */
	struct buf challenge;
};

struct client_mech {
	const char *name;
	client_step_fn *step;
	unsigned flags;
};

struct sasl_client {
	const struct client_mech *mech;
	struct sasl_client_config config;
	const struct stream *s;
	unsigned step;
	bool done;
	/* SCRAM */
	bool offered_plus;
	char nonce[SCRAM_NONCE + 1];
	struct buf gs2, messages;
	unsigned char server_signature[SCRAM_HASH];
};

/* Ends the exchange: fills err, gives SASL_FAIL. */
enum sasl_result sasl_fail(struct err *err, enum err_class class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The user's row for x->user (which becomes the row's name). SASL_OK, or SASL_FAIL with err for a backend that is down;
 * unknown users give SASL_OK with *known false. */
enum sasl_result sasl_server_lookup(struct sasl_server *x, struct user *row, bool *known, struct err *err);

/* The mechanism proved who x->user is (without knowing of a password): takes the name as it is filed. SASL_OK, or
 * SASL_FAIL for one that is not there, may not log in, or is not authzid ("": whoever it is). */
enum sasl_result sasl_server_admit(struct sasl_server *x, struct span authzid, struct err *err);

enum {
	CRAM_DIGEST = 32 /* hexadecimal digits */
};
/* HMAC-MD5 of the challenge with the password as its key (RFC 2195 2). False when the library has no MD5. */
bool cram_digest(struct span password, struct span challenge, char hex[CRAM_DIGEST + 1]);

server_step_fn scram_server_step, cram_server_step, oauthbearer_server_step, xoauth2_server_step;
client_step_fn scram_client_step, cram_client_step;

#endif
