/* SPDX-License-Identifier: ISC */
/*
 * tls: OpenSSL behind a small header (only tls.c includes its headers).  A context is made once
 * and shared; a tls is one connection over a descriptor that stays the caller's.  TLS 1.2 at
 * least, verification of chain and name on by default.  OpenSSL writes to the socket by itself, so
 * the process has to ignore SIGPIPE (daemon_setup() does).
 */
#ifndef BASE_OS_TLS_H
#define BASE_OS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/conf.h"
#include "base/os/tls_pins.h"

struct tls_ctx;
struct tls;

enum tls_want { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_CLOSED, TLS_FAILED };

/* The key file must be a secret in the sense of io_read_secret(). */
int tls_ctx_server(
    const char *cert_file, const char *key_file, struct tls_ctx **out, struct err *err) ATTR_WUR;
/* The policy of a server entry: CA file, minimum version, level, a certificate of our own, and
 * whether it is verified, or its fingerprint or public key compared, or nothing. */
int tls_ctx_client(
    const struct conf_server *policy, struct tls_ctx **out, struct err *err) ATTR_WUR;
void tls_ctx_free(struct tls_ctx **ctx);

/* name: the name to verify and to send as SNI (client; borrowed during the call); an IP address is
 * verified as one and not sent.  NULL for servers. */
int tls_new(
    struct tls_ctx *ctx, int fd, const char *name, struct tls **out, struct err *err) ATTR_WUR;
void tls_free(struct tls **t);

/* TLS_CLOSED: the peer ended, with close_notify or without; SMTP and IMAP say by themselves what is
 * complete.  A write that wants must be repeated with the same bytes, more may follow them.
 * err is filled on TLS_FAILED, with the reason of a failed verification in words. */
enum tls_want tls_handshake(struct tls *t, struct err *err);
enum tls_want tls_read(struct tls *t, void *out, size_t size, size_t *n_out, struct err *err);
enum tls_want tls_write(struct tls *t, const void *p, size_t n, size_t *n_out, struct err *err);
bool tls_has_pending(const struct tls *t);
void tls_shutdown(struct tls *t);             /* sends close_notify if it can, never waits */
const char *tls_version(const struct tls *t); /* "TLSv1.3" */
const char *tls_cipher(const struct tls *t);
/* What ties an exchange above to this connection (RFC 9266 with TLS 1.3, else RFC 5929's
 * tls-unique); false: there is nothing safe. */
#define TLS_BINDING_MAX 64
struct tls_binding {
    bool is_exporter;
    unsigned char octets[TLS_BINDING_MAX];
    size_t n;
};
bool tls_binding(const struct tls *t, struct tls_binding *out);
/* SHA-256 of the peer's certificate, lower-case hex with colons; "" when there is none. */
void tls_peer_fingerprint(const struct tls *t, char out[96]);
/* Its public key; false: there is no certificate. */
bool tls_peer_pin(const struct tls *t, struct tls_pin *out);
/* What it says of itself, for people: names, issuer, dates, line by line. */
int tls_peer_text(const struct tls *t, struct buf *out) ATTR_WUR;

#endif
