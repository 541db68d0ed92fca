/* SPDX-License-Identifier: ISC */
#include "relay/received.h"
#include "tests/unit/unit.h"

static void test_table(void **state)
{
    static const struct {
        struct received r;
        const char *text;
    } rows[] = {
        {{"mx.example.net", "192.0.2.1", "gw", false, true, true, "1.0", {NULL, 0}, "now"},
            "Received: from mx.example.net ([192.0.2.1])\r\n\tby gw (coexist) with ESMTPS id "
            "1.0;\r\n"
            "\tnow\r\n"},
        {{"a", "2001:db8::1", "gw", false, false, false, "1.0", {NULL, 0}, "now"},
            "Received: from a ([IPv6:2001:db8::1])\r\n\tby gw (coexist) with SMTP id 1.0;\r\n"
            "\tnow\r\n"},
        {{"a", "192.0.2.1", "gw", true, true, false, "1.0", {(const unsigned char *)"x@y", 3},
             "now"},
            "Received: from a ([192.0.2.1])\r\n\tby gw (coexist) with LMTP id 1.0\r\n\tfor "
            "<x@y>;\r\n"
            "\tnow\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        size_t n = strlen(rows[i].text);

        for (size_t max = n - 1; max <= n; max++) {
            buf_init(&out, max);
            assert_int_equal(received_field(&rows[i].r, &out), max < n ? -1 : 0);
            assert_string_equal(buf_cstr(&out), max < n ? "" : rows[i].text);
            buf_fini(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
