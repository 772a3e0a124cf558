/* SPDX-License-Identifier: ISC
 *
 * The TLS layer. OpenSSL reads and writes through a BIO of ours over what lies below. Records are collected until
 * somebody flushes or a read would wait: a flight of the handshake leaves as one segment, and a server's session
 * ticket together with its first reply. A wait that failed is told to OpenSSL as "try again", so that the session
 * stays usable and a server can still say 421 after a timeout.
 */
#include "io/tls/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/xalloc.h"
#include "io/net.h"
#include "io/stream_int.h"
#include "io/tls/tls_int.h"

enum {
	IO_SIZE = 32768, /* two records */
	NAME_SIZE = 256,
	GOODBYE_MS = 5000, /* for close_notify to a peer that does not read */
};

struct tls {
	struct stream *stream;
	struct stream_below *below;
	SSL *ssl;
	char in[IO_SIZE], out[IO_SIZE];
	size_t in_pos, in_end, out_len;
	bool no_wait, eof;
	struct err io; /* why the last read or write below failed */
	struct tls_info info;
	char peer_name[NAME_SIZE], peer_cn[NAME_SIZE], peer_email[NAME_SIZE], sni[NAME_SIZE], alpn[NAME_SIZE];
	char issuer[NAME_SIZE], fingerprint[2 * TLS_PIN_LEN + 1], key[2 * TLS_PIN_LEN + 1];
	char session_key[TLS_SESSION_KEY]; /* "" for none */
};

/* ---- the BIO ---- */

static int drain(struct tls *t)
{
	size_t n = t->out_len;
	t->out_len = 0;
	for (const char *p = t->out; n;) {
		ssize_t put = stream_below_write(t->below, p, n, &t->io);
		if (put < 0)
			return -1;
		p += put; /* UNSAFE: a write moves at most n */
		n -= (size_t)put;
	}
	return 0;
}

static int bio_write(BIO *bio, const char *p, int len)
{
	struct tls *t = BIO_get_data(bio);
	for (int left = len; left > 0;) {
		size_t n = IO_SIZE - t->out_len;
		if (n > (size_t)left)
			n = (size_t)left;
		memcpy(t->out + t->out_len, p, n);
		t->out_len += n;
		p += n; /* UNSAFE: n <= left */
		left -= (int)n;
		if (t->out_len == IO_SIZE && drain(t))
			return -1;
	}
	return len;
}

