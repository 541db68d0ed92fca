/* SPDX-License-Identifier: ISC */
/* What is late behind a flip, as a table; what is learned, and told once more as changes. */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "imapsync/move/marks.h"
#include "tests/unit/unit.h"

static const unsigned char *digest_of(const char *text)
{
    static unsigned char out[SHA256_SIZE];
    sha256_of(slice_str(text), out);
    return out;
}

static const unsigned char *letter(char c)
{
    const char one[2] = {c, '\0'};
    return digest_of(one);
}

static void count(struct marks *m, const char *letters)
{
    struct err err = ERR_INIT;
    for (const char *c = letters; *c; c++)
        assert_int_equal(marks_count_one(m, letter(*c), &err), 0);
}

static void folder(struct marks *m, const char *name, uint32_t v, uint32_t uid, uint32_t owed)
{
    assert_int_equal(marks_folder_add(m, slice_str(name), v, uid, &owed, owed > 0), 0);
}

/* old had a, b, b and c at the flip; d was there once, and went. */
static struct marks at_flip(void)
{
    struct marks m = {0}, next = {0};
    count(&m, "abdbc");
    marks_pass(&m);
    folder(&next, "Work", 8, 20, 0);
    folder(&next, "INBOX", 7, 10, 4);
    folder(&next, "Empty", 9, 0, 0);
    marks_flip(&m, &next);
    marks_fini(&next);
    return m;
}

static enum marks_place place(const struct marks *m, const char *name, uint32_t v, uint32_t uid)
{
    return marks_place(m, slice_str(name), v, uid);
}

static void learn(
    struct marks *m, const char *name, uint32_t v, uint32_t highest, uint32_t uid, char content)
{
    const struct marks_look at = {.name = slice_str(name), .uidvalidity = v, .highest = highest};
    struct err err = ERR_INIT;
    assert_int_equal(
        marks_learn(m, &at, uid, content ? letter(content) : NULL, content != '\0', &err), 0);
}

/* Of so many that a pass meets. */
static size_t n_late(struct marks *m, char content, size_t now)
{
    size_t n;
    struct err err = ERR_INIT;
    assert_int_equal(marks_meet(m, letter(content), now, &n, &err), 0);
    return now > n ? now - n : 0;
}

static uint32_t ever(const struct marks *m, char content)
{
    const struct marks_count *c = marks_counts_find(&m->counts, marks_key(letter(content)));
    return c ? c->ever : 0;
}

/* A copy, made of what m has told as changes and as folders. */
static struct marks again(const struct marks *m)
{
    struct marks out = {0};
    struct buf folders;
    struct marks_cursor cursor = {0};
    struct marks_count c;
    buf_init(&folders, MARKS_SIZE_MAX);
    marks_pack_folders(m, &folders);
    assert_true(marks_apply(&out, buf_slice(&folders)));
    while (marks_counts_next(&m->counts, &cursor, &c))
        marks_counts_get(&out.counts, c.key)->ever = c.ever;
    buf_fini(&folders);
    return out;
}

static void assert_same(const struct marks *a, const struct marks *b)
{
    struct buf x, y;
    struct marks_cursor at = {0}, bt = {0};
    struct marks_count c, d;
    buf_init(&x, MARKS_SIZE_MAX);
    buf_init(&y, MARKS_SIZE_MAX);
    marks_pack_folders(a, &x);
    marks_pack_folders(b, &y);
    assert_true(slice_eq(buf_slice(&x), buf_slice(&y)));
    while (marks_counts_next(&a->counts, &at, &c)) {
        assert_true(marks_counts_next(&b->counts, &bt, &d));
        assert_true(c.key == d.key);
        assert_int_equal(c.ever, d.ever);
    }
    assert_false(marks_counts_next(&b->counts, &bt, &d));
    buf_fini(&x);
    buf_fini(&y);
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
        assert_row(rows[i].name,
            place(&m, rows[i].folder, rows[i].uidvalidity, rows[i].uid) == rows[i].place);
    marks_fini(&m);
    assert_int_equal(place(&m, "INBOX", 7, 1), MARKS_BY_CONTENT);
}

