/* SPDX-License-Identifier: ISC
 *
 * No option that names something outside is forgotten when workers are confined.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mta-relay/relay.h"
#include "mta-relay/serve/serve_confine.h"

static const char *const outside[] = { "FILE", "DIR", "PATH", "TABLE", "URL", "WHERE", "HOST", "ADDR:", "CMD",
	"COMMAND", "SOCKET", "SERVER" };

static bool names_something(const struct opt *o)
{
	for (size_t i = 0; o->arg && i < sizeof outside / sizeof *outside; i++)
		if (strstr(o->arg, outside[i]))
			return true;
	return false;
}

static bool is_listed(const char *option)
{
	for (const struct serve_named *n = serve_named; n->option; n++)
		if (!strcmp(n->option, option))
			return true;
	return false;
}

static unsigned look(const struct opt *table)
{
	unsigned n = 0;
	for (const struct opt *o = table; o->name; o++) {
		if (!names_something(o))
			continue;
		n++;
		if (!is_listed(o->name))
			fail_msg("--%s=%s: say in serve_named (serve_confine.c) what a worker may do there", o->name,
			    o->arg);
	}
	return n;
}

static void test_every_option(void **state)
{
	(void)state;
	unsigned n = look(relay_serve_options);
	for (const struct opt_group *g = relay_serve_groups; g->table; g++)
		n += look(g->table);
	assert_true(n > 20);
}

static bool is_option(const char *name, const struct opt *table)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return true;
	return false;
}

/* And none is listed that there is not, since a misspelt one would give no right. */
static void test_every_row(void **state)
{
	(void)state;
	for (const struct serve_named *n = serve_named; n->option; n++) {
		bool found = is_option(n->option, relay_serve_options);
		for (const struct opt_group *g = relay_serve_groups; g->table && !found; g++)
			found = is_option(n->option, g->table);
		if (!found)
			fail_msg("%s is no option", n->option);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_every_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
