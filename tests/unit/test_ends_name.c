/* SPDX-License-Identifier: ISC */
#include "imapsync/ends/name.h"
#include "tests/unit/unit.h"

static void test_one_name(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same, is_twin;
    } rows[] = {
        {"INBOX", "inBox", true, true},
        {"INBOX/a", "inbox/a", false, true},
        {"Work", "Work", true, true},
        {"Work", "WORK", false, true},
        {"Work", "Works", false, false},
        {"&ANw-nicode", "&APw-nicode", false, true}, /* \xc3\x9c and \xc3\xbc */
        {"&APw-", "u&Awg-", false, true},            /* composed, and not */
        {"&HqQ-", "a&AwIDAQ-", false, true},         /* two marks */
        {"&AOk-", "e", false, false},                /* another letter */
        {"&BBk-", "&BDgDBg-", false, true},          /* Cyrillic */
        {"&A6M-", "&A8I-", false, true},             /* both sigmas */
        {"&MEw-", "&MEswmQ-", false, true},          /* kana */
        {"&rAE-", "&EQARYRGo-", false, true},        /* Hangul */
        {"&AUEBUA-", "&AUIBUQ-", false, true},
        {"&AUE-&AVA-", "&AUI-&AVE-", false, false}, /* no modified UTF-7: as it is */
        {"&AUE-", "&AUI-", false, true},
        {"&2D3eAA-", "&2D3eAA-", true, true},
        {"\xc3\xbc", "U\xcc\x88", false, true}, /* UTF-8 as it is */
        {"\xff", "\xfe", false, false},
        {"&", "&-", false, true},
        {"", "", true, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice a = slice_str(rows[i].a), b = slice_str(rows[i].b);
        assert_row(rows[i].a, folder_same_name(a, b) == rows[i].is_same);
        assert_row(rows[i].a, folder_same_name(b, a) == rows[i].is_same);
        assert_row(rows[i].a, folder_is_twin(a, b) == rows[i].is_twin);
        if (rows[i].is_same) {
            assert_true(folder_name_hash(a) == folder_name_hash(b));
            assert_true(slice_eq(folder_plain_name(a), folder_plain_name(b)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
