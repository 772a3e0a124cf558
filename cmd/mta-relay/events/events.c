/* SPDX-License-Identifier: ISC */
#include "mta-relay/events/events.h"

#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"

static enum event_format format;
static char service_name[40] = "smtpd", log_name[64];

int events_open(enum event_format f, const char *service, const char *file, struct err *err)
{
	format = f;
	snprintf(service_name, sizeof service_name, "%s", service);
	snprintf(log_name, sizeof log_name, "postfix/%s", service);
	if (f == EVENTS_POSTFIX)
		log_style(LOG_STYLE_SYSLOG, log_name);
	return file && log_to_file(file) < 0 ? err_sys(err, "%s", file) : 0;
}

/* ---- our own format: a table of fields, and for each event which of them in which order ---- */

enum field_type {
	WORD,   /* const char *, ours */
	QUOTED, /* struct span, a peer's */
	NUMBER, /* unsigned */
	SIZE,
	LENGTH,
	CODE,
	TIME,    /* int64_t */
	SECONDS, /* of int64_t microseconds */
};
enum field {
	END,
	F_QID,
	F_CLIENT,
	F_NAME,
	F_NET,
	F_PORT,
	F_UID,
	F_HELO,
	F_USER,
	F_MECH,
	F_ORIG_CLIENT,
	F_PROTO,
	F_FROM,
	F_TO,
	F_ORIG_TO,
	F_MID,
	F_SIZE,
	F_RCPTS,
	F_HOW,
	F_STAGE,
	F_CHECK,
	F_CODE,
	F_DSN,
	F_STATUS,
	F_WHY,
	F_REPLY,
	F_RELAY,
	F_TLS,
	F_DELAY,
	F_AS,
	F_COUNTS,
	F_MESSAGES,
	F_REFUSED,
	F_SECONDS,
	FIELDS,
	ALWAYS = 64, /* also when it is empty */
};

#define FIELD(name, type, member)                                                                                      \
	{                                                                                                              \
		name, type, offsetof(struct event, member)                                                             \
	}
static const struct {
	const char *name;
	enum field_type type;
	size_t at;
} fields[FIELDS] = {
	[F_QID] = FIELD("qid", WORD, qid),
	[F_CLIENT] = FIELD("client", WORD, client),
	[F_NAME] = FIELD("name", WORD, name),
	[F_NET] = FIELD("net", WORD, net),
	[F_PORT] = FIELD("port", NUMBER, port),
	[F_UID] = FIELD("uid", NUMBER, uid),
	[F_HELO] = FIELD("helo", QUOTED, helo),
	[F_USER] = FIELD("user", QUOTED, user),
	[F_MECH] = FIELD("mech", QUOTED, mech),
	[F_ORIG_CLIENT] = FIELD("orig_client", QUOTED, orig_client),
	[F_PROTO] = FIELD("proto", WORD, proto),
	[F_FROM] = FIELD("from", QUOTED, from),
	[F_TO] = FIELD("to", QUOTED, to),
	[F_ORIG_TO] = FIELD("orig_to", QUOTED, orig_to),
	[F_MID] = FIELD("mid", QUOTED, mid),
	[F_SIZE] = FIELD("size", SIZE, size),
	[F_RCPTS] = FIELD("rcpts", LENGTH, rcpts),
	[F_HOW] = FIELD("how", WORD, how),
	[F_STAGE] = FIELD("stage", WORD, stage),
	[F_CHECK] = FIELD("check", WORD, check),
	[F_CODE] = FIELD("code", CODE, code),
	[F_DSN] = FIELD("dsn", WORD, enh),
	[F_STATUS] = FIELD("status", WORD, status),
	[F_WHY] = FIELD("why", QUOTED, text),
	[F_REPLY] = FIELD("reply", QUOTED, text),
	[F_RELAY] = FIELD("relay", QUOTED, relay),
	[F_TLS] = FIELD("tls", WORD, tls),
	[F_DELAY] = FIELD("delay", SECONDS, delay),
	[F_AS] = FIELD("as", WORD, as),
	[F_COUNTS] = FIELD("commands", QUOTED, counts),
	[F_MESSAGES] = FIELD("messages", NUMBER, messages),
	[F_REFUSED] = FIELD("refused", NUMBER, refused),
	[F_SECONDS] = FIELD("seconds", TIME, seconds),
};

