/* SPDX-License-Identifier: ISC */
/*
 * hmac: digests, keyed digests, random bytes and a comparison that takes the same time wherever the
 * difference is.  Values in, values out: engines may use it.
 */
#ifndef BASE_OS_HMAC_H
#define BASE_OS_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/slice.h"

#define SHA256_SIZE 32

struct sha256; /* a digest in progress */

struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *s, struct slice bytes);
void sha256_finish(struct sha256 *s, unsigned char out[SHA256_SIZE]); /* ready for the next one */
void sha256_free(struct sha256 **s);

void sha256_of(struct slice bytes, unsigned char out[SHA256_SIZE]);
void hmac_sha256(struct slice key, struct slice bytes, unsigned char out[SHA256_SIZE]);

/* For secrets and keyed digests. */
bool hmac_equal(const void *a, const void *b, size_t n);

/* In base64 with its padding, and terminated. */
#define HMAC_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
void hmac_base64(struct slice bytes, char *out);

/* From the system's generator; never fails (without entropy the process ends). */
void random_bytes(void *out, size_t n);

#endif
