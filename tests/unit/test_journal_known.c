/* SPDX-License-Identifier: ISC */
/* What the journal tells of the pairs of a folder without reading them is what they say. */
#include "imapsync/journal/journal_record.h"
#include "tests/unit/journal_site.h"

static void add_uids(struct buf *to, const char *label, const struct uid_set *s)
{
    uint32_t uids[64];
    size_t n = uid_set_some(s, 0, uids, COUNT_OF(uids));
    assert_int_equal(buf_addf(to, "%s%s", to->n ? " " : "", label), 0);
    assert_int_equal(uids_write(to, uids, n), 0);
}

static void assert_known(struct journal *j, uint32_t folder, const char *want)
{
    struct journal_known k;
    struct err err = ERR_INIT;
    struct buf text;
    buf_init(&text, 4000);
    assert_int_equal(journal_known_get(j, folder, &k, &err), 0);
    add_uids(&text, "s", &k.source);
    add_uids(&text, "t", &k.target);
    add_uids(&text, "o", &k.odd);
    add_uids(&text, "a", &k.alone);
    assert_int_equal(
        buf_addf(&text, " %zu%s %x", k.n_stored, k.has_twins ? " twins" : "", k.states), 0);
    assert_string_equal(buf_cstr(&text), want);
    buf_fini(&text);
    journal_known_fini(&k);
}

static struct pair other(uint32_t src, uint32_t tgt, enum pair_state state)
{
    return (struct pair){.src_uid = src, .tgt_uid = tgt, .state = state};
}

static void turn(void **state, bool is_back)
{
    struct journal *j = *state;
    journal_close(&j);
    *state = is_back ? open_as("b", "a") : open_as("a", "b");
}

static void test_states(void **state)
{
    struct journal *j = *state;
    assert_known(j, 1, "s t o a 0 0");
    put(j, 1, stored(1, 11), 1);
    put(j, 1, stored(2, 12), 2);
    put(j, 2, stored(7, 7), 3);
    assert_known(j, 1, "s1:2 t11:12 o a 2 2");
    put(j, 1, other(3, 0, PAIR_REFUSED), 4);
    put(j, 1, other(0, 13, PAIR_GONE), 5);
    assert_known(j, 1, "s1:3 t11:12 o3 a13 2 6");
    /* Another state, and nothing else. */
    put(j, 1, other(3, 0, PAIR_AWAY), 4);
    assert_known(j, 1, "s1:3 t11:12 o3 a13 2 22");
    turn(state, true);
    assert_known(*state, 1, "s11:13 t1:2 o13 a3 2 a");
    assert_known(*state, 2, "s7 t7 o a 1 2");
    turn(state, false);
    j = *state;
    /* It is stored under another UID, and one goes. */
    put(j, 1, stored(3, 2000), 4);
    journal_begin(j);
    journal_pair_del(j, 1, 1);
    journal_copy_del(j, 1, 13);
    commit(j);
    assert_known(j, 1, "s2:3 t12,2000 o a 2 2");
    put(j, 1, other(3, 0, PAIR_SENT), 4);
    assert_known(j, 1, "s2:3 t12 o3 a 1 12");
}

static void test_twins(void **state)
{
    put(*state, 1, stored(1, 11), 5);
    put(*state, 1, stored(2, 11), 5);
    put(*state, 1, stored(3, 12), 6);
    assert_known(*state, 1, "s1:3 t11:12 o a 3 twins 2");
    turn(state, true);
    assert_known(*state, 1, "s11:12 t1:3 o a 3 twins 2");
    turn(state, false);
    journal_begin(*state);
    journal_pair_del(*state, 1, 1);
    commit(*state);
    put(*state, 1, other(0, 11, PAIR_GONE), 5);
    assert_known(*state, 1, "s2:3 t11:12 o a11 2 2");
    /* One message of the source, which has both. */
    turn(state, true);
    assert_known(*state, 1, "s11:12 t2:3 o11 a 2 a");
}

static void test_no_trace(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    put(j, 1, stored(1, 11), 1);
    put(j, 2, stored(1, 11), 1);
    /* What is not committed. */
    journal_begin(j);
    journal_pair_put(j, 1, &(struct pair){.src_uid = 2, .state = PAIR_REFUSED}, NULL);
    assert_known(j, 1, "s1:2 t11 o2 a 1 6");
    journal_close(&j);
    *state = j = open_as("a", "b");
    assert_known(j, 1, "s1 t11 o a 1 2");
    assert_int_equal(journal_folder_detach(j, 1, PAIR_LOST, true, &err), 0);
    assert_known(j, 1, "s1 t o1 a 0 40");
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
    assert_known(j, 1, "s t o a 0 0");
    assert_known(j, 2, "s1 t11 o a 1 2");
}

/* Of some UIDs alone, in portions, as of all. */
static void assert_walk(struct journal *j, size_t at_once)
{
    static const uint32_t of[] = {1, 3, 4, 2000};
    struct uid_set set = uid_set_of(of, COUNT_OF(of));
    struct journal_walk w = {.of = &set};
    struct err err = ERR_INIT;
    struct buf text;
    int r;
    buf_init(&text, 1000);
    while ((r = journal_walk(j, 1, &w, at_once, &err)) == 1) {
        for (size_t i = 0; i < w.n; i++)
            assert_int_equal(buf_addf(&text, "%u-%u ", w.v[i].src_uid, w.v[i].tgt_uid), 0);
    }
    assert_int_equal(r, 0);
    assert_string_equal(buf_cstr(&text), "3-13 4-14 4-15 2000-16 ");
    journal_walk_fini(&w);
    uid_set_fini(&set);
    buf_fini(&text);
}

