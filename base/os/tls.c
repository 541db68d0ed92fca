/* SPDX-License-Identifier: ISC */
/*
 * tls: connections; see tls.h.  Every call empties OpenSSL's error queue of the thread first, since
 * a stale entry would be taken for the reason of a later failure.
 */
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/tls_parts.h"

struct tls {
    SSL *ssl;
    struct err why; /* once failed, nothing may be called any more, a shutdown neither */
    struct err cut; /* the socket takes no more; the peer's last words may be read all the same */
};

static int set_name(SSL *ssl, const char *name, bool verify, struct err *err)
{
    struct net_addr addr;
    bool is_addr = net_addr_parse(slice_str(name), &addr) == 0;

    if (!is_addr && SSL_set_tlsext_host_name(ssl, name) != 1)
        return err_set(err, ERR_PERM, EX_CONFIG, "TLS: '%s' is not a host name", name);
    if (!verify)
        return 0;
    if (is_addr) {
        const unsigned char *b = net_addr_is_v4(&addr) ? addr.b + 12 : addr.b;

        BUG_ON(
            X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), b, net_addr_is_v4(&addr) ? 4 : 16) != 1);
        return 0;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, name) != 1)
        return err_set(err, ERR_PERM, EX_CONFIG, "TLS: '%s' is not a host name", name);
    return 0;
}

int tls_new(struct tls_ctx *ctx, int fd, const char *name, struct tls **out, struct err *err)
{
    struct tls *t;

    ERR_clear_error();
    if (ctx->verify_name && (name == NULL || name[0] == '\0'))
        return err_set(err, ERR_BUG, EX_SOFTWARE, "TLS: there is no name to verify");
    t = mem_zalloc(sizeof(*t));
    t->ssl = SSL_new(ctx->ssl_ctx);
    if (t->ssl == NULL || SSL_set_fd(t->ssl, fd) != 1) {
        err_set(err, ERR_TEMP, EX_OSERR, "TLS: %s", tls_reason());
        tls_free(&t);
        return -1;
    }
    if (ctx->is_client)
        SSL_set_connect_state(t->ssl);
    else
        SSL_set_accept_state(t->ssl);
    if (ctx->is_client && name != NULL && set_name(t->ssl, name, ctx->verify_name, err) != 0) {
        tls_free(&t);
        return -1;
    }
    *out = t;
    return 0;
}

void tls_free(struct tls **t)
{
    if (*t != NULL)
        SSL_free((*t)->ssl);
    free(*t);
    *t = NULL;
}

static bool is_failed(const struct tls *t, struct err *err)
{
    if (t->why.class == ERR_NONE)
        return false;
    *err = t->why;
    return true;
}

/* What a call that returned rc (which was not a success) asks for.  A socket that fails in a write
 * spoils no more than writing. */
static enum tls_want wanted(
    struct tls *t, int rc, bool is_write, const char *doing, struct err *err)
{
    int saved_errno = errno, what = SSL_get_error(t->ssl, rc);
    struct err *why = is_write && what == SSL_ERROR_SYSCALL ? &t->cut : &t->why;
    long verdict;

    switch (what) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    case SSL_ERROR_SYSCALL:
        if (saved_errno != 0)
            err_sys(why, saved_errno, "TLS %s", doing);
        else
            err_set(why, ERR_PEER, EX_PROTOCOL, "TLS %s: the peer closed the connection", doing);
        break;
    default:
        verdict = SSL_get_verify_result(t->ssl);
        if (!SSL_is_init_finished(t->ssl) && verdict != X509_V_OK)
            err_set(why, ERR_PEER, EX_PROTOCOL, "TLS %s: the certificate is not accepted: %s",
                doing,
                verdict == X509_V_ERR_CERT_REJECTED ? "fingerprint or public key mismatch"
                                                    : X509_verify_cert_error_string(verdict));
        else
            err_set(why, ERR_PEER, EX_PROTOCOL, "TLS %s: %s", doing, tls_reason());
        break;
    }
    ERR_clear_error();
    *err = *why;
    return TLS_FAILED;
}

enum tls_want tls_handshake(struct tls *t, struct err *err)
{
    int rc;
    enum tls_want want;

    if (is_failed(t, err))
        return TLS_FAILED;
    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(t->ssl);
    if (rc == 1)
        return TLS_DONE;
    want = wanted(t, rc, false, "handshake", err);
    if (want == TLS_CLOSED) {
        err_set(&t->why, ERR_PEER, EX_PROTOCOL, "TLS handshake: the peer closed the connection");
        *err = t->why;
        want = TLS_FAILED;
    }
    return want;
}

