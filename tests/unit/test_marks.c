/* SPDX-License-Identifier: ISC */
/* What is late behind a flip, as a table; what is written and read again; damage. */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/move/marks.h"
#include "tests/unit/unit.h"

static const unsigned char *digest_of(const char *text)
{
    static unsigned char out[SHA256_SIZE];
    sha256_of(slice_str(text), out);
    return out;
}

static void inventory(struct marks *m, const char *letters)
{
    marks_inventory_begin(m);
    for (const char *c = letters; *c; c++) {
        char one[2] = {*c, '\0'};
        assert_int_equal(marks_inventory_add(m, digest_of(one)), 0);
    }
    marks_inventory_end(m);
}

static void folder(struct marks *m, const char *name, uint32_t v, uint32_t uid, uint32_t owed)
{
    struct marks_folder f = {.source = {slice_str(name), v, uid},
        .target = {slice_str(name), 2 * v, 3 * uid},
        .owed = &owed,
        .n_owed = owed > 0};
    assert_int_equal(marks_folder_add(m, &f), 0);
}

/* old had a, b, b and c at the flip; d was there once, and went. */
static struct marks at_flip(void)
{
    struct marks m = {0};
    inventory(&m, "abd");
    inventory(&m, "bbca");
    marks_folders_begin(&m);
    folder(&m, "Work", 8, 20, 0);
    folder(&m, "INBOX", 7, 10, 4);
    folder(&m, "Empty", 9, 0, 0);
    marks_folders_end(&m);
    return m;
}

static void test_places(void **state)
{
    (void)state;
    static const struct {
        const char *name, *folder;
        uint32_t uidvalidity, uid;
        enum marks_place place;
    } rows[] = {
        {"the first", "INBOX", 7, 1, MARKS_BEFORE},
        {"owed", "INBOX", 7, 4, MARKS_OWED},
        {"beside the owed one", "INBOX", 7, 5, MARKS_BEFORE},
        {"the mark itself", "INBOX", 7, 10, MARKS_BEFORE},
        {"above the mark", "INBOX", 7, 11, MARKS_BY_CONTENT},
        {"the highest", "INBOX", 7, UINT32_MAX, MARKS_BY_CONTENT},
        {"numbered anew", "INBOX", 8, 1, MARKS_BY_CONTENT},
        {"owed, and numbered anew", "INBOX", 8, 4, MARKS_BY_CONTENT},
        {"another folder of that number", "Work", 7, 1, MARKS_BY_CONTENT},
        {"another folder", "Work", 8, 20, MARKS_BEFORE},
        {"nothing was in it", "Empty", 9, 1, MARKS_BY_CONTENT},
        {"no mark", "New", 7, 1, MARKS_BY_CONTENT},
        {"names differ in case", "Inbox", 7, 1, MARKS_BY_CONTENT},
        {"part of a name", "Wor", 8, 1, MARKS_BY_CONTENT},
        {"more than a name", "Work2", 8, 1, MARKS_BY_CONTENT},
    };
    struct marks m = at_flip();
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name, marks_place(&m, slice_str(rows[i].folder), rows[i].uidvalidity,
                                     rows[i].uid) == rows[i].place);
    marks_fini(&m);
    assert_int_equal(marks_place(&m, SLICE_LIT("INBOX"), 7, 1), MARKS_BY_CONTENT);
}

