/* SPDX-License-Identifier: ISC */
#include <string.h>
#include "base/core/err.h"
#include "base/os/io.h"
#include "imapsync/summary.h"
#include "imapsync/width.h"
#include "tests/unit/unit.h"

#define PAGE "docs/man/coexist-json.5"
#define NAME(s) SLICE_LIT(s)

static void fill(struct summary *s, struct report *r)
{
    const struct copy_counts n = {.folders = 5,
        .folders_failed = 1,
        .folders_unchanged = 1,
        .messages_total = 3000,
        .messages_copied = 12,
        .octets_copied = 25270026,
        .messages_same = 2900,
        .messages_adopted = 2,
        .messages_failed = 1,
        .messages_filtered = 80,
        .flags_changed = 3,
        .messages_deleted = 4,
        .items_loss = 2};
    summary_init(s);
    *r = (struct report){0};
    summary_folder(s, &(struct copy_folder){.source = NAME("INBOX"),
                          .target = NAME("INBOX"),
                          .origin = FOLDER_ORIGIN_PLAIN,
                          .messages = 1204,
                          .all_octets = -1,
                          .all_octets_there = -1,
                          .messages_there = 1190,
                          .copied = 11,
                          .octets = 25268978,
                          .flags = 3,
                          .deleted = 4,
                          .failed = 1});
    summary_folder(s, &(struct copy_folder){.source = NAME("Quiet"),
                          .target = NAME("Quiet"),
                          .origin = FOLDER_ORIGIN_KEPT,
                          .messages = 1500,
                          .all_octets = -1,
                          .all_octets_there = -1,
                          .messages_there = 1500});
    summary_folder(s, &(struct copy_folder){.source = NAME("Sent"),
                          .target = NAME("Gesendete Objekte"),
                          .origin = FOLDER_ORIGIN_SPECIAL,
                          .is_made = true,
                          .messages = 83,
                          .all_octets = -1,
                          .all_octets_there = -1,
                          .copied = 1,
                          .octets = 1048,
                          .adopted = 2,
                          .filtered = 80});
    summary_folder(
        s, &(struct copy_folder){.source = NAME("&ZeVnLIqe-/A long name that nobody would "
                                                "like to read as a whole, here or there"),
               .target = NAME("x"),
               .origin = FOLDER_ORIGIN_SAID,
               .has_failed = true,
               .messages = 7,
               .all_octets = -1,
               .all_octets_there = -1});
    summary_folder(s, &(struct copy_folder){.source = NAME("All Mail"),
                          .left_out = "shows messages of other folders",
                          .messages = 2900,
                          .all_octets = -1,
                          .all_octets_there = -1});
    summary_count(s, false, NAME("INBOX"), 1205, 30000000);
    summary_count(s, true, NAME("INBOX"), 1197, 29000000);
    summary_count(s, true, NAME("Gesendete Objekte"), 3, -1);
    summary_count(s, true, NAME("Nobody's"), 3, -1);
    summary_message(s, &(struct copy_message){.folder = NAME("Sent"), .uid = 7, .octets = 1048});
    summary_message(s, &(struct copy_message){.folder = NAME("INBOX"),
                           .uid = 4294967295,
                           .octets = 25268000,
                           .has_date = true,
                           .date_s = 837596665});
    report_item(r, &(struct copy_exception){
                       .code = ITEM_REFUSED, .folder = "INBOX", .uid = 5, .why = "NO bad header"});
    report_item(
        r, &(struct copy_exception){.code = ITEM_FOLDER,
               .folder = "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/A long name that nobody would "
                         "like to read as a whole, here or there",
               .why = "cannot open"});
    report_pass(r, &n);
}

static void drop(struct summary *s, struct report *r)
{
    summary_fini(s);
    report_fini(r);
}

static void into_buf(void *arg, struct slice text)
{
    assert_int_equal(buf_add(arg, text), 0);
}

static void text_of(struct summary *s, const struct summary_frame *frame, struct buf *out)
{
    const struct summary_sink sink = {into_buf, out};
    buf_init(out, 1u << 26);
    summary_text(s, frame, &sink);
}