enum tls_want tls_read(struct tls *t, void *out, size_t size, size_t *n_out, struct err *err)
{
    int rc;

    *n_out = 0;
    if (is_failed(t, err))
        return TLS_FAILED;
    ERR_clear_error();
    errno = 0;
    rc = SSL_read(t->ssl, out, size > INT_MAX ? INT_MAX : (int)size);
    if (rc > 0) {
        *n_out = (size_t)rc;
        return TLS_DONE;
    }
    return wanted(t, rc, false, "read", err);
}

enum tls_want tls_write(struct tls *t, const void *p, size_t n, size_t *n_out, struct err *err)
{
    int rc;

    *n_out = 0;
    if (is_failed(t, err))
        return TLS_FAILED;
    if (t->cut.class != ERR_NONE) {
        *err = t->cut;
        return TLS_FAILED;
    }
    if (n == 0)
        return TLS_DONE;
    ERR_clear_error();
    errno = 0;
    rc = SSL_write(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
    if (rc > 0) {
        *n_out = (size_t)rc;
        return TLS_DONE;
    }
    return wanted(t, rc, true, "write", err);
}

bool tls_has_pending(const struct tls *t)
{
    return SSL_pending(t->ssl) > 0;
}

void tls_shutdown(struct tls *t)
{
    if (t->why.class != ERR_NONE || t->cut.class != ERR_NONE || !SSL_is_init_finished(t->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
    return SSL_get_cipher_name(t->ssl);
}

bool tls_binding(const struct tls *t, struct tls_binding *out)
{
    static const char label[] = "EXPORTER-Channel-Binding";

    *out = (struct tls_binding){0};
    if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
        out->is_exporter = true;
        out->n = SHA256_SIZE;
        return SSL_export_keying_material(t->ssl, out->octets, out->n, label, sizeof(label) - 1,
                   (const unsigned char *)"", 0, 1) == 1;
    }
    /* Without the extended master secret somebody between could have the same value on both sides
     * (RFC 7627); and in a resumed session the first word is the server's. */
    if (SSL_get_extms_support(t->ssl) != 1)
        return false;
    out->n = SSL_session_reused(t->ssl)
                 ? SSL_get_peer_finished(t->ssl, out->octets, TLS_BINDING_MAX)
                 : SSL_get_finished(t->ssl, out->octets, TLS_BINDING_MAX);
    return out->n > 0 && out->n <= TLS_BINDING_MAX;
}

void tls_peer_fingerprint(const struct tls *t, char out[96])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[SHA256_SIZE];

    out[0] = '\0';
    if (tls_certificate_fingerprint(SSL_get0_peer_certificate(t->ssl), digest) != 0)
        return;
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        out[3 * i] = hex[digest[i] >> 4];
        out[3 * i + 1] = hex[digest[i] & 15];
        out[3 * i + 2] = ':';
    }
    out[3 * SHA256_SIZE - 1] = '\0';
}

bool tls_peer_pin(const struct tls *t, struct tls_pin *out)
{
    return tls_certificate_pin(SSL_get0_peer_certificate(t->ssl), out);
}

/* One line; what a certificate holds is made printable by the library. */
static void print_name(BIO *bio, const char *what, const X509_NAME *name)
{
    BIO_printf(bio, "%s: ", what);
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
    BIO_printf(bio, "\n");
}

static void print_alt_names(BIO *bio, const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS)
            continue;
        BIO_printf(bio, "name: ");
        ASN1_STRING_print_ex(bio, name->d.dNSName, ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB);
        BIO_printf(bio, "\n");
    }
    GENERAL_NAMES_free(names);
}

int tls_peer_text(const struct tls *t, struct buf *out)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long n;

    BUG_ON(bio == NULL);
    if (cert != NULL) {
        print_name(bio, "subject", X509_get_subject_name(cert));
        print_name(bio, "issuer", X509_get_issuer_name(cert));
        print_alt_names(bio, cert);
        BIO_printf(bio, "valid: from ");
        ASN1_TIME_print(bio, X509_get0_notBefore(cert));
        BIO_printf(bio, " to ");
        ASN1_TIME_print(bio, X509_get0_notAfter(cert));
        BIO_printf(bio, "\n");
    }
    n = BIO_get_mem_data(bio, &text);
    int result = buf_add(out, slice_make(text, n > 0 ? (size_t)n : 0));
    BIO_free(bio);
    return result;
}
