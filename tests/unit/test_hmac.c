/* SPDX-License-Identifier: ISC */
#include "base/core/num.h"
#include "base/os/hmac.h"
#include "tests/unit/unit.h"

/* FIPS 180-2 appendix B and RFC 4231 (cases 1, 2, 4). */
static void test_known_answers(void **state)
{
    static const struct {
        const char *in, *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    static const struct {
        const char *key_hex, *text, *digest;
    } keyed[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"4a656665", "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    unsigned char out[SHA256_SIZE], want[SHA256_SIZE], key[32];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(num_hex(slice_str(rows[i].digest), want, sizeof(want)), 0);
        sha256_of(slice_str(rows[i].in), out);
        assert_memory_equal(out, want, sizeof(want));
    }
    for (size_t i = 0; i < COUNT_OF(keyed); i++) {
        size_t key_n = strlen(keyed[i].key_hex) / 2;

        assert_int_equal(num_hex(slice_str(keyed[i].digest), want, sizeof(want)), 0);
        assert_int_equal(num_hex(slice_str(keyed[i].key_hex), key, key_n), 0);
        hmac_sha256(slice_make(key, key_n), slice_str(keyed[i].text), out);
        assert_memory_equal(out, want, sizeof(want));
    }
    sha256_of(SLICE_NONE, out);
    assert_int_equal(out[0], 0xe3);
}

static void test_streaming(void **state)
{
    struct sha256 *s = sha256_new();
    unsigned char out[SHA256_SIZE], want[SHA256_SIZE];

    (void)state;
    sha256_of(SLICE_LIT("abc"), want);
    for (int round = 0; round < 2; round++) {
        sha256_add(s, SLICE_LIT("a"));
        sha256_add(s, SLICE_NONE);
        sha256_add(s, SLICE_LIT("bc"));
        sha256_finish(s, out);
        assert_memory_equal(out, want, sizeof(want));
    }
    sha256_free(&s);
    assert_null(s);
    sha256_free(&s);
}

static void test_equal_and_random(void **state)
{
    unsigned char a[64] = {0}, b[64] = {0};

    (void)state;
    assert_true(hmac_equal(a, b, sizeof(a)));
    b[63] = 1;
    assert_false(hmac_equal(a, b, sizeof(a)));
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    random_bytes(a, 0);
}

/* RFC 4648 section 10. */
static void test_base64(void **state)
{
    static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[HMAC_BASE64_SIZE(6)];
        hmac_base64(slice_str(rows[i][0]), out);
        assert_string_equal(out, rows[i][1]);
        assert_true(strlen(out) < HMAC_BASE64_SIZE(strlen(rows[i][0])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_streaming),
        cmocka_unit_test(test_equal_and_random),
    };

    return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}