/* As a program reads it. */
static json_t *json_of(struct summary *s, const struct summary_frame *frame, bool is_line)
{
    json_t *doc = summary_json(s, frame), *back;
    struct buf out;
    const struct summary_sink sink = {into_buf, &out};
    json_error_t error;
    buf_init(&out, 1u << 26);
    summary_put(s, doc, is_line, &sink);
    assert_int_equal(slice_find(buf_slice(&out), '\n') == (ptrdiff_t)out.n - 1, is_line);
    back = json_loads(buf_cstr(&out), JSON_REJECT_DUPLICATES, &error);
    if (!back)
        fail_msg("%s at line %d", error.text, error.line);
    json_decref(doc);
    buf_fini(&out);
    return back;
}

static struct summary_frame frame_of(const struct report *r, size_t width)
{
    return (struct summary_frame){
        .report = r, .started_s = 1793836800, .ended_s = 1793836808, .seconds = 8, .width = width};
}

static void test_text(void **state)
{
    static const char want[] =
        "folder                              source   target      now   copied       size\n"
        "INBOX                                 1205     1190     1197       11   24.1 MiB\n"
        "    28.6 MiB on the source, 27.7 MiB on the target, 3 with other flags,\n"
        "    4 deleted, 1 failed, 1 item\n"
        "Sent > Gesendete Objekte                83      new        3        1    1.0 KiB\n"
        "    the folder of this use, 2 found there, 80 left out by the filter\n"
        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/A long n...re or there > x        7        0"
        "        -        0\n"
        "    --map, could not be looked at as a whole, 1 item\n"
        "All Mail                              2900\n"
        "    left out: shows messages of other folders\n"
        "and 1 folder with 1500 messages in which nothing was to be done\n"
        "\n"
        "copied   12 messages, 24.1 MiB\n"
        "skipped  2900 messages (there already), 2 of them found by content\n"
        "filtered 80 messages: without the filter they are copied\n"
        "failed   1 messages, 1 folders of 5\n"
        "flags    3 changed\n"
        "deleted  4 messages, 0 kept because they were touched on the target\n"
        "items    2 open (2 loss, 0 withheld, 0 changed), 0 accepted: see\n"
        "         coexist-sync items\n"
        "codes    E-REFUSED 1, E-FOLDER 1\n"
        "biggest    24.1 MiB  1996-07-17  UID 4294967295  INBOX\n"
        "            1.0 KiB              UID 7           Sent\n"
        "time     2026-11-05T00:00:00Z to 2026-11-05T00:00:08Z\n"
        "rate     1.5 messages and 3.0 MiB a second\n"
        "seconds  8.00\n";
    struct summary s;
    struct report r;
    struct buf out;
    (void)state;
    fill(&s, &r);
    const struct summary_frame frame = frame_of(&r, 80);
    text_of(&s, &frame, &out);
    if (strcmp(buf_cstr(&out), want) != 0)
        fail_msg("got\n%s", buf_cstr(&out));
    buf_fini(&out);
    drop(&s, &r);
}

static void test_it_fits(void **state)
{
    (void)state;
    for (size_t width = 60; width <= 130; width += 10) {
        for (unsigned dry = 0; dry < 2; dry++) {
            struct summary s;
            struct report r;
            struct buf out;
            struct slice rest, line;
            fill(&s, &r);
            struct summary_frame frame = frame_of(&r, width);
            frame.is_dry = dry;
            text_of(&s, &frame, &out);
            rest = buf_slice(&out);
            while (slice_split(&rest, '\n', &line)) {
                if (width_of(line) > (width < 80 ? 80 : width))
                    fail_msg("%zu: too wide: %.*s", width, SLICE_ARG(line));
            }
            buf_fini(&out);
            drop(&s, &r);
        }
    }
}

/* --- JSON ---------------------------------------------------------------------------------------
 */

static void expect_keys(struct slice page, const json_t *json)
{
    const char *key;
    json_t *value, *item;
    size_t i;
    if (json_is_array(json)) {
        json_array_foreach(json, i, item) expect_keys(page, item);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        struct buf word;
        buf_init(&word, 100);
        assert_int_equal(buf_addf(&word, "%s", key), 0);
        if (strncmp(key, "E-", 2) != 0 && slice_search(page, buf_slice(&word)) < 0)
            fail_msg("%s lacks %s", PAGE, key);
        buf_fini(&word);
        expect_keys(page, value);
    }
}

