/* SPDX-License-Identifier: ISC */
/*
 * Names of folders, as rows:
 *
 *     journal   "A>a Work@7>Work@3"   names on the source and the target, with their MAILBOXIDs
 *     source    "A Job@7>Job"         what is listed now; > the name that it would get if it were
 *                                     new, where that is another
 *     target    "a Work@3"            what the target lists
 *     planned   "name Work>Job mailboxid; rename ..."; behind the target's name only: = ; lost A
 */
#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "imapsync/plan/plan.h"
#include "tests/unit/unit.h"

#define MOST 600

static const struct row {
    const char *name, *policy, *journal, *source, *target, *planned;
} rows[] = {
    {"nothing", "mirror", "", "", "", ""},
    {"a new folder is made", "mirror", "", "A", "", "make =A listed"},
    {"under the name that the target wants", "mirror", "", "A.B>A/B", "", "make =A/B listed"},
    {"parents first", "mirror", "", "A/B/C A/B A", "",
        "make =A listed; make =A/B listed; make =A/B/C listed"},
    {"one that is there is not made", "mirror", "", "A", "A", ""},
    {"INBOX is always there", "mirror", "", "INBOX", "", ""},
    {"a known one", "mirror", "A", "A", "A", ""},
    {"a known one that the target has lost is made again", "mirror", "A>a", "A", "",
        "make =a listed"},
    {"behind a flip it is its user's", "after-flip", "A>a", "A", "", ""},
    {"and a new one is made when something comes for it", "after-flip", "", "A", "", ""},
    {"the same in the first sweep", "first-sweep", "", "A", "", ""},
    {"a backfill makes all", "backfill", "", "A", "", "make =A listed"},
    {"but not what its user has removed", "backfill", "A", "A", "", ""},
    {"an archive has no empty folders", "archive", "", "A", "", ""},
    {"the way back makes them", "reverse", "", "A", "", "make =A listed"},
    {"the source has lost one", "mirror", "A B", "B", "A B", "lost A"},
    {"renamed", "mirror", "A@1", "B@1", "A", "name A>B mailboxid; rename =A>B mailboxid"},
    {"renamed, the target has IDs too", "mirror", "A@1>A@9", "B@1", "A@9",
        "name A>B mailboxid; rename =A>B mailboxid"},
    {"without MAILBOXIDs: lost and new", "mirror", "A", "B", "A", "make =B listed; lost A"},
    {"one without, one with", "mirror", "A", "B@1", "A", "make =B listed; lost A"},
    {"told since: the name is the folder", "mirror", "A", "A@1", "A", ""},
    {"another folder of that name", "mirror", "A@1", "A@2", "A", ""},
    {"another of that name, and the first under a new one", "mirror", "A@1", "A@2 B@1", "A",
        "name A>B mailboxid; rename =A>B mailboxid; make =A listed"},
    {"renamed behind a flip: the journal only", "after-flip", "A@1", "B@1", "A",
        "name A>B mailboxid"},
    {"renamed in the first sweep", "first-sweep", "A@1", "B@1", "A", "name A>B mailboxid"},
    {"renamed during a backfill", "backfill", "A@1", "B@1", "A", "name A>B mailboxid"},
    {"renamed under an archive", "archive", "A@1", "B@1", "A",
        "name A>B mailboxid; rename =A>B mailboxid"},
    {"renamed on the way back", "reverse", "A@1", "B@1", "A",
        "name A>B mailboxid; rename =A>B mailboxid"},
    {"the target has such a name already: it keeps its own", "mirror", "A@1", "B@1", "A B",
        "name A>B mailboxid"},
    {"the target's user has renamed his", "mirror", "A@1>A@9", "A@1", "C@9", "name =A>C mailboxid"},
    {"behind a flip as well: late mail finds it", "after-flip", "A@1>A@9", "A@1", "C@9",
        "name =A>C mailboxid"},
    {"both have: his stays", "mirror", "A@1>A@9", "B@1", "C@9",
        "name A>B mailboxid; name =A>C mailboxid"},
    {"the target's was replaced: not ours to rename", "mirror", "A@1>A@9", "B@1", "A@8",
        "name A>B mailboxid"},
    {"the target's was removed: made under the name that it had", "mirror", "A@1>A", "B@1", "",
        "name A>B mailboxid; make =A listed"},
    {"the target's name was another one already", "mirror", "A@1>x", "B@1", "x",
        "name A>B mailboxid; rename =x>B mailboxid"},
    {"the new name maps to the old one", "mirror", "A@1>x", "B@1>x", "x", "name A>B mailboxid"},
    {"INBOX is not renamed", "mirror", "INBOX@1", "B@1", "INBOX", "name INBOX>B mailboxid"},
    {"nor becomes another one INBOX", "mirror", "A@1", "INBOX@1", "A INBOX",
        "name A>INBOX mailboxid"},
    {"INBOX is written as one likes", "mirror", "INBOX@1", "Inbox@1", "INBOX", ""},
    {"a parent: what is below goes with it", "mirror", "A@1 A/B@2", "C@1 C/B@2", "A A/B",
        "name A>C mailboxid; name A/B>C/B mailboxid; name =A/B>C/B parent; rename =A>C mailboxid"},
    {"a parent, and below it another name", "mirror", "A@1 A/B@2", "C@1 C/D@2", "A A/B",
        "name A>C mailboxid; name A/B>C/D mailboxid; rename =A>C mailboxid; rename =C/B>C/D "
        "mailboxid"},
    {"a parent whose name is taken: what is below follows alone", "mirror", "A@1 A/B@2",
        "C@1 C/B@2", "A A/B C",
        "name A>C mailboxid; name A/B>C/B mailboxid; rename =A/B>C/B mailboxid"},
    {"out of a folder, which then is renamed", "mirror", "A@1 A/B@2", "C@1 B@2", "A A/B",
        "name A>C mailboxid; name A/B>B mailboxid; rename =A>C mailboxid; rename =C/B>B mailboxid"},
    {"below itself: it cannot be", "mirror", "A@1", "A/A@1", "A", "name A>A/A mailboxid"},
    {"a chain waits for the name to be free", "mirror", "A@1 B@2", "B@1 C@2", "A B",
        "name A>B mailboxid; name B>C mailboxid; rename =B>C mailboxid; rename =A>B mailboxid"},
    {"two names exchanged: the target keeps its own", "mirror", "A@1 B@2", "B@1 A@2", "A B",
        "name A>B mailboxid; name B>A mailboxid"},
    {"the freed name is taken by a new folder", "mirror", "A@1", "B@1 A@3", "A",
        "name A>B mailboxid; rename =A>B mailboxid; make =A listed"},
    {"a mapped name comes with it", "mirror", "A.B@1>A/B", "A.C@1>A/C", "A A/B",
        "name A.B>A.C mailboxid; rename =A/B>A/C mailboxid"},
    {"a name that ends like a folder's is not below it", "mirror", "A@1 AB@2", "C@1 AB@2", "A AB",
        "name A>C mailboxid; rename =A>C mailboxid"},
    {"the same MAILBOXID twice: the first has it", "mirror", "A@1", "B@1 C@1", "A",
        "name A>B mailboxid; rename =A>B mailboxid; make =C listed"},
};

