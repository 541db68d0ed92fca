/* SPDX-License-Identifier: ISC */
/* What a report weighs, says and looks like in JSON; texts of servers that are no text. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "imapsync/copy/report.h"
#include "imapsync/journal/text.h"
#include "tests/unit/unit.h"

static void test_weights(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct copy_counts n;
        struct copy_verdict v;
        enum report_weight copy, move;
        int code;
        const char *says;
    } rows[] = {
        {"nothing", {.messages_copied = 3, .messages_same = 1, .flags_changed = 2}, {0},
            REPORT_SILENT, REPORT_SILENT, 0, NULL},
        {"keywords", {.keywords_lost = 2}, {0}, REPORT_TOLD, REPORT_TOLD, 0, NULL},
        {"kept", {.messages_kept = 1}, {0}, REPORT_TOLD, REPORT_TOLD, 0, NULL},
        {"vanished", {.folders_vanished = 1}, {0}, REPORT_TOLD, REPORT_TOLD, 0, NULL},
        {"not renamed", {.folders_not_renamed = 1}, {0}, REPORT_TOLD, REPORT_TOLD, 0, NULL},
        {"reduced", {.messages_reduced = 1, .keywords_lost = 1}, {0}, REPORT_EXCEPTION,
            REPORT_EXCEPTION, EX_DATAERR, "1 message was stored without its keywords"},
        {"withheld", {.deletions_withheld = 2}, {0}, REPORT_EXCEPTION, REPORT_LOSS, EX_DATAERR,
            "E-WITHHELD: 2 deletions are withheld (cutover --delete-percent=100"},
        {"short", {.folders_short = 1}, {0}, REPORT_EXCEPTION, REPORT_LOSS, EX_DATAERR,
            "of 1 folder the source lists fewer"},
        {"folder", {.folders_failed = 1}, {0}, REPORT_EXCEPTION, REPORT_LOSS, EX_CANTCREAT,
            "1 folder could not be carried over"},
        {"message", {.messages_failed = 3, .folders_failed = 1}, {0}, REPORT_EXCEPTION, REPORT_LOSS,
            EX_DATAERR, "3 messages could not be carried over"},
        {"missing", {0}, {.missing = 1}, REPORT_EXCEPTION, REPORT_LOSS, EX_DATAERR,
            "1 message missing on the target"},
        {"different", {0}, {.different = 2}, REPORT_EXCEPTION, REPORT_LOSS, EX_DATAERR,
            "2 messages with other content"},
        {"gone", {0}, {.gone = 1}, REPORT_SILENT, REPORT_LOSS, EX_DATAERR, "1 deleted there"},
        {"open loss", {.items_loss = 1}, {0}, REPORT_EXCEPTION, REPORT_LOSS, EX_DATAERR,
            "1 item of class loss is open"},
        {"open withheld", {.items_withheld = 2}, {0}, REPORT_EXCEPTION, REPORT_LOSS, EX_DATAERR,
            "2 items of class withheld are open"},
        {"open changed", {.items_changed = 1}, {0}, REPORT_EXCEPTION, REPORT_EXCEPTION, EX_DATAERR,
            "1 item of class changed is open"},
        {"accepted", {.items_accepted = 1}, {0}, REPORT_SILENT, REPORT_SILENT, 0, NULL},
        {"subscription", {.subscriptions_failed = 1}, {0}, REPORT_EXCEPTION, REPORT_EXCEPTION,
            EX_DATAERR, "1 folder could not be subscribed to"},
        {"extra", {0}, {.extra = 1}, REPORT_SILENT, REPORT_SILENT, 0, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct report r = {0};
        struct err err = ERR_INIT;
        report_begin(&r);
        report_pass(&r, &rows[i].n);
        report_verdict(&r, &rows[i].v);
        assert_row(rows[i].name, report_judge(&r, REPORT_COPY, NULL, &err) == rows[i].copy);
        err_clear(&err);
        assert_row(rows[i].name, report_judge(&r, REPORT_MOVE, NULL, &err) == rows[i].move);
        assert_row(rows[i].name, err.code == rows[i].code);
        assert_row(rows[i].name, !rows[i].says || strstr(err.text, rows[i].says));
        report_fini(&r);
    }
}

static void test_passes(void **state)
{
    (void)state;
    struct report r = {0};
    struct err err = ERR_INIT;
    report_begin(&r);
    report_item(&r, &(struct copy_exception){
                        .code = ITEM_REFUSED, .folder = "INBOX", .uid = 7, .why = "too big"});
    report_pass(&r, &(struct copy_counts){.messages_copied = 5,
                        .messages_failed = 1,
                        .messages_reduced = 1,
                        .keywords_lost = 4,
                        .messages_same = 2});
    assert_int_equal(report_judge(&r, REPORT_MOVE, NULL, &err), REPORT_LOSS);
    assert_non_null(strstr(err.text, "; first INBOX, message with UID 7: E-REFUSED: too big"));
    /* The next pass carries it over. */
    report_begin(&r);
    report_pass(&r, &(struct copy_counts){.messages_copied = 1, .messages_same = 7});
    assert_int_equal(r.n.messages_copied, 6);
    assert_int_equal(r.n.messages_failed, 0);
    assert_int_equal(r.n.messages_same, 7);
    assert_int_equal(r.n.keywords_lost, 4);
    assert_int_equal(r.n_items, 0);
    assert_int_equal(report_judge(&r, REPORT_MOVE, NULL, &err), REPORT_EXCEPTION);
    /* Somebody who begins now has not reduced it. */
    struct copy_counts since = r.n;
    assert_int_equal(report_judge(&r, REPORT_MOVE, &since, &err), REPORT_TOLD);
    /* What a comparison has found does not outlive the next. */
    report_verdict(&r, &(struct copy_verdict){.gone = 1});
    report_begin(&r);
    assert_int_equal(report_judge(&r, REPORT_MOVE, &since, &err), REPORT_TOLD);
    report_fini(&r);
}

