/* SPDX-License-Identifier: ISC */
/* certs: keys and certificates for tests, made in a moment (P-256) and never stored in the tree. */
#ifndef TESTS_UNIT_CERTS_H
#define TESTS_UNIT_CERTS_H

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include "tests/unit/tmpdir.h"

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

static inline void cert_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* alt_names as OpenSSL writes them: "DNS:mail.example.org,IP:127.0.0.1"; issuer NULL makes a CA. */
static inline struct cert cert_make(
    const char *name, const char *alt_names, const struct cert *issuer)
{
    static long serial = 1;
    struct cert c = {.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    X509_NAME *subject;

    assert_non_null(c.x509);
    assert_non_null(c.key);
    assert_int_equal(X509_set_version(c.x509, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(c.x509), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(c.x509), 86400));
    assert_int_equal(X509_set_pubkey(c.x509, c.key), 1);
    subject = X509_get_subject_name(c.x509);
    assert_int_equal(X509_NAME_add_entry_by_txt(
                         subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0),
        1);
    assert_int_equal(
        X509_set_issuer_name(c.x509, issuer ? X509_get_subject_name(issuer->x509) : subject), 1);
    cert_extension(c.x509, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (alt_names != NULL)
        cert_extension(c.x509, NID_subject_alt_name, alt_names);
    assert_true(X509_sign(c.x509, issuer ? issuer->key : c.key, EVP_sha256()) > 0);
    return c;
}

/* PEM files NAME.crt and NAME.key (0600) in the directory. */
static inline void cert_save(const struct cert *c, struct tmpdir *dir, const char *name)
{
    char file[64];
    FILE *f;

    assert_int_equal(fmt_into(file, sizeof(file), "%s.crt", name), 0);
    f = fopen(tmpdir_file(dir, file), "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, c->x509), 1);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(fmt_into(file, sizeof(file), "%s.key", name), 0);
    f = fopen(tmpdir_file(dir, file), "w");
    assert_non_null(f);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    assert_int_equal(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
}

static inline void cert_free(struct cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    *c = (struct cert){NULL, NULL};
}

#endif
