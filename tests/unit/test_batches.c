/* SPDX-License-Identifier: ISC */
/* What batches does, step by step; the letters are explained in batches_toy.h. */
#include <stdio.h>
#include "tests/unit/unit.h"
/* cmocka first */
#include "tests/unit/batches_toy.h"

static const char *row_name = "";

static void toy_failed(struct toy *t, const char *what)
{
    fail_msg("row '%s': %s, behind %s", row_name, what, buf_cstr(&t->log));
}

/* read_max, read_octets, reads_max, append_max, append_octets, appends_max, sent_max, size_max,
 * read_few */
static const struct batches_limits fours = {4, 10000, 2, 4, 10000, 8, 100, 0, 0},
                                   one_read = {4, 10000, 1, 4, 10000, 8, 100, 0, 0},
                                   singles = {4, 10000, 1, 1, 10000, 8, 100, 0, 0},
                                   short_reads = {4, 200, 1, 4, 10000, 8, 100, 0, 0},
                                   short_appends = {4, 10000, 1, 4, 200, 8, 100, 0, 0},
                                   two_literals = {4, 10000, 2, 4, 10000, 8, 2, 0, 0},
                                   twos_or_more = {8, 500, 1, 8, 10000, 8, 100, 0, 2},
                                   twos = {8, 250, 1, 8, 10000, 8, 100, 0, 2};

