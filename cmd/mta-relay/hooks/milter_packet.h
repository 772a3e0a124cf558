/* SPDX-License-Identifier: ISC
 *
 * Packets of the milter protocol, version 6, as libmilter speaks it (its mfdef.h has the values): four bytes of length,
 * a command, its data. We are the MTA: commands are built, replies are understood. No descriptor is known here.
 *
 * Reading is strict about form, since a milter and we that disagree about where a packet's parts end would damage mail:
 * a reply is known, has the parts that it must have, each text ends with NUL and nothing follows the last one. Spans of
 * a reply point into the packet.
 */
#ifndef MTA_RELAY_MILTER_PACKET_H
#define MTA_RELAY_MILTER_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum {
	MILTER_VERSION = 6,
	MILTER_CHUNK = 65535,        /* of a body, in one packet */
	MILTER_PACKET_MAX = 1 << 20, /* that we read */
	MILTER_HEAD = 5
};

/* What we say. */
enum milter_command {
	MILTER_ABORT = 'A',
	MILTER_BODY = 'B',
	MILTER_CONNECT = 'C',
	MILTER_MACROS = 'D',
	MILTER_EOM = 'E',
	MILTER_HELO = 'H',
	MILTER_QUIT_REUSE = 'K', /* end of this client's connection, another one's follows */
	MILTER_HEADER = 'L',
	MILTER_MAIL = 'M',
	MILTER_EOH = 'N',
	MILTER_NEGOTIATE = 'O',
	MILTER_QUIT = 'Q',
	MILTER_RCPT = 'R',
	MILTER_DATA = 'T',
	MILTER_UNKNOWN = 'U',
};
/* What we are told. */
enum milter_said {
	MILTER_ADD_RCPT = '+',
	MILTER_DELETE_RCPT = '-',
	MILTER_ADD_RCPT_ARGS = '2',
	MILTER_SHUTDOWN = '4',
	MILTER_ACCEPT = 'a',
	MILTER_REPLACE_BODY = 'b',
	MILTER_CONTINUE = 'c',
	MILTER_DISCARD = 'd',
	MILTER_CHANGE_FROM = 'e',
	MILTER_CONN_FAIL = 'f',
	MILTER_ADD_HEADER = 'h',
	MILTER_INSERT_HEADER = 'i',
	MILTER_CHANGE_HEADER = 'm',
	MILTER_PROGRESS = 'p',
	MILTER_QUARANTINE = 'q',
	MILTER_REJECT = 'r',
	MILTER_SKIP = 's',
	MILTER_TEMPFAIL = 't',
	MILTER_REPLY_CODE = 'y',
};
/* Actions that a milter may want to do. */
enum milter_action {
	MILTER_MAY_ADD_HEADERS = 0x1,
	MILTER_MAY_CHANGE_BODY = 0x2,
	MILTER_MAY_ADD_RCPT = 0x4,
	MILTER_MAY_DELETE_RCPT = 0x8,
	MILTER_MAY_CHANGE_HEADERS = 0x10,
	MILTER_MAY_QUARANTINE = 0x20,
	MILTER_MAY_CHANGE_FROM = 0x40,
	MILTER_MAY_ADD_RCPT_ARGS = 0x80,
	MILTER_MAY_LIST_MACROS = 0x100,
	MILTER_ACTIONS = 0x1ff,
};
/* Steps that it does not want, or will not answer, and what else it wants. */
enum milter_steps {
	MILTER_NO_CONNECT = 0x1,
	MILTER_NO_HELO = 0x2,
	MILTER_NO_MAIL = 0x4,
	MILTER_NO_RCPT = 0x8,
	MILTER_NO_BODY = 0x10,
	MILTER_NO_HEADERS = 0x20,
	MILTER_NO_EOH = 0x40,
	MILTER_NR_HEADER = 0x80,
	MILTER_NO_UNKNOWN = 0x100,
	MILTER_NO_DATA = 0x200,
	MILTER_CAN_SKIP = 0x400,
	MILTER_REFUSED_RCPT = 0x800,
	MILTER_NR_CONNECT = 0x1000,
	MILTER_NR_HELO = 0x2000,
	MILTER_NR_MAIL = 0x4000,
	MILTER_NR_RCPT = 0x8000,
	MILTER_NR_DATA = 0x10000,
	MILTER_NR_UNKNOWN = 0x20000,
	MILTER_NR_EOH = 0x40000,
	MILTER_NR_BODY = 0x80000,
	MILTER_LEADING_SPACE = 0x100000,
	MILTER_STEPS = 0x1fffff,
};
/* Stages at which macros are told, in libmilter's order. */
enum milter_stage {
	MILTER_AT_CONNECT,
	MILTER_AT_HELO,
	MILTER_AT_MAIL,
	MILTER_AT_RCPT,
	MILTER_AT_DATA,
	MILTER_AT_EOM,
	MILTER_AT_EOH,
	MILTER_STAGES
};

/* A packet is begun, gets its parts, and its length when it ends. Several may stand in one buffer. */
size_t milter_begin(struct buf *b, char command);
void milter_number(struct buf *b, uint32_t n);
/* Text with its NUL; NULs within it are left out. */
void milter_text(struct buf *b, struct span s);
void milter_end(struct buf *b, size_t begun);

/* The head of a packet: the length of the data that follows; false when it can't be one. */
bool milter_head(const char head[MILTER_HEAD], char *what, size_t *data);

struct milter_reply {
	enum milter_said what;
	uint32_t index;
	struct span a, b; /* name and value, address and arguments, a reason, a reply, bytes of a body */
};
/* False when it is none. */
bool milter_reply_parse(char what, struct span data, struct milter_reply *r);

/* A milter's answer to negotiation. */
struct milter_wants {
	uint32_t version, actions, steps;
	bool listed[MILTER_STAGES]; /* it has said which macros it wants */
	struct span macros[MILTER_STAGES];
};
bool milter_wants_parse(struct span data, struct milter_wants *w);
/* Is the macro called name, "{auth_type}" or "i", one of the list? Braces of either may be absent. */
bool milter_macro_listed(struct span list, const char *name);

/* "550 5.7.1 text", several lines separated by LF, "%%" for a percent sign: the code, the enhanced one ("" when it has
 * none) and the text with its lines. False unless the code is 4xx or 5xx and the same on each line. */
bool milter_reply_code(struct span s, int *code, char enh[12], struct buf *text);

#endif
