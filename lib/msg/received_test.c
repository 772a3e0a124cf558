/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "msg/received.h"

struct want {
	const char *in, *from, *rdns, *ip, *by, *software, *with, *id, *rcpt, *env, *tls;
	bool is_tls, is_auth, timed;
};

/* As each kind of server writes them. */
static const struct want cases[] = {
	{ "from mail.example.net (host.example.net [192.0.2.1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 "
	  "(256/256 bits)\r\n\t key-exchange X25519)\r\n\t(No client certificate requested)\r\n\tby mx.example.org "
	  "(Postfix) "
	  "with ESMTPS id 4ABC\r\n\tfor <bob@example.org>; Sun, 22 Nov 2026 03:10:00 +0000 (UTC)",
	    "mail.example.net", "host.example.net", "192.0.2.1", "mx.example.org", "Postfix", "ESMTPS", "4ABC",
	    "bob@example.org", "", "TLSv1.3/TLS_AES_256_GCM_SHA384", true, false, true },
	{ "from client (unknown [IPv6:2001:db8::1]) by mx (Postfix) with ESMTPSA id X; Sun, 22 Nov 2026 03:10:00 +0000",
	    "client", "", "2001:db8::1", "mx", "Postfix", "ESMTPSA", "X", "", "", "/", true, true, true },
	{ "by mx.example.org (Postfix, from userid 1000) id 9D32C5E01F4F; Mon, 23 Sep 2002 20:42:43 +0300 (EEST)", "",
	    "", "", "mx.example.org", "Postfix, from userid 1000", "", "9D32C5E01F4F", "", "", "/", false, false,
	    true },
	{ "from rdns.example ([192.0.2.7] helo=client.example) by mx.example with esmtps  (TLS1.3) tls "
	  "TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <alice@client.example>) id 1qX-00-2B for bob@mx.example; "
	  "Sun, 22 Nov 2026 03:10:00 +0000",
	    "client.example", "rdns.example", "192.0.2.7", "mx.example", "Exim 4.96", "esmtps", "1qX-00-2B",
	    "bob@mx.example", "alice@client.example", "TLS1.3/TLS_AES_256_GCM_SHA384", true, false, true },
	{ "from [192.0.2.8] (helo=client ident=joe) by mx.example with asmtp (Exim 4.10) id 18; Sat, 12 Oct 2002 "
	  "17:18:51 +0100",
	    "client", "", "192.0.2.8", "mx.example", "Exim 4.10", "asmtp", "18", "", "", "/", false, false, true },
	{ "from alice by mx.example with local (Exim 4.96) (envelope-from <alice@mx.example>) id 1r; 22 Nov 2026 "
	  "03:10:00 +0000",
	    "alice", "", "", "mx.example", "Exim 4.96", "local", "1r", "", "alice@mx.example", "/", false, false,
	    true },
	{ "from a.example (a.example [192.0.2.1] (may be forged)) by b.example (8.17.1/8.17.1) with ESMTPS id 3A0 "
	  "(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=OK) for <x@b.example>; Sun, 22 Nov 2026 "
	  "03:10:00 GMT",
	    "a.example", "a.example", "192.0.2.1", "b.example", "8.17.1/8.17.1", "ESMTPS", "3A0", "x@b.example", "",
	    "TLSv1.3/TLS_AES_256_GCM_SHA384", true, false, true },
	{ "(from joe@localhost) by b.example (8.8.8/8.8.0) id TAA03097; Mon, 6 Jul 1998 11:24:27 -0400 (EDT)", "", "",
	    "", "b.example", "8.8.8/8.8.0", "", "TAA03097", "", "", "/", false, false, true },
	{ "(qmail 46768 invoked by uid 1289); 25 May 2008 14:38:46 -0000", "", "", "", "",
	    "qmail 46768 invoked by uid 1289", "", "", "", "", "/", false, false, true },
	{ "from unknown (HELO client.example) (joe@192.0.2.9) by 0 with SMTP; 4 Apr 2002 21:41:45 -0000",
	    "client.example", "", "192.0.2.9", "0", "", "SMTP", "", "", "", "/", false, false, true },
	{ "from 10.0.0.5 (EHLO mail.example) (192.0.2.10) by mta.example with SMTPS; Wed, 10 Jun 2020 10:11:21 +0000",
	    "mail.example", "", "192.0.2.10", "mta.example", "", "SMTPS", "", "", "", "/", true, false, true },
	{ "from A.prod.example (2001:db8::a) by B.prod.example (2001:db8::b) with Microsoft SMTP Server "
	  "(version=TLS1_2, "
	  "cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.20.1 via Frontend Transport; Sun, 22 Nov 2026 03:10:00 "
	  "+0000",
	    "A.prod.example", "", "2001:db8::a", "B.prod.example", "", "Microsoft SMTP Server", "15.20.1", "", "",
	    "TLS1_2/TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", true, false, true },
	{ "from mx2.example (mx2.example [2001:db8::2]) by smrk (OpenSMTPD) with ESMTPS id 048528c1 "
	  "(TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO) for <x@smrk.example>; Tue, 23 Jun 2026 07:47:54 +0200 (CEST)",
	    "mx2.example", "mx2.example", "2001:db8::2", "smrk", "OpenSMTPD", "ESMTPS", "048528c1", "x@smrk.example",
	    "", "TLSv1.3/TLS_AES_256_GCM_SHA384", true, false, true },
	{ "from proxy.example ([127.0.0.1]) by store.example (Dovecot) with LMTP id zvCF for <a@b.example>; Tue, 09 "
	  "Jun 2020 "
	  "20:44:24 +0200",
	    "proxy.example", "", "127.0.0.1", "store.example", "Dovecot", "LMTP", "zvCF", "a@b.example", "", "/", false,
	    false, true },
	{ "by 2002:a02:6629:0:0:0:0:0 with SMTP id k41csp; Wed, 10 Jun 2020 05:17:57 -0700 (PDT)", "", "", "",
	    "2002:a02:6629:0:0:0:0:0", "", "SMTP", "k41csp", "", "", "/", false, false, true },
	{ "from hub.example by hub2.example; (5.65v3.2/1.1) id AA15988; Mon, 3 Aug 1998 12:05:51 -0400", "hub.example",
	    "", "", "hub2.example", "5.65v3.2/1.1", "", "AA15988", "", "", "/", false, false, true },
	{ "from a by b with ESMTP id <x.y@z> for <\"a b\"@example.org>", "a", "", "", "b", "", "ESMTP", "x.y@z",
	    "\"a b\"@example.org", "", "/", false, false, false },
	{ "from a (b.example [192.0.2.1] by c; Sun, 22 Nov 2026 03:10:00 +0000", "a", "b.example", "192.0.2.1", "", "",
	    "", "", "", "", "/", false, false, true },
	{ "from a ([192.0.2.1:59154]) by b with esmtpsa (Cipher TLS-1.0:RSA_AES_256_CBC_SHA1:32) (Exim 4.63 #1) id 1N "
	  "by authid "
	  "<x@y> with cram_md5; Sun, 22 Nov 2026 03:10:00 +0000",
	    "a", "", "192.0.2.1", "b", "Exim 4.63 #1", "esmtpsa", "1N", "", "", "TLS-1.0/RSA_AES_256_CBC_SHA1", true,
	    true, true },
	{ "from a.example ([192.0.2.1])\r\n\tby b.example (waypost) with ESMTPS id 1K0\r\n\t(TLSv1.3 "
	  "TLS_AES_256_GCM_SHA384)"
	  "\r\n\tfor <x@b.example>;\r\n\tSun, 22 Nov 2026 03:10:00 +0000",
	    "a.example", "", "192.0.2.1", "b.example", "waypost", "ESMTPS", "1K0", "x@b.example", "",
	    "TLSv1.3/TLS_AES_256_GCM_SHA384", true, false, true },
	{ "from a by b with UTF8SMTPSA; nonsense", "a", "", "", "b", "", "UTF8SMTPSA", "", "", "", "/", true, true,
	    false },
};