/* Passes are parted by "|"; an upper-case letter is late, and then it is copied. */
static void test_late(void **state)
{
    (void)state;
    static const struct {
        const char *name, *meets;
    } rows[] = {
        {"nothing new", "|"},
        {"a new message", "W"},
        {"once copied it was there", "W|w|w"},
        {"a copy on old", "a"},
        {"and another one later", "a|a"},
        {"the same in two places at once", "aA"},
        {"a folder renamed", "abbc"},
        {"renamed twice", "abbc|abbc"},
        {"one more of two", "bbB"},
        {"one that was deleted long before", "d"},
        {"three equal new ones", "WWW|www|wwwW"},
        {"a restore with something new", "abbcW|abbcwY"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct marks m = at_flip();
        char copied[16] = "";
        size_t n = 0;
        marks_pass(&m);
        for (const char *c = rows[i].meets;; c++) {
            if (*c == '|' || *c == '\0') {
                for (size_t k = 0; k < n; k++) {
                    char one[2] = {copied[k], '\0'};
                    assert_int_equal(marks_came(&m, SLICE_LIT("INBOX"), 7, 100, digest_of(one)), 0);
                }
                n = 0;
                marks_pass(&m);
            } else {
                bool is_late = *c < 'a';
                char one[2] = {(char)(*c | 0x20), '\0'};
                assert_row(rows[i].name, marks_is_late(&m, digest_of(one)) == is_late);
                if (is_late)
                    copied[n++] = one[0];
            }
            if (*c == '\0')
                break;
        }
        marks_fini(&m);
    }
}

static void test_owed_comes_once(void **state)
{
    (void)state;
    struct marks m = at_flip();
    /* Not under another UIDVALIDITY. */
    assert_int_equal(marks_came(&m, SLICE_LIT("INBOX"), 8, 4, digest_of("y")), 0);
    assert_int_equal(marks_place(&m, SLICE_LIT("INBOX"), 7, 4), MARKS_OWED);
    assert_int_equal(marks_came(&m, SLICE_LIT("INBOX"), 7, 4, digest_of("z")), 0);
    assert_int_equal(marks_place(&m, SLICE_LIT("INBOX"), 7, 4), MARKS_BEFORE);
    assert_false(marks_is_late(&m, digest_of("z")));
    marks_fini(&m);
}

static void assert_equal(struct marks *a, struct marks *b)
{
    struct buf x, y;
    buf_init(&x, 0);
    buf_init(&y, 0);
    marks_pack(a, &x);
    marks_pack(b, &y);
    assert_true(slice_eq(buf_slice(&x), buf_slice(&y)));
    buf_fini(&x);
    buf_fini(&y);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct marks m = at_flip(), again;
    struct buf out;
    buf_init(&out, 0);
    /* What came is in it, sorted. */
    assert_int_equal(marks_came(&m, SLICE_LIT("INBOX"), 7, 11, digest_of("x")), 0);
    marks_pack(&m, &out);
    assert_int_equal(marks_unpack(buf_slice(&out), &again), 0);
    assert_equal(&m, &again);
    assert_true(again.has_flipped);
    assert_int_equal(again.n_folders, 3);
    assert_int_equal(again.n_digests, 5);
    assert_slice_equal(again.folders[1].source.name, "INBOX");
    assert_int_equal(again.folders[1].target.uid, 30);
    assert_false(marks_is_late(&again, digest_of("x")));
    /* Another flip has other folders, and forgets no content. */
    marks_folders_begin(&again);
    folder(&again, "INBOX", 70, 1, 0);
    marks_folders_end(&again);
    assert_int_equal(marks_place(&again, SLICE_LIT("INBOX"), 7, 1), MARKS_BY_CONTENT);
    assert_false(marks_is_late(&again, digest_of("a")));
    marks_fini(&again);
    marks_fini(&m);
    buf_fini(&out);
}

/* However few were read, others can come. */
static void test_from_few_to_many(void **state)
{
    (void)state;
    for (unsigned few = 0; few < 4; few++) {
        struct marks m = {0}, again;
        struct buf out;
        buf_init(&out, 0);
        inventory(&m, &"abc"[3 - (few < 3 ? few : 3)]);
        marks_pack(&m, &out);
        assert_int_equal(marks_unpack(buf_slice(&out), &again), 0);
        assert_false(again.has_flipped);
        inventory(&again, "abcdefghijklmnopqrstuvw");
        assert_int_equal(again.n_digests, 23);
        marks_fini(&again);
        marks_fini(&m);
        buf_fini(&out);
    }
}

static void test_damage(void **state)
{
    (void)state;
    struct marks m = at_flip(), again;
    struct buf out;
    buf_init(&out, 0);
    marks_pack(&m, &out);
    struct slice whole = buf_slice(&out);
    for (size_t n = 0; n < whole.n; n++)
        assert_int_equal(marks_unpack(slice_sub(whole, 0, n), &again), -1);
    for (size_t i = 0; i < whole.n; i++) {
        out.p[out.off + i] ^= 1;
        assert_int_equal(marks_unpack(whole, &again), -1);
        out.p[out.off + i] ^= 1;
    }
    assert_int_equal(marks_unpack(whole, &again), 0);
    marks_fini(&again);
    marks_fini(&m);
    buf_fini(&out);
}

static void test_many(void **state)
{
    (void)state;
    struct marks m = {0};
    char text[20];
    marks_inventory_begin(&m);
    for (unsigned i = 0; i < 20000; i++) {
        assert_int_equal(fmt_into(text, sizeof(text), "%u", i % 15000), 0);
        assert_int_equal(marks_inventory_add(&m, digest_of(text)), 0);
    }
    marks_inventory_end(&m);
    assert_int_equal(m.n_digests, 15000);
    marks_pass(&m);
    assert_false(marks_is_late(&m, digest_of("4999")));
    assert_false(marks_is_late(&m, digest_of("4999")));
    assert_true(marks_is_late(&m, digest_of("4999")));
    assert_false(marks_is_late(&m, digest_of("14999")));
    assert_true(marks_is_late(&m, digest_of("14999")));
    assert_true(marks_is_late(&m, digest_of("15000")));
    marks_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_owed_comes_once),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_from_few_to_many),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
