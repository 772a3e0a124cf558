/* SPDX-License-Identifier: ISC
 *
 * A whole conversation with a hostile IMAP client, over a Maildir of its own. The first byte chooses how it begins
 * (logged in or not) and how it arrives (whole or in pieces).
 */
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "imap.h"
#include "testbed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct testbed_mail mail[] = {
	{ "a:2,S", SPAN("From: \"A\" <a@x>\nTo: g:b@y;\nSubject: =?utf-8?q?h=C3=A9?=\n\none\n.two\n") },
	{ "b:2,F",
	    SPAN("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n--b\nContent-Type: message/rfc822\n\n"
		 "Subject: inner\n\ninside\n--b--\n") },
	{ "c:2,", SPAN("Subject: crlf\r\n\r\nx") },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct testbed bed;
	struct maa_session x;
	struct err err = { 0 };
	if (!size)
		return 0;
	log_open("imap_fuzz", LOG_TO_NONE, LOG_LVL_ERR);
	testbed_make(&bed, mail, sizeof mail / sizeof *mail);
	struct maa_config c = { .hostname = "maa.example",
		.mail = span_str(bed.mail),
		.login_attempts = 3,
		.max_size = 1000,
		.durable = DURABLE_NONE,
		.allow_plaintext = true };
	c.preauth = data[0] & 1 ? NULL : "bob";
	c.users = users_open(bed.users, &err);
	struct stream *s = stream_from_mem(span_of((const char *)data + 1, size - 1), data[0] >> 1);
	maa_session_begin(&x, &c, s, "local");
	imap_run(&x, &err);
	maa_session_end(&x);
	stream_close(s);
	users_close(c.users);
	testbed_remove(&bed);
	return 0;
}
