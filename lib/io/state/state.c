/* SPDX-License-Identifier: ISC */
#include "io/state/state.h"

#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/xalloc.h"
#include "io/confine/confine.h"
#include "io/state/state_int.h"

enum {
	HASH_BYTES = 16,                               /* of a key that is too long */
	KEY_KEEP = STATE_KEY_MAX - 1 - 2 * HASH_BYTES, /* of its beginning */
	KEY_SOURCE_MAX = 8192,
};

/* What all processes know together. */
struct shared {
	_Atomic int64_t down_until; /* the server is left alone until then; 0: it answers */
	_Atomic bool files_failed;
};

struct state {
	struct state_config c;
	struct state_files files;
	struct state_redis redis;
	struct shared *shared;
};

static int read_password(const char *file, struct state_url *u, struct err *err)
{
	struct buf text;
	int rc = 0;
	buf_init(&text, 4096);
	if (config_slurp(file, &text, err) < 0) {
		rc = -1;
	} else {
		struct span rest = buf_span(&text), line = span_cut(&rest, '\n');
		free(u->password);
		u->password = xstrndup(line.p, line.n);
		explicit_bzero(text.p, text.len);
	}
	buf_free(&text);
	return rc;
}

/* Before the processes are forked and confined: files are read now. */
static int prepare_tls(const struct state_config *c, struct state_redis *r, struct err *err)
{
	const struct tls_client_config config = {
		.verify = TLS_VERIFY_NAME, .ca_file = c->ca_file, .cert_file = c->cert_file
	};
	if (!r->url.tls)
		return c->ca_file || c->cert_file
			   ? err_set(err, ERR_USAGE, "certificates are for a rediss:// URL of the shared state")
			   : 0;
	r->tls = tls_client_new(&config, err);
	return r->tls ? 0 : -1;
}

struct state *state_open(const struct state_config *c, struct err *err)
{
	struct state *s = xcalloc(1, sizeof *s);
	s->c = *c;
	if (!s->c.retry_ms)
		s->c.retry_ms = STATE_RETRY_MS;
	s->files.wait_ms = s->redis.wait_ms = c->wait_ms ? c->wait_ms : STATE_WAIT_MS;
	s->files.dir = -1;
	if (c->url && state_url_parse(c->url, &s->redis.url, err) < 0)
		goto fail;
	if (c->url && c->password_file && read_password(c->password_file, &s->redis.url, err) < 0)
		goto fail;
	if (prepare_tls(c, &s->redis, err) < 0)
		goto fail;
	s->shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->shared == MAP_FAILED) {
		s->shared = NULL;
		err_sys(err, "shared memory");
		goto fail;
	}
	if (state_files_open(&s->files, c->dir, !c->existing, err) == 0)
		return s;
fail:
	state_close(s);
	return NULL;
}

void state_rules(const struct state_config *c, struct confine_rules *r)
{
	struct state_url url;
	confine_allow_path(r, c->dir, CONFINE_ALL);
	if (!c->url || state_url_parse(c->url, &url, NULL) < 0)
		return;
	if (url.host && *url.host) {
		confine_allow_names(r);
		confine_allow_connect(r, url.port);
	}
	if (url.tls && !c->ca_file)
		confine_allow_authorities(r);
	state_url_free(&url);
}

void state_close(struct state *s)
{
	if (!s)
		return;
	state_redis_close(&s->redis);
	state_url_free(&s->redis.url);
	tls_ctx_free(s->redis.tls);
	state_files_close(&s->files);
	if (s->shared)
		munmap(s->shared, sizeof *s->shared);
	free(s);
}

static void add_part(struct buf *out, struct span part)
{
	for (size_t i = 0; i < part.n; i++) {
		unsigned char c = (unsigned char)part.p[i];
		if (c <= ' ' || c >= 127 || c == '%')
			buf_addf(out, "%%%02X", c);
		else
			buf_addc(out, ascii_lower((char)c));
	}
}