/* The client stands before what it said, so that a filter finds it whatever that was. */
static const struct {
	const char *word;
	enum log_level level;
	unsigned char field[16];
} shapes[EVENT_KINDS] = {
	[EVENT_CONNECT] = { "connect", LOG_LVL_INFO, { F_CLIENT, F_NAME, F_PORT } },
	[EVENT_DISCONNECT] = { "disconnect", LOG_LVL_INFO,
	    { F_CLIENT, F_NAME, F_MESSAGES | ALWAYS, F_REFUSED | ALWAYS, F_SECONDS | ALWAYS, F_COUNTS, F_STAGE,
		F_WHY } },
	[EVENT_AUTH] = { "auth ok", LOG_LVL_INFO, { F_CLIENT, F_NAME, F_USER, F_MECH } },
	[EVENT_AUTH_FAILED] = { "auth failed", LOG_LVL_WARN, { F_CLIENT, F_NAME, F_USER, F_MECH, F_WHY } },
	[EVENT_REFUSE] = { "refuse", LOG_LVL_INFO,
	    { F_CLIENT, F_NAME, F_STAGE, F_CODE, F_DSN, F_FROM, F_TO, F_HELO, F_USER, F_ORIG_CLIENT, F_WHY, F_CHECK } },
	[EVENT_ACCEPT] = { "accept", LOG_LVL_INFO,
	    { F_QID, F_CLIENT, F_NAME, F_ORIG_CLIENT, F_UID, F_USER, F_FROM | ALWAYS, F_RCPTS, F_SIZE, F_PROTO, F_HOW,
		F_MID } },
	[EVENT_DELIVER] = { "deliver", LOG_LVL_INFO,
	    { F_QID, F_TO, F_ORIG_TO, F_RELAY, F_TLS, F_DELAY | ALWAYS, F_STATUS, F_CODE, F_DSN, F_REPLY } },
	[EVENT_EXPIRE] = { "expire", LOG_LVL_INFO, { F_QID, F_FROM | ALWAYS, F_TO } },
	[EVENT_REPORT] = { "report", LOG_LVL_INFO, { F_QID, F_AS, F_TO, F_RCPTS, F_STATUS } },
	[EVENT_DROP] = { "drop", LOG_LVL_WARN, { F_QID, F_RCPTS, F_WHY } },
	[EVENT_REMOVE] = { "remove", LOG_LVL_INFO, { F_QID } },
	[EVENT_BRAKE] = { "brake", LOG_LVL_WARN, { F_CLIENT, F_NAME, F_USER, F_SECONDS, F_WHY } },
	[EVENT_LOCKOUT] = { "lockout", LOG_LVL_WARN, { F_CLIENT, F_NAME, F_NET, F_SECONDS, F_USER, F_WHY } },
};

static void add_word(struct buf *b, const char *name, const char *text, bool always)
{
	if ((text && *text) || always)
		buf_addf(b, " %s=%s", name, text ? text : "");
}

static void add_number(struct buf *b, const char *name, long long n, bool always)
{
	if (n || always)
		buf_addf(b, " %s=%lld", name, n);
}

static void add_field(struct buf *b, const struct event *e, unsigned which)
{
	bool always = which & ALWAYS;
	which &= ~(unsigned)ALWAYS;
	const char *name = fields[which].name;
	/* UNSAFE: the table's offset and type are of one member */
	const void *p = (const char *)e + fields[which].at;
	switch (fields[which].type) {
	case WORD:
		add_word(b, name, *(const char *const *)p, always);
		break;
	case QUOTED: {
		const struct span *s = p;
		if (s->n || always)
			buf_addf(b, " %s=%s", name, log_quote(*s));
		break;
	}
	case NUMBER:
		add_number(b, name, *(const unsigned *)p, always);
		break;
	case SIZE:
		add_number(b, name, (long long)*(const uint64_t *)p, always);
		break;
	case LENGTH:
		add_number(b, name, (long long)*(const size_t *)p, always);
		break;
	case CODE:
		add_number(b, name, *(const int *)p, always);
		break;
	case TIME:
		add_number(b, name, *(const int64_t *)p, always);
		break;
	case SECONDS:
		add_number(b, name, *(const int64_t *)p / 1000000, always);
		break;
	}
}