static json_int_t number(const json_t *json, const char *key)
{
    const json_t *v = json_object_get(json, key);
    if (!json_is_integer(v))
        fail_msg("%s is no number", key);
    return json_integer_value(v);
}

static void test_json(void **state)
{
    struct summary s;
    struct report r;
    struct buf page;
    struct err err = ERR_INIT;
    (void)state;
    buf_init(&page, 1u << 20);
    assert_int_equal(io_read_file(PAGE, 1u << 20, &page, &err), 0);
    fill(&s, &r);
    report_verdict(&r, &(struct copy_verdict){.messages = 9});
    summary_renamed(&s, NAME("a"), NAME("b"));
    const struct summary_frame frame = frame_of(&r, 0);
    json_t *doc = json_of(&s, &frame, false);
    expect_keys(buf_slice(&page), doc);
    const json_t *folders = json_object_get(doc, "by_folder");
    assert_int_equal(json_array_size(folders), 5);
    /* Each message once. */
    for (size_t i = 0; i < 4; i++) {
        const json_t *f = json_array_get(folders, i);
        assert_int_equal(number(f, "source_before"), number(f, "copied") + number(f, "skipped") +
                                                         number(f, "filtered") +
                                                         number(f, "failed"));
    }
    const json_t *inbox = json_array_get(folders, 0), *all = json_array_get(folders, 4);
    assert_int_equal(number(inbox, "source_after"), 1205);
    assert_int_equal(number(inbox, "target_after"), 1197);
    assert_int_equal(number(inbox, "items"), 1);
    assert_true(json_is_true(json_object_get(inbox, "complete")));
    assert_string_equal(json_string_value(json_object_get(inbox, "name_from")), "plain");
    assert_null(json_object_get(json_array_get(folders, 1), "target_after"));
    assert_null(json_object_get(all, "target"));
    assert_true(json_is_false(json_object_get(all, "complete")));
    const json_t *biggest = json_object_get(doc, "biggest");
    assert_int_equal(json_array_size(biggest), 2);
    assert_int_equal(number(json_array_get(biggest, 0), "uid"), 4294967295);
    assert_string_equal(json_string_value(json_object_get(json_array_get(biggest, 0), "date")),
        "1996-07-17T09:44:25Z");
    assert_null(json_object_get(json_array_get(biggest, 1), "date"));
    assert_int_equal(number(json_object_get(doc, "by_code"), "E-FOLDER"), 1);
    json_decref(doc);
    buf_fini(&page);
    drop(&s, &r);
}

/* How long it would take, and how long the servers would have it take. */
static void test_forecast(void **state)
{
    static const struct {
        uint64_t bound_s[2];
        const char *text;
    } rows[] = {
        {{0, 0}, "forecast 0:24 at 1 MiB a second, 0:02 at 10\nseconds"},
        {{330000, 0}, "at 10\n         3 d 19 h by what the source bears\nseconds"},
        {{90, 4000}, "at 10\n         1:30 by what the source bears\n"
                     "         1:06:40 by what the target bears\nseconds"},
    };
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        struct summary s;
        struct report r;
        struct buf out;
        fill(&s, &r);
        struct summary_frame frame = frame_of(&r, 80);
        frame.is_dry = i % 2 == 0;
        memcpy(frame.bound_s, rows[i / 2].bound_s, sizeof(frame.bound_s));
        text_of(&s, &frame, &out);
        if ((strstr(buf_cstr(&out), rows[i / 2].text) != NULL) != frame.is_dry)
            fail_msg("row %zu: got\n%s", i, strstr(buf_cstr(&out), "time "));
        json_t *doc = json_of(&s, &frame, i % 2 == 0);
        const json_t *source = json_object_get(doc, "seconds_by_source"),
                     *target = json_object_get(doc, "seconds_by_target");
        assert_int_equal(source != NULL, frame.is_dry && frame.bound_s[0] > 0);
        assert_int_equal(target != NULL, frame.is_dry && frame.bound_s[1] > 0);
        json_decref(doc);
        buf_fini(&out);
        drop(&s, &r);
    }
}