/* How often a content is in a word; wanted in upper case alone: those that are late. */
static size_t letters(const char *word, char content, bool is_upper)
{
    size_t n = 0;
    for (; *word && *word != '|'; word++)
        n += is_upper ? *word == (content & ~0x20) : (*word | 0x20) == content;
    return n;
}

/* Passes are parted by "|"; an upper-case letter is late.  Everything that is met gets a pair, in
 * INBOX, above the mark; what was met before does not come again. */
static void test_late(void **state)
{
    (void)state;
    static const struct {
        const char *name, *meets;
    } rows[] = {
        {"nothing new", "|"},
        {"a new message", "W"},
        {"and a copy of it", "W|w|w"},
        {"a copy on old", "a"},
        {"and another one later", "a|a"},
        {"the same in two places at once", "aA"},
        {"a folder copied", "abbc"},
        {"copied twice", "abbc|abbc"},
        {"one more of two", "bbB"},
        {"one that was deleted long before", "d"},
        {"three equal new ones", "WWW|www"},
        {"a restore with something new", "abbcW|abbcwY"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct marks m = at_flip();
        uint32_t uid = 11;
        for (const char *pass = rows[i].meets; pass; pass = strchr(pass, '|')) {
            pass += *pass == '|';
            marks_pass(&m);
            for (const char *c = pass; *c && *c != '|'; c++) {
                char content = (char)(*c | 0x20);
                assert_row(rows[i].name, n_late(&m, content, letters(pass, content, false)) ==
                                             letters(pass, content, true));
            }
            for (const char *c = pass; *c && *c != '|'; c++) {
                learn(&m, "INBOX", 7, 10, uid, (char)(*c | 0x20));
                assert_row(rows[i].name, place(&m, "INBOX", 7, uid++) == MARKS_BEFORE);
            }
        }
        marks_fini(&m);
    }
}

/* In a folder that was numbered anew, renamed or restored the same ones are not counted twice. */
static void test_numbered_anew(void **state)
{
    (void)state;
    struct marks m = at_flip();
    for (uint32_t v = 20; v < 25; v++) {
        marks_pass(&m);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(n_late(&m, "abbc"[i], i % 3 == 0 ? 1 : 2), 0);
        for (uint32_t i = 0; i < 4; i++)
            learn(&m, "INBOX", v, 4, i + 1, "abbc"[i]);
        assert_int_equal(place(&m, "INBOX", v, 2), MARKS_BEFORE);
        assert_int_equal(place(&m, "INBOX", v - 1, 2), MARKS_BY_CONTENT);
    }
    assert_int_equal(ever(&m, 'a'), 1);
    assert_int_equal(ever(&m, 'b'), 2);
    /* A copy that somebody makes there is one more, and all five are not late the next time. */
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'c', 1), 0);
    learn(&m, "INBOX", 24, 5, 5, 'c');
    assert_int_equal(ever(&m, 'c'), 2);
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'c', 2), 0);
    assert_int_equal(n_late(&m, 'c', 3), 1);
    marks_fini(&m);
}

/* Under the same UIDVALIDITY: the numbers are given again, and contents tell. */
static void test_restored(void **state)
{
    (void)state;
    struct marks m = at_flip();
    const struct marks_look at = {.name = SLICE_LIT("INBOX"), .uidvalidity = 7, .highest = 6};
    marks_pass(&m);
    learn(&m, "INBOX", 7, 12, 12, 'x');
    marks_changes_done(&m);
    struct marks before = again(&m);
    assert_int_equal(marks_restored(&m, &at), 0);
    for (uint32_t uid = 1; uid < 14; uid++)
        assert_int_equal(place(&m, "INBOX", 7, uid), MARKS_BY_CONTENT);
    assert_int_equal(place(&m, "Work", 8, 20), MARKS_BEFORE);
    assert_int_equal(n_late(&m, 'x', 1), 0);
    learn(&m, "INBOX", 7, 6, 6, 'y');
    assert_int_equal(place(&m, "INBOX", 7, 6), MARKS_BEFORE);
    assert_true(marks_apply(&before, marks_changes(&m)));
    assert_same(&m, &before);
    marks_fini(&before);
    marks_fini(&m);
}