static void as_native(const struct event *e)
{
	struct buf b;
	buf_init(&b, 4096);
	buf_adds(&b, shapes[e->kind].word);
	for (const unsigned char *f = shapes[e->kind].field; *f; f++)
		add_field(&b, e, *f);
	if (shapes[e->kind].level == LOG_LVL_WARN)
		log_warn("%s", b.p);
	else
		log_info("%s", b.p);
	buf_free(&b);
}

/* ---- counting ---- */

#define DELIVERY(result, class)                                                                                        \
	{                                                                                                              \
		"mail_delivery_total", "result=\"" result "\",dsn=\"" class "\"", METRIC_COUNTER,                      \
		    "What attempts at recipients came to."                                                             \
	}
#define DELIVERIES                                                                                                     \
	[COUNT_DELIVERED] = DELIVERY("delivered", "2"), [COUNT_RELAYED] = DELIVERY("relayed", "2"),                    \
	[COUNT_HANDED] = DELIVERY("handed", "2"), [COUNT_DEFERRED] = DELIVERY("deferred", "4"),                        \
	[COUNT_FAILED] = DELIVERY("failed", "5")

static const char sessions_help[] = "Conversations that ended, by what came of them.";
static const char refused_help[] = "Commands that were refused.";
static const char auth_help[] = "Authentications.";
static const char check_help[] = "Commands that were refused by one of the checks against abuse.";
#define CHECK(name)                                                                                                    \
	{                                                                                                              \
		"mail_smtp_check_refusals_total", "check=\"" name "\"", METRIC_COUNTER, check_help                     \
	}
static const struct metric serve_rows[] = {
	DELIVERIES,
	[COUNT_SESSIONS] = { "mail_smtp_sessions", NULL, METRIC_GAUGE, "Conversations now." },
	[COUNT_SESSIONS_ACCEPTED] = { "mail_smtp_sessions_total", "verdict=\"accepted\"", METRIC_COUNTER,
	    sessions_help },
	[COUNT_SESSIONS_REFUSED] = { "mail_smtp_sessions_total", "verdict=\"refused\"", METRIC_COUNTER, sessions_help },
	[COUNT_SESSIONS_LOST] = { "mail_smtp_sessions_total", "verdict=\"lost\"", METRIC_COUNTER, sessions_help },
	[COUNT_SESSIONS_IDLE] = { "mail_smtp_sessions_total", "verdict=\"idle\"", METRIC_COUNTER, sessions_help },
	[COUNT_ACCEPTED] = { "mail_smtp_messages_total", NULL, METRIC_COUNTER, "Messages that were accepted." },
	[COUNT_REFUSED_TEMP] = { "mail_smtp_refusals_total", "dsn=\"4\"", METRIC_COUNTER, refused_help },
	[COUNT_REFUSED_PERM] = { "mail_smtp_refusals_total", "dsn=\"5\"", METRIC_COUNTER, refused_help },
	[COUNT_BYTES] = { "mail_smtp_bytes_total", NULL, METRIC_COUNTER, "Bytes of accepted messages." },
	[COUNT_AUTH_OK] = { "mail_smtp_auth_total", "result=\"ok\"", METRIC_COUNTER, auth_help },
	[COUNT_AUTH_FAILED] = { "mail_smtp_auth_total", "result=\"failed\"", METRIC_COUNTER, auth_help },
	[COUNT_CHECK_LIMIT] = CHECK("limit"),
	[COUNT_CHECK_USER] = CHECK("user"),
	[COUNT_CHECK_GREET] = CHECK("greet"),
	[COUNT_CHECK_DNS] = CHECK("dns"),
	[COUNT_CHECK_GREYLIST] = CHECK("greylist"),
	[COUNT_LOCKOUTS] = { "mail_smtp_lockouts_total", NULL, METRIC_COUNTER, "Networks that were locked out." },
	[COUNT_BRAKES] = { "mail_smtp_user_brakes_total", NULL, METRIC_COUNTER,
	    "Users who went beyond a limit of theirs." },
};
static const struct metric run_rows[] = {
	DELIVERIES,
	[COUNT_QUEUE] = { "mail_queue_messages", NULL, METRIC_GAUGE, "Messages in the queue that are not on hold." },
	[COUNT_OLDEST] = { "mail_queue_oldest_seconds", NULL, METRIC_GAUGE, "Age of the oldest of them." },
	[COUNT_ACTIVE] = { "mail_queue_active", NULL, METRIC_GAUGE, "Deliveries under way." },
	[COUNT_DOWN] = { "mail_destinations_down", NULL, METRIC_GAUGE,
	    "Destinations that are left alone for a while." },
	[COUNT_REMOVED] = { "mail_queue_done_total", NULL, METRIC_COUNTER, "Messages that left the queue." },
	[COUNT_EXPIRED] = { "mail_queue_expired_total", NULL, METRIC_COUNTER, "Recipients that were given up." },
	[COUNT_REPORTS] = { "mail_queue_reports_total", NULL, METRIC_COUNTER, "Notifications to senders." },
};