/* > 0 when `in` has bytes. */
static int bio_fill(BIO *bio, struct tls *t)
{
	if (t->in_pos < t->in_end)
		return 1;
	ssize_t n = -1;
	if (t->no_wait)
		t->io = (struct err){ .class = ERR_TEMP, .sys = EAGAIN };
	else if (drain(t) == 0)
		n = stream_below_read(t->below, t->in, IO_SIZE, &t->io);
	if (n < 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	t->eof = n == 0;
	t->in_pos = 0;
	t->in_end = (size_t)n;
	return n > 0;
}

static int bio_read(BIO *bio, char *p, int len)
{
	struct tls *t = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	int r = bio_fill(bio, t);
	if (r <= 0)
		return r;
	size_t n = t->in_end - t->in_pos;
	if (n > (size_t)len)
		n = (size_t)len;
	memcpy(p, t->in + t->in_pos, n);
	t->in_pos += n;
	return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	const struct tls *t = BIO_get_data(bio);
	if (cmd == BIO_CTRL_EOF)
		return t->eof;
	return cmd == BIO_CTRL_FLUSH; /* heeded when a read would wait */
}

static BIO *new_bio(struct tls *t)
{
	static BIO_METHOD *method; /* for the life of the process */
	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
		if (!method)
			return NULL;
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	BIO *bio = BIO_new(method);
	if (bio) {
		BIO_set_data(bio, t);
		BIO_set_init(bio, 1);
	}
	return bio;
}

/* ---- the layer ---- */

static ssize_t tls_fail(struct tls *t, int ssl_error, struct err *err)
{
	if (ssl_error == SSL_ERROR_ZERO_RETURN || (t->eof && ssl_error == SSL_ERROR_SYSCALL))
		return 0;
	if (t->io.class != ERR_NONE)
		*err = t->io;
	else
		err_set(err, ERR_TEMP, "TLS: %s", tls_queue_text());
	errno = err->sys;
	return -1;
}

/* As many records as are here already, waiting only for the first. */
static ssize_t layer_read(void *ctx, char *p, size_t n, struct err *err)
{
	struct tls *t = ctx;
	size_t total = 0, got;
	int ok = 1;
	ERR_clear_error();
	err_clear(&t->io);
	while (total < n && (ok = SSL_read_ex(t->ssl, p + total, n - total, &got)) > 0) {
		total += got;
		t->no_wait = true;
	}
	t->no_wait = false;
	return total ? (ssize_t)total : tls_fail(t, SSL_get_error(t->ssl, ok), err);
}

static ssize_t layer_write(void *ctx, const char *p, size_t n, struct err *err)
{
	struct tls *t = ctx;
	size_t put;
	ERR_clear_error();
	err_clear(&t->io);
	int ok = SSL_write_ex(t->ssl, p, n, &put);
	if (ok > 0)
		return (ssize_t)put;
	return tls_fail(t, SSL_get_error(t->ssl, ok), err) ? -1 : err_set(err, ERR_TEMP, "TLS: closed by the peer");
}

static int layer_flush(void *ctx, struct err *err)
{
	struct tls *t = ctx;
	if (drain(t) == 0)
		return 0;
	*err = t->io;
	return -1;
}

/* A record that is already here may be no data (a ticket, a key update): only looking inside tells. */
static bool layer_pending(void *ctx)
{
	struct tls *t = ctx;
	char c;
	size_t got;
	if (SSL_pending(t->ssl) > 0)
		return true;
	if (t->in_pos == t->in_end)
		return false;
	ERR_clear_error();
	t->no_wait = true;
	int ok = SSL_peek_ex(t->ssl, &c, 1, &got);
	t->no_wait = false;
	return ok > 0 || SSL_get_error(t->ssl, ok) != SSL_ERROR_WANT_READ;
}

static void layer_finish(void *ctx, bool speak)
{
	struct tls *t = ctx;
	if (speak && SSL_is_init_finished(t->ssl)) {
		if (t->stream->timeout > GOODBYE_MS)
			t->stream->timeout = GOODBYE_MS;
		ERR_clear_error();
		SSL_shutdown(t->ssl);
		drain(t);
	}
	SSL_free(t->ssl);
	explicit_bzero(t, sizeof *t);
	free(t);
}

static const struct stream_layer layer = { layer_read, layer_write, layer_flush, layer_pending, layer_finish };

/* ---- what is known of the peer ---- */

/* A name from a certificate, as a string that is fit to be shown; "" otherwise. */
static void copy_name(char *out, const ASN1_STRING *name)
{
	unsigned char *utf8 = NULL;
	int n = name ? ASN1_STRING_to_UTF8(&utf8, name) : -1;
	struct span s = span_of((const char *)utf8, n > 0 ? (size_t)n : 0);
	bool fit = s.n > 0 && s.n < NAME_SIZE && !span_has_ctl(s);
	if (fit)
		memcpy(out, s.p, s.n);
	out[fit ? s.n : 0] = '\0';
	OPENSSL_free(utf8);
}

/* The first name of one of these types; a type may stand twice. */
static void first_san(const X509 *cert, int type, int or_type, char *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !*out; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		if (g->type == type || g->type == or_type)
			copy_name(out, g->d.ia5);
	}
	GENERAL_NAMES_free(names);
}

