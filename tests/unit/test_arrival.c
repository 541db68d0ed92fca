/* SPDX-License-Identifier: ISC */
#include "imapsync/ends/arrival.h"

#include "base/core/buf.h"
#include "imapsync/ends/date.h"
#include "tests/unit/unit.h"

/* As IMAP writes it; "": it is no date. */
static void assert_date(const char *name, bool is, int64_t s, int16_t zone_min, const char *want)
{
    struct buf text;
    buf_init(&text, 100);
    if (is)
        assert_int_equal(date_format(s, zone_min, &text), 0);
    if (!slice_eq(buf_slice(&text), slice_str(want)))
        fail_msg("row '%s': %s, not %s", name, buf_cstr(&text), want);
    buf_fini(&text);
}

static const struct {
    const char *text, *want;
} dates[] = {
    /* RFC 5322 3.3 */
    {"Wed, 17 Jul 1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700"},
    {" Wed, 17 Jul 1996 02:44:25 -0700\r\n", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700"},
    {"7 Jul 1996 02:44:25 +0000", " 7-Jul-1996 02:44:25 +0000"},
    {"07 Jul 1996 02:44 +0000", " 7-Jul-1996 02:44:00 +0000"},
    {"Fri, 21 Nov 1997 09:55:06 -0600", "21-Nov-1997 09:55:06 -0600"},
    {"Thu, 13 Feb 1969 23:32:54 -0330", "13-Feb-1969 23:32:54 -0330"},
    {"31 Dec 1998 23:59:60 +0000", " 1-Jan-1999 00:00:00 +0000"},
    {"29 Feb 2000 12:00:00 +0545", "29-Feb-2000 12:00:00 +0545"},
    {"Mon, 1 Jan 2024 00:00:00 +1400", " 1-Jan-2024 00:00:00 +1400"},
    {"Mon, 1 Jan 2024 00:00:00 -0000", " 1-Jan-2024 00:00:00 +0000"},
    {"1 jan 2024 00:00:00 +0000", " 1-Jan-2024 00:00:00 +0000"},
    {"TUE, 2 JAN 2024 00:00:00 +0000", " 2-Jan-2024 00:00:00 +0000"},
    {"1 Jan 9999 00:00:00 +0000", " 1-Jan-9999 00:00:00 +0000"},
    /* Folds and comments */
    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
     "               -0330 (Newfoundland Time)\r\n",
        "13-Feb-1969 23:32:00 -0330"},
    {"Wed, 17 Jul 1996 02:44:25 -0700 (PDT)", "17-Jul-1996 02:44:25 -0700"},
    {"(a(b)c\\)) Wed(x), (y)17(z)Jul 1996 02(:):44 : 25 -0700", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 1996 02:44:25 -0700 (open", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 1996 02:44:25 (+0200)", "17-Jul-1996 02:44:25 +0000"},
    {"Wed,\t17\tJul\t1996\t02:44:25\t-0700", "17-Jul-1996 02:44:25 -0700"},
    {"Wed,17 Jul 1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700"},
    {"17Jul1996 02:44:25-0700", "17-Jul-1996 02:44:25 -0700"},
    /* Years of two and three digits */
    {"17 Jul 96 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 49 02:44:25 +0000", "17-Jul-2049 02:44:25 +0000"},
    {"17 Jul 50 02:44:25 +0000", "17-Jul-1950 02:44:25 +0000"},
    {"17 Jul 00 02:44:25 +0000", "17-Jul-2000 02:44:25 +0000"},
    {"17 Jul 100 02:44:25 +0000", "17-Jul-2000 02:44:25 +0000"},
    {"17 Jul 124 02:44:25 +0000", "17-Jul-2024 02:44:25 +0000"},
    /* Zones */
    {"17 Jul 1996 02:44:25 GMT", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 UT", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 Z", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 EST", "17-Jul-1996 02:44:25 -0500"},
    {"17 Jul 1996 02:44:25 edt", "17-Jul-1996 02:44:25 -0400"},
    {"17 Jul 1996 02:44:25 CST", "17-Jul-1996 02:44:25 -0600"},
    {"17 Jul 1996 02:44:25 CDT", "17-Jul-1996 02:44:25 -0500"},
    {"17 Jul 1996 02:44:25 MST", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 1996 02:44:25 MDT", "17-Jul-1996 02:44:25 -0600"},
    {"17 Jul 1996 02:44:25 PST", "17-Jul-1996 02:44:25 -0800"},
    {"17 Jul 1996 02:44:25 PDT", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 1996 02:44:25 A", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 MEZ", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 +02:00", "17-Jul-1996 02:44:25 +0200"},
    {"17 Jul 1996 02:44:25 GMT+0200 (CEST)", "17-Jul-1996 02:44:25 +0200"},
    {"17 Jul 1996 02:44:25 +2400", "16-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 +9900", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 +0160", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 +02", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 +020000", "17-Jul-1996 02:44:25 +0000"},
    {"17 Jul 1996 02:44:25 \"GMT\"", "17-Jul-1996 02:44:25 +0000"},
    /* Forms of other programs */
    {"Wednesday, 17-Jul-96 02:44:25 GMT", "17-Jul-1996 02:44:25 +0000"},
    {"17-Jul-1996 02:44:25 -0700", "17-Jul-1996 02:44:25 -0700"},
    {"Wed Jul 17 02:44:25 1996", "17-Jul-1996 02:44:25 +0000"},
    {"Wed Jul  7 02:44:25 1996\n", " 7-Jul-1996 02:44:25 +0000"},
    {"Wed Jul 17 02:44:25 PST 1996", "17-Jul-1996 02:44:25 -0800"},
    {"Wed Jul 17 02:44:25 +0200 1996", "17-Jul-1996 02:44:25 +0200"},
    {"Wed Jul 17 1996 02:44:25 GMT-0700", "17-Jul-1996 02:44:25 -0700"},
    {"July 17, 1996 2:44:25 PM", "17-Jul-1996 14:44:25 +0000"},
    {"17 July 1996, 12:04 am -0700", "17-Jul-1996 00:04:00 -0700"},
    {"Wed. 17 Jul 1996 2:4:5 -0700", "17-Jul-1996 02:04:05 -0700"},
    {"17 Jul 1996 02:44:25.123456 -0700", "17-Jul-1996 02:44:25 -0700"},
    {"17 Jul 1996 02:44:25 -0700 and more", "17-Jul-1996 02:44:25 -0700"},
    /* None */
    {"", ""},
    {" \r\n", ""},
    {"(17 Jul 1996 02:44:25 -0700)", ""},
    {"yesterday", ""},
    {"Wed", ""},
    {"Wed, ", ""},
    {"17 Jul 1996", ""},
    {"17 Jul 02:44:25 -0700", ""},
    {"17 Juli 1996 25:44:25 -0700", ""},
    {"17 Jul 1996 02:60:25 -0700", ""},
    {"17 Jul 1996 02:44:61 -0700", ""},
    {"17 Jul 1996 02.44.25 -0700", ""},
    {"17 Foo 1996 02:44:25 -0700", ""},
    {"17 Ju 1996 02:44:25 -0700", ""},
    {"0 Jul 1996 02:44:25 -0700", ""},
    {"32 Jul 1996 02:44:25 -0700", ""},
    {"31 Jun 1996 02:44:25 -0700", ""},
    {"29 Feb 1900 02:44:25 -0700", ""},
    {"29 Feb 2023 02:44:25 -0700", ""},
    {"017 Jul 1996 02:44:25 -0700", ""},
    {"17 Jul 6 02:44:25 -0700", ""},
    {"17 Jul 11996 02:44:25 -0700", ""},
    {"Wed Jul 17 02:44:25", ""},
    {"1996-07-17 02:44:25", ""},
    {"07/17/96 02:44:25", ""},
    {"17 J\xc3\xbcl 1996 02:44:25 -0700", ""},
    {"-1 Jul 1996 02:44:25 -0700", ""},
};

static void test_dates(void **state)
{
    (void)state;
    assert_true(COUNT_OF(dates) >= 60);
    for (size_t i = 0; i < COUNT_OF(dates); i++) {
        int64_t s = 0;
        int16_t zone_min = 0;
        bool is = arrival_parse(slice_str(dates[i].text), &s, &zone_min);
        assert_date(dates[i].text, is, s, zone_min, dates[i].want);
    }
    /* NUL is an octet like any other. */
    int64_t s;
    int16_t zone_min;
    assert_false(arrival_parse(SLICE_LIT("17 Jul\0 1996 02:44:25 -0700"), &s, &zone_min));
}

#define OLD "1 Jul 1996 02:00:00 +0000"
#define NEW "2 Jul 1996 03:00:00 +0000"

static void test_fields(void **state)
{
    static const struct {
        const char *fields, *want;
    } rows[] = {
        {"", ""},
        {"\r\n", ""},
        {"Subject: x\r\n\r\n", ""},
        {"Date: " OLD "\r\n\r\n", " 1-Jul-1996 02:00:00 +0000"},
        {"date : " OLD "\r\n", " 1-Jul-1996 02:00:00 +0000"},
        {"DATE:" OLD, " 1-Jul-1996 02:00:00 +0000"},
        {"Date: x\r\nDate: " OLD "\r\n", ""},
        {"Date: " OLD "\r\nDate: " NEW "\r\n", " 1-Jul-1996 02:00:00 +0000"},
        {"Resent-Date: " NEW "\r\n", ""},
        {"\r\nDate: " OLD "\r\n", ""},
        {"Received: from a by b; " NEW "\r\nDate: " OLD "\r\n", " 2-Jul-1996 03:00:00 +0000"},
        {"Date: " OLD "\r\nReceived: from a by b; " NEW "\r\n", " 2-Jul-1996 03:00:00 +0000"},
        {"Received: from a\r\n\tby b (x; y)\r\n\tfor <c>;\r\n\t" NEW "\r\n",
            " 2-Jul-1996 03:00:00 +0000"},
        {"Received: by b; " OLD "\r\nReceived: by a; " NEW "\r\n", " 1-Jul-1996 02:00:00 +0000"},
        {"Received: by b; junk\r\nReceived: by a; " NEW "\r\nDate: " OLD "\r\n",
            " 2-Jul-1996 03:00:00 +0000"},
        {"Received: by b\r\nDate: " OLD "\r\n", " 1-Jul-1996 02:00:00 +0000"},
        {"Received: by b; " NEW " (no; yes)\r\n", " 2-Jul-1996 03:00:00 +0000"},
        {"Received: by b; " NEW ";\r\n", " 2-Jul-1996 03:00:00 +0000"},
        {"Received: by b; " NEW ";;;;;\r\n", ""},
        {"Received: (qmail 7 invoked by uid 0); 17 Jul 1996 02:44:25 -0000\r\n",
            "17-Jul-1996 02:44:25 +0000"},
        {"Received:\r\nDate:\r\n", ""},
        /* Not believed */
        {"Date: 31 Dec 1969 23:59:59 +0000\r\n", ""},
        {"Date: 1 Jan 1970 00:00:00 +0000\r\n", " 1-Jan-1970 00:00:00 +0000"},
        {"Date: 17 Jul 2096 02:44:25 +0000\r\n", ""},
        {"Received: by b; 17 Jul 2096 02:44:25 +0000\r\nDate: " OLD "\r\n",
            " 1-Jul-1996 02:00:00 +0000"},
        {"Received: by b; 1 Jan 1904 00:00:00 +0000\r\nReceived: by a; " NEW "\r\n",
            " 2-Jul-1996 03:00:00 +0000"},
        {"Date: 10 Sep 2001 01:46:40 +0000\r\n", "10-Sep-2001 01:46:40 +0000"},
        {"Date: 10 Sep 2001 01:46:41 +0000\r\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t s = 0, now_s = 1000000000; /* 9 Sep 2001 01:46:40 */
        int16_t zone_min = 0;
        bool is = arrival_of(slice_str(rows[i].fields), now_s, &s, &zone_min);
        assert_date(rows[i].fields, is, s, zone_min, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
