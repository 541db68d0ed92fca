/* SPDX-License-Identifier: ISC */
/*
 * hmac: see hmac.h.  libcrypto does the work.  It fails here only without memory or with a broken
 * provider configuration; neither leaves anything sensible to do, so the process ends.
 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
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

/* Looking the algorithms up costs more than a short message: done once, copied for each. */
static EVP_MAC_CTX *hmac_template;

static void make_hmac_template(void)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    BUG_ON(mac == NULL);
    hmac_template = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    BUG_ON(hmac_template == NULL || EVP_MAC_CTX_set_params(hmac_template, params) != 1);
}

void hmac_sha256(struct slice key, struct slice bytes, unsigned char out[SHA256_SIZE])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const unsigned char *empty = (const unsigned char *)"";
    EVP_MAC_CTX *ctx;
    size_t n;

    (void)pthread_once(&once, make_hmac_template);
    ctx = EVP_MAC_CTX_dup(hmac_template);
    BUG_ON(ctx == NULL || EVP_MAC_init(ctx, key.n > 0 ? key.p : empty, key.n, NULL) != 1 ||
           EVP_MAC_update(ctx, bytes.p, bytes.n) != 1 ||
           EVP_MAC_final(ctx, out, &n, SHA256_SIZE) != 1);
    EVP_MAC_CTX_free(ctx);
}

void hmac_base64(struct slice bytes, char *out)
{
    BUG_ON(bytes.n > SHA256_SIZE);
    (void)EVP_EncodeBlock((unsigned char *)out, bytes.p, (int)bytes.n);
}

bool hmac_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void random_bytes(void *out, size_t n)
{
    BUG_ON(n > INT_MAX || RAND_bytes(out, (int)n) != 1);
}