static void test_json(void **state)
{
    (void)state;
    struct report r = {0}, again;
    uint64_t *n = (uint64_t *)(void *)&r.n;
    report_begin(&r);
    for (size_t i = 0; i < sizeof(r.n) / sizeof(*n); i++)
        n[i] = 100 + i;
    for (unsigned i = 0; i < 30; i++)
        report_item(&r, &(struct copy_exception){
                            .code = ITEM_REFUSED, .folder = "A\xe4", .uid = i, .why = "\x1b[31m"});
    json_t *json = report_json(&r, 20);
    assert_int_equal(json_array_size(json_object_get(json, "exceptions")), 20);
    assert_null(json_object_get(json, "verified"));
    assert_int_equal(report_from_json(json, &again), 0);
    assert_memory_equal(&again.n, &r.n, sizeof(r.n));
    assert_int_equal(again.n_items, 20);
    assert_int_equal(again.n_found, 30);
    assert_string_equal(again.items[3].folder, "A?");
    assert_string_equal(again.items[3].why, "?[31m");
    report_fini(&again);
    json_decref(json);
    report_verdict(&r, &(struct copy_verdict){.messages = 1, .extra = 2});
    json = report_json(&r, 0);
    assert_int_equal(report_from_json(json, &again), 0);
    assert_true(again.has_verdict);
    assert_memory_equal(&again.verdict, &r.verdict, sizeof(r.verdict));
    report_fini(&again);
    static const char *const bad[] = {"folders", "messages_failed"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        json_t *broken = json_deep_copy(json);
        json_object_set_new(broken, bad[i], json_string("1"));
        assert_row(bad[i], report_from_json(broken, &again) == -1);
        json_object_set_new(broken, bad[i], json_integer(-1));
        assert_row(bad[i], report_from_json(broken, &again) == -1);
        json_decref(broken);
    }
    assert_int_equal(report_from_json(NULL, &again), -1);
    json_decref(json);
    report_fini(&r);
}

static void test_limit(void **state)
{
    (void)state;
    struct report r = {0};
    for (unsigned i = 0; i <= REPORT_ITEMS_MAX; i++)
        report_item(&r,
            &(struct copy_exception){.code = ITEM_REFUSED, .folder = "f", .uid = i, .why = "w"});
    assert_int_equal(r.n_items, REPORT_ITEMS_MAX);
    assert_int_equal(r.n_found, REPORT_ITEMS_MAX + 1);
    report_fini(&r);
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain", "plain"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"B\xe4"
         "d",
            "B?d"},
        {"\xc0\x80", "??"},
        {"\xc2\x9b"
         "31m",
            "??31m"},
        {"\xc2\xa0", "\xc2\xa0"},
        {"\xe0\x80\xaf", "???"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xf0\x9f\x98", "???"},
        {"a\tb\r\n\x7f", "a?b???"},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *got = text_dup(slice_str(rows[i].in));
        assert_string_equal(got, rows[i].out);
        json_t *json = text_json(rows[i].in);
        assert_string_equal(json_string_value(json), rows[i].out);
        json_decref(json);
        free(got);
    }
}

/* What only the last look counts is not counted by two of them. */
static void test_repeat(void **state)
{
    struct copy_counts n = {.folders = 3,
        .folders_failed = 1,
        .messages_total = 10,
        .messages_copied = 4,
        .octets_copied = 400,
        .messages_same = 2,
        .messages_failed = 3,
        .messages_filtered = 1,
        .flags_changed = 5,
        .messages_deleted = 6,
        .deletions_withheld = 7,
        .keywords_lost = 8};
    const struct copy_counts want = {.messages_copied = 4,
        .octets_copied = 400,
        .flags_changed = 5,
        .messages_deleted = 6,
        .keywords_lost = 8};
    (void)state;
    report_repeat(&n);
    assert_memory_equal(&n, &want, sizeof(n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