/* Late ones of a folder that is new: as many as there are. */
static void test_a_new_folder(void **state)
{
    (void)state;
    struct marks m = at_flip();
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'x', 3), 3);
    for (uint32_t uid = 1; uid <= 3; uid++)
        learn(&m, "New", 1, 3, uid, 'x');
    assert_int_equal(ever(&m, 'x'), 3);
    marks_fini(&m);
}

/* Found on the target by content, which nobody has asked for. */
static void test_adopted(void **state)
{
    (void)state;
    struct marks m = {0};
    marks_pass(&m);
    learn(&m, "INBOX", 1, 2, 1, 'x');
    learn(&m, "INBOX", 1, 2, 2, 'x');
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'x', 1), 0);
    marks_fini(&m);
}

/* What was given up: each of them has been there. */
static void test_given_up(void **state)
{
    (void)state;
    struct marks m = {.is_anew = true};
    marks_pass(&m);
    learn(&m, "INBOX", 1, 3, 1, 'x');
    learn(&m, "INBOX", 1, 3, 2, 'x');
    learn(&m, "INBOX", 1, 3, 3, '\0');
    m.is_anew = false;
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'x', 3), 1);
    assert_int_equal(place(&m, "INBOX", 1, 3), MARKS_BEFORE);
    marks_fini(&m);
}

/* Told again, as after a kill between marks and journal, and as by a journal that is new. */
static void test_told_twice(void **state)
{
    (void)state;
    struct marks m = at_flip();
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'x', 1), 1);
    for (int i = 0; i < 3; i++)
        learn(&m, "INBOX", 7, 11, 11, 'x');
    assert_int_equal(ever(&m, 'x'), 1);
    learn(&m, "INBOX", 7, 11, 3, 'a');
    assert_int_equal(ever(&m, 'a'), 1);
    /* Refused before the flip, unread, and taken now: counted. */
    learn(&m, "INBOX", 7, 11, 5, 'y');
    assert_int_equal(ever(&m, 'y'), 1);
    marks_fini(&m);
}

static void test_owed_comes_once(void **state)
{
    (void)state;
    struct marks m = at_flip();
    learn(&m, "INBOX", 7, 10, 4, 'z');
    assert_int_equal(place(&m, "INBOX", 7, 4), MARKS_BEFORE);
    marks_pass(&m);
    assert_int_equal(n_late(&m, 'z', 1), 0);
    marks_fini(&m);
    /* Not under another UIDVALIDITY. */
    m = at_flip();
    learn(&m, "INBOX", 8, 10, 3, 'z');
    assert_int_equal(place(&m, "INBOX", 8, 4), MARKS_BY_CONTENT);
    marks_fini(&m);
}

static int fails(void *arg, uint64_t key, uint32_t *ever_out, struct err *err)
{
    (void)arg, (void)key, (void)ever_out;
    return err_set(err, ERR_TEMP, 0, "no disk");
}

static void test_the_store_fails(void **state)
{
    (void)state;
    struct marks m = {.stored = fails};
    size_t n;
    const struct marks_look at = {.name = SLICE_LIT("INBOX"), .uidvalidity = 1, .highest = 1};
    struct err err = ERR_INIT;
    assert_int_equal(marks_meet(&m, letter('a'), 1, &n, &err), -1);
    assert_int_equal(marks_learn(&m, &at, 1, letter('a'), true, &err), -1);
    assert_int_equal(marks_count_one(&m, letter('a'), &err), -1);
    marks_fini(&m);
}

/* Changes make of earlier marks the later ones, once or twice; cut off anywhere they make nothing
 * that is not true, or say that they make no sense. */
