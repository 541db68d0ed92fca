/* SPDX-License-Identifier: ISC */
/* docs/operations.md and the tables of policy.c say the same.  What is missing on the page is
 * printed as it has to stand there. */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/os/io.h"
#include "imapsync/plan/policy.h"
#include "tests/unit/unit.h"

#define PAGE "docs/operations.md"

static size_t n_wrong;

static int setup(void **state)
{
    static struct buf page;
    struct err err = ERR_INIT;
    buf_init(&page, 1u << 20);
    *state = &page;
    return io_read_file(PAGE, 1u << 20, &page, &err);
}

static int teardown(void **state)
{
    buf_fini(*state);
    return 0;
}

static void expect(struct slice page, struct buf *line)
{
    if (slice_search(page, buf_slice(line)) < 0) {
        print_error("%s lacks:\n%s", PAGE, buf_cstr(line));
        n_wrong++;
    }
    buf_clear(line);
}

static size_t count(struct slice page, struct slice what)
{
    size_t n = 0;
    ptrdiff_t at;
    while ((at = slice_search(page, what)) >= 0) {
        page = slice_from(page, (size_t)at + what.n);
        n++;
    }
    return n;
}

static const char *deletions(const struct plan_policy *p)
{
    static const char *const words[] = {
        [PLAN_DELETIONS_STAY] = "stay",
        [PLAN_DELETIONS_TRASH] = "to Trash",
        [PLAN_DELETIONS_REMOVE] = "removed",
    };
    return words[p->deletions];
}

static const char *flags(const struct plan_policy *p)
{
    static const char *const words[] = {
        [PLAN_FLAGS_NONE] = "none",
        [PLAN_FLAGS_ADD] = "added",
        [PLAN_FLAGS_UNTOUCHED] = "added; removed where untouched",
        [PLAN_FLAGS_MIRROR] = "added, removed",
    };
    return words[p->flags];
}

static const char *late(const struct plan_policy *p)
{
    static const char *const words[] = {
        [PLAN_LATE_ALL] = "all",
        [PLAN_LATE_MARK] = "above the mark, owed",
        [PLAN_LATE_UNSEEN] = "above the mark and never seen, owed",
    };
    return words[p->late];
}

static const char *yes(bool is_so)
{
    return is_so ? "yes" : "no";
}

static void test_policies(void **state)
{
    struct buf line;
    struct slice page = buf_slice(*state);
    buf_init(&line, 4096);
    n_wrong = 0;
    for (enum plan_policy_id i = 0; i < PLAN_POLICIES; i++) {
        const struct plan_policy *p = plan_policy(i);
        BUG_ON(buf_addf(&line, "| **%s** | %s | %s | %s | %s | %s | %s | %s | %s |\n", p->name,
                   late(p), flags(p), yes(p->has_deleted), deletions(p), yes(p->follows_moves),
                   yes(p->makes_all), yes(p->retries_refused), yes(p->repeats_gone)) != 0);
        expect(page, &line);
    }
    buf_fini(&line);
    assert_int_equal(n_wrong, 0);
    assert_int_equal(count(page, SLICE_LIT("\n| **")), PLAN_POLICIES);
}

static void test_operations(void **state)
{
    struct buf line;
    struct slice page = buf_slice(*state);
    size_t n;
    const struct plan_rule *rules = plan_rules(&n);
    buf_init(&line, 4096);
    n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        int r = buf_addf(&line, "| %s | %s: %s |", plan_kind_name(rules[i].kind),
            plan_witness_name(rules[i].witness), plan_witness_text(rules[i].witness));
        for (enum plan_policy_id k = 0; k < PLAN_POLICIES; k++)
            r |= buf_addf(&line, " %s |", rules[i].policies >> k & 1 ? "x" : "");
        BUG_ON(r != 0 || buf_addf(&line, "\n") != 0);
        expect(page, &line);
    }
    for (enum plan_reason i = PLAN_R_NONE + 1; i < PLAN_REASONS; i++) {
        BUG_ON(buf_addf(&line, "* **%s**: %s", plan_reason_name(i), plan_reason_text(i)) != 0);
        expect(page, &line);
    }
    buf_fini(&line);
    assert_int_equal(n_wrong, 0);
    size_t rows = 0;
    for (enum plan_kind i = 0; i < PLAN_KINDS; i++) {
        struct buf start;
        buf_init(&start, 64);
        BUG_ON(buf_addf(&start, "\n| %s | ", plan_kind_name(i)) != 0);
        rows += count(page, buf_slice(&start));
        buf_fini(&start);
    }
    assert_int_equal(rows, n);
}

/* Each row of the rules is there once, and each witness allows something. */
static void test_rules(void **state)
{
    size_t n, seen[PLAN_WITNESSES] = {0}, kinds[PLAN_KINDS] = {0};
    const struct plan_rule *rules = plan_rules(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_true(rules[i].policies != 0);
        seen[rules[i].witness]++;
        kinds[rules[i].kind]++;
        for (size_t k = 0; k < i; k++)
            assert_false(rules[i].kind == rules[k].kind && rules[i].witness == rules[k].witness);
    }
    for (size_t i = 0; i < PLAN_WITNESSES; i++)
        assert_true(seen[i] > 0);
    for (size_t i = 0; i < PLAN_KINDS; i++)
        assert_true(kinds[i] > 0);
    for (enum plan_policy_id i = 0; i < PLAN_POLICIES; i++) {
        bool removes = plan_is_allowed(i, PLAN_REMOVE, PLAN_W_LOST);
        assert_int_equal(removes, plan_policy(i)->deletions == PLAN_DELETIONS_REMOVE);
        assert_false(removes && plan_policy(i)->is_behind_flip);
        assert_false(plan_policy(i)->has_deleted && plan_policy(i)->is_behind_flip);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
