/* SPDX-License-Identifier: ISC */
/*
 * hmac: see hmac.h.  libcrypto does the work.  It fails here only without memory or with a broken
 * provider configuration; neither leaves anything sensible to do, so the process ends.
 */
#include <limits.h>
#include <stdlib.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = mem_zalloc(sizeof(*s));

    s->ctx = EVP_MD_CTX_new();
    BUG_ON(s->ctx == NULL || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1);
    return s;
}

void sha256_add(struct sha256 *s, struct slice bytes)
{
    BUG_ON(bytes.n > 0 && EVP_DigestUpdate(s->ctx, bytes.p, bytes.n) != 1);
}

void sha256_finish(struct sha256 *s, unsigned char out[SHA256_SIZE])
{
    BUG_ON(EVP_DigestFinal_ex(s->ctx, out, NULL) != 1 ||
           EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1);
}

void sha256_free(struct sha256 **s)
{
    if (*s != NULL) {
        EVP_MD_CTX_free((*s)->ctx);
        free(*s);
    }
    *s = NULL;
}

void sha256_of(struct slice bytes, unsigned char out[SHA256_SIZE])
{
    BUG_ON(EVP_Digest(bytes.n > 0 ? bytes.p : (const unsigned char *)"", bytes.n, out, NULL,
               EVP_sha256(), NULL) != 1);
}

void hmac_sha256(struct slice key, struct slice bytes, unsigned char out[SHA256_SIZE])
{
    const unsigned char *empty = (const unsigned char *)"";

    BUG_ON(key.n > INT_MAX);
    BUG_ON(HMAC(EVP_sha256(), key.n > 0 ? key.p : empty, (int)key.n, bytes.n > 0 ? bytes.p : empty,
               bytes.n, out, NULL) == NULL);
}

bool hmac_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *out, size_t n)
{
    BUG_ON(n > INT_MAX || RAND_bytes(out, (int)n) != 1);
}
