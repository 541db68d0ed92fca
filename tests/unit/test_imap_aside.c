/* SPDX-License-Identifier: ISC */
#include "imapsync/ends/aside.h"
#include "tests/unit/imap_peer.h"

#define OPENED "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 9] .\n~ OK [READ-ONLY] .\n"

/* Connections that die, one behind the other: at which folder, and whether it is put aside. */
static void test_two_in_a_row(void **state)
{
    static const struct {
        const char *name;
        struct {
            const char *at;
            bool reading, is_aside;
        } losses[8];
    } rows[] = {
        {"once", {{"a", false, false}}},
        {"twice", {{"a", false, false}, {"a", false, true}}},
        {"another in between", {{"a", false, false}, {"b", false, false}, {"a", false, false}}},
        {"nobody knows", {{"a", false, false}, {"", false, false}, {"a", false, true}}},
        {"INBOX in any case", {{"INBOX", false, false}, {"Inbox", false, true}}},
        {"while it was read", {{"a", true, false}, {"a", true, false}}},
        {"three, and then no more",
            {{"a", false, false}, {"a", false, true}, {"b", false, false}, {"b", false, true},
                {"c", false, false}, {"c", false, true}, {"d", false, false}, {"d", false, false}}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct aside a = {.n = 0};
        size_t n = 0;
        for (size_t k = 0; k < COUNT_OF(rows[i].losses) && rows[i].losses[k].at; k++) {
            struct end e = {.lost_at = slice_str(rows[i].losses[k].at),
                .lost_reading = rows[i].losses[k].reading};
            n += rows[i].losses[k].is_aside;
            assert_row(rows[i].name, aside_note(&a, &e, false) == rows[i].losses[k].is_aside);
            assert_row(rows[i].name,
                aside_has(&a, slice_str(rows[i].losses[k].at)) == rows[i].losses[k].is_aside);
        }
        assert_row(rows[i].name, a.n == n);
        aside_fini(&a);
    }
}

static void test_reads_of_a_comparison(void **state)
{
    struct aside a = {.n = 0};
    const struct end e = {.lost_at = SLICE_LIT("a"), .lost_reading = true};
    (void)state;
    assert_false(aside_note(&a, &e, true));
    assert_true(aside_note(&a, &e, true));
    aside_fini(&a);
}

/* What it dies of is the oldest thing without an answer. */
static void test_where_it_died(void **state)
{
    static const struct {
        const char *name, *dies, *at;
        bool reading, in_list;
    } rows[] = {
        {"at EXAMINE", "EXAMINE", "a", false, false},
        {"at a listing", "UID FETCH 1:*", "a", false, false},
        {"at a body", "BODY.PEEK[]", "a", true, false},
        {"at CREATE", "CREATE", "b", false, false},
        {"at STATUS", "STATUS \"c\"", "c", false, false},
        {"at the list", "LIST", "", false, true},
    };
    const uint32_t uid = 1;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {{rows[i].dies, NULL}, {"EXAMINE", OPENED},
            {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
        struct end_changes c;
        struct end_ticket t[5] = {0};
        struct end_sink sink = {0};
        struct folder_list list;
        struct folder one = {.name = SLICE_LIT("c")};
        struct err err = ERR_INIT;
        imap_peer_start(&peer, "LIST-EXTENDED LIST-STATUS", script);
        struct end *e = peer.end;
        const struct end_open open = {.folder = SLICE_LIT("a"), .want = END_WANT_FLAGS};
        folder_list_init(&list);
        end_changes_init(&c, &keywords);
        e->ops->open(e, &open, &c, &t[0]);
        e->ops->read(e, &uid, 1, &sink, NULL, &t[1]);
        e->ops->make(e, SLICE_LIT("b"), FOLDER_USE_NONE, &t[2]);
        e->ops->status(e, &one, &t[3]);
        e->ops->folders(e, &list, &t[4]);
        assert_row(rows[i].name, end_drain(e, &err) != 0);
        assert_row(rows[i].name, slice_eq(e->lost_at, slice_str(rows[i].at)));
        assert_row(rows[i].name, e->lost_reading == rows[i].reading);
        assert_row(rows[i].name, e->lost_in_list == rows[i].in_list);
        folder_list_fini(&list);
        fini(&c);
        (void)imap_peer_stop(&peer);
        buf_fini(&peer.lines);
    }
}

/* About what was put aside nothing is said to the server, and everybody hears a NO; numbers are
 * asked for one by one where they were died of. */
static void test_refused(void **state)
{
    static const struct imap_peer_row script[] = {
        {"LIST", "* LIST () \"/\" a\n* LIST () \"/\" b\n~ OK .\n"},
        {"STATUS \"b\"", "* STATUS b (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7)\n~ OK .\n"},
        {NULL, NULL}};
    struct aside aside = {.without_status = true};
    const struct end dead = {.lost_at = SLICE_LIT("a")};
    struct end_changes c;
    struct end_ticket t[5] = {0};
    struct folder_list list;
    struct folder one = {.name = SLICE_LIT("a")};
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 2; i++)
        (void)aside_note(&aside, &dead, false);
    imap_peer_start(&peer, "LIST-EXTENDED LIST-STATUS", script);
    struct end *e = peer.end;
    e->aside = &aside;
    folder_list_init(&list);
    assert_int_equal(
        open_folder("a", &(struct end_open){.want = END_WANT_FLAGS}, &c, &err), END_NO);
    assert_int_equal(err.scope, ERR_SCOPE_FOLDER);
    e->ops->make(e, SLICE_LIT("a"), FOLDER_USE_NONE, &t[0]);
    e->ops->status(e, &one, &t[1]);
    e->ops->subscribe(e, SLICE_LIT("a"), true, &t[2]);
    e->ops->folders(e, &list, &t[3]);
    assert_int_equal(end_drain(e, &err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(t[i].result, END_NO);
    assert_int_equal(t[3].result, END_OK);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.v[0].has, 0);
    assert_int_equal(list.v[1].messages, 3);
    folder_list_fini(&list);
    fini(&c);
    const char *lines = imap_peer_stop(&peer);
    assert_null(strstr(lines, "\"a\""));
    assert_null(strstr(lines, "RETURN (SUBSCRIBED STATUS"));
    buf_fini(&peer.lines);
    aside_fini(&aside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_in_a_row),
        cmocka_unit_test(test_reads_of_a_comparison),
        cmocka_unit_test(test_where_it_died),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
