/* SPDX-License-Identifier: ISC
 *
 * mxlookup: where would mail for these domains go, and why.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/opts.h"
#include "io/trace.h"
#include "mxlookup/report.h"

enum {
	SMTP_PORT = 25,
	REPORT_MAX = 16 << 20
};

static struct options {
	const char *server, *trace;
	bool json, tlsa, sts, ptr, explain, trust_ad;
	int family;
	int64_t timeout;
} options = { .timeout = 5000 };

#define AT(member) offsetof(struct options, member)
static const struct opt table[] = {
	{ "server", 0, OPT_STR, AT(server), "HOST[:PORT]", "ask this DNS server", NULL, 0 },
	{ "json", 0, OPT_FLAG, AT(json), NULL, "one JSON object a line for each name", NULL, OPT_NO_CONFIG },
	{ "tlsa", 0, OPT_FLAG, AT(tlsa), NULL, "look for TLSA records (DANE) of each host", NULL, 0 },
	{ "sts", 0, OPT_FLAG, AT(sts), NULL, "look for an MTA-STS record of each domain", NULL, 0 },
	{ "ptr", 0, OPT_FLAG, AT(ptr), NULL, "check the name of each address", NULL, 0 },
	{ "family", 0, OPT_CHOICE, AT(family), NULL, "which addresses, in which order",
	    "any|ipv4-first|ipv6-first|ipv4|ipv6", 0 },
	{ "trust-ad", 0, OPT_FLAG, AT(trust_ad), NULL, "believe the DNS server about DNSSEC", NULL, 0 },
	{ "timeout", 0, OPT_DURATION, AT(timeout), "TIME", "for one try at one DNS server (5s)", NULL, 0 },
	{ "explain", 0, OPT_FLAG, AT(explain), NULL, "tell each step on stderr, with its RFC", NULL, OPT_NO_CONFIG },
	{ "trace", 0, OPT_STR, AT(trace), "FILE", "append events to FILE", NULL, 0 },
	{ NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, 0 },
};

static void look_deeper(struct dns *d, struct arena *a, struct report *r)
{
	r->host = arena_alloc(a, (r->mx.n + 1) * sizeof *r->host);
	for (size_t i = 0; i < r->mx.n; i++) {
		const struct mx_host *h = &r->mx.host[i];
		if (r->with_tlsa && h->name.n && h->status != DNS_BADNAME)
			tlsa_lookup(d, a, h->name, SMTP_PORT, h->ad, &r->host[i].tlsa);
		if (!r->with_ptr)
			continue;
		r->host[i].ptr = arena_alloc(a, (h->n_addr + 1) * sizeof *r->host[i].ptr);
		for (size_t k = 0; k < h->n_addr; k++)
			dns_fcrdns(d, a, &h->addr[k], &r->host[i].ptr[k]);
	}
	r->with_sts = r->with_sts && r->mx.kind != MX_LITERAL && r->mx.status != DNS_BADNAME;
	if (r->with_sts)
		sts_lookup(d, a, r->mx.domain, &r->sts);
}

/* One operand, a domain or an address; its exit status. */
static int look_up(struct dns *d, struct arena *a, const char *operand)
{
	struct report r = {
		.query = span_str(operand), .with_tlsa = options.tlsa, .with_sts = options.sts, .with_ptr = options.ptr
	};
	struct buf out;
	ptrdiff_t at = span_rchr(r.query, '@');
	struct span domain = at < 0 ? r.query : span_from(r.query, (size_t)at + 1);
	mx_lookup(d, a, domain, (enum mx_family)options.family, &r.mx);
	r.status = report_status(&r.mx);
	look_deeper(d, a, &r);
	buf_init(&out, REPORT_MAX);
	(options.json ? report_json : report_text)(&r, &out);
	fwrite(out.p, 1, out.len, stdout);
	buf_free(&out);
	return r.status;
}

static int failed(const struct err *err)
{
	fprintf(stderr, "mxlookup: %s\n", err->text);
	return err_exit_status(err);
}

static int look_up_all(char **operands, struct err *err)
{
	struct dns *d = dns_open(options.server, options.trust_ad, options.timeout, err);
	if (!d)
		return failed(err);
	struct arena *a = arena_new();
	int worst = 0;
	for (; *operands; operands++) {
		trace_begin(options.server ? options.server : "");
		int status = look_up(d, a, *operands);
		worst = status > worst ? status : worst;
		trace_end();
		arena_reset(a);
	}
	arena_free(a);
	dns_close(d);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return worst;
	err_sys(err, "standard output");
	return failed(err);
}

int main(int argc, char **argv)
{
	static const struct opts opts = {
		.prog = "mxlookup",
		.synopsis = "[OPTION]... DOMAIN|ADDRESS...",
		.about = "Tells where mail for a domain goes: MX hosts in order, their addresses, and why.",
		.table = table,
		.values = &options,
		.personal = true,
	};
	struct err err = { 0 };
	int first;
	signal(SIGPIPE, SIG_IGN);
	log_open("mxlookup", LOG_TO_AUTO, LOG_LVL_INFO);
	enum opts_result parsed = opts_parse(&opts, argc, argv, &first, &err);
	if (parsed == OPTS_DONE)
		return EX_OK;
	if (parsed == OPTS_OK && first == argc)
		err_set(&err, ERR_USAGE, "which domain or address? See mxlookup --help");
	if (parsed == OPTS_ERROR || err.class != ERR_NONE)
		return failed(&err);
	if (trace_open("mxlookup", "dns", options.trace, options.explain, &err) < 0)
		return failed(&err);
	return look_up_all(argv + first, &err);
}
