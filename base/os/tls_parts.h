/* SPDX-License-Identifier: ISC */
/* tls_parts: what the files of tls share among themselves; they are the only ones that know libssl.
 */
#ifndef BASE_OS_TLS_PARTS_H
#define BASE_OS_TLS_PARTS_H

#include <openssl/ssl.h>
#include "base/os/hmac.h"
#include "base/os/tls.h"

struct tls_ctx {
    SSL_CTX *ssl_ctx;
    bool is_client;
    bool verify_name;
    unsigned char fingerprint[SHA256_SIZE]; /* for CONF_TLS_FINGERPRINT */
    struct tls_pins pins;                   /* for CONF_TLS_PIN */
};

/* The newest reason in OpenSSL's queue, which names the cause best. */
const char *tls_reason(void);
int tls_certificate_fingerprint(const X509 *cert, unsigned char out[SHA256_SIZE]);
/* Of its public key; false: it has none that can be read, or there is no certificate. */
bool tls_certificate_pin(const X509 *cert, struct tls_pin *out);

#endif