static const struct {
    const char *name, *kinds;
    const struct batches_limits *limits;
    enum toy_target target;
    const char *log;
} rows[] = {
    {"one window", "ggg", &fours, TOY_ATOMIC, "I123 R123 A123+ 1s 2s 3s F123"},
    {"two windows: both reads are on their way before the first append is answered", "gggggg",
        &fours, TOY_ATOMIC, "I1234 I56 R1234 R56 A1234+ 1s 2s 3s 4s F1234 A56+ 5s 6s F56"},
    {"a window has one folder", "gg gg", &fours, TOY_ATOMIC,
        "I12 I34 R12 R34 A12+ 1s 2s F12 A34+ 3s 4s F34"},
    {"windows end at their octets", "ggg", &short_reads, TOY_ATOMIC,
        "I12 R12 I3 R3 A12+ 1s 2s F12 A3+ 3s F3"},
    {"small messages: the next read has more of them", "ggggggg", &twos_or_more, TOY_ATOMIC,
        "I12 R12 I3456 R3456 I7 R7 A12+ 1s 2s F12 A3456+ 3s 4s 5s 6s F3456 A7+ 7s F7"},
    {"large ones: it has as many", "ggggg", &twos, TOY_ATOMIC,
        "I12 R12 I34 R34 A12+ 1s 2s F12 I5 R5 A34+ 3s 4s F34 A5+ 5s F5"},
    {"appends end at their octets", "ggg", &short_appends, TOY_ATOMIC,
        "I123 R123 A12+ 1s 2s A3+ 3s F123"},
    {"one by one", "ggg", &singles, TOY_ATOMIC, "I123 R123 A1+ 1s A2+ 2s A3+ 3s F123"},
    {"no more at once than literals may wait", "ggggg", &two_literals, TOY_ATOMIC,
        "I12 R12 A12+ 1s 2s F12 I34 R34 A34+ 3s 4s F34 I5 R5 A5+ 5s F5"},
    {"a refusal is found by halving", "ggrg", &fours, TOY_ATOMIC,
        "I1234 R1234 A1234- S.... F1234 I12 I34 R12 R34 A12+ 1s 2s F12 A34- S.. F34 I3 I4 R3 R4 "
        "A3- A4+ 4s F4 S. 3r F3"},
    {"two refusals", "rggr", &fours, TOY_ATOMIC,
        "I1234 R1234 A1234- S.... F1234 I12 I34 R12 R34 A12- A34- S.... F12 F34 I3 I4 R3 R4 I1 R1 "
        "I2 R2 A3+ 3s F3 A4- A1- A2+ 2s F2 S.. 4r 1r F4 F1"},
    {"a refusal among single messages", "grg", &singles, TOY_ATOMIC,
        "I123 R123 A1+ 1s A2- A3+ 3s S. 2r F123"},
    {"stored as far as it was good, and NO", "ggrg", &fours, TOY_STORES_BEFORE,
        "I1234 R1234 A1234- S12.. 1s 2s F1234 I3 I4 R3 R4 A3- A4+ 4s F4 S. 3r F3"},
    {"stored all the good ones, and NO", "ggrg", &fours, TOY_STORES_ALL,
        "I1234 R1234 A1234- S12.4 1s 2s 4s F1234 I3 R3 A3- S. 3r F3"},
    {"keywords are no reason to refuse a message", "gp", &fours, TOY_ATOMIC,
        "I12 R12 A12- S.. F12 I1 I2 R1 R2 A1+ 1s F1 A2- S. F2 I2 R2 A2+ 2p F2"},
    {"stored with its keywords, and NO", "p", &fours, TOY_STORES_ALL, "I1 R1 A1- S1 1s F1"},
    {"larger than the target takes", "gl", &fours, TOY_ATOMIC, "I12 R12 A1+ 1s 2r F12"},
    {"no body", "gmg", &fours, TOY_ATOMIC, "I123 R123 A13+ 1s 3s 2m F123"},
    {"the source refuses one", "ggug", &fours, TOY_ATOMIC,
        "I1234 R1234 A12+ 1s 2s F1234 I3 I4 R3 R4 3r F3 A4+ 4s F4"},
    {"a message that kills the source", "gkgg", &one_read, TOY_ATOMIC,
        "I1234 R1234 X 1o 2o 3o 4o | I234 R234 X F234 2o 3o 4o 1o | I2 R2 X F2 2o 3o 4o 1o | 2a "
        "I34 R34 A34+ 3s 4s F34 I1 R1 A1+ 1s F1"},
    {"a message that kills the target", "ggtg", &one_read, TOY_ATOMIC,
        "I1234 R1234 X 1o 2o 3o 4o | I1234 R1234 X 1o 2o 3o 4o | I12 R12 A12+ 1s 2s F12 I34 R34 X "
        "3o 4o | I3 R3 X 3o 4o | 3a I4 R4 A4+ 4s F4"},
    {"a folder that takes nothing: others go on", "gfgggg gg", &fours, TOY_ATOMIC,
        "I1234 I56 R1234 R56 I78 R78 A1234- A56+ 5s 6s F56 S.... F1234 1o 2o 3o 4o A78+ 7s 8s F78"},
    {"a folder that takes nothing, and keeps some of it", "gfg gg", &fours, TOY_STORES_BEFORE,
        "I123 I45 R123 R45 A123- S1.. 1s F123 2o 3o A45+ 4s 5s F45"},
    {"a user who may get no more: the rest is not tried", "gqgg gggg", &one_read, TOY_STORES_BEFORE,
        "I1234 R1234 I5678 R5678 A1234- S1... 1s F1234 2o 3o 4o A5678+ 5s 6s 7s 8s F5678"},
    {"everything dies: that is not the messages' fault", "kkk", &one_read, TOY_ATOMIC,
        "I123 R123 X F123 1o 2o 3o | I123 R123 X F123 1o 2o 3o | I1 R1 X F1 1o 2o 3o | 1a I23 R23 "
        "X F23 2o 3o | I2 R2 X F2 2o 3o | I3 R3 X F3 3o 2o | I3 R3 X F3 3o 2o"},
    {"two killers, and something else was copied", "kgk", &one_read, TOY_ATOMIC,
        "I123 R123 X F123 1o 2o 3o | I123 R123 X F123 1o 2o 3o | I1 R1 X F1 1o 2o 3o | 1a I23 R23 "
        "X 2o 3o | I3 R3 X F3 3o 2o | I2 R2 A2+ 2s F2 I3 R3 X F3 3o | 3a"},
    {"a killer alone", "k", &fours, TOY_ATOMIC, "I1 R1 X F1 1o | I1 R1 X F1 1o | 1a"},
};

static void test_table(void **state)
{
    (void)state;
    bool differs = false;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct toy t = {.target = rows[i].target, .tells_uids = true};
        row_name = rows[i].name;
        toy_init(&t, rows[i].limits, rows[i].kinds);
        toy_run(&t);
        if (strcmp(buf_cstr(&t.log), rows[i].log) != 0) {
            fprintf(stderr, "row '%s' %s\n  want %s\n  got  %s\n", rows[i].name, rows[i].kinds,
                rows[i].log, buf_cstr(&t.log));
            differs = true;
        }
        toy_fini(&t);
    }
    assert_false(differs);
}

