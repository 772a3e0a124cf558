/* SPDX-License-Identifier: ISC */
#include "mxlookup/report.h"

#include <sysexits.h>

const char *report_kind(enum mx_kind kind)
{
	static const char *const names[] = {
		[MX_RECORDS] = "mx",
		[MX_IMPLICIT] = "implicit",
		[MX_LITERAL] = "literal",
		[MX_NULL] = "null",
		[MX_NONE] = "none",
	};
	return names[kind];
}

static int of_failure(enum dns_status st)
{
	static const int status[] = {
		[DNS_OK] = EX_NOINPUT,
		[DNS_NXDOMAIN] = EX_NOHOST,
		[DNS_NODATA] = EX_NOINPUT,
		[DNS_SERVFAIL] = EX_IOERR,
		[DNS_TIMEOUT] = EX_TEMPFAIL,
		[DNS_BADNAME] = EX_DATAERR,
	};
	return status[st];
}

/* There are MX hosts: one with an address is enough; else a failure that may pass decides. */
static int of_hosts(const struct mx_result *mx)
{
	int worst = EX_NOINPUT;
	for (size_t i = 0; i < mx->n; i++) {
		enum dns_status st = mx->host[i].status;
		if (st == DNS_OK)
			return EX_OK;
		if ((st == DNS_SERVFAIL || st == DNS_TIMEOUT) && of_failure(st) > worst)
			worst = of_failure(st);
	}
	return worst;
}

int report_status(const struct mx_result *mx)
{
	switch (mx->kind) {
	case MX_NULL:
		return EX_UNAVAILABLE;
	case MX_NONE:
		return of_failure(mx->status);
	default:
		return of_hosts(mx);
	}
}
