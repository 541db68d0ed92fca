/* SPDX-License-Identifier: ISC */
/*
 * tls_ctx: whom a side trusts and what it shows of itself; see tls.h.
 *
 * A client verifies the chain and the name unless the administrator chose `may` or `encrypt` (then
 * TLS protects from listeners only) or `fingerprint` (then the certificate itself is compared and
 * no chain is wanted).  Old servers may be given a lower minimum version and security level, and
 * only then a server without RFC 5746 is accepted.
 *
 * Renegotiation and compression are off.  The buffers of an idle connection are released, which
 * halves its memory.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "base/os/tls_parts.h"

#define KEY_FILE_MAX 65536

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;

    if (text != NULL)
        return text;
    return code != 0 && ERR_SYSTEM_ERROR(code) ? "system error" : "unknown reason";
}

static struct tls_ctx *ctx_new(bool is_client)
{
    struct tls_ctx *ctx = mem_zalloc(sizeof(*ctx));

    ERR_clear_error();
    ctx->is_client = is_client;
    ctx->ssl_ctx = SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method());
    BUG_ON(ctx->ssl_ctx == NULL);
    SSL_CTX_set_mode(ctx->ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx->ssl_ctx,
        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    BUG_ON(SSL_CTX_set_min_proto_version(ctx->ssl_ctx, TLS1_2_VERSION) != 1);
    return ctx;
}

void tls_ctx_free(struct tls_ctx **ctx)
{
    if (*ctx != NULL)
        SSL_CTX_free((*ctx)->ssl_ctx);
    free(*ctx);
    *ctx = NULL;
}

/* A key with a passphrase is refused instead of asked for at a terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

static int load_key(SSL_CTX *ssl_ctx, const char *path, struct err *err)
{
    struct buf pem;
    BIO *bio = NULL;
    EVP_PKEY *key = NULL;
    int rc = -1;

    buf_init(&pem, KEY_FILE_MAX);
    if (io_read_secret(path, KEY_FILE_MAX, &pem, err) != 0)
        goto done;
    bio = BIO_new_mem_buf(buf_slice(&pem).p, (int)pem.n);
    BUG_ON(bio == NULL);
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (key == NULL)
        err_set(err, ERR_PERM, EX_CONFIG, "%s: no private key in PEM form without passphrase (%s)",
            path, tls_reason());
    else if (SSL_CTX_use_PrivateKey(ssl_ctx, key) != 1)
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the key does not fit the certificate (%s)", path,
            tls_reason());
    else
        rc = 0;
done:
    EVP_PKEY_free(key);
    BIO_free(bio);
    buf_fini_wipe(&pem);
    return rc;
}

static int load_pair(SSL_CTX *ssl_ctx, const char *cert_file, const char *key_file, struct err *err)
{
    if (SSL_CTX_use_certificate_chain_file(ssl_ctx, cert_file) != 1)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: no certificate in PEM form (%s)", cert_file,
            tls_reason());
    return load_key(ssl_ctx, key_file, err);
}

int tls_ctx_server(
    const char *cert_file, const char *key_file, struct tls_ctx **out, struct err *err)
{
    struct tls_ctx *ctx = ctx_new(false);

    if (load_pair(ctx->ssl_ctx, cert_file, key_file, err) != 0) {
        tls_ctx_free(&ctx);
        return -1;
    }
    SSL_CTX_set_options(ctx->ssl_ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    *out = ctx;
    return 0;
}

int tls_certificate_fingerprint(const X509 *cert, unsigned char out[SHA256_SIZE])
{
    unsigned n = SHA256_SIZE;

    return cert != NULL && X509_digest(cert, EVP_sha256(), out, &n) == 1 && n == SHA256_SIZE ? 0
                                                                                             : -1;
}

/* Stands in for the whole verification of a chain. */
static int verify_fingerprint(X509_STORE_CTX *store, void *arg)
{
    const struct tls_ctx *ctx = arg;
    unsigned char found[SHA256_SIZE];

    if (tls_certificate_fingerprint(X509_STORE_CTX_get0_cert(store), found) == 0 &&
        hmac_equal(found, ctx->fingerprint, sizeof(found)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

bool tls_certificate_pin(const X509 *cert, struct tls_pin *out)
{
    unsigned char *der = NULL;
    int n = cert != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;

    if (n > 0)
        tls_pin_of(slice_make(der, (size_t)n), out);
    OPENSSL_free(der);
    return n > 0;
}

/* So does the public key. */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
    const struct tls_ctx *ctx = arg;
    struct tls_pin found;

    if (tls_certificate_pin(X509_STORE_CTX_get0_cert(store), &found) &&
        tls_pins_have(&ctx->pins, &found))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static int parse_fingerprint(const char *text, unsigned char out[SHA256_SIZE])
{
    struct buf hex;
    int rc = -1;

    buf_init(&hex, 2 * SHA256_SIZE);
    for (const char *c = text; c != NULL && *c != '\0'; c++)
        if (*c != ':' && buf_add_byte(&hex, (unsigned char)*c) != 0)
            goto done;
    rc = num_hex(buf_slice(&hex), out, SHA256_SIZE);
done:
    buf_fini(&hex);
    return rc;
}

static int set_min_version(SSL_CTX *ssl_ctx, const char *name, struct err *err)
{
    static const struct {
        const char *name;
        int version;
    } versions[] = {
        {"TLSv1", TLS1_VERSION},
        {"TLSv1.1", TLS1_1_VERSION},
        {"TLSv1.2", TLS1_2_VERSION},
        {"TLSv1.3", TLS1_3_VERSION},
    };

    if (name == NULL)
        return 0;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (strcmp(versions[i].name, name) != 0)
            continue;
        BUG_ON(SSL_CTX_set_min_proto_version(ssl_ctx, versions[i].version) != 1);
        if (versions[i].version < TLS1_2_VERSION)
            SSL_CTX_set_options(ssl_ctx, SSL_OP_LEGACY_SERVER_CONNECT);
        return 0;
    }
    return err_set(err, ERR_PERM, EX_CONFIG, "unknown TLS version '%s'", name);
}

static int set_trust(struct tls_ctx *ctx, const struct conf_server *policy, struct err *err)
{
    SSL_CTX *ssl_ctx = ctx->ssl_ctx;

    switch (policy->tls) {
    case CONF_TLS_NONE:
    case CONF_TLS_MAY:
    case CONF_TLS_ENCRYPT:
        SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_NONE, NULL);
        return 0;
    case CONF_TLS_VERIFY:
        ctx->verify_name = true;
        SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
        if (policy->tls_ca_file == NULL) {
            BUG_ON(SSL_CTX_set_default_verify_paths(ssl_ctx) != 1);
            return 0;
        }
        if (SSL_CTX_load_verify_file(ssl_ctx, policy->tls_ca_file) != 1)
            return err_set(err, ERR_PERM, EX_CONFIG, "%s: no CA certificates in PEM form (%s)",
                policy->tls_ca_file, tls_reason());
        return 0;
    case CONF_TLS_FINGERPRINT:
        if (parse_fingerprint(policy->tls_fingerprint, ctx->fingerprint) != 0)
            return err_set(err, ERR_PERM, EX_CONFIG,
                "fingerprint: SHA-256 in hexadecimal digits, colons allowed, is wanted");
        SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_fingerprint, ctx);
        return 0;
    case CONF_TLS_PIN:
        SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_pin, ctx);
        return tls_pins_read(policy->tls_pin_file, &ctx->pins, err);
    }
    BUG("unknown TLS policy");
}

int tls_ctx_client(const struct conf_server *policy, struct tls_ctx **out, struct err *err)
{
    struct tls_ctx *ctx = ctx_new(true);

    SSL_CTX_set_security_level(ctx->ssl_ctx, (int)policy->tls_level);
    if (set_min_version(ctx->ssl_ctx, policy->tls_min, err) != 0 ||
        set_trust(ctx, policy, err) != 0 ||
        (policy->tls_cert_file != NULL &&
            load_pair(ctx->ssl_ctx, policy->tls_cert_file, policy->tls_key_file, err) != 0)) {
        err_wrap(err, "TLS to %s", policy->name);
        tls_ctx_free(&ctx);
        return -1;
    }
    *out = ctx;
    return 0;
}
