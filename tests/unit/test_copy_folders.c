/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "imapsync/copy/folders.h"
#include "imapsync/copy/trash.h"
#include "imapsync/ends/limits.h"
#include "tests/unit/unit.h"

static void attributes(const char *text, unsigned *attrs, enum folder_use *use)
{
    static const struct {
        const char *word;
        unsigned attr;
        enum folder_use use;
    } words[] = {
        {"\\Noselect", FOLDER_NOSELECT, FOLDER_USE_NONE},
        {"\\All", FOLDER_VIRTUAL, FOLDER_USE_NONE},
        {"\\Flagged", FOLDER_VIRTUAL, FOLDER_USE_NONE},
        {"\\Sent", 0, FOLDER_USE_SENT},
        {"\\Trash", 0, FOLDER_USE_TRASH},
        {"\\Junk", 0, FOLDER_USE_JUNK},
        {"\\Drafts", 0, FOLDER_USE_DRAFTS},
        {"\\Archive", 0, FOLDER_USE_ARCHIVE},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!strstr(text, words[i].word))
            continue;
        *attrs |= words[i].attr;
        *use = words[i].use != FOLDER_USE_NONE ? words[i].use : *use;
    }
}

/* A list out of "name attributes" rows, one delimiter for all. */
static void make(struct folder_list *l, int delimiter, const char *personal, const char *foreign,
    const char *const rows[][2])
{
    struct err err = ERR_INIT;
    folder_list_init(l);
    l->delimiter = delimiter;
    if (personal)
        l->personal = slice_make(slice_dup(slice_str(personal)), strlen(personal));
    if (foreign)
        l->foreign[l->n_foreign++] = slice_make(slice_dup(slice_str(foreign)), strlen(foreign));
    for (size_t i = 0; rows[i][0]; i++) {
        unsigned attrs = 0;
        enum folder_use use = FOLDER_USE_NONE;
        attributes(rows[i][1], &attrs, &use);
        assert_int_equal(folder_list_add(l, slice_str(rows[i][0]), delimiter, attrs, use, &err), 0);
    }
}

static const char *const none[][2] = {{NULL, NULL}};

static void check(
    const struct folder_list *source, const struct folder_list *target, const char *const *want)
{
    struct folder_map m;
    folder_map_make(source, target, &m);
    for (size_t i = 0; i < m.n; i++) {
        if (!want[i]) {
            assert_null(m.names[i].p);
        } else {
            assert_non_null(m.names[i].p);
            assert_slice_equal(m.names[i], want[i]);
        }
    }
    folder_map_fini(&m);
}

static void test_delimiters_and_prefixes(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"INBOX.Work", ""}, {"INBOX.Work.a/b", ""},
        {"INBOX.Entw&APw-rfe", ""}, {"inbox", ""}, {"INBOX.a..b", ""}, {"INBOX.", ""},
        {"INBOX.x&-y", ""}, {NULL, NULL}};
    static const char *const slash[] = {
        "INBOX", "Work", "Work/a_b", "Entw&APw-rfe", "a/_/b", "INBOX/_", "x&-y"};
    static const char *const prefixed[] = {"INBOX", "INBOX.Work", "INBOX.Work.a/b",
        "INBOX.Entw&APw-rfe", "INBOX.a._.b", "INBOX.INBOX._", "INBOX.x&-y"};
    static const char *const flat[] = {
        "INBOX", "Work", "Work_a/b", "Entw&APw-rfe", "a___b", "INBOX__", "x&-y"};
    struct folder_list source, target;
    (void)state;
    make(&source, '.', "INBOX.", NULL, rows);
    assert_int_equal(source.n, 7); /* inbox is INBOX */
    make(&target, '/', NULL, NULL, none);
    check(&source, &target, slash);
    folder_list_fini(&target);
    make(&target, '.', "INBOX.", NULL, none);
    check(&source, &target, prefixed);
    folder_list_fini(&target);
    make(&target, -1, NULL, NULL, none);
    check(&source, &target, flat);
    folder_list_fini(&target);
    folder_list_fini(&source);
}

