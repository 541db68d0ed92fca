/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "imapsync/copy/journal.h"
#include "tests/unit/unit.h"

static char dir[64];

static struct journal *reopen(struct journal **j)
{
    struct err err = ERR_INIT;
    journal_close(j);
    if (journal_open(dir, "a", "b", j, &err) != 0)
        fail_msg("%s", err.text);
    return *j;
}

static int set_up(void **state)
{
    struct journal *j = NULL;
    memcpy(dir, "/tmp/coexist-journal.XXXXXX", sizeof("/tmp/coexist-journal.XXXXXX"));
    if (!mkdtemp(dir))
        return -1;
    *state = reopen(&j);
    return 0;
}

static int tear_down(void **state)
{
    struct journal *j = *state;
    char path[128];
    journal_close(&j);
    for (const char *const *f = (const char *const[]){"notes", "folders", "keywords", "pairs",
             "intents", "lock", "log.0000000001", NULL};
         *f; f++) {
        if (fmt_into(path, sizeof(path), "%s/%s", dir, *f) == 0)
            unlink(path);
    }
    rmdir(dir);
    return 0;
}

static void test_folders(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct journal_folder f = {.source = slice_make(slice_dup(SLICE_LIT("a/b")), 3),
        .target = slice_make(slice_dup(SLICE_LIT("a.b")), 3),
        .src_uidvalidity = 7,
        .src_highestmodseq = 1ull << 40};
    struct journal_folder g;
    bool found;
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a/b"), &g, &found, &err), 0);
    assert_false(found);
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    assert_int_equal(f.id, 1);
    f.tgt_uidvalidity = 9;
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    *state = reopen(&j);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a/b"), &g, &found, &err), 0);
    assert_true(found);
    assert_int_equal(g.id, 1);
    assert_int_equal(g.tgt_uidvalidity, 9);
    assert_int_equal(g.src_highestmodseq, 1ull << 40);
    assert_slice_equal(g.target, "a.b");
    journal_folder_fini(&g);
    journal_folder_fini(&f);
    struct journal_folder h = {.source = slice_make(slice_dup(SLICE_LIT("c")), 1)};
    assert_int_equal(journal_folder_put(j, &h, &err), 0);
    assert_int_equal(h.id, 2);
    journal_folder_fini(&h);
}

static void test_pairs_and_intents(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    unsigned char digest[SHA256_SIZE] = {1, 2, 3}, got[SHA256_SIZE];
    uint32_t uids[] = {1, 2, 3};
    struct intent a = {.time_ms = 5, .tgt_uidnext = 10, .uids = uids, .n = 3}, *open;
    struct pair p = {.src_uid = 2, .tgt_uid = 11, .state = PAIR_COPIED, .flags = {{1, 2}, 16}};
    struct pair *pairs;
    size_t n;
    bool found;

    journal_begin(j);
    journal_intent_put(j, 1, &a);
    assert_int_equal(journal_commit(j, &err), 0);
    *state = reopen(&j);
    assert_int_equal(journal_intents(j, 1, &open, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(open[0].n, 3);
    assert_int_equal(open[0].uids[2], 3);
    assert_int_equal(open[0].tgt_uidnext, 10);
    uint64_t id = open[0].id;
    intents_free(open, n);
    assert_int_equal(journal_intents(j, 2, &open, &n, &err), 0);
    assert_int_equal(n, 0);
    intents_free(open, n);

    journal_begin(j);
    journal_pair_put(j, 1, &p, digest);
    journal_pair_put(j, 2, &p, digest);
    p.src_uid = 1;
    p.state = PAIR_REFUSED;
    journal_pair_put(j, 1, &p, digest);
    journal_intent_del(j, 1, id);
    assert_int_equal(journal_commit(j, &err), 0);
    *state = reopen(&j);
    assert_int_equal(journal_pairs(j, 1, &pairs, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(pairs[0].src_uid, 1);
    assert_int_equal(pairs[0].state, PAIR_REFUSED);
    assert_int_equal(pairs[1].tgt_uid, 11);
    assert_int_equal(pairs[1].flags.system, 16);
    assert_int_equal(pairs[1].flags.keywords[1], 2);

    /* New flags keep the digest. */
    pairs[1].flags.system = 1;
    journal_begin(j);
    journal_pair_put(j, 1, &pairs[1], NULL);
    assert_int_equal(journal_commit(j, &err), 0);
    free(pairs);
    assert_int_equal(journal_digest(j, 1, 2, got, &found, &err), 0);
    assert_true(found);
    assert_memory_equal(got, digest, SHA256_SIZE);

    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_int_equal(journal_pairs(j, 1, &pairs, &n, &err), 0);
    assert_int_equal(n, 0);
    free(pairs);
    assert_int_equal(journal_pairs(j, 2, &pairs, &n, &err), 0);
    assert_int_equal(n, 1);
    free(pairs);
}

static void test_many_are_forgotten(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    static const unsigned char digest[SHA256_SIZE];
    struct pair *pairs;
    size_t n;
    journal_begin(j);
    for (uint32_t i = 1; i <= 1501; i++) {
        struct pair p = {.src_uid = i, .tgt_uid = i, .state = PAIR_COPIED};
        journal_pair_put(j, 3, &p, digest);
    }
    assert_int_equal(journal_commit(j, &err), 0);
    assert_int_equal(journal_folder_detach(j, 3, &err), 0);
    assert_int_equal(journal_pairs(j, 3, &pairs, &n, &err), 0);
    assert_int_equal(n, 1501);
    for (size_t i = 0; i < n; i++)
        assert_true(pairs[i].state == PAIR_GONE && pairs[i].tgt_uid == 0);
    free(pairs);
    assert_int_equal(journal_folder_forget(j, 3, &err), 0);
    assert_int_equal(journal_pairs(j, 3, &pairs, &n, &err), 0);
    assert_int_equal(n, 0);
    free(pairs);
}

static void test_keywords(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct keywords k = {0}, again = {0};
    assert_int_equal(keywords_bit(&k, SLICE_LIT("Work")), 0);
    assert_int_equal(keywords_bit(&k, SLICE_LIT("$Junk")), 1);
    assert_int_equal(journal_keywords_put(j, 1, &k, &err), 0);
    *state = reopen(&j);
    assert_int_equal(journal_keywords_get(j, 1, &again, &err), 0);
    assert_int_equal(again.n, 2);
    assert_int_equal(keywords_bit(&again, SLICE_LIT("$junk")), 1);
    keywords_fini(&k);
    keywords_fini(&again);
}

static void test_pair_of_mailboxes(void **state)
{
    struct journal *j = *state, *other = NULL;
    struct err err = ERR_INIT;
    journal_close(&j);
    assert_int_not_equal(journal_open(dir, "a", "c", &other, &err), 0);
    assert_int_equal(err.class, ERR_PERM);
    *state = reopen(&j);
    /* Locked while it is open. */
    err = ERR_INIT;
    assert_int_not_equal(journal_open(dir, "a", "b", &other, &err), 0);
    assert_int_equal(err.class, ERR_TEMP);
}

static void test_newer_version(void **state)
{
    struct journal *j = *state, *other = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(journal_note_put(j, "pair", SLICE_LIT("\2whatever comes then"), &err), 0);
    journal_close(&j);
    assert_int_not_equal(journal_open(dir, "a", "b", &other, &err), 0);
    assert_non_null(strstr(err.text, "of version 2"));
    *state = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pairs_and_intents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keywords, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pair_of_mailboxes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newer_version, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