static void assert_sources(struct journal *j, uint32_t tgt_uid, const char *want)
{
    struct uid_set s = {0};
    struct err err = ERR_INIT;
    struct buf text;
    buf_init(&text, 100);
    assert_int_equal(journal_add_sources(j, 1, tgt_uid, &s, &err), 0);
    uid_set_join(&s);
    add_uids(&text, "", &s);
    assert_string_equal(buf_cstr(&text), want);
    uid_set_fini(&s);
    buf_fini(&text);
}

static void test_walk(void **state)
{
    turn(state, true);
    put(*state, 1, stored(2, 12), 1);
    put(*state, 1, stored(3, 13), 1);
    put(*state, 1, stored(4, 14), 1);
    put(*state, 1, stored(4, 15), 2);
    put(*state, 1, stored(2000, 16), 1);
    put(*state, 1, stored(2001, 17), 1);
    assert_walk(*state, 1);
    assert_walk(*state, 100);
    assert_sources(*state, 14, "4");
    assert_sources(*state, 99, "");
    turn(state, false);
    assert_sources(*state, 4, "14:15");
    assert_sources(*state, 2001, "17");
}

/* More spans in one transaction than are in memory, in an order that comes back to each. */
static void test_many_spans(void **state)
{
    struct journal *j = *state;
    struct journal_known k;
    struct err err = ERR_INIT;
    enum { N = 600 };
    journal_begin(j);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t at = i * 7 % 200 * SPAN_UIDS + i + 1;
        struct pair p = i % 3 == 0 ? other(at, 0, PAIR_REFUSED) : stored(at, 500000 - at);
        journal_pair_put(j, 1, &p, NULL);
    }
    commit(j);
    *state = j = reopen(&j);
    assert_int_equal(journal_known_get(j, 1, &k, &err), 0);
    assert_int_equal(uid_set_size(&k.source), N);
    assert_int_equal(uid_set_size(&k.target), N / 3 * 2);
    assert_int_equal(uid_set_size(&k.odd), N / 3);
    for (uint32_t i = 0; i < N; i++)
        assert_true(uid_set_has(&k.source, i * 7 % 200 * SPAN_UIDS + i + 1));
    journal_known_fini(&k);
}

/* Changes of every kind in an order that nobody has thought of. */
static void test_any_order(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    unsigned seed = 1;
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1103515245 + 12345;
        uint32_t src = 1 + (seed >> 8) % 12, tgt = 1 + (seed >> 16) % 12;
        unsigned what = (seed >> 24) % 6;
        struct content c = content_of((seed >> 4) % 5);
        struct pair p = what < 2    ? stored(src, tgt)
                        : what == 2 ? other(src, 0, i % 2 ? PAIR_SENT : PAIR_GONE)
                                    : other(0, tgt, i % 2 ? PAIR_AWAY : PAIR_LOST);
        bool is_named;
        assert_int_equal(journal_has_target(j, 1, tgt, &is_named, &err), 0);
        journal_begin(j);
        if (what == 4)
            journal_pair_del(j, 1, src);
        else if (what == 5)
            journal_copy_del(j, 1, tgt);
        else if (what < 3 || !is_named)
            journal_pair_put(j, 1, &p, i % 7 ? &c : NULL);
        commit(j);
        if (i % 50 != 0)
            continue;
        journal_close(&j);
        *state = j = i % 100 ? open_as("a", "b") : open_as("b", "a");
        struct journal_known k;
        struct pair *v;
        size_t n, n_stored = 0, n_odd = 0;
        assert_int_equal(journal_known_get(j, 1, &k, &err), 0);
        assert_int_equal(journal_pairs(j, 1, &v, &n, &err), 0);
        for (size_t a = 0; a < n; a++) {
            bool is_stored = v[a].state == PAIR_STORED;
            n_stored += is_stored;
            n_odd += !is_stored;
            assert_true(uid_set_has(&k.source, v[a].src_uid));
            assert_true(is_stored ? uid_set_has(&k.target, v[a].tgt_uid)
                                  : uid_set_has(&k.odd, v[a].src_uid));
            assert_true(k.states >> v[a].state & 1);
        }
        assert_int_equal(k.n_stored, n_stored);
        assert_int_equal(uid_set_size(&k.odd), n_odd);
        free(v);
        journal_known_fini(&k);
    }
}

/* The UID that was told of a SENT one outlasts the program, and what is put without its content. */
static void assert_told(struct journal *j, uint32_t uid, uint32_t since, uint32_t told)
{
    struct content c;
    struct err err = ERR_INIT;
    bool found;
    assert_int_equal(journal_content(j, 1, uid, &c, &found, &err), 0);
    assert_true(found);
    assert_int_equal(c.since, since);
    assert_int_equal(c.told, told);
}

static void test_told(void **state)
{
    const struct content c = {.has_digest = true, .digest = {1}, .since = 10, .told = 12};
    struct pair sent = other(1, 0, PAIR_SENT);
    journal_begin(*state);
    journal_pair_put(*state, 1, &sent, &c);
    commit(*state);
    turn(state, false);
    assert_told(*state, 1, 10, 12);
    sent.flags.system = FLAG_SEEN;
    journal_begin(*state);
    journal_pair_put(*state, 1, &sent, NULL);
    commit(*state);
    turn(state, false);
    assert_told(*state, 1, 10, 12);
    /* Found there: what was told says nothing more. */
    journal_begin(*state);
    journal_pair_put(*state, 1, &(struct pair){1, 13, .state = PAIR_STORED}, NULL);
    commit(*state);
    assert_told(*state, 1, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_states), TEST(test_twins), TEST(test_no_trace),
        TEST(test_walk), TEST(test_many_spans), TEST(test_any_order), TEST(test_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