static void test_changes(void **state)
{
    (void)state;
    struct marks m = at_flip(), other;
    marks_changes_done(&m);
    struct marks before = again(&m);
    learn(&m, "INBOX", 7, 30, 4, 'x');
    learn(&m, "INBOX", 7, 30, 11, 'a');
    learn(&m, "INBOX", 7, 30, 4000, '\0');
    learn(&m, "Work", 9, 5, 5, 'c');
    learn(&m, "New", 1, 70000, 70000, 'c');
    learn(&m, "New", 1, 70000, 1, 'q');
    learn(&m, "Work", 10, 5, 5, 'c');
    struct slice all = marks_changes(&m);
    for (int times = 1; times < 3; times++) {
        other = again(&before);
        for (int i = 0; i < times; i++)
            assert_true(marks_apply(&other, all));
        assert_same(&m, &other);
        marks_fini(&other);
    }
    for (size_t n = 0; n < all.n; n++) {
        other = again(&before);
        bool is_good = marks_apply(&other, slice_sub(all, 0, n));
        assert_true(is_good || n < all.n);
        assert_true(other.n_folders >= 3 && other.n_folders <= 4);
        marks_fini(&other);
    }
    marks_changes_done(&m);
    assert_int_equal(marks_changes(&m).n, 0);
    marks_fini(&before);
    /* Another flip has other folders, and forgets no content. */
    struct marks next = {0};
    folder(&next, "INBOX", 70, 1, 0);
    before = again(&m);
    marks_flip(&m, &next);
    assert_true(marks_apply(&before, marks_changes(&m)));
    assert_same(&m, &before);
    assert_int_equal(m.n_folders, 1);
    assert_int_equal(place(&m, "INBOX", 7, 1), MARKS_BY_CONTENT);
    assert_int_equal(n_late(&m, 'a', 1), 0);
    marks_fini(&before);
    marks_fini(&m);
}

static void test_nonsense(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct slice s;
    } rows[] = {
        {"no such entry", SLICE_LIT("Z")},
        {"a place of no folder", SLICE_LIT("P\0\0\0\1")},
        {"a block of no folder", SLICE_LIT("B\0\0\0\1")},
        {"no UID", SLICE_LIT("F\0\0\0\1a\0\0\0\1\0\0\0\1P\0\0\0\0")},
        {"a block behind all UIDs", SLICE_LIT("F\0\0\0\1a\0\0\0\1\0\0\0\1B\1\0\0\0"
                                              "01234567012345670123456701234567")},
        {"counted never", SLICE_LIT("C\0\0\0\0\0\0\0\1\0\0\0\0")},
        {"owed above the mark", SLICE_LIT("M\0\0\0\1a\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\2")},
        {"owed more than there is", SLICE_LIT("M\0\0\0\1a\0\0\0\1\0\0\0\1\377\0\0\0\0\0\0\2")},
        {"a name that is cut", SLICE_LIT("F\0\0\0\7a")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct marks m = {0};
        assert_row(rows[i].name, !marks_apply(&m, rows[i].s));
        marks_fini(&m);
    }
}

/* In any order, near and far. */
static void test_uids(void **state)
{
    (void)state;
    struct marks_uids u = {0};
    static const uint32_t some[] = {70000, 1, 256, 255, 257, UINT32_MAX, 3, 4096, 2};
    for (size_t i = 0; i < COUNT_OF(some); i++) {
        assert_false(marks_uids_have(&u, some[i]));
        marks_uids_add(&u, some[i]);
        marks_uids_add(&u, some[i]);
        for (size_t k = 0; k <= i; k++)
            assert_true(marks_uids_have(&u, some[k]));
    }
    assert_false(marks_uids_have(&u, 4));
    assert_int_equal(u.n, 5);
    marks_uids_fini(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_numbered_anew),
        cmocka_unit_test(test_restored),
        cmocka_unit_test(test_a_new_folder),
        cmocka_unit_test(test_adopted),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_told_twice),
        cmocka_unit_test(test_owed_comes_once),
        cmocka_unit_test(test_the_store_fails),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_uids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
