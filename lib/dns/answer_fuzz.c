/* SPDX-License-Identifier: ISC
 *
 * Any bytes as a server's answer. The first two choose the type that is asked for; the question is taken from the
 * packet, so that the rest is reached.
 */
#include <arpa/nameser.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "dns/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct dns_answer *ans)
{
	if (ans->n > LIMIT_DNS_RECORDS || (ans->n > 0) != (ans->status == DNS_OK))
		abort();
	for (size_t i = 0; i < ans->n; i++)
		if (span_has_ctl(ans->rr[i].name))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = { ns_t_a, ns_t_aaaa, ns_t_mx, ns_t_txt, ns_t_ptr, ns_t_srv, ns_t_cname, ns_t_tlsa };
	if (size < 1 || size > LIMIT_DNS_ANSWER)
		return 0;
	struct span packet = span_of((const char *)data + 1, size - 1);
	struct arena *a = arena_new();
	struct dns_answer ans;
	struct buf name;
	size_t at = 12;
	buf_init(&name, 2048);
	if (packet.n > at && answer_name(packet, &at, &name))
		answer_parse(a, packet, buf_span(&name), types[data[0] % 8], &ans);
	else
		answer_parse(a, packet, SPAN("example.org"), types[data[0] % 8], &ans);
	check(&ans);
	buf_free(&name);
	arena_free(a);
	return 0;
}