static void test_no_uids(void **state)
{
    (void)state;
    struct toy t = {.target = TOY_STORES_BEFORE};
    row_name = "no UIDs";
    toy_init(&t, &fours, "ggrg");
    toy_run(&t);
    /* What a settlement has found has its UID. */
    assert_string_equal(buf_cstr(&t.log),
        "I1234 R1234 A1234- S12.. 1s 2s F1234 I3 I4 R3 R4 A3- A4+ 4n F4 S. 3r F3");
    toy_fini(&t);
}

static void step_until(struct toy *t, const char *log)
{
    while (strcmp(buf_cstr(&t->log), log) != 0) {
        assert_true(t->log.n < strlen(log));
        assert_true(toy_step(t));
    }
}

static void test_cancel(void **state)
{
    (void)state;
    struct toy t = {.tells_uids = true, .has_trouble = true};
    row_name = "cancel";
    toy_init(&t, &fours, "ggggggggg");
    step_until(&t, "I1234 I5678 R1234");
    batches_cancel(t.b);
    toy_run(&t);
    /* What had been asked for arrives. */
    assert_string_equal(
        buf_cstr(&t.log), "I1234 I5678 R1234 F5678 5o 6o 7o 8o 9o A1234+ 1s 2s 3s 4s F1234");
    toy_fini(&t);
}

/* An answer that no server gives: nothing is believed before it was looked at. */
static void test_ok_too_early(void **state)
{
    (void)state;
    struct batches *b = batches_new(&fours);
    struct batches_todo todo;
    struct batches_message m = {.uid = 1};
    const unsigned char digest[SHA256_SIZE] = {0};
    const struct canon canon = {.text = {1}};
    const uint32_t uid = 7;
    batches_folder(b, 0, 1);
    batches_add(b, &m);
    batches_close(b);
    do
        batches_next(b, &todo);
    while (todo.what != BATCHES_WAIT);
    assert_false(batches_body_next(b, 1, 5));
    assert_true(batches_body(b, 1, 1, 5, true).is_taken);
    batches_appended(b, 1, &uid, 1, NULL);
    assert_true(batches_body_end(b, digest, &canon));
    batches_next(b, &todo);
    assert_int_equal(todo.what, BATCHES_SETTLE);
    assert_int_equal(todo.n, 1);
    batches_free(&b);
}

/* --- Refusals that say that they are about more than a message ------------------------------- */

struct wide_run {
    size_t n_stored, n_refused, n_open, n_appends;
    bool is_refused[8], is_over_by_error;
};

/* Appends of one message each, in `per` messages of each folder; `bad(uid)` of them are refused. */
static struct wide_run run_wide(
    uint32_t n_folders, uint32_t per, bool (*bad)(uint32_t uid), const struct err *why)
{
    struct batches_limits limits = fours;
    const unsigned char digest[SHA256_SIZE] = {0};
    const struct canon canon = {.text = {1}};
    struct wide_run run = {0};
    struct batches_todo todo = {0};
    limits.append_max = limits.read_max = 1;
    struct batches *b = batches_new(&limits);
    for (uint32_t f = 0; f < n_folders; f++) {
        batches_folder(b, f, 1);
        for (uint32_t i = 1; i <= per; i++)
            batches_add(b, &(struct batches_message){.folder = f, .uid = i});
    }
    batches_close(b);
    while (todo.what != BATCHES_OVER) {
        uint32_t uid, there[1] = {0};
        batches_next(b, &todo);
        if (todo.what == BATCHES_RESULT) {
            run.n_stored += todo.result.outcome == BATCHES_SENT;
            run.n_refused += todo.result.outcome == BATCHES_REFUSED;
            run.n_open += todo.result.outcome == BATCHES_OPEN;
        } else if (todo.what == BATCHES_READ) {
            uid = todo.uids[0];
            (void)batches_body_next(b, todo.window, 5);
            uint32_t window = todo.window;
            struct batches_verdict v = batches_body(b, window, uid, 5, true);
            assert_true(v.is_taken);
            assert_true(batches_body_end(b, digest, &canon));
            assert_false(batches_read_over(b, window, NULL));
            batches_appended(b, v.append, NULL, 0, bad(uid) ? why : NULL);
            run.n_appends++;
        } else if (todo.what == BATCHES_SETTLE) {
            assert_int_equal(todo.n, 1);
            batches_settled(b, there, NULL);
        }
    }
    run.is_over_by_error = todo.err != NULL;
    for (uint32_t f = 0; f < n_folders; f++)
        run.is_refused[f] = batches_folder_err(b, f) != NULL;
    batches_free(&b);
    return run;
}

static bool is_second(uint32_t uid)
{
    return uid == 2;
}