static void common_name(const X509_NAME *name, char *out)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (at >= 0)
		copy_name(out, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

static void hex(const unsigned char digest[TLS_PIN_LEN], char *out)
{
	for (size_t i = 0; i < TLS_PIN_LEN; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void learn_peer(struct tls *t, const X509 *cert)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	common_name(X509_get_subject_name(cert), t->peer_cn);
	common_name(X509_get_issuer_name(cert), t->issuer);
	memcpy(t->peer_name, t->peer_cn, sizeof t->peer_name);
	if (!*t->peer_name)
		first_san(cert, GEN_DNS, GEN_EMAIL, t->peer_name);
	first_san(cert, GEN_EMAIL, GEN_EMAIL, t->peer_email);
	if (X509_digest(cert, EVP_sha256(), digest, NULL) == 1)
		hex(digest, t->fingerprint);
	if (tls_key_digest(cert, digest))
		hex(digest, t->key);
}

static void learn(struct tls *t)
{
	struct tls_info *i = &t->info;
	i->version = SSL_get_version(t->ssl);
	i->cipher = SSL_get_cipher_name(t->ssl);
	i->bits = SSL_get_cipher_bits(t->ssl, NULL);
	i->resumed = SSL_session_reused(t->ssl);
	const X509 *cert = SSL_get0_peer_certificate(t->ssl);
	if (cert)
		learn_peer(t, cert);
	i->verified = cert && SSL_get_verify_result(t->ssl) == X509_V_OK;
	const char *sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	if (sni && strlen(sni) < NAME_SIZE && !span_has_ctl(span_str(sni)))
		memcpy(t->sni, sni, strlen(sni) + 1);
	const unsigned char *alpn;
	unsigned len;
	SSL_get0_alpn_selected(t->ssl, &alpn, &len);
	if (len && len < NAME_SIZE)
		memcpy(t->alpn, alpn, len);
	i->peer_name = t->peer_name;
	i->peer_cn = t->peer_cn;
	i->peer_email = t->peer_email;
	i->peer_fingerprint = t->fingerprint;
	i->peer_issuer = t->issuer;
	i->peer_key = t->key;
	i->sni = t->sni;
	i->alpn = t->alpn;
}

const struct tls_info *stream_tls(const struct stream *s)
{
	const struct tls *t = stream_find_layer(s, &layer);
	return t ? &t->info : NULL;
}

int tls_exporter(const struct stream *s, unsigned char out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	const struct tls *t = stream_find_layer(s, &layer);
	/* RFC 9266 4.2: TLS 1.2 only with the extended master secret. The context is the empty string. */
	if (!t || (SSL_version(t->ssl) < TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1))
		return -1;
	const unsigned char *context = (const unsigned char *)"";
	return SSL_export_keying_material(t->ssl, out, 32, label, sizeof label - 1, context, 0, 1) == 1 ? 0 : -1;
}

int tls_server_end_point(const struct stream *s, unsigned char out[64])
{
	const struct tls *t = stream_find_layer(s, &layer);
	if (!t)
		return -1;
	X509 *cert = SSL_is_server(t->ssl) ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
	int nid;
	if (!cert || X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1 || nid == NID_undef)
		return -1;
	/* RFC 5929 4.1: the hash of the certificate's signature, but SHA-256 for MD5 and SHA-1. */
	const EVP_MD *md = nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
	unsigned n = 0;
	return md && EVP_MD_get_size(md) <= 64 && X509_digest(cert, md, out, &n) == 1 ? (int)n : -1;
}

/* ---- the handshake ---- */

/* On top of the stream, not yet shaken; the stream owns it from here. */
static struct tls *push(struct stream *s, struct tls_ctx *ctx, struct err *err)
{
	struct tls *t = xcalloc(1, sizeof *t);
	t->stream = s;
	t->below = stream_below(s);
	ERR_clear_error();
	t->ssl = SSL_new(ctx->ssl);
	BIO *bio = new_bio(t);
	if (!t->ssl || !bio) {
		err_set(err, ERR_TEMP, "TLS: %s", tls_queue_text());
		BIO_free(bio);
	} else {
		SSL_set_bio(t->ssl, bio, bio);
		if (stream_push(s, &layer, t, err) == 0)
			return t;
	}
	SSL_free(t->ssl);
	free(t);
	return NULL;
}

static int handshake_failed(struct tls *t, const char *host, struct err *err)
{
	long verify = SSL_get_verify_result(t->ssl);
	unsigned long e = ERR_peek_error();
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		err_set(err, ERR_TEMP, "certificate verify failed: %s", X509_verify_cert_error_string(verify));
	} else if (t->io.class != ERR_NONE) {
		*err = t->io;
		err_prefix(err, "TLS handshake");
	} else if (t->eof)
		err_set(err, ERR_TEMP, "TLS handshake failed: the peer closed the connection");
	else
		err_set(err, ERR_TEMP, "TLS handshake failed: %s", tls_queue_text());
	size_t n = strlen(err->text);
	if (host)
		snprintf(err->text + n, sizeof err->text - n, " (host %.255s)", host);
	t->stream->err = *err;
	t->stream->read_failed = t->stream->write_failed = true;
	return -1;
}

static int shake(struct tls *t, const char *host, struct err *err)
{
	struct stream *s = t->stream;
	struct err local;
	int64_t before = s->deadline, end = stream_now() + TIME_TLS_HANDSHAKE;
	if (!before || before > end)
		s->deadline = end;
	ERR_clear_error();
	err_clear(&t->io);
	int ok = SSL_do_handshake(t->ssl);
	/* A failed one may have left an alert to be sent. */
	if (ok != 1 && t->out_len && t->io.class == ERR_NONE)
		drain(t);
	s->deadline = before;
	if (ok != 1)
		return handshake_failed(t, host, err ? err : &local);
	learn(t);
	return 0;
}

/* A session that began at one port is not resumed at another (RFC 8446 8.1 leaves that to us): what was checked there
 * may be less. */
static void set_service(struct tls *t, int fd)
{
	struct net_addr local = { .len = sizeof local.sa };
	char name[SSL_MAX_SID_CTX_LENGTH];
	if (fd < 0 || getsockname(fd, (struct sockaddr *)&local.sa, &local.len))
		local.len = 0;
	int n = snprintf(name, sizeof name, "waypost %u", local.len ? (unsigned)net_addr_port(&local) : 0);
	SSL_set_session_id_context(t->ssl, (const unsigned char *)name, (unsigned)n);
}

int tls_accept(struct stream *s, struct tls_ctx *ctx, struct err *err)
{
	struct tls *t = push(s, ctx, err);
	if (!t)
		return -1;
	set_service(t, stream_fd(s));
	SSL_set_accept_state(t->ssl);
	return shake(t, NULL, err);
}

static bool is_address(const char *host)
{
	unsigned char a[16];
	return inet_pton(AF_INET, host, a) == 1 || inet_pton(AF_INET6, host, a) == 1;
}

/* Server name indication and the name that the certificate must bear (RFC 6066 3, RFC 7817 3). */
static int set_host(struct tls *t, const char *host, struct err *err)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	int ok;
	if (is_address(host))
		ok = X509_VERIFY_PARAM_set1_ip_asc(param, host);
	else
		ok = X509_VERIFY_PARAM_set1_host(param, host, 0) && SSL_set_tlsext_host_name(t->ssl, host);
	return ok == 1 ? 0 : err_set(err, ERR_USAGE, "'%.255s' is no host name that TLS can check", host);
}

