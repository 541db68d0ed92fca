/* SPDX-License-Identifier: ISC */
/* The codes and the page that explains them; an item's life; its record; items in a journal. */
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/copy/items_choice.h"
#include "tests/unit/journal_site.h"

#define PAGE "docs/man/coexist-sync.8"
#define NOW INT64_C(1700000000000)

static void test_page(void **state)
{
    struct err err = ERR_INIT;
    struct buf page, row;
    size_t n_wrong = 0;
    (void)state;
    buf_init(&page, 1u << 20);
    buf_init(&row, 4096);
    assert_int_equal(io_read_file(PAGE, 1u << 20, &page, &err), 0);
    for (enum item_code c = ITEM_NONE + 1; c < ITEM_CODES; c++) {
        const struct item_row *r = item_row(c);
        buf_clear(&row);
        assert_int_equal(buf_addf(&row, ".It %s Pq %s\n%s:\n%s\n", r->name,
                             item_class_name(r->class), r->meaning, r->remedy),
            0);
        if (slice_search(buf_slice(&page), buf_slice(&row)) < 0) {
            print_error("%s lacks:\n%s", PAGE, buf_cstr(&row));
            n_wrong++;
        }
        assert_row(r->name, item_code_named(slice_str(r->name)) == c);
        assert_row(r->name, strncmp(r->name, "E-", 2) == 0);
    }
    assert_int_equal(n_wrong, 0);
    assert_int_equal(item_code_named(SLICE_LIT("E-NOTHING")), ITEM_NONE);
    assert_int_equal(item_code_named(SLICE_NONE), ITEM_NONE);
    buf_fini(&page);
    buf_fini(&row);
}