static struct plan_known known[MOST];
static struct plan_listed source[MOST];
static struct plan_name target[MOST];

static struct plan_name read_name(struct slice s)
{
    ptrdiff_t at = s.n > 0 ? slice_find(s, '@') : -1;
    if (at < 0)
        return (struct plan_name){.name = s};
    return (struct plan_name){slice_sub(s, 0, (size_t)at), slice_from(s, (size_t)at + 1)};
}

static void read_pair(struct slice word, struct plan_name *first, struct plan_name *second)
{
    struct slice part;
    slice_split(&word, '>', &part);
    *first = read_name(part);
    *second = word.p ? read_name(word) : (struct plan_name){.name = first->name};
}

static size_t next_word(struct slice *rest, struct slice *word)
{
    return slice_split(rest, ' ', word) && word->n > 0;
}

static void read_row(const struct row *r, struct plan_names *in)
{
    struct slice rest, word;
    *in = (struct plan_names){.known = known, .source = source, .target = target, .delimiter = '/'};
    while (strcmp(plan_policy(in->policy)->name, r->policy) != 0)
        in->policy++;
    for (rest = slice_str(r->journal); next_word(&rest, &word); in->n_known++)
        read_pair(word, &known[in->n_known].source, &known[in->n_known].target);
    for (rest = slice_str(r->source); next_word(&rest, &word); in->n_source++) {
        struct plan_name mapped;
        read_pair(word, &source[in->n_source].source, &mapped);
        source[in->n_source].mapped = mapped.name;
    }
    for (rest = slice_str(r->target); next_word(&rest, &word); in->n_target++)
        target[in->n_target] = read_name(word);
}

