/* SPDX-License-Identifier: ISC */
/*
 * tls_pins: public keys of one server that are trusted whatever the certificate around them says,
 * in a file: up to three lines "sha256//BASE64" of the SubjectPublicKeyInfo, as curl and RFC 7469
 * have them; empty lines and lines that begin with "#" are left alone.  A certificate that is
 * renewed with its key stays trusted; the others are for the key that comes next.
 */
#ifndef BASE_OS_TLS_PINS_H
#define BASE_OS_TLS_PINS_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/os/hmac.h"

#define TLS_PINS_MAX 3
#define TLS_PIN_SIZE (8 + HMAC_BASE64_SIZE(SHA256_SIZE)) /* "sha256//" and NUL with it */

struct tls_pin {
    char text[TLS_PIN_SIZE];
};

struct tls_pins {
    struct tls_pin v[TLS_PINS_MAX];
    size_t n;
};

/* Of a SubjectPublicKeyInfo in DER. */
void tls_pin_of(struct slice spki, struct tls_pin *out);
bool tls_pin_parse(struct slice text, struct tls_pin *out);
bool tls_pins_have(const struct tls_pins *pins, const struct tls_pin *pin);
/* A file without a pin is an error. */
int tls_pins_read(const char *path, struct tls_pins *out, struct err *err) ATTR_WUR;
/* Adds it to the file, which is made if need be; nothing happens when it is there.  A fourth is an
 * error: somebody has to say which one goes. */
int tls_pins_add(
    const char *path, const struct tls_pin *pin, const char *comment, struct err *err) ATTR_WUR;

#endif