/* A pass that has broken off, and the one behind it. */
static void test_two_passes(void **state)
{
    const struct copy_folder first = {.source = NAME("A"),
        .target = NAME("A"),
        .is_made = true,
        .has_failed = true,
        .messages = 10,
        .copied = 4,
        .octets = 400,
        .failed = 2};
    const struct copy_folder second = {.source = NAME("A"),
        .target = NAME("A"),
        .messages = 10,
        .messages_there = 4,
        .copied = 5,
        .octets = 500,
        .failed = 1};
    struct summary s;
    (void)state;
    summary_init(&s);
    summary_folder(&s, &first);
    summary_folder(&s, &second);
    assert_int_equal(s.n, 1);
    const struct copy_folder f = summary_numbers(&s.v[0]);
    assert_true(f.is_made && !f.has_failed);
    assert_int_equal(f.messages_there, 0);
    assert_int_equal(f.copied, 9);
    assert_int_equal(f.octets, 900);
    assert_int_equal(f.failed, 1);
    summary_fini(&s);
}

/* A name of the target that is told anew leads to the folder, the one of before does not. */
static void test_names_of_the_target(void **state)
{
    struct summary s;
    (void)state;
    summary_init(&s);
    for (uint32_t i = 0; i < 200; i++) {
        char name[16];
        assert_int_equal(fmt_into(name, sizeof(name), "F%u", (unsigned)i), 0);
        const struct copy_folder f = {.source = slice_str(name),
            .target = i % 2 ? slice_str(name) : NAME("&ZeVnLIqe-"),
            .all_octets = -1,
            .all_octets_there = -1};
        assert_non_null(summary_folder(&s, &f));
        if (i % 2 == 0)
            assert_non_null(summary_folder(&s, &(struct copy_folder){.source = f.source,
                                                   .target = f.source,
                                                   .all_octets = -1,
                                                   .all_octets_there = -1}));
    }
    summary_count(&s, true, NAME("&ZeVnLIqe-"), 9, -1);
    summary_count(&s, true, NAME("F7"), 7, 70);
    for (size_t i = 0; i < s.n; i++) {
        assert_ptr_equal(s.v[i].target, s.v[i].source);
        assert_int_equal(s.v[i].has_target_after, i == 7);
        assert_int_equal(s.v[i].octets != NULL, i == 7);
    }
    assert_int_equal(s.v[7].octets->after[1], 70);
    assert_null(summary_folder(&s, &(struct copy_folder){.source = SLICE_NONE}));
    assert_null(summary_folder(&s, &(struct copy_folder){.source = NAME("a\0b")}));
    summary_fini(&s);
}

static void count_piece(void *arg, struct slice text)
{
    size_t *total = arg;
    assert_true(text.n <= 32768);
    *total += text.n;
}

/* Of very many folders no shape is in memory as a whole. */
static void test_in_pieces(void **state)
{
    enum { MANY = 5000 };
    struct summary s;
    struct report r = {0};
    size_t total = 0;
    const struct summary_sink sink = {count_piece, &total};
    const struct summary_frame frame = frame_of(&r, 80);
    (void)state;
    summary_init(&s);
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];
        assert_int_equal(fmt_into(name, sizeof(name), "Customer %u", i), 0);
        const struct copy_folder f = {.source = slice_str(name),
            .target = slice_str(name),
            .is_made = true,
            .all_octets = -1,
            .all_octets_there = -1};
        assert_non_null(summary_folder(&s, &f));
    }
    summary_text(&s, &frame, &sink);
    assert_true(total > (size_t)MANY * 40);
    total = 0;
    json_t *doc = summary_json(&s, &frame);
    summary_put(&s, doc, false, &sink);
    assert_true(total > (size_t)MANY * 300);
    json_decref(doc);
    summary_fini(&s);
}

static void test_the_biggest(void **state)
{
    struct summary s;
    (void)state;
    summary_init(&s);
    for (uint32_t i = 0; i < 1000; i++)
        summary_message(&s,
            &(struct copy_message){.folder = NAME("A"), .uid = i + 1, .octets = i * 7919 % 1000});
    assert_int_equal(s.n_biggest, SUMMARY_BIGGEST);
    for (size_t i = 0; i < SUMMARY_BIGGEST; i++)
        assert_int_equal(s.biggest[i].m.octets, 999 - i);
    summary_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_it_fits),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_two_passes),
        cmocka_unit_test(test_names_of_the_target),
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_the_biggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
