/* SPDX-License-Identifier: ISC */
/* What an end tells of its quota: over IMAP, where it is offered, and out of a Maildir. */
#include "imapsync/ends/maildir_size.h"
#include "imapsync/imap/response.h"
#include "tests/unit/imap_peer.h"

#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

/* "used limit left, used limit left": octets, then messages. */
static void assert_quota(const char *name, const struct end_quota *q, const char *want)
{
    char got[200];
    const struct end_amount *o = &q->octets, *m = &q->messages;
    assert_int_equal(
        fmt_into(got, sizeof(got), "%llu %llu %llu, %llu %llu %llu", (unsigned long long)o->used,
            (unsigned long long)o->limit, (unsigned long long)o->left, (unsigned long long)m->used,
            (unsigned long long)m->limit, (unsigned long long)m->left),
        0);
    if (strcmp(got, want) != 0)
        fail_msg("%s: %s, not %s", name, got, want);
}

static void test_lines(void **state)
{
    static const struct {
        const char *text;
        bool is_odd, has_storage, has_messages;
        uint64_t storage[2], messages[2];
    } rows[] = {
        {"* QUOTA \"\" (STORAGE 10 512)", false, true, false, {10, 512}, {0, 0}},
        {"* QUOTA \"User quota\" (STORAGE 10 512 MESSAGE 3 100)", false, true, true, {10, 512},
            {3, 100}},
        {"* QUOTA {1}\r\na (message 0 0 X-SIZE 1 2)", false, false, true, {0, 0}, {0, 0}},
        {"* QUOTA user.ann ()", false, false, false, {0, 0}, {0, 0}},
        {"* QUOTA user.ann  ( STORAGE  1  2 ) ", false, true, false, {1, 2}, {0, 0}},
        /* What cannot be read is not told, and what stood before counts. */
        {"* QUOTA a (STORAGE 10)", true, false, false, {0, 0}, {0, 0}},
        {"* QUOTA a (MESSAGE 3 100 STORAGE -1 5)", true, false, true, {0, 0}, {3, 100}},
        {"* QUOTA a (STORAGE 1 18446744073709551616)", true, false, false, {0, 0}, {0, 0}},
        {"* QUOTA User quota (STORAGE 10 512)", true, false, false, {0, 0}, {0, 0}},
        {"* QUOTA a", false, false, false, {0, 0}, {0, 0}},
        {"* QUOTA", true, false, false, {0, 0}, {0, 0}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_response r;
        assert_row(rows[i].text,
            imap_response_parse(slice_str(rows[i].text), (struct imap_streamed){0}, &r) == 0);
        assert_row(rows[i].text, r.kind == IMAP_KIND_QUOTA && r.is_odd == rows[i].is_odd);
        const struct imap_quota_data *q = &r.quota;
        assert_row(rows[i].text, q->of[IMAP_RESOURCE_STORAGE].is_told == rows[i].has_storage);
        assert_row(rows[i].text, q->of[IMAP_RESOURCE_MESSAGE].is_told == rows[i].has_messages);
        assert_row(rows[i].text, q->of[IMAP_RESOURCE_STORAGE].used == rows[i].storage[0] &&
                                     q->of[IMAP_RESOURCE_STORAGE].limit == rows[i].storage[1]);
        assert_row(rows[i].text, q->of[IMAP_RESOURCE_MESSAGE].used == rows[i].messages[0] &&
                                     q->of[IMAP_RESOURCE_MESSAGE].limit == rows[i].messages[1]);
    }
}

static void test_amounts(void **state)
{
    static const struct {
        const char *name;
        uint64_t in[3][2]; /* used and limit of each */
        struct end_amount want;
    } rows[] = {
        {"nothing is kept", {{0, 0}, {0, 0}, {0, 0}}, {0, 0, 0}},
        {"no limit", {{5, 0}, {0, 0}, {0, 0}}, {5, 0, 0}},
        {"one", {{5, 9}, {0, 0}, {0, 0}}, {5, 9, 4}},
        {"over it", {{12, 9}, {0, 0}, {0, 0}}, {12, 9, 0}},
        {"a domain's too", {{5, 90}, {700, 710}, {0, 0}}, {5, 710, 10}},
        {"the least is left by the last", {{700, 900}, {6, 8}, {5, 6}}, {5, 6, 1}},
        {"full stays full", {{9, 9}, {5, 8}, {0, 0}}, {5, 9, 0}},
        {"the largest", {{1, UINT64_MAX}, {0, 0}, {0, 0}}, {1, UINT64_MAX, UINT64_MAX - 1}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct end_amount a = {0};
        for (size_t k = 0; k < 3; k++)
            end_amount_add(&a, rows[i].in[k][0], rows[i].in[k][1]);
        assert_row(rows[i].name, a.used == rows[i].want.used && a.limit == rows[i].want.limit &&
                                     a.left == rows[i].want.left);
    }
}

/* Masked and offered, and whatever is said to it. */
static void test_over_imap(void **state)
{
    static const struct {
        const char *name, *caps, *reply, *want;
    } rows[] = {
        {"masked", "UIDPLUS", "* QUOTA \"\" (STORAGE 1 2)\n~ OK .\n", "0 0 0, 0 0 0"},
        {"offered", "QUOTA",
            "* QUOTAROOT INBOX \"User quota\"\n* QUOTA \"User quota\" (STORAGE 512 1024 MESSAGE 3 "
            "100)\n~ OK .\n",
            "524288 1048576 524288, 3 100 97"},
        {"in the words of RFC 9208", "QUOTA QUOTA=RES-STORAGE",
            "* QUOTAROOT \"INBOX\" \"#user/a\" \"#org\"\n* QUOTA \"#user/a\" (STORAGE 1 3)\n"
            "* QUOTA \"#org\" (STORAGE 700 701)\n~ OK .\n",
            "1024 717824 1024, 0 0 0"},
        {"nothing is kept", "QUOTA", "* QUOTAROOT INBOX\n~ OK .\n", "0 0 0, 0 0 0"},
        {"a root without resources", "QUOTA", "* QUOTAROOT INBOX r\n* QUOTA r ()\n~ OK .\n",
            "0 0 0, 0 0 0"},
        {"refused", "QUOTA", "~ NO no such thing\n", "0 0 0, 0 0 0"},
        {"not known", "QUOTA", "~ BAD what\n", "0 0 0, 0 0 0"},
        {"photographs", "QUOTA X-GM-EXT-1", "* QUOTA \"\" (STORAGE 15000000 15728640)\n~ OK .\n",
            "0 16106127360 746127360, 0 0 0"},
        {"more than there is", "QUOTA",
            "* QUOTA \"\" (STORAGE 18446744073709551615 18446744073709551615)\n~ OK .\n",
            "18446744073709551615 18446744073709551615 0, 0 0 0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {{"GETQUOTAROOT INBOX\n", rows[i].reply}, END};
        struct end_quota q = {0};
        struct end_ticket t = {0};
        struct err err = ERR_INIT;
        imap_peer_start(&peer, rows[i].caps, script);
        peer.end->ops->quota(peer.end, &q, &t);
        assert_row(rows[i].name, end_wait(peer.end, &t, &err) == 0 && t.result == END_OK);
        assert_quota(rows[i].name, &q, rows[i].want);
        assert_row(rows[i].name, peer.end->n_unread == 0);
        stop();
        assert_row(rows[i].name, (said("GETQUOTAROOT") != NULL) == (i > 0));
        clean();
    }
}

static void test_maildirsize(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "0 0 0, 0 0 0"},
        {"1000S,10C\n  100 2\n-30 -1\n50 1\n", "120 1000 880, 2 10 8"},
        {"10C\n100 2\n", "100 0 0, 2 10 8"},
        {"0S\n100 2\n", "100 0 0, 2 0 0"},
        {"1000S,x,9Z,-1C\n1 1\n", "1 1000 999, 1 0 0"},
        {"1000S\n-5 -1\n", "0 1000 1000, 0 0 0"},
        {"1000S\n5 1\ntorn\n7 1\n", "5 1000 995, 1 0 0"},
        {"1000S\n9223372036854775807 1\n", "0 1000 1000, 0 0 0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct end_quota q = {0};
        maildir_size_take(slice_str(rows[i].text), &q);
        assert_quota(rows[i].text, &q, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_over_imap),
        cmocka_unit_test(test_maildirsize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