void state_key(struct buf *out, const char *class, const struct span *parts, size_t n)
{
	struct buf all;
	unsigned char hash[SHA256_DIGEST_LENGTH];
	buf_init(&all, KEY_SOURCE_MAX);
	buf_adds(&all, class);
	for (size_t i = 0; i < n; i++) {
		buf_addc(&all, ' ');
		add_part(&all, span_slice(parts[i], 0, 2000));
	}
	if (all.len <= STATE_KEY_MAX) {
		buf_addspan(out, buf_span(&all));
	} else {
		SHA256((const unsigned char *)all.p, all.len, hash);
		buf_add(out, all.p, KEY_KEEP);
		buf_addc(out, '~');
		for (size_t i = 0; i < HASH_BYTES; i++)
			buf_addf(out, "%02x", hash[i]);
	}
	buf_free(&all);
}

static void tell(const struct state *s, const char *what, const char *why)
{
	if (s->c.told)
		s->c.told(what, why);
}

/* May the server be asked? While it is down one process asks when its time has come, and prolongs it for the others. */
static bool worth_a_try(struct state *s)
{
	int64_t until = atomic_load(&s->shared->down_until), now = clock_coarse_ms();
	if (!s->c.url)
		return false;
	return !until ||
	       (now >= until && atomic_compare_exchange_strong(&s->shared->down_until, &until, now + s->c.retry_ms));
}

static void server_failed(struct state *s, const struct err *why)
{
	int64_t before = atomic_exchange(&s->shared->down_until, clock_coarse_ms() + s->c.retry_ms);
	state_redis_close(&s->redis);
	if (!before)
		tell(s, "files", why->text);
}

static void server_answered(struct state *s)
{
	if (atomic_load_explicit(&s->shared->down_until, memory_order_relaxed) &&
	    atomic_exchange(&s->shared->down_until, 0))
		tell(s, "server", "it answers again");
}

static int by_files(struct state *s, const struct state_request *q, struct state_value *out)
{
	struct err err = { 0 };
	int rc = state_files_do(&s->files, q, out, &err);
	bool failed = rc < 0;
	if (failed != atomic_load_explicit(&s->shared->files_failed, memory_order_relaxed) &&
	    failed != atomic_exchange(&s->shared->files_failed, failed))
		tell(s, failed ? "nothing" : "files", failed ? err.text : "they can be used again");
	return rc;
}

static int request(struct state *s, const struct state_request *q, struct state_value *out)
{
	struct err err = { 0 };
	*out = (struct state_value){ 0 };
	if (worth_a_try(s)) {
		if (state_redis_do(&s->redis, q, out, &err) == 0) {
			server_answered(s);
			return 0;
		}
		server_failed(s, &err);
	}
	return by_files(s, q, out);
}

int state_get(struct state *s, struct span key, struct state_value *out)
{
	return request(s, &(struct state_request){ .op = STATE_GET, .key = key }, out);
}

int state_add(struct state *s, struct span key, uint64_t n, int64_t life, struct state_value *out)
{
	return request(s, &(struct state_request){ STATE_ADD, key, n, life }, out);
}

int state_put(struct state *s, struct span key, uint64_t n, int64_t life)
{
	struct state_value was;
	return request(s, &(struct state_request){ STATE_PUT, key, n, life }, &was);
}

int state_first(struct state *s, struct span key, uint64_t n, int64_t life, struct state_value *out)
{
	return request(s, &(struct state_request){ STATE_FIRST, key, n, life }, out);
}

int state_drop(struct state *s, struct span key)
{
	struct state_value was;
	return request(s, &(struct state_request){ .op = STATE_DROP, .key = key }, &was);
}

int state_list(struct state *s, const char *prefix, state_fn *fn, void *arg, struct err *err)
{
	return s->c.url ? state_redis_list(&s->redis, prefix, fn, arg, err)
			: state_files_list(&s->files, prefix, fn, arg, err);
}