static void say(const struct plan_names *in, const struct plan_folders *f, struct buf *out)
{
    int r = 0;
    for (size_t i = 0; i < f->n_ops; i++) {
        const struct plan_name_op *op = &f->ops[i];
        r |= buf_addf(
            out, "%s%s %s", i > 0 ? "; " : "", plan_kind_name(op->kind), op->is_target ? "=" : "");
        if (op->from.p)
            r |= buf_addf(out, "%.*s>", SLICE_ARG(op->from));
        r |= buf_addf(out, "%.*s %s", SLICE_ARG(op->to), plan_witness_name(op->witness));
        assert_true(plan_is_allowed(in->policy, op->kind, op->witness));
    }
    for (size_t i = 0; i < f->n_lost; i++)
        r |= buf_addf(out, "%slost %.*s", out->n > 0 ? "; " : "",
            SLICE_ARG(in->known[f->lost[i]].source.name));
    BUG_ON(r != 0);
}

static void test_rows(void **state)
{
    size_t n_wrong = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct plan_names in;
        struct plan_folders f;
        struct buf text;
        buf_init(&text, 64u << 10);
        read_row(&rows[i], &in);
        plan_folders(&in, &f);
        say(&in, &f, &text);
        if (strcmp(buf_cstr(&text), rows[i].planned) != 0) {
            print_error("row '%s':\n  wanted  %s\n  planned %s\n", rows[i].name, rows[i].planned,
                buf_cstr(&text));
            n_wrong++;
        }
        plan_folders_fini(&f);
        buf_fini(&text);
    }
    assert_int_equal(n_wrong, 0);
}

/* A chain as long as a list: each waits for the one behind it. */
static void test_long_chain(void **state)
{
    static char names[MOST][2][16];
    struct plan_names in = {.known = known, .source = source, .target = target, .delimiter = '/'};
    struct plan_folders f;
    (void)state;
    for (unsigned i = 0; i < MOST; i++) {
        BUG_ON(fmt_into(names[i][0], 16, "f%u", i) != 0 || fmt_into(names[i][1], 16, "%u", i) != 0);
        known[i] = (struct plan_known){.source = {slice_str(names[i][0]), slice_str(names[i][1])},
            .target = {.name = slice_str(names[i][0])}};
        target[i] = known[i].target;
        if (i > 0)
            source[i - 1] =
                (struct plan_listed){.source = {slice_str(names[i][0]), slice_str(names[i - 1][1])},
                    .mapped = slice_str(names[i][0])};
    }
    in.n_known = in.n_target = MOST;
    in.n_source = MOST - 1;
    plan_folders(&in, &f);
    /* The last of them is not listed any more, and stays where it is, so nobody can move. */
    assert_int_equal(f.n_ops, MOST - 1);
    assert_int_equal(f.n_lost, 1);
    plan_folders_fini(&f);
    in.n_target = MOST - 1;
    plan_folders(&in, &f);
    assert_int_equal(f.n_ops, 2 * (MOST - 1));
    for (unsigned i = 0; i < MOST - 1; i++) {
        const struct plan_name_op *op = &f.ops[MOST - 1 + i];
        assert_int_equal(op->kind, PLAN_RENAME);
        assert_int_equal(op->known, MOST - 2 - i);
    }
    plan_folders_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