static void test_waiting(void **state)
{
    (void)state;
    static const struct {
        uint32_t tries;
        int64_t minutes;
    } rows[] = {{0, 10}, {1, 10}, {2, 20}, {3, 40}, {8, 1280}, {9, 1440}, {UINT32_MAX, 1440}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(item_due_ms(NOW, rows[i].tries), NOW + rows[i].minutes * 60000);
}

static void test_telling(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum item_state was;
        uint64_t n_was, n;
        uint32_t validity_was, uid;
        enum item_state is;
        bool is_old; /* it keeps its time and its tries */
    } rows[] = {
        {"new", 0, 0, 0, 1, 7, ITEM_OPEN, false},
        {"again", ITEM_OPEN, 0, 0, 1, 7, ITEM_OPEN, true},
        {"tried again in vain", ITEM_RETRIED, 0, 0, 1, 7, ITEM_OPEN, true},
        {"accepted", ITEM_ACCEPTED, 0, 0, 1, 7, ITEM_ACCEPTED, true},
        {"accepted, fewer", ITEM_ACCEPTED, 5, 4, 1, 0, ITEM_ACCEPTED, true},
        {"accepted, as many", ITEM_ACCEPTED, 5, 5, 1, 0, ITEM_ACCEPTED, true},
        {"accepted, more", ITEM_ACCEPTED, 5, 6, 1, 0, ITEM_OPEN, true},
        {"accepted of another numbering", ITEM_ACCEPTED, 0, 0, 2, 7, ITEM_OPEN, false},
        {"the folder, whatever its numbering", ITEM_ACCEPTED, 0, 0, 2, 0, ITEM_ACCEPTED, true},
        {"gone before", ITEM_GONE, 0, 0, 1, 7, ITEM_OPEN, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct item was = {.code = rows[i].was ? ITEM_REFUSED : ITEM_NONE,
            .state = rows[i].was,
            .uid = rows[i].uid,
            .uidvalidity = rows[i].validity_was,
            .n = rows[i].n_was,
            .since_ms = NOW - 5,
            .tries = 3,
            .by = SLICE_LIT("ann")};
        const struct item told = {.code = ITEM_REFUSED,
            .uid = rows[i].uid,
            .uidvalidity = 1,
            .n = rows[i].n,
            .words = SLICE_LIT("no")};
        item_tell(&was, &told, NOW);
        assert_row(rows[i].name, was.state == rows[i].is);
        assert_row(rows[i].name, was.since_ms == (rows[i].is_old ? NOW - 5 : NOW));
        assert_row(rows[i].name, was.tries == (rows[i].is_old ? 4 : 1));
        assert_row(rows[i].name, was.seen_ms == NOW && slice_eq(was.words, SLICE_LIT("no")));
        assert_row(
            rows[i].name, slice_eq(was.by, SLICE_LIT("ann")) == (rows[i].is == ITEM_ACCEPTED));
    }
}

static const struct item full = {.folder = SLICE_LIT("A/B"),
    .uid = 7,
    .uidvalidity = 8,
    .code = ITEM_DATE,
    .state = ITEM_ACCEPTED,
    .since_ms = NOW,
    .seen_ms = NOW + 1,
    .due_ms = NOW + 2,
    .tries = 3,
    .n = 4,
    .has_date = true,
    .date_s = -5,
    .size = 6,
    .words = SLICE_LIT("words"),
    .by = SLICE_LIT("ann"),
    .why = SLICE_LIT("why"),
    .by_ms = NOW + 3};

static void assert_same(const struct item *a, const struct item *b)
{
    assert_true(slice_eq(a->folder, b->folder) && slice_eq(a->words, b->words) &&
                slice_eq(a->by, b->by) && slice_eq(a->why, b->why));
    assert_true(a->uid == b->uid && a->uidvalidity == b->uidvalidity && a->code == b->code &&
                a->state == b->state && a->tries == b->tries && a->n == b->n);
    assert_true(a->since_ms == b->since_ms && a->seen_ms == b->seen_ms && a->due_ms == b->due_ms &&
                a->by_ms == b->by_ms && a->date_s == b->date_s && a->size == b->size &&
                a->has_date == b->has_date);
}

static void test_record(void **state)
{
    struct buf out;
    struct item got;
    int side;
    const unsigned char digest[SHA256_SIZE] = {1};
    (void)state;
    buf_init(&out, RECORD_MAX);
    record_pack_item(&out, &full);
    struct slice s = buf_slice(&out);
    assert_true(record_unpack_item(s, &got));
    assert_same(&got, &full);
    for (size_t n = 0; n < s.n; n++)
        assert_false(record_unpack_item(slice_sub(s, 0, n), &got));
    assert_int_equal(buf_add(&out, SLICE_LIT("x")), 0);
    assert_false(record_unpack_item(buf_slice(&out), &got));
    for (unsigned i = 0; i < 2; i++) { /* code, state */
        static const unsigned char bad[2][2] = {{ITEM_NONE, ITEM_CODES}, {0, ITEM_GONE + 1}};
        for (unsigned k = 0; k < 2; k++) {
            record_pack_item(&out, &full);
            out.p[out.off + i] = bad[i][k];
            assert_false(record_unpack_item(buf_slice(&out), &got));
        }
    }
    record_key_item(&out, SIDE_B, digest, 7, ITEM_DATE);
    assert_true(record_is_item(buf_slice(&out), &side) && side == SIDE_B);
    assert_false(record_is_item(slice_sub(buf_slice(&out), 0, out.n - 1), &side));
    record_key_way(&out);
    assert_false(record_is_item(buf_slice(&out), &side));
    buf_fini(&out);
}

/* --- In a journal ------------------------------------------------------------------------- */

static void put_item(
    struct journal *j, const char *folder, uint32_t uid, enum item_code code, enum item_state is)
{
    struct item i = full;
    i.folder = slice_str(folder);
    i.uid = uid;
    i.code = code;
    i.state = is;
    journal_begin(j);
    assert_true(journal_is_writing(j));
    journal_item_put(j, &i);
    commit(j);
    assert_false(journal_is_writing(j));
}

static int add_text(void *arg, const struct item *i, struct err *err)
{
    (void)err;
    return buf_addf(arg, "%s%.*s-%u-%s-%s", i->is_back ? "<" : "", (int)i->folder.n,
               (const char *)i->folder.p, (unsigned)i->uid, item_row(i->code)->name,
               item_state_name(i->state)) == 0 &&
                   buf_addf(arg, " ") == 0
               ? 0
               : -1;
}

static void assert_items(struct journal *j, const char *want)
{
    struct err err = ERR_INIT;
    struct buf text;
    buf_init(&text, 4096);
    assert_int_equal(journal_items_each(j, add_text, &text, &err), 0);
    assert_string_equal(buf_cstr(&text), want);
    buf_fini(&text);
}

static uint64_t decide(struct journal *j, struct item_choice c, enum item_state is)
{
    struct err err = ERR_INIT;
    uint64_t n = 0;
    c.why = "it is good";
    assert_int_equal(fmt_into(c.by, sizeof(c.by), "%s", "bob"), 0);
    assert_int_equal(items_decide(j, &c, is, &n, &err), 0);
    return n;
}

static void test_journal(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct item got;
    assert_items(j, "");
    put_item(j, "A/B", 7, ITEM_REFUSED, ITEM_OPEN);
    put_item(j, "A/B", 8, ITEM_REFUSED, ITEM_OPEN);
    put_item(j, "A/B", 8, ITEM_DATE, ITEM_OPEN);
    assert_items(j, "A/B-7-E-REFUSED-open A/B-8-E-REFUSED-open A/B-8-E-DATE-open ");
    j = reopen(&j);
    *state = j;
    const struct item_key key = {SLICE_LIT("A/B"), 8, ITEM_DATE};
    assert_int_equal(journal_item_get(j, &key, &got, &err), 0);
    assert_int_equal(got.tries, 3);
    assert_int_equal(
        journal_item_get(j, &(struct item_key){SLICE_LIT("A"), 8, ITEM_DATE}, &got, &err), 0);
    assert_int_equal(got.code, ITEM_NONE);
    /* Of a choice. */
    assert_int_equal(decide(j, (struct item_choice){.folder = "A"}, ITEM_ACCEPTED), 0);
    assert_int_equal(
        decide(j, (struct item_choice){.folder = "A/B", .uid = 8, .code = ITEM_REFUSED},
            ITEM_ACCEPTED),
        1);
    assert_items(j, "A/B-7-E-REFUSED-open A/B-8-E-REFUSED-accepted A/B-8-E-DATE-open ");
    assert_int_equal(decide(j, (struct item_choice){.code = ITEM_DATE}, ITEM_ACCEPTED), 1);
    assert_int_equal(journal_item_get(j, &key, &got, &err), 0);
    assert_slice_equal(got.by, "bob");
    assert_slice_equal(got.why, "it is good");
    /* What is accepted is not accepted again, and can be tried again. */
    assert_int_equal(decide(j, (struct item_choice){0}, ITEM_ACCEPTED), 1);
    assert_int_equal(
        decide(
            j, (struct item_choice){.has_accepted = true, .uid = 7, .folder = "A/B"}, ITEM_RETRIED),
        1);
    assert_items(j, "A/B-7-E-REFUSED-retried A/B-8-E-REFUSED-accepted A/B-8-E-DATE-accepted ");
    /* Of the way back; and who does not know whose the journal is decides on both. */
    journal_exchange(j);
    put_item(j, "Z", 0, ITEM_FOLDER, ITEM_OPEN);
    journal_exchange(j);
    journal_close(&j);
    if (journal_open_there(home(), &j, &err) != 0)
        fail_msg("%s", err.text);
    *state = j;
    assert_string_equal(journal_source(j), "a");
    assert_string_equal(journal_target(j), "b");
    assert_int_equal(decide(j, (struct item_choice){.code = ITEM_FOLDER}, ITEM_ACCEPTED), 1);
    assert_items(j, "A/B-7-E-REFUSED-retried A/B-8-E-REFUSED-accepted A/B-8-E-DATE-accepted "
                    "<Z-0-E-FOLDER-accepted ");
    journal_begin(j);
    journal_item_del(
        j, &(struct item){.folder = SLICE_LIT("Z"), .code = ITEM_FOLDER, .is_back = true});
    journal_item_del(j, &(struct item){.folder = SLICE_LIT("A/B"), .uid = 8, .code = ITEM_REFUSED});
    commit(j);
    assert_items(j, "A/B-7-E-REFUSED-retried A/B-8-E-DATE-accepted ");
}

/* What is known of a folder goes with its name, on the side that was renamed. */
static void test_renamed(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct journal_folder f = {0}, other = {0};
    journal_set(&f.source.name, SLICE_LIT("Old"));
    journal_set(&f.target.name, SLICE_LIT("Alt"));
    journal_set(&other.source.name, SLICE_LIT("Other"));
    journal_set(&other.target.name, SLICE_LIT("Old"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    assert_int_equal(journal_folder_put(j, &other, &err), 0);
    put_item(j, "Old", 7, ITEM_REFUSED, ITEM_ACCEPTED);
    put_item(j, "Old", 0, ITEM_NAME, ITEM_OPEN);
    put_item(j, "Other", 7, ITEM_DATE, ITEM_OPEN);
    journal_exchange(j);
    put_item(j, "Old", 3, ITEM_DATE, ITEM_OPEN);
    put_item(j, "Alt", 4, ITEM_DATE, ITEM_OPEN);
    journal_exchange(j);
    journal_set(&f.source.name, SLICE_LIT("New"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    assert_items(j, "New-0-E-NAME-open New-7-E-REFUSED-accepted Other-7-E-DATE-open "
                    "<Old-3-E-DATE-open <Alt-4-E-DATE-open ");
    journal_set(&f.target.name, SLICE_LIT("Neu"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    assert_items(j, "New-0-E-NAME-open New-7-E-REFUSED-accepted Other-7-E-DATE-open "
                    "<Old-3-E-DATE-open <Neu-4-E-DATE-open ");
    journal_folder_fini(&f);
    journal_folder_fini(&other);
}

/* Left by somebody while another one has the journal. */
static void test_left(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct item got;
    const struct item_key key = {SLICE_LIT("A"), 7, ITEM_REFUSED};
    const struct item_choice one = {
        .code = ITEM_REFUSED, .folder = "A", .uid = 7, .by = "bob", .why = "it is \"good\""};
    const struct item_choice all = {.has_accepted = true, .by = "ann", .why = ""};
    put_item(j, "A", 7, ITEM_REFUSED, ITEM_OPEN);
    put_item(j, "A", 8, ITEM_REFUSED, ITEM_OPEN);
    assert_int_equal(items_take(j, &err), 0);
    assert_int_equal(items_leave(home(), &one, ITEM_ACCEPTED, &err), 0);
    assert_items(j, "A-7-E-REFUSED-open A-8-E-REFUSED-open ");
    assert_int_equal(items_take(j, &err), 0);
    assert_items(j, "A-7-E-REFUSED-accepted A-8-E-REFUSED-open ");
    assert_int_equal(journal_item_get(j, &key, &got, &err), 0);
    assert_slice_equal(got.by, "bob");
    assert_slice_equal(got.why, "it is \"good\"");
    /* Once. */
    put_item(j, "A", 7, ITEM_REFUSED, ITEM_OPEN);
    assert_int_equal(items_take(j, &err), 0);
    assert_items(j, "A-7-E-REFUSED-open A-8-E-REFUSED-open ");
    assert_int_equal(items_leave(home(), &all, ITEM_RETRIED, &err), 0);
    assert_int_equal(items_take(j, &err), 0);
    assert_items(j, "A-7-E-REFUSED-retried A-8-E-REFUSED-retried ");
    /* What makes no sense is dropped. */
    static const char *const bad[] = {"", "{", "{}", "[]",
        "{\"state\":4,\"uid\":0,\"by\":\"b\",\"why\":\"\"}",
        "{\"state\":3,\"code\":\"E-NO\",\"uid\":0,\"by\":\"b\",\"why\":\"\"}",
        "{\"state\":3,\"uid\":-1,\"by\":\"b\",\"why\":\"\"}",
        "{\"state\":3,\"uid\":0,\"by\":\"b\"}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char path[4096];
        assert_int_equal(fmt_into(path, sizeof(path), "%s/decision-1", home()), 0);
        assert_int_equal(io_write_file_durable(path, slice_str(bad[i]), 0600, &err), 0);
        assert_int_equal(items_take(j, &err), 0);
        assert_row(bad[i], access(path, F_OK) != 0);
        assert_items(j, "A-7-E-REFUSED-retried A-8-E-REFUSED-retried ");
    }
}

static void test_journal_of_nobody(void **state)
{
    struct journal *j = NULL;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(journal_open_there(tmpdir_file(&dir, "other"), &j, &err), -1);
    assert_non_null(strstr(err.text, "there is no journal"));
    err_clear(&err);
    assert_int_equal(journal_open_there(home(), &j, &err), -1); /* the lock is held */
    assert_int_equal(err.class, ERR_TEMP);
}

static void test_shown(void **state)
{
    struct buf text;
    (void)state;
    json_t *json = item_json(&full);
    buf_init(&text, 4096);
    assert_string_equal(json_string_value(json_object_get(json, "state")), "accepted");
    assert_int_equal(json_integer_value(json_object_get(json, "messages")), 4);
    item_text(json, &text);
    assert_non_null(strstr(buf_cstr(&text),
        "E-DATE         changed  accepted A/B, UID 7, of 1969-12-31T23:59:55Z, 6 octets: words\n"));
    assert_non_null(
        strstr(buf_cstr(&text), "told 3 times; accepted 2023-11-14T22:13:20Z by ann: why"));
    json_decref(json);
    buf_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_telling),
        cmocka_unit_test(test_record),
        TEST(test_journal),
        TEST(test_renamed),
        TEST(test_left),
        TEST(test_journal_of_nobody),
        cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
