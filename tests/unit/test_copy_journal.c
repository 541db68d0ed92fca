/* SPDX-License-Identifier: ISC */
/* What a journal keeps; how it lives on the disk is in test_journal_disk.c. */
#include <sysexits.h>
#include "tests/unit/journal_site.h"

static void count(void *arg, const struct journal_folder *f)
{
    assert_true(f->id > 0);
    ++*(int *)arg;
}

static void test_folders(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct journal_folder f = {0}, g;
    bool found;
    int n = 0;
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a/b"), &g, &found, &err), 0);
    assert_false(found);
    assert_int_equal(new_folder(j, "a/b", "a.b"), 1);
    assert_int_equal(new_folder(j, "c", "c"), 2);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a/b"), &f, &found, &err), 0);
    f.source.uidvalidity = 7;
    f.target.uidvalidity = 9;
    journal_set(&f.source.mailboxid, SLICE_LIT("F1"));
    journal_set(&f.source.token, SLICE_LIT("\0\1"));
    journal_set(&f.target.token, SLICE_LIT("t"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    *state = reopen(&j);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a/b"), &g, &found, &err), 0);
    assert_true(found);
    assert_int_equal(g.id, 1);
    assert_int_equal(g.source.uidvalidity, 7);
    assert_int_equal(g.target.uidvalidity, 9);
    assert_slice_equal(g.target.name, "a.b");
    assert_slice_equal(g.source.mailboxid, "F1");
    assert_int_equal(g.source.token.n, 2);
    assert_slice_equal(g.target.token, "t");
    journal_folder_fini(&g);
    /* Renamed: the id stays, the old name is free. */
    journal_set(&f.source.name, SLICE_LIT("z"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    journal_folder_fini(&f);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a/b"), &g, &found, &err), 0);
    assert_false(found);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("z"), &g, &found, &err), 0);
    assert_true(found && g.id == 1);
    journal_folder_fini(&g);
    assert_int_equal(journal_folders_each(j, count, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_int_equal(new_folder(j, "a/b", "other"), 3);
}

static void test_highest(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct pair gone = {.src_uid = 9, .state = PAIR_GONE},
                alone = {.tgt_uid = 21, .state = PAIR_GONE};
    struct pair first = stored(2, 11), second = stored(7, 5), other = stored(30, 40);
    uint32_t source, target;
    assert_int_equal(journal_highest(j, 1, &source, &target, &err), 0);
    assert_true(source == 0 && target == 0);
    journal_begin(j);
    journal_pair_put(j, 1, &first, NULL);
    journal_pair_put(j, 1, &second, NULL);
    journal_pair_put(j, 3, &other, NULL);
    commit(j);
    assert_int_equal(journal_highest(j, 1, &source, &target, &err), 0);
    assert_true(source == 7 && target == 11);
    assert_int_equal(journal_highest(j, 2, &source, &target, &err), 0);
    assert_true(source == 0 && target == 0);
    journal_begin(j);
    journal_pair_put(j, 1, &gone, NULL);
    journal_pair_put(j, 1, &alone, NULL);
    commit(j);
    assert_int_equal(journal_highest(j, 1, &source, &target, &err), 0);
    assert_true(source == 9 && target == 21);
    journal_exchange(j);
    assert_int_equal(journal_highest(j, 1, &source, &target, &err), 0);
    assert_true(source == 21 && target == 9);
    journal_exchange(j);
}

static void test_numbers(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct journal_folder f;
    bool found;
    assert_int_equal(new_folder(j, "a", "b"), 1);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a"), &f, &found, &err), 0);
    f.target.is_restored = true;
    f.source.numbers = (struct record_numbers){7, 12, 99};
    journal_begin(j);
    journal_folder_note(j, &f);
    commit(j);
    journal_folder_fini(&f);
    *state = reopen(&j);
    assert_int_equal(journal_folder_get(j, SLICE_LIT("a"), &f, &found, &err), 0);
    assert_true(f.target.is_restored && !f.source.is_restored);
    assert_true(f.source.numbers.uidnext == 12 && f.source.numbers.modseq == 99);
    journal_folder_fini(&f);
}

static void test_pairs(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct content c;
    struct pair p = stored(2, 11), *v;
    size_t n;
    bool found;
    p.flags = (struct flags){{1, 2}, 16};
    put(j, 1, p, 5);
    put(j, 2, p, 5);
    put(j, 1, (struct pair){.src_uid = 1, .state = PAIR_REFUSED}, 6);
    put(j, 1, (struct pair){.src_uid = 3, .state = PAIR_SENT}, 7);
    *state = reopen(&j);
    assert_pairs(j, 1, "1-0R 2-11S 3-0s");
    assert_pairs(j, 2, "2-11S");
    assert_digest(j, 5, "1:2-11 2:2-11");
    assert_digest(j, 7, "1:3-0");
    assert_int_equal(journal_pairs(j, 1, &v, &n, &err), 0);
    assert_int_equal(v[1].flags.system, 16);
    assert_int_equal(v[1].flags.keywords[1], 2);
    /* New flags and marks keep the content. */
    v[1].flags.system = 1;
    v[1].is_compared = true;
    journal_begin(j);
    journal_pair_put(j, 1, &v[1], NULL);
    commit(j);
    free(v);
    assert_int_equal(journal_pairs(j, 1, &v, &n, &err), 0);
    assert_true(v[1].is_compared && v[1].flags.system == 1 && v[1].flags.keywords[0] == 1);
    free(v);
    assert_int_equal(journal_content(j, 1, 2, &c, &found, &err), 0);
    assert_true(found && c.has_digest && c.size == 5);
    assert_memory_equal(c.digest, content_of(5).digest, SHA256_SIZE);
    assert_int_equal(journal_content(j, 1, 9, &c, &found, &err), 0);
    assert_false(found);
    /* Another copy instead of the first: only that one is known by its content. */
    put(j, 1, stored(2, 12), 8);
    assert_digest(j, 5, "2:2-11");
    assert_digest(j, 8, "1:2-12");
    put(j, 1, stored(3, 13), 7);
    assert_pairs(j, 1, "1-0R 2-12S 3-13S");
    assert_digest(j, 7, "1:3-13");
    journal_begin(j);
    journal_pair_del(j, 1, 3);
    commit(j);
    assert_digest(j, 7, "");
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_pairs(j, 1, "");
    assert_digest(j, 8, "");
    assert_pairs(j, 2, "2-11S");
}

static void test_equal_messages_stay_as_many(void **state)
{
    struct journal *j = *state;
    for (uint32_t i = 1; i <= 4; i++)
        put(j, 1, stored(i, 20 + i), 77);
    put(j, 2, stored(1, 1), 77);
    assert_digest(j, 77, "1:1-21 1:2-22 1:3-23 1:4-24 2:1-1");
    journal_begin(j);
    journal_pair_del(j, 1, 2);
    commit(j);
    assert_digest(j, 77, "1:1-21 1:3-23 1:4-24 2:1-1");
    /* The head of the digest is the same, the rest is not. */
    struct content near = content_of(77);
    struct pair p = stored(9, 99);
    near.digest[SHA256_SIZE - 2] = 1;
    journal_begin(j);
    journal_pair_put(j, 1, &p, &near);
    commit(j);
    assert_digest(j, 77, "1:1-21 1:3-23 1:4-24 2:1-1");
}

static void test_intents(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    uint32_t uids[] = {1, 2, 3}, gone[] = {7};
    struct intent a = {
        .kind = INTENT_APPEND, .time_ms = 5, .tgt_uidnext = 10, .uids = uids, .n = 3};
    struct intent d = {.kind = INTENT_DELETE, .uids = gone, .n = 1}, *v;
    size_t n;
    journal_begin(j);
    journal_intent_put(j, 1, &a);
    journal_intent_put(j, 1, &d);
    commit(j);
    *state = reopen(&j);
    assert_int_equal(journal_intents(j, 1, INTENT_APPEND, &v, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].n, 3);
    assert_int_equal(v[0].uids[2], 3);
    assert_int_equal(v[0].tgt_uidnext, 10);
    assert_int_equal(v[0].time_ms, 5);
    uint64_t id = v[0].id;
    intents_free(v, n);
    assert_int_equal(journal_intents(j, 2, INTENT_APPEND, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    intents_free(v, n);
    journal_begin(j);
    journal_intent_del(j, 1, id);
    journal_intent_put(j, 1, &a);
    commit(j);
    assert_true(a.id > id); /* also behind a restart */
    assert_int_equal(journal_intents(j, 1, INTENT_DELETE, &v, &n, &err), 0);
    assert_true(n == 1 && v[0].n == 1 && v[0].uids[0] == 7);
    intents_free(v, n);
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_int_equal(journal_intents(j, 1, INTENT_DELETE, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    intents_free(v, n);
}

/* What is on its way goes with its intent. */
static void test_sent(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    uint32_t uids[] = {1, 2, 3};
    struct intent a = {.kind = INTENT_APPEND, .tgt_uidnext = 10, .uids = uids, .n = 3}, *v;
    struct intent_sent sent[] = {
        {.uid = 2, .flags = {.system = 4}, .content = content_of(22)},
        {.uid = 1, .content = content_of(11)},
    };
    size_t n;
    sent[0].content.canon.text[0] = 9;
    journal_begin(j);
    journal_intent_put(j, 1, &a);
    journal_intent_sent_put(j, 1, a.id, sent, 1);
    commit(j);
    journal_begin(j);
    journal_intent_sent_put(j, 1, a.id, sent, 2);
    commit(j);
    *state = reopen(&j);
    assert_int_equal(journal_intents(j, 1, INTENT_APPEND, &v, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(v[0].n, 3);
    assert_int_equal(v[0].n_sent, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct content *want = &sent[i].content, *got = &v[0].sent[i].content;
        assert_int_equal(v[0].sent[i].uid, sent[i].uid);
        assert_true(flags_eq(&v[0].sent[i].flags, &sent[i].flags));
        assert_true(got->has_digest && got->size == want->size);
        assert_memory_equal(got->digest, want->digest, SHA256_SIZE);
        assert_memory_equal(&got->canon, &want->canon, CANON_SIZE);
    }
    intents_free(v, n);
    journal_begin(j);
    journal_intent_del(j, 1, a.id);
    commit(j);
    assert_int_equal(journal_intents(j, 1, INTENT_APPEND, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    intents_free(v, n);
}

static void assert_target(struct journal *j, uint32_t uid, bool want)
{
    struct err err = ERR_INIT;
    bool found;
    assert_int_equal(journal_has_target(j, 1, uid, &found, &err), 0);
    assert_int_equal(found, want);
}

static void test_targets(void **state)
{
    struct journal *j = *state;
    put(j, 1, stored(1, 21), 7);
    put(j, 1, (struct pair){.src_uid = 2, .state = PAIR_SENT}, 8);
    assert_target(j, 21, true);
    assert_target(j, 1, false);
    journal_close(&j);
    j = open_as("b", "a");
    assert_target(j, 1, true);
    assert_target(j, 2, true);
    assert_target(j, 21, false);
    *state = j;
}

/* Of all folders, but for APPEND; and they go with their folder. */
static void test_intents_of_every_kind(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    uint32_t uids[] = {9, 4}, new_uids[] = {20, 20};
    struct intent v[] = {{.kind = INTENT_APPEND, .uids = uids, .n = 1},
        {.kind = INTENT_FLAGS, .uids = uids, .n = 1, .add = {{1}, 16}, .remove = {{0, 2}, 1}},
        {.kind = INTENT_MOVE, .uids = uids, .new_uids = new_uids, .n = 2, .to = 7},
        {.kind = INTENT_DELETE, .uids = uids, .n = 2}};
    struct intent *got;
    size_t n;
    journal_begin(j);
    for (size_t i = 0; i < 4; i++)
        journal_intent_put(j, i == 3 ? 2 : 1, &v[i]);
    commit(j);
    *state = reopen(&j);
    assert_int_equal(journal_intents_all(j, &got, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_true(got[0].kind == INTENT_FLAGS && got[0].folder == 1 && got[0].uids[0] == 9);
    assert_true(flags_eq(&got[0].add, &v[1].add) && flags_eq(&got[0].remove, &v[1].remove));
    assert_true(got[1].kind == INTENT_MOVE && got[1].to == 7 && got[1].n == 2);
    assert_true(got[1].uids[1] == 4 && got[1].new_uids[0] == 20 && got[1].new_uids[1] == 20);
    assert_true(got[2].kind == INTENT_DELETE && got[2].folder == 2 && got[2].n == 2);
    intents_free(got, n);
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_int_equal(journal_intents_all(j, &got, &n, &err), 0);
    assert_true(n == 1 && got[0].folder == 2);
    intents_free(got, n);
}

/* A pair that only has a UID on the target: known by its content, changed, and forgotten. */
static void test_a_copy_without_its_message(void **state)
{
    struct journal *j = *state;
    struct pair p = {.tgt_uid = 11, .state = PAIR_GONE};
    new_folder(j, "a", "a");
    put(j, 1, stored(2, 11), 5);
    journal_begin(j);
    struct content c = content_of(5);
    journal_pair_del(j, 1, 2);
    journal_pair_put(j, 1, &p, &c);
    commit(j);
    p.is_touched = true;
    journal_begin(j);
    journal_pair_put(j, 1, &p, NULL);
    commit(j);
    *state = reopen(&j);
    assert_pairs(j, 1, "");
    put(j, 1, stored(3, 12), 5);
    journal_begin(j);
    journal_copy_del(j, 1, 11);
    journal_copy_del(j, 1, 12); /* has its message */
    commit(j);
    assert_pairs(j, 1, "3-12S");
    assert_digest(j, 5, "1:3-12");
}

static struct journal_folder known_as(struct journal *j, const char *source)
{
    struct journal_folder f;
    struct err err = ERR_INIT;
    bool found;
    assert_int_equal(journal_folder_get(j, slice_str(source), &f, &found, &err), 0);
    return f;
}

static uint32_t folder_id(struct journal *j, const char *source)
{
    struct journal_folder f = known_as(j, source);
    uint32_t id = f.id;
    journal_folder_fini(&f);
    return id;
}

static int n_folders(struct journal *j)
{
    struct err err = ERR_INIT;
    int n = 0;
    assert_int_equal(journal_folders_each(j, count, &n, &err), 0);
    return n;
}

static void succeed(struct journal *j, const char *source, bool is_over)
{
    struct journal_folder f = known_as(j, source);
    struct err err = ERR_INIT;
    f.source.uidvalidity = 9;
    assert_int_equal(journal_folder_succeed(j, &f, is_over, &err), 0);
    journal_folder_fini(&f);
}

static bool is_past(struct journal *j, uint32_t id)
{
    struct journal_folder f;
    struct err err = ERR_INIT;
    bool found, is;
    assert_int_equal(journal_folder_by_id(j, id, &f, &found, &err), 0);
    assert_int_equal(journal_folder_is_past(j, &f, &is, &err), 0);
    journal_folder_fini(&f);
    return is;
}

/* One folder follows another: what was put under the next id before is its own, and what an engine
 * that was killed has not dropped goes with the next opening. */
static void test_successors(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    uint32_t id = new_folder(j, "x", "y");
    put(j, id, stored(1, 21), 7);
    assert_int_equal(journal_folder_next(j), id + 1);
    put(j, id + 1, stored(5, 21), 7);
    succeed(j, "x", true);
    assert_int_equal(folder_id(j, "x"), id + 1);
    assert_pairs(j, id + 1, "5-21S");
    assert_pairs(j, id, "1-21S");
    assert_int_equal(n_folders(j), 2);
    *state = reopen(&j);
    assert_int_equal(n_folders(j), 1);
    assert_int_equal(folder_id(j, "x"), id + 1);
    assert_pairs(j, id, "");
    assert_pairs(j, id + 1, "5-21S");
    assert_digest(j, 7, "2:5-21");
    /* Its content stays known. */
    succeed(j, "x", false);
    *state = reopen(&j);
    assert_int_equal(n_folders(j), 2);
    assert_pairs(j, id + 1, "5-21S");
    assert_true(is_past(j, id + 1));
    assert_false(is_past(j, id + 2));
    /* So it is when its name is nobody's. */
    struct journal_folder f = known_as(j, "x");
    journal_set(&f.source.name, slice_str("z"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    journal_folder_fini(&f);
    assert_true(is_past(j, id + 1));
    assert_int_equal(journal_folder_drop(j, id + 1, &err), 0);
    assert_int_equal(n_folders(j), 1);
    assert_int_equal(folder_id(j, "z"), id + 2);
    /* One that was never opened is no folder that is over. */
    (void)new_folder(j, "new", "new");
    *state = reopen(&j);
    assert_int_equal(n_folders(j), 2);
}

static void test_many(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct pair *v;
    size_t n;
    journal_begin(j);
    for (uint32_t i = 1; i <= 1501; i++) {
        struct pair p = stored(i, i);
        struct content c = content_of(i * 2654435761u);
        journal_pair_put(j, 3, &p, &c);
    }
    commit(j);
    assert_int_equal(journal_folder_detach(j, 3, PAIR_GONE, false, &err), 0);
    assert_int_equal(journal_pairs(j, 3, &v, &n, &err), 0);
    assert_int_equal(n, 1501);
    for (size_t i = 0; i < n; i++)
        assert_true(v[i].state == PAIR_GONE && v[i].tgt_uid == 0);
    free(v);
    assert_digest(j, 1501 * 2654435761u, "3:1501-0");
    assert_int_equal(journal_folder_forget(j, 3, &err), 0);
    assert_pairs(j, 3, "");
    assert_digest(j, 1501 * 2654435761u, "");
}

static void test_the_way_back(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct journal_folder f;
    struct content c;
    bool found;
    assert_int_equal(new_folder(j, "there", "here"), 1);
    put(j, 1, stored(5, 9), 1);
    put(j, 1, stored(6, 3), 2);
    put(j, 1, stored(7, 4), 3);
    put(j, 1, stored(8, 4), 3); /* a server that keeps equal messages once */
    put(j, 1, (struct pair){.src_uid = 10, .state = PAIR_SENT}, 4);
    journal_close(&j);
    j = open_as("b", "a");
    assert_int_equal(journal_folder_get(j, SLICE_LIT("here"), &f, &found, &err), 0);
    assert_true(found);
    assert_slice_equal(f.target.name, "there");
    journal_folder_fini(&f);
    assert_pairs(j, 1, "3-6S 4-7S 4-8S 9-5S");
    assert_digest(j, 1, "1:9-5");
    assert_int_equal(journal_content(j, 1, 3, &c, &found, &err), 0);
    assert_true(found && c.size == 2);
    /* New mail of this side: refused, then stored. */
    put(j, 1, (struct pair){.src_uid = 12, .state = PAIR_REFUSED}, 6);
    assert_pairs(j, 1, "3-6S 4-7S 4-8S 9-5S 12-0R");
    assert_digest(j, 6, "1:12-0");
    put(j, 1, stored(12, 30), 6);
    assert_pairs(j, 1, "3-6S 4-7S 4-8S 9-5S 12-30S");
    /* Gone from the target, kept under this side's UID. */
    put(j, 1, (struct pair){.src_uid = 3, .state = PAIR_GONE}, 2);
    assert_pairs(j, 1, "3-0G 4-7S 4-8S 9-5S 12-30S");
    assert_digest(j, 2, "1:3-0");
    journal_begin(j);
    journal_pair_del(j, 1, 9);
    commit(j);
    assert_digest(j, 1, "");
    *state = reopen(&j);
    assert_pairs(j, 1, "7-4S 8-4S 10-0s 30-12S");
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_digest(j, 2, "");
    journal_close(&j);
    *state = j = open_as("b", "a");
    assert_pairs(j, 1, "");
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

static void test_comparisons(void **state)
{
    const struct journal_compared one = {{1, 2, 3, 4}, {5, 6, 7, 8}, 9, 10};
    struct journal *j = *state;
    struct journal_compared got;
    struct err err = ERR_INIT;
    bool found;
    assert_int_equal(journal_compared_get(j, 1, &got, &found, &err), 0);
    assert_false(found);
    assert_int_equal(journal_compared_put(j, 1, &one, &err), 0);
    assert_int_equal(journal_compared_put(j, 2, &one, &err), 0);
    assert_int_equal(journal_compared_put(j, 3, &one, &err), 0);
    j = reopen(&j);
    assert_int_equal(journal_compared_get(j, 1, &got, &found, &err), 0);
    assert_true(found);
    assert_memory_equal(&got, &one, sizeof(got));
    /* It is about pairs: it goes with them. */
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_int_equal(journal_compared_get(j, 1, &got, &found, &err), 0);
    assert_false(found);
    assert_int_equal(journal_folder_detach(j, 2, PAIR_GONE, false, &err), 0);
    assert_int_equal(journal_compared_get(j, 2, &got, &found, &err), 0);
    assert_false(found);
    /* What is gone on one side says nothing about the way back. */
    journal_close(&j);
    *state = j = open_as("b", "a");
    assert_int_equal(journal_compared_get(j, 3, &got, &found, &err), 0);
    assert_false(found);
}

static bool was_shown(struct journal *j, const char *folder, uint32_t uidvalidity, uint32_t uid)
{
    const struct content want = content_of(uid);
    unsigned char digest[SHA256_SIZE];
    struct err err = ERR_INIT;
    bool found;
    assert_int_equal(
        journal_shown_get(j, slice_str(folder), uidvalidity, uid, digest, &found, &err), 0);
    if (found)
        assert_memory_equal(digest, want.digest, SHA256_SIZE);
    return found;
}

/* What was only looked at, of the side that it was on. */
static void test_shown(void **state)
{
    struct journal *j = *state;
    journal_begin(j);
    for (uint32_t uid = 1; uid <= 3; uid++)
        journal_shown_put(j, SLICE_LIT("All"), 7, uid, content_of(uid).digest);
    commit(j);
    j = reopen(&j);
    assert_true(was_shown(j, "All", 7, 1) && was_shown(j, "All", 7, 3));
    assert_false(was_shown(j, "All", 7, 4));
    assert_false(was_shown(j, "All", 8, 1));
    assert_false(was_shown(j, "All ", 7, 1));
    journal_close(&j);
    *state = j = open_as("b", "a");
    assert_false(was_shown(j, "All", 7, 1));
}

static void test_complete(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    assert_false(journal_is_complete(j));
    assert_int_equal(journal_complete(j, &err), 0);
    *state = reopen(&j);
    assert_true(journal_is_complete(j));
}

static void test_pair_of_mailboxes(void **state)
{
    struct journal *j = *state, *other = NULL;
    struct err err = ERR_INIT;
    journal_close(&j);
    assert_int_not_equal(journal_open(home(), "a", "c", &other, &err), 0);
    assert_int_equal(err.class, ERR_PERM);
    *state = j = open_as("a", "b");
    /* Locked while it is open. */
    err = ERR_INIT;
    assert_int_not_equal(journal_open(home(), "a", "b", &other, &err), 0);
    assert_int_equal(err.class, ERR_TEMP);
    assert_int_equal(err.code, EX_TEMPFAIL);
}

/* --- The way ------------------------------------------------------------------------------------
 */

/* "1-11S", as assert_pairs(), with those that stand alone on the target. */
static void assert_all(struct journal *j, uint32_t folder, const char *want)
{
    struct err err = ERR_INIT;
    struct pair *v;
    struct buf text;
    size_t n;
    buf_init(&text, 1000);
    assert_int_equal(journal_pairs_all(j, folder, &v, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_addf(&text, "%s%u-%u%c%s", i ? " " : "", v[i].src_uid, v[i].tgt_uid,
                             "?SRGsA"[v[i].state], v[i].is_removed ? "!" : ""),
            0);
    assert_string_equal(buf_cstr(&text), want);
    buf_fini(&text);
    /* Each by itself; of several that have one message of the source it is the first. */
    for (size_t i = 0, first = 0; i < n; i++) {
        struct pair p;
        bool found;
        if (v[i].src_uid == 0 || v[i].src_uid != v[first].src_uid)
            first = i;
        assert_int_equal(
            journal_pair_get(j, folder, v[i].src_uid, v[i].tgt_uid, &p, &found, &err), 0);
        assert_true(found && p.src_uid == v[first].src_uid && p.tgt_uid == v[first].tgt_uid);
        assert_true(p.state == v[first].state && p.is_removed == v[first].is_removed);
        assert_int_equal(journal_pair_get(j, folder, 99, 0, &p, &found, &err), 0);
        assert_false(found);
        assert_int_equal(journal_pair_get(j, folder, 0, 99, &p, &found, &err), 0);
        assert_false(found);
    }
    free(v);
}

static struct pair gone(uint32_t src, uint32_t tgt, bool is_removed)
{
    return (struct pair){
        .src_uid = src, .tgt_uid = tgt, .state = PAIR_GONE, .is_removed = is_removed};
}

static void test_what_stands_alone(void **state)
{
    struct journal *j = *state;
    struct content c;
    struct err err = ERR_INIT;
    bool found;
    put(j, 1, stored(1, 11), 1);
    put(j, 1, gone(2, 0, true), 2);
    put(j, 1, gone(0, 13, false), 3);
    put(j, 1, gone(4, 0, false), 4);
    assert_all(j, 1, "0-13G 1-11S 2-0G! 4-0G");
    journal_close(&j);
    *state = j = open_as("b", "a");
    assert_all(j, 1, "0-2G! 0-4G 11-1S 13-0G");
    assert_int_equal(journal_copy_content(j, 1, 2, &c, &found, &err), 0);
    assert_true(found && c.size == 2);
    assert_int_equal(journal_copy_content(j, 1, 1, &c, &found, &err), 0);
    assert_false(found);
    /* It gets a message: no trace of it is left. */
    put(j, 1, stored(12, 2), 2);
    put(j, 1, stored(14, 4), 4);
    assert_all(j, 1, "11-1S 12-2S 13-0G 14-4S");
    assert_digest(j, 2, "1:12-2");
    /* Under one UID there is one. */
    put(j, 1, stored(15, 4), 5);
    assert_all(j, 1, "11-1S 12-2S 13-0G 15-4S");
    assert_digest(j, 4, "");
    assert_pairs(j, 1, "11-1S 12-2S 13-0G 15-4S");
    journal_close(&j);
    *state = j = open_as("a", "b");
    put(j, 1, stored(3, 13), 3);
    assert_all(j, 1, "0-13G 1-11S 2-12S 3-13S 4-15S");
    journal_begin(j);
    journal_copy_del(j, 1, 13);
    commit(j);
    assert_all(j, 1, "1-11S 2-12S 3-13S 4-15S");
    assert_digest(j, 3, "1:3-13");
}

static void test_the_way_turns(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct intent i = {.kind = INTENT_APPEND, .uids = (uint32_t[]){4}, .n = 1}, *v;
    size_t n;
    assert_false(journal_has_turned(j) || journal_is_fresh(j) || journal_has_both_ways(j));
    assert_int_equal(journal_through(j, &err), 0);
    assert_false(journal_has_both_ways(j));
    journal_begin(j);
    journal_intent_put(j, 1, &i);
    commit(j);
    for (int round = 0; round < 2; round++) {
        journal_close(&j);
        *state = j = open_as("b", "a");
        assert_true(journal_has_turned(j));
    }
    /* What was begun the other way round. */
    assert_int_equal(journal_intents(j, 0, INTENT_APPEND, &v, &n, &err), 0);
    assert_int_equal(n, 0);
    intents_free(v, n);
    journal_exchange(j);
    assert_int_equal(journal_intents(j, 0, INTENT_APPEND, &v, &n, &err), 0);
    assert_int_equal(n, 1);
    intents_free(v, n);
    journal_exchange(j);
    assert_int_equal(journal_turn(j, &err), 0);
    assert_true(!journal_has_turned(j) && journal_is_fresh(j) && journal_has_both_ways(j));
    /* Turned back before it was through. */
    journal_close(&j);
    *state = j = open_as("a", "b");
    assert_true(journal_has_turned(j));
    assert_int_equal(journal_turn(j, &err), 0);
    *state = reopen(&j);
    assert_true(!journal_has_turned(j) && journal_is_fresh(j));
    assert_int_equal(journal_through(j, &err), 0);
    *state = reopen(&j);
    assert_false(journal_has_turned(j) || journal_is_fresh(j));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void put_lost(struct journal *j, uint32_t folder, uint32_t tgt, unsigned digest)
{
    put(j, folder, (struct pair){.tgt_uid = tgt, .state = PAIR_GONE}, digest);
}

static void assert_the_other_way_round(void **state, const char *want)
{
    struct journal *j = *state;
    journal_close(&j);
    j = open_as("b", "a");
    assert_pairs(j, 1, want);
    journal_close(&j);
    *state = open_as("a", "b");
}

/* A target that keeps equal messages once: of two that share a copy the source loses one, of which
 * more is known then than of the other; and each of them goes without the other. */
static void test_shared_copy(void **state)
{
    bool is_there;
    struct err err = ERR_INIT;
    put(*state, 1, stored(1, 11), 5);
    put(*state, 1, stored(2, 11), 5);
    journal_begin(*state);
    journal_pair_del(*state, 1, 1);
    commit(*state);
    put_lost(*state, 1, 11, 5);
    assert_the_other_way_round(state, "11-0G 11-2S");
    assert_int_equal(journal_has_target(*state, 1, 11, &is_there, &err), 0);
    assert_true(is_there);
    journal_begin(*state);
    journal_pair_del(*state, 1, 2);
    commit(*state);
    assert_the_other_way_round(state, "11-0G");
    put(*state, 1, stored(3, 11), 5);
    assert_the_other_way_round(state, "11-0G 11-3S");
    journal_begin(*state);
    journal_copy_del(*state, 1, 11);
    commit(*state);
    assert_pairs(*state, 1, "3-11S");
    assert_the_other_way_round(state, "11-3S");
    journal_begin(*state);
    journal_pair_del(*state, 1, 3);
    commit(*state);
    assert_the_other_way_round(state, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_folders),
        TEST(test_highest),
        TEST(test_numbers),
        TEST(test_pairs),
        TEST(test_equal_messages_stay_as_many),
        TEST(test_intents),
        TEST(test_sent),
        TEST(test_targets),
        TEST(test_successors),
        TEST(test_intents_of_every_kind),
        TEST(test_a_copy_without_its_message),
        TEST(test_shared_copy),
        TEST(test_many),
        TEST(test_the_way_back),
        TEST(test_what_stands_alone),
        TEST(test_the_way_turns),
        TEST(test_keywords),
        TEST(test_comparisons),
        TEST(test_shown),
        TEST(test_complete),
        TEST(test_pair_of_mailboxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
