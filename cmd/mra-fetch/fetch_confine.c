/* SPDX-License-Identifier: ISC
 *
 * What mra-fetch may do once it talks to a server: write its state and its destination, and connect to where both
 * are.
 */
#include "mra-fetch/fetch.h"

int job_prepare_commands(struct job *j, struct err *err)
{
	const struct broker_command secret = { .command = j->o->password_command };
	if (j->o->confine.mode == CONFINE_OFF)
		return 0;
	j->broker = broker_new();
	if (secret.command && broker_add(j->broker, &secret, err) < 0)
		return -1;
	if (dest_register(j->o->to, j->broker, err) < 0)
		return -1;
	return broker_launch(j->broker, err);
}

static struct confine_rules *make_rules(const struct job *j)
{
	struct confine_rules *r = confine_rules_new();
	confine_allow_path(r, state_dir(j->state), CONFINE_ALL);
	dest_allow(j->dest, r);
	confine_allow_path(r, j->o->tls_ca, CONFINE_READ);
	confine_allow_authorities(r);
	confine_allow_names(r);
	confine_allow_connect(r, j->port);
	return r;
}

int job_confine(struct job *j, struct err *err)
{
	if (j->o->confine.mode == CONFINE_OFF)
		return 0;
	struct confine_rules *r = make_rules(j);
	struct confine c = { .mode = j->o->confine.mode, .rules = r, .memory = j->o->confine.memory };
	int rc = confine_check(c.mode, err) < 0 ? -1 : confine(&c, err);
	confine_rules_free(r);
	j->confined = rc == 0;
	return rc;
}