static bool is_any(uint32_t uid)
{
    return uid > 0;
}

/* It costs the message, as long as others are taken; else it is believed, little by little. */
static void test_wide_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum err_scope scope;
        uint32_t n_folders, per;
        bool (*bad)(uint32_t uid);
        size_t stored, refused, appends;
        bool is_folder, is_job;
    } cases[] = {
        {"one message", ERR_SCOPE_HOST, 1, 5, is_second, 4, 1, 5, false, false},
        {"one message of each folder", ERR_SCOPE_USER, 5, 5, is_second, 20, 5, 25, false, false},
        {"a folder with two", ERR_SCOPE_HOST, 1, 2, is_any, 0, 2, 2, false, false},
        {"a folder", ERR_SCOPE_HOST, 1, 9, is_any, 0, 3, 3, true, false},
        {"a limit of the folder", ERR_SCOPE_FOLDER, 4, 9, is_any, 0, 12, 12, true, false},
        {"the server", ERR_SCOPE_HOST, 4, 9, is_any, 0, 9, 9, true, true},
        {"the quota", ERR_SCOPE_USER, 4, 9, is_any, 0, 3, 3, false, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err why = ERR_INIT;
        err_set(&why, ERR_TEMP, 75, "no");
        err_scope_set(&why, cases[i].scope);
        why.is_wide = true;
        struct wide_run run = run_wide(cases[i].n_folders, cases[i].per, cases[i].bad, &why);
        assert_row(cases[i].name, run.n_stored == cases[i].stored);
        assert_row(cases[i].name, run.n_refused == cases[i].refused);
        assert_row(cases[i].name,
            run.n_stored + run.n_refused + run.n_open == (size_t)cases[i].n_folders * cases[i].per);
        assert_row(cases[i].name, run.n_appends == cases[i].appends);
        assert_row(cases[i].name, run.is_refused[0] == cases[i].is_folder);
        assert_row(cases[i].name, run.is_over_by_error == cases[i].is_job);
    }
}

/* UIDs of another number, or out of order, say nothing; others than those from UIDNEXT on, which
 * is 5, are doubtful; where there is none the first ones are the next. */
static void test_uids_that_make_no_sense(void **state)
{
    (void)state;
    static const struct {
        uint32_t v[3];
        size_t n;
        enum batches_outcome want;
        bool is_doubtful, has_no_uidnext;
    } cases[] = {
        {{5, 6}, 2, BATCHES_STORED, false, false},
        {{4, 5}, 2, BATCHES_STORED, true, false},
        {{1, 9}, 2, BATCHES_STORED, true, false},
        {{5, 7}, 2, BATCHES_STORED, true, false},
        {{6, 7}, 2, BATCHES_STORED, true, false},
        {{7, 8, 9}, 3, BATCHES_SENT, false, false},
        {{7}, 1, BATCHES_SENT, false, false},
        {{8, 7}, 2, BATCHES_SENT, false, false},
        {{7, 7}, 2, BATCHES_SENT, false, false},
        {{0, 7}, 2, BATCHES_SENT, false, false},
        {{7, 8}, 2, BATCHES_STORED, false, true},
        {{7, 9}, 2, BATCHES_STORED, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct batches *b = batches_new(&fours);
        struct batches_todo todo;
        const unsigned char digest[SHA256_SIZE] = {0};
        const struct canon canon = {.text = {1}};
        batches_folder(b, 0, cases[i].has_no_uidnext ? 0 : 5);
        for (uint32_t uid = 1; uid <= 2; uid++)
            batches_add(b, &(struct batches_message){.uid = uid});
        batches_close(b);
        do
            batches_next(b, &todo);
        while (todo.what != BATCHES_WAIT);
        for (uint32_t uid = 1; uid <= 2; uid++) {
            assert_false(batches_body_next(b, 1, 5));
            assert_true(batches_body(b, 1, uid, 5, true).is_taken);
            assert_false(batches_body_end(b, digest, &canon));
        }
        assert_true(batches_read_over(b, 1, NULL));
        batches_appended(b, 1, cases[i].v, cases[i].n, NULL);
        batches_next(b, &todo);
        assert_int_equal(todo.what, BATCHES_RESULT);
        assert_int_equal(todo.result.outcome, cases[i].want);
        assert_true(todo.result.is_doubtful == cases[i].is_doubtful);
        batches_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_no_uids),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_wide_refusals),
        cmocka_unit_test(test_ok_too_early),
        cmocka_unit_test(test_uids_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
