/* SPDX-License-Identifier: ISC
 *
 * Every limit of the project that is not an option, by name. Sizes in bytes, times in milliseconds unless
 * the name says otherwise. The sections cited give the least that must be accepted.
 */
#ifndef WP_BASE_LIMITS_H
#define WP_BASE_LIMITS_H

enum {
	/* SMTP: RFC 5321 4.5.3.1. Lines are accepted longer than its minimum because extensions add to it. */
	LIMIT_SMTP_COMMAND = 4096,      /* with CRLF; RFC 5321 4.5.3.1.4 asks 512, RFC 4954 up to 12288 for AUTH */
	LIMIT_SMTP_AUTH_LINE = 12288,   /* RFC 4954 4 */
	LIMIT_SMTP_REPLY_LINE = 2048,   /* RFC 5321 4.5.3.1.5 asks 512 */
	LIMIT_SMTP_REPLY_LINES = 100,   /* lines in one multi-line reply */
	LIMIT_SMTP_LOCALPART = 255,     /* RFC 5321 4.5.3.1.1 asks 64; addresses that hold another one are longer */
	LIMIT_SMTP_LOCALPART_SRS = 192, /* of one that we make for a rewritten sender */
	LIMIT_DOMAIN = 255,             /* RFC 5321 4.5.3.1.2 */
	LIMIT_SMTP_PATH = 1024,         /* RFC 5321 4.5.3.1.3 asks 256; UTF-8 addresses are longer in bytes */
	LIMIT_SMTP_RCPT = 1000,         /* RFC 5321 4.5.3.1.8 asks 100; default of an option */
	LIMIT_SMTP_TARGETS = 50000,     /* whom one transaction's recipients may lead to, before no more is taken */
	LIMIT_SMTP_JUNK_COMMANDS = 100,
	LIMIT_SMTP_ERRORS = 20,
	LIMIT_SMTP_PUT_OFF =
	    1000, /* recipients told to come back in another transaction, and the client still goes on */
	LIMIT_RECEIVED_HOPS = 100,    /* RFC 5321 6.3 */
	LIMIT_SMTP_DATA_RATE = 50,    /* bytes per second of content at least, on average after TIME_SMTP_DATA_GRACE */
	LIMIT_SMTP_STRESS_RATE = 500, /* the same while other clients wait for a process */

	/* Messages */
	LIMIT_MESSAGE_DEFAULT = 104857600, /* 100 MiB; default of an option */
	LIMIT_EXPN = 1 << 20,              /* bytes of a list that EXPN tells */
	LIMIT_REENCODED = 419430400,       /* a message as quoted-printable, which is three times as long at most */
	LIMIT_HEADER_BYTES = 2097152,      /* what is searched for header fields; the rest counts as body */
	LIMIT_HEADER_FIELD = 1048576,
	LIMIT_HEADER_FIELDS = 10000,
	LIMIT_ADDRESSES = 50000,
	LIMIT_MIME_DEPTH = 100,
	LIMIT_MIME_PARTS = 10000,
	LIMIT_BOUNDARY = 1024, /* RFC 2046 5.1.1 allows 70; longer ones are met */

	/* Stream */
	LIMIT_STREAM_READ = 65536,
	LIMIT_STREAM_WRITE = 65536,

	/* IMAP: RFC 7162 and RFC 2683 3.2.1.5 ask 8000 at least */
	LIMIT_IMAP_LINE = 65536,
	LIMIT_IMAP_LITERAL = 104857600,
	LIMIT_IMAP_NONAUTH = 8192,    /* everything before login, literals included */
	LIMIT_IMAP_COMMAND = 1048576, /* a command after login with its literals, but the message of APPEND */
	LIMIT_IMAP_DEPTH = 50,
	LIMIT_POP3_LINE = 4096, /* RFC 2449 4 asks 255; AUTH responses are longer */

	/* Configuration and tables */
	LIMIT_CONFIG_LINE = 65536,
	LIMIT_CONFIG_FILE = 67108864,
	LIMIT_SECRET = 65536,    /* a password command's answer: tokens are 4 kB and more */
	LIMIT_TRACE_LINE = 3500, /* one event: below PIPE_BUF, so that one write is one line */

	/* DNS */
	LIMIT_DNS_ANSWER = 65535, /* RFC 7766: a TCP answer's length is 16 bits */
	LIMIT_DNS_CNAMES = 16,
	LIMIT_DNS_RECORDS = 1000, /* taken from one answer */
	LIMIT_PTR_NAMES = 10,     /* RFC 7208 4.6.4 */
	LIMIT_MX_HOSTS = 50,
	LIMIT_HOST_ADDRESSES = 16,

	/* Times: RFC 5321 4.5.3.2 */
	TIME_CONNECT = 30 * 1000,
	TIME_SMTP_GREETING = 5 * 60 * 1000,
	TIME_SMTP_COMMAND = 5 * 60 * 1000,
	TIME_SMTP_DATA_INIT = 2 * 60 * 1000,
	TIME_SMTP_DATA_BLOCK = 3 * 60 * 1000,
	TIME_SMTP_DATA_DONE = 10 * 60 * 1000,
	TIME_SMTP_DATA_GRACE = 2 * 60 * 1000,
	TIME_IMAP_IDLE = 30 * 60 * 1000, /* RFC 9051 5.4 */
	TIME_IMAP_LOGIN = 3 * 60 * 1000, /* silence before login */
	TIME_POP3_IDLE = 10 * 60 * 1000, /* RFC 1939 3 */
	TIME_TLS_HANDSHAKE = 60 * 1000,
};

#endif