static struct metrics *counted;
static bool of_run; /* whose rows they are */
static char common_label[40];

struct metrics *events_count(const char *path, const char *service, struct err *err)
{
	of_run = !strcmp(service, "run");
	snprintf(common_label, sizeof common_label, "service=\"%s\"", service);
	counted = of_run ? metrics_new(run_rows, sizeof run_rows / sizeof *run_rows, path, common_label, err)
			 : metrics_new(serve_rows, sizeof serve_rows / sizeof *serve_rows, path, common_label, err);
	return counted;
}

struct metrics *events_metrics(void)
{
	return counted;
}

static void count_delivery(const struct event *e)
{
	static const char *const states[] = { [COUNT_DELIVERED] = "delivered",
		[COUNT_RELAYED] = "relayed",
		[COUNT_HANDED] = "handed",
		[COUNT_DEFERRED] = "deferred",
		[COUNT_FAILED] = "failed" };
	for (size_t i = 0; i < COUNT_OWN; i++)
		if (span_eqs(span_str(e->status), states[i]))
			metrics_add(counted, i, 1);
}

static void count_session(const struct event *e)
{
	metrics_add(counted,
	    e->messages  ? COUNT_SESSIONS_ACCEPTED
	    : e->refused ? COUNT_SESSIONS_REFUSED
	    : e->lost    ? COUNT_SESSIONS_LOST
			 : COUNT_SESSIONS_IDLE,
	    1);
}

static void count_check(const struct event *e)
{
	static const char *const names[] = { "limit", "user", "greet", "dns", "greylist" };
	for (size_t i = 0; e->check && i < sizeof names / sizeof *names; i++)
		if (!strcmp(e->check, names[i]))
			metrics_add(counted, COUNT_CHECK_LIMIT + i, 1);
}

static void count_in_serve(const struct event *e)
{
	switch (e->kind) {
	case EVENT_DISCONNECT:
		count_session(e);
		break;
	case EVENT_AUTH:
		metrics_add(counted, COUNT_AUTH_OK, 1);
		break;
	case EVENT_AUTH_FAILED:
		metrics_add(counted, COUNT_AUTH_FAILED, 1);
		break;
	case EVENT_REFUSE:
		metrics_add(counted, e->code >= 500 ? COUNT_REFUSED_PERM : COUNT_REFUSED_TEMP, 1);
		count_check(e);
		break;
	case EVENT_LOCKOUT:
		metrics_add(counted, COUNT_LOCKOUTS, 1);
		break;
	case EVENT_BRAKE:
		metrics_add(counted, COUNT_BRAKES, 1);
		break;
	case EVENT_ACCEPT:
		metrics_add(counted, COUNT_ACCEPTED, 1);
		metrics_add(counted, COUNT_BYTES, (int64_t)e->size);
		break;
	default:
		break;
	}
}

static void count_in_run(const struct event *e)
{
	switch (e->kind) {
	case EVENT_EXPIRE:
		metrics_add(counted, COUNT_EXPIRED, 1);
		break;
	case EVENT_REPORT:
		metrics_add(counted, COUNT_REPORTS, 1);
		break;
	case EVENT_REMOVE:
		metrics_add(counted, COUNT_REMOVED, 1);
		break;
	default:
		break;
	}
}

static void count(const struct event *e)
{
	if (e->kind == EVENT_DELIVER)
		count_delivery(e);
	else if (of_run)
		count_in_run(e);
	else
		count_in_serve(e);
}

/* The DNS lets a name hold any byte; in a line it must not be taken for something else, such as another address. */
static bool plain_name(const char *name)
{
	return name && *name &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] == '\0';
}

void event(const struct event *e)
{
	struct event clean = *e;
	if (!plain_name(e->name))
		clean.name = NULL;
	if (counted)
		count(&clean);
	if (format == EVENTS_POSTFIX)
		event_as_postfix(&clean, service_name);
	else
		as_native(&clean);
}
