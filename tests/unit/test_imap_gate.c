/* SPDX-License-Identifier: ISC */
/* Who may try to sign in, and when, behind one who was refused. */
#include "imapsync/imap/conn_gate.h"
#include "tests/unit/unit.h"

#define OLD "old-password"
#define NEW "new-password"
#define LATER (IMAP_GATE_MS + 1)

/* Each step: a user comes; "+" he gets in, "-" he is refused, "." he may not try. */
static void test_stories(void **state)
{
    static const struct row {
        const char *name;
        struct {
            const char *user, *secret;
            char what;
            uint64_t after_ms;
        } steps[8];
    } rows[] = {
        {"a wrong password from the start",
            {{"ann", OLD, '-', 0}, {"ann", OLD, '.', 1000}, {"bob", OLD, '.', 1000},
                {"bob", OLD, '-', LATER}, {"ann", OLD, '.', 1000}, {"ann", OLD, '+', LATER},
                {"bob", OLD, '+', 0}}},
        {"a user who is not there",
            {{"ann", OLD, '+', 0}, {"bob", OLD, '-', 0}, {"bob", OLD, '.', 1000},
                {"ann", OLD, '+', 0}, {"cat", OLD, '+', 0}, {"bob", OLD, '-', LATER},
                {"ann", OLD, '+', 0}}},
        {"a password that was changed on the server",
            {{"ann", OLD, '+', 0}, {"ann", OLD, '-', 0}, {"bob", OLD, '-', 0}, {"cat", OLD, '.', 0},
                {"cat", NEW, '+', 1000}, {"ann", NEW, '+', 0}}},
        {"one tries, the others wait for what comes of it",
            {{"ann", OLD, '-', 0}, {"bob", OLD, '?', LATER}, {"cat", OLD, '.', 0}}},
    };
    (void)state;
    uint64_t now_ms = 1000;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_gate *g = imap_gate_of(rows[i].name);
        assert_ptr_equal(g, imap_gate_of(rows[i].name));
        for (size_t k = 0; k < COUNT_OF(rows[i].steps) && rows[i].steps[k].user; k++) {
            const char *user = rows[i].steps[k].user;
            struct err err = ERR_INIT, no = ERR_INIT;
            err_set(&no, ERR_PERM, 0, "no");
            now_ms += rows[i].steps[k].after_ms;
            int result = imap_gate_enter(g, user, slice_str(rows[i].steps[k].secret), now_ms, &err);
            if ((result == 0) != (rows[i].steps[k].what != '.'))
                fail_msg("row '%s', step %zu: %s", rows[i].name, k, err.text);
            assert_row(rows[i].name, result == 0 || err.class == ERR_TEMP);
            if (rows[i].steps[k].what == '+')
                imap_gate_passed(g);
            else if (rows[i].steps[k].what == '-')
                imap_gate_refused(g, user, now_ms, &no);
        }
    }
    struct err err = ERR_INIT;
    struct imap_gate *last = imap_gate_of(rows[3].name);
    assert_true(imap_gate_is_closed(last, now_ms));
    imap_gates_open();
    assert_false(imap_gate_is_closed(last, now_ms));
    assert_int_equal(imap_gate_enter(last, "ann", SLICE_LIT(OLD), now_ms, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
