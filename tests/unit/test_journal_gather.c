/* SPDX-License-Identifier: ISC */
/* Changes of folders that may wait for others: what a kill leaves of them, and what they cost. */
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/unit/journal_site.h"

static unsigned n_syncs;

/* In place of the library's: Berkeley DB comes here too. */
int fdatasync(int fd);
int fdatasync(int fd)
{
    n_syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static bool is_there(struct journal *j, const char *name, struct journal_folder *out)
{
    struct err err = ERR_INIT;
    bool found;
    assert_int_equal(journal_folder_get(j, slice_str(name), out, &found, &err), 0);
    return found;
}

static bool has(struct journal *j, const char *name)
{
    struct journal_folder f;
    bool is = is_there(j, name, &f);
    journal_folder_fini(&f);
    return is;
}

static void settle(struct journal *j)
{
    struct err err = ERR_INIT;
    assert_int_equal(journal_settle(j, &err), 0);
}

/* What was told of it last. */
static void number(struct journal *j, const char *name, uint32_t uidvalidity)
{
    struct err err = ERR_INIT;
    struct journal_folder f;
    assert_true(is_there(j, name, &f));
    f.source.uidvalidity = uidvalidity;
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    journal_folder_fini(&f);
}

static uint32_t number_of(struct journal *j, const char *name)
{
    struct journal_folder f;
    assert_true(is_there(j, name, &f));
    uint32_t n = f.source.uidvalidity;
    journal_folder_fini(&f);
    return n;
}

/* --- What a kill leaves ----------------------------------------------------------------------- */

static void nothing(struct journal *j)
{
    (void)j;
}

static void intent(struct journal *j)
{
    uint32_t uid = 7;
    struct intent i = {.kind = INTENT_APPEND, .tgt_uidnext = 1, .uids = &uid, .n = 1};
    journal_begin(j);
    journal_intent_put(j, 1, &i);
    commit(j);
}

static void forget(struct journal *j)
{
    struct err err = ERR_INIT;
    assert_int_equal(journal_folder_forget(j, 1, &err), 0);
}

static void keywords(struct journal *j)
{
    struct keywords k = {0};
    struct err err = ERR_INIT;
    (void)keywords_bit(&k, SLICE_LIT("Work"));
    assert_int_equal(journal_keywords_put(j, 1, &k, &err), 0);
    keywords_fini(&k);
}

static void many(struct journal *j)
{
    for (uint32_t i = 0; i < 300; i++)
        number(j, "second", i);
}

static void close_it(struct journal *j)
{
    journal_close(&j);
}

static const struct {
    const char *name;
    void (*behind)(struct journal *j);
    bool is_durable;
} kills[] = {
    {"killed at once", nothing, false},
    {"behind the keywords of a folder", keywords, false},
    {"behind one that is forgotten", forget, false},
    {"closed and not settled", close_it, false},
    {"behind an intent", intent, true},
    {"behind many", many, true},
    {"settled", settle, true},
};

static void test_kills(void **state)
{
    struct journal *j = *state;
    for (size_t i = 0; i < COUNT_OF(kills); i++) {
        int status;
        assert_row(kills[i].name, !has(j, "first"));
        journal_close(&j);
        pid_t child = fork();
        if (child == 0) {
            j = open_as("a", "b");
            journal_gather(j);
            (void)new_folder(j, "first", "first");
            (void)new_folder(j, "second", "second");
            kills[i].behind(j);
            _exit(0);
        }
        while (waitpid(-1, &status, 0) > 0)
            assert_row(kills[i].name, status == 0);
        j = open_as("a", "b");
        assert_row(kills[i].name, has(j, "first") == kills[i].is_durable);
        assert_row(kills[i].name, has(j, "second") == kills[i].is_durable);
        journal_close(&j);
        tmpdir_remove(&dir);
        tmpdir_make(&dir);
        j = open_as("a", "b");
    }
    *state = j;
}

/* --- While they wait -------------------------------------------------------------------------- */

static void test_they_are_seen(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct journal_folder f;
    journal_gather(j);
    assert_int_equal(new_folder(j, "a", "A"), 1);
    assert_int_equal(new_folder(j, "b", "B"), 2);
    number(j, "a", 9);
    assert_int_equal(number_of(j, "a"), 9);
    /* Renamed, and its name another's. */
    assert_true(is_there(j, "a", &f));
    journal_set(&f.source.name, SLICE_LIT("c"));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    journal_folder_fini(&f);
    assert_false(has(j, "a"));
    assert_int_equal(new_folder(j, "a", "A2"), 3);
    settle(j);
    *state = j = reopen(&j);
    assert_int_equal(number_of(j, "c"), 9);
    assert_int_equal(number_of(j, "a"), 0);
    assert_int_equal(new_folder(j, "d", "d"), 4);
}

/* A pass that has ended before it was settled is no end of the journal. */
static void test_settled_without_any(void **state)
{
    struct journal *j = *state;
    settle(j);
    journal_gather(j);
    settle(j);
    n_syncs = 0;
    assert_int_equal(new_folder(j, "a", "A"), 1);
    assert_true(n_syncs > 0);
}

/* --- What they cost --------------------------------------------------------------------------- */

static unsigned cost_of(struct journal *j, unsigned n)
{
    char name[32];
    n_syncs = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(fmt_into(name, sizeof(name), "folder %u", i), 0);
            if (round == 0)
                (void)new_folder(j, name, name);
            else
                number(j, name, round);
        }
    }
    return n_syncs;
}

static void test_cost(void **state)
{
    struct journal *j = *state;
    const unsigned n = 200;
    journal_gather(j);
    unsigned gathered = cost_of(j, n);
    settle(j);
    assert_true(gathered <= 3 * n / 100);
    assert_true(cost_of(j, n) >= 2 * n);
}

static void on_put(
    void *arg, uint32_t folder, const struct pair *p, const unsigned char *digest, bool is_new)
{
    (void)arg, (void)folder, (void)p, (void)digest, (void)is_new;
}

static int on_commit(void *arg, struct err *err)
{
    (void)err;
    ++*(unsigned *)arg;
    return 0;
}

static void on_abort(void *arg)
{
    (void)arg;
}

static void test_watched(void **state)
{
    struct journal *j = *state;
    unsigned n = 0;
    const struct journal_watch watch = {on_put, on_commit, on_abort, &n};
    journal_watch(j, &watch);
    journal_gather(j);
    (void)new_folder(j, "a", "A");
    (void)new_folder(j, "b", "B");
    assert_int_equal(n, 2);
    settle(j);
    journal_watch(j, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kills),
        TEST(test_they_are_seen),
        TEST(test_settled_without_any),
        TEST(test_cost),
        TEST(test_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
