/* SPDX-License-Identifier: ISC */
/*
 * Changes behind an opening of a folder that was told a moment ago (is_known): what is sent before
 * the opening is answered, and what becomes of it when the folder is another one by then.
 */
#include "tests/unit/imap_peer.h"

static const uint32_t some[] = {3, 4};
static struct end_changes changes;

/* Opens "a" and begins to change it at once; removes: and to remove. */
static void change(bool is_known, bool removes, struct end_ticket t[3])
{
    const struct flags seen = {.system = FLAG_SEEN};
    const struct end_flags f = {.flags = &seen, .keywords = &keywords};
    const struct end_open o = {.folder = SLICE_LIT("a"),
        .is_for_writing = true,
        .is_only_opened = true,
        .is_known = is_known,
        .uidvalidity = 7};
    struct end *e = peer.end;
    struct err err = ERR_INIT;
    memset(t, 0, 3 * sizeof(*t));
    end_changes_init(&changes, &keywords);
    e->ops->open(e, &o, &changes, &t[0]);
    e->ops->flags(e, some, COUNT_OF(some), &f, NULL, &t[1]);
    t[2].result = END_OK;
    if (removes) {
        t[2].result = END_PENDING;
        e->ops->remove(e, some, COUNT_OF(some), &t[2]);
    }
    assert_int_equal(end_drain(e, &err), 0);
    stop();
    fini(&changes);
}

#define NUMBERS(validity) "* 5 EXISTS\n* OK [UIDVALIDITY " validity "] .\n* OK [UIDNEXT 90] .\n"

/* The peer says nothing to SELECT before it has the STORE: who waits would wait for ever. */
static void test_not_waited_for(void **state)
{
    static const struct imap_peer_row rows[] = {{"SELECT \"a\"", ""},
        {"UID STORE 3:4 +FLAGS", NUMBERS("7") "^ OK .\n~ OK .\n"}, {"UID EXPUNGE 3:4", "~ OK .\n"},
        {NULL, NULL}};
    struct end_ticket t[3];
    (void)state;
    imap_peer_start(&peer, "UIDPLUS", rows);
    change(true, true, t);
    assert_int_equal(t[0].result, END_OK);
    assert_int_equal(t[1].result, END_OK);
    assert_int_equal(t[2].result, END_OK);
    clean();
}

/* Flags may have been changed all the same; each ticket says NO. */
static void test_replaced(void **state)
{
    static const struct imap_peer_row rows[] = {{"SELECT \"a\"", ""},
        {"UID STORE 3:4 +FLAGS", NUMBERS("8") "^ OK .\n~ OK .\n"}, {NULL, NULL}};
    struct end_ticket t[3];
    (void)state;
    imap_peer_start(&peer, "UIDPLUS", rows);
    change(true, false, t);
    assert_int_equal(t[0].result, END_NO);
    assert_int_equal(t[1].result, END_NO);
    assert_non_null(strstr(t[1].err.text, "UIDVALIDITY"));
    clean();
}

/* One that nobody has told is waited for, and nothing is sent into another one. */
static void test_not_known(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"SELECT \"a\"", NUMBERS("8") "~ OK .\n"}, {NULL, NULL}};
    struct end_ticket t[3];
    (void)state;
    imap_peer_start(&peer, "UIDPLUS", rows);
    change(false, true, t);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(t[i].result, END_NO);
    assert_null(said("STORE"));
    assert_null(said("EXPUNGE"));
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_waited_for),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