static void test_bad_names(void **state)
{
    /* Not modified UTF-7, each in its way; a path is only a name. */
    static const char *const rows[][2] = {{"&", ""}, {"\xc3\xa4", ""}, {"\xe4", ""}, {"..", ""},
        {"../x", ""}, {"/y", ""}, {"~", ""}, {"a\tb", ""}, {"&AAk-", ""}, {NULL, NULL}};
    static const char *const want[] = {
        "&-", "&AOQ-", "&AOQ- 2", "__", "__.x", "_.y", "~", "a_b", "_"};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', NULL, NULL, rows);
    make(&target, '.', NULL, NULL, none);
    check(&source, &target, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

static void test_collisions(void **state)
{
    static const char *const rows[][2] = {
        {"a/b", ""}, {"a_b", ""}, {"a_b 2", ""}, {"a%b", ""}, {NULL, NULL}};
    static const char *const want[] = {"a_b", "a_b 3", "a_b 2", "a%b"};
    struct folder_list source, target;
    (void)state;
    make(&source, '.', NULL, NULL, rows);
    make(&target, '/', NULL, NULL, none);
    check(&source, &target, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

static void test_special_use(void **state)
{
    static const char *const rows[][2] = {{"Gesendet", "\\HasNoChildren \\Sent"},
        {"Papierkorb", "\\Trash"}, {"Junk", "\\Junk"}, {"Trash", ""}, {"Alle", "\\All"},
        {"Shared/x", ""}, {"Shared", "\\Noselect"}, {NULL, NULL}};
    static const char *const there[][2] = {
        {"Sent", "\\Sent"}, {"Trash", "\\Trash"}, {"Spam", "\\Junk"}, {NULL, NULL}};
    /* Papierkorb cannot become Trash: a plain folder of the source needs that name. */
    static const char *const want[] = {"Sent", "Papierkorb", "Spam", "Trash", NULL, NULL, NULL};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', "", "Shared/", rows);
    make(&target, '/', "", NULL, there);
    check(&source, &target, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

/* Below a prefix a folder may have the name that is another one's without it. */
static void test_inbox_of_the_user(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"INBOX.Inbox", ""}, {"INBOX.INBOX", ""},
        {"INBOX.inbox.a", ""}, {NULL, NULL}};
    static const char *const slash[] = {"INBOX", "Inbox 2", "INBOX 2", "inbox/a"};
    struct folder_list source, target;
    (void)state;
    make(&source, '.', "INBOX.", NULL, rows);
    make(&target, '/', NULL, NULL, none);
    check(&source, &target, slash);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

static void test_limits(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    for (size_t levels = FOLDER_LEVELS_MAX - 1; levels <= FOLDER_LEVELS_MAX + 1; levels++) {
        struct folder_list l;
        struct buf name;
        folder_list_init(&l);
        buf_init(&name, 1000);
        for (size_t i = 0; i < levels; i++)
            assert_int_equal(buf_add_str(&name, i ? "/a" : "a"), 0);
        assert_int_equal(folder_list_add(&l, buf_slice(&name), '/', 0, FOLDER_USE_NONE, &err), 0);
        assert_int_equal(l.n, levels <= FOLDER_LEVELS_MAX);
        assert_int_equal(l.ignored, levels > FOLDER_LEVELS_MAX);
        buf_fini(&name);
        folder_list_fini(&l);
    }
    for (size_t n = FOLDER_NAME_MAX - 1; n <= FOLDER_NAME_MAX + 1; n++) {
        struct folder_list l;
        char *name = mem_zalloc(n);
        memset(name, 'a', n);
        folder_list_init(&l);
        assert_int_equal(
            folder_list_add(&l, slice_make(name, n), '/', 0, FOLDER_USE_NONE, &err), 0);
        assert_int_equal(l.n, n <= FOLDER_NAME_MAX);
        free(name);
        folder_list_fini(&l);
    }
}

static void test_limit_of_all_names(void **state)
{
    const size_t most = FOLDERS_OCTETS_MAX / FOLDER_NAME_MAX;
    struct folder_list l;
    struct err err = ERR_INIT;
    char *name = mem_zalloc(FOLDER_NAME_MAX + 1);
    (void)state;
    memset(name, 'a', FOLDER_NAME_MAX);
    folder_list_init(&l);
    for (size_t i = 0; i <= most; i++) {
        assert_int_equal(fmt_into(name, 16, "%zu", i), 0);
        name[strlen(name)] = '-';
        assert_int_equal(
            folder_list_add(&l, slice_make(name, FOLDER_NAME_MAX), '/', 0, FOLDER_USE_NONE, &err),
            i < most ? 0 : -1);
    }
    assert_int_equal(l.n, most);
    assert_int_equal(l.octets, FOLDERS_OCTETS_MAX);
    free(name);
    folder_list_fini(&l);
}

static void test_many(void **state)
{
    struct folder_list l, target;
    struct folder_map m;
    struct err err = ERR_INIT;
    (void)state;
    folder_list_init(&l);
    for (unsigned i = 0; i < 100000; i++) {
        char name[32];
        assert_int_equal(fmt_into(name, sizeof(name), "f%u", i), 0);
        assert_int_equal(folder_list_add(&l, slice_str(name), '/', 0, FOLDER_USE_NONE, &err), 0);
    }
    make(&target, '.', NULL, NULL, none);
    folder_map_make(&l, &target, &m);
    assert_int_equal(m.n, 100000);
    assert_slice_equal(m.names[99999], "f99999");
    folder_map_fini(&m);
    folder_list_fini(&l);
    folder_list_fini(&target);
}

/* Where on the way back goes what was removed; NULL: there is none. */
static void test_trash(void **state)
{
    (void)state;
    static const struct {
        const char *name, *personal, *trash;
        const char *const rows[4][2];
    } cases[] = {
        {"the special use, whatever its name", NULL, "Korb",
            {{"Trash", ""}, {"Korb", "\\Trash"}, {NULL, NULL}}},
        {"one that nothing can be put into", NULL, "Trash",
            {{"Korb", "\\Trash \\Noselect"}, {"Trash", ""}, {NULL, NULL}}},
        {"by its name, in any case", NULL, "TRASH", {{"TRASH", ""}, {NULL, NULL}}},
        {"as Outlook calls it", NULL, "Deleted Items", {{"Deleted Items", ""}, {NULL, NULL}}},
        {"as Apple does", NULL, "Deleted Messages", {{"Deleted Messages", ""}, {NULL, NULL}}},
        {"the usual one first", NULL, "Trash",
            {{"Deleted Items", ""}, {"Trash", ""}, {NULL, NULL}}},
        {"in the namespace", "INBOX/", "INBOX/Trash", {{"INBOX/Trash", ""}, {NULL, NULL}}},
        {"below INBOX without a namespace", NULL, "INBOX/Trash",
            {{"INBOX/Trash", ""}, {NULL, NULL}}},
        {"another's", NULL, NULL, {{"shared/Trash", ""}, {NULL, NULL}}},
        {"somewhere below", NULL, NULL, {{"Work/Trash", ""}, {NULL, NULL}}},
        {"none", NULL, NULL, {{"Trashed", ""}, {NULL, NULL}}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct folder_list l;
        make(&l, '/', cases[i].personal, "shared/", cases[i].rows);
        const struct folder *f = trash_find(&l);
        assert_row(
            cases[i].name, cases[i].trash ? f && slice_eq(f->name, slice_str(cases[i].trash)) : !f);
        folder_list_fini(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trash),
        cmocka_unit_test(test_delimiters_and_prefixes),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_special_use),
        cmocka_unit_test(test_inbox_of_the_user),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limit_of_all_names),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