static void same(struct span got, const char *want, const char *in)
{
	if (!span_eqs(got, want))
		fail_msg("%s\n  got '%.*s', want '%s'", in, SPAN_FMT(got), want);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct want *w = &cases[i];
		struct arena *a = arena_new();
		struct received r;
		assert_true(received_parse(a, span_str(w->in), &r));
		same(r.from, w->from, w->in);
		same(r.rdns, w->rdns, w->in);
		same(r.ip, w->ip, w->in);
		same(r.by, w->by, w->in);
		same(r.software, w->software, w->in);
		same(r.with, w->with, w->in);
		same(r.id, w->id, w->in);
		same(r.rcpt, w->rcpt, w->in);
		same(r.envelope_from, w->env, w->in);
		struct span tls = span_str(w->tls), version = span_cut(&tls, '/');
		if (!span_eq(r.tls_version, version) || !span_eq(r.tls_cipher, tls))
			fail_msg("%s\n  got %.*s %.*s", w->in, SPAN_FMT(r.tls_version), SPAN_FMT(r.tls_cipher));
		assert_int_equal(r.tls, w->is_tls);
		assert_int_equal(r.auth, w->is_auth);
		assert_int_equal(r.has_time, w->timed);
		arena_free(a);
	}
}

static void test_nothing(void **state)
{
	(void)state;
	static const char *const empty[] = { "", " ", ";", "()", "with", "id x", "((((((", "; yesterday", "\\", "\"" };
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		struct arena *a = arena_new();
		struct received r;
		assert_false(received_parse(a, span_str(empty[i]), &r));
		arena_free(a);
	}
}

static void test_time(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct received r;
	assert_true(received_parse(a, SPAN("from a by b; Sun, 22 Nov 2026 04:10:00 +0100 (CET)"), &r));
	assert_int_equal(r.time, 1795317000);
	assert_int_equal(r.zone_min, 60);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