static int check_pin(struct tls *t, const struct tls_ctx *ctx, const char *host, struct err *err)
{
	char hex[3 * TLS_PIN_LEN + 1];
	if (tls_pin_match(ctx, SSL_get0_peer_certificate(t->ssl), hex)) {
		t->info.verified = true;
		return 0;
	}
	t->info.verified = false;
	return err_set(
	    err, ERR_TEMP, "the certificate's fingerprint is not the expected one but %s (host %.255s)", hex, host);
}

/* Offers the session that is kept for this server. */
static void offer_session(struct tls *t, struct tls_ctx *ctx, const char *host, const char *server)
{
	int n = snprintf(t->session_key, sizeof t->session_key, "%s %s", host, server);
	if (n < 0 || n >= (int)sizeof t->session_key)
		t->session_key[0] = '\0';
	SSL_SESSION *session = tls_sessions_take(ctx, t->session_key);
	if (session) {
		SSL_set_session(t->ssl, session);
		SSL_SESSION_free(session);
	}
}

/* One of TLS 1.2 serves many connections; RFC 8446 C.4 wants a ticket of TLS 1.3 used once, and a new one follows. */
static void keep_session(struct tls *t, struct tls_ctx *ctx)
{
	if (t->info.resumed && SSL_version(t->ssl) < TLS1_3_VERSION)
		tls_sessions_keep(ctx, t->session_key, SSL_get1_session(t->ssl));
}

int tls_connect_again(struct stream *s, struct tls_ctx *ctx, const char *host, const char *server, struct err *err)
{
	struct tls *t = push(s, ctx, err);
	if (!t || set_host(t, host, err))
		return -1;
	bool chain = ctx->verify == TLS_VERIFY_NAME && !ctx->n_pin;
	SSL_set_app_data(t->ssl, t->session_key);
	if (server && ctx->session)
		offer_session(t, ctx, host, server);
	SSL_set_verify(t->ssl, chain ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_set_connect_state(t->ssl);
	if (shake(t, host, err) || (ctx->n_pin && check_pin(t, ctx, host, err)))
		return -1;
	/* A session knows what became of its certificate. */
	if (chain && !t->info.verified)
		return err_set(err, ERR_TEMP, "the session's certificate was never verified (host %.255s)", host);
	keep_session(t, ctx);
	return 0;
}

int tls_connect(struct stream *s, struct tls_ctx *ctx, const char *host, struct err *err)
{
	return tls_connect_again(s, ctx, host, NULL, err);
}

/* RFC 7672 3.1: only DANE-TA(2) and DANE-EE(3) mean something for SMTP; others, and those that OpenSSL cannot use,
 * are passed over. */
static int add_tlsa(struct tls *t, const char *host, struct tls_dane *dane, struct err *err)
{
	if (SSL_dane_enable(t->ssl, host) != 1)
		return err_set(err, ERR_TEMP, "DANE: %s", tls_queue_text());
	/* RFC 7672 3.1.1: with DANE-EE the name and the dates do not matter. */
	SSL_dane_set_flags(t->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	if (dane->next_name && SSL_add1_host(t->ssl, dane->next_name) != 1)
		return err_set(err, ERR_TEMP, "DANE: %s", tls_queue_text());
	for (size_t i = 0; i < dane->n; i++) {
		const struct tls_tlsa *r = &dane->rr[i];
		if (r->usage != 2 && r->usage != 3)
			continue;
		if (SSL_dane_tlsa_add(
			t->ssl, r->usage, r->selector, r->matching, (const unsigned char *)r->data.p, r->data.n) > 0)
			dane->usable = true;
	}
	ERR_clear_error();
	return 0;
}

int tls_connect_dane(struct stream *s, struct tls_ctx *ctx, const char *host, struct tls_dane *dane, struct err *err)
{
	dane->usable = false;
	struct tls *t = push(s, ctx, err);
	if (!t || add_tlsa(t, host, dane, err))
		return -1;
	SSL_set_verify(t->ssl, dane->usable ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_set_connect_state(t->ssl);
	return shake(t, host, err);
}
