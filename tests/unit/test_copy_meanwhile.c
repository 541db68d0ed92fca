/* SPDX-License-Identifier: ISC */
/*
 * What others do on either side at each event of a pass that nobody disturbs: folders are numbered
 * anew or renamed, a message goes to Trash.  What was never begun on the target leaves no doubt
 * behind, so nothing that its user has done is taken for ours.
 */
#include <stdlib.h>
#include "tests/unit/copy_rig.h"

#define FROM 1
#define TO 5
#define RENAMED 6
#define NEW_NAME 8
#define TRASH 2
#define TICKS_MAX 400

static struct rig rig;

struct row {
    const char *name;
    enum plan_policy_id policy;
    uint32_t quirks;               /* of the target */
    void (*before)(struct rig *r); /* what the pass is to carry */
    enum act meanwhile[3];         /* of the folder FROM; ACT_DELIVER: nothing more */
    void (*expect)(struct rig *r);
};

/* --- What the pass carries ------------------------------------------------------------------ */

static void marked_and_moved(struct rig *r)
{
    (void)rig_flag(r, &r->w.target, FROM, 0, FLAG_DELETED, true);
    rig_move(&r->w.source, FROM, 0, TO);
}

static void removed(struct rig *r)
{
    rig_remove(&r->w.source, FROM, 3);
}

static void delivered(struct rig *r)
{
    rig_deliver(r, FROM, 4, FLAG_DELETED);
}

static void renamed(struct rig *r)
{
    struct mailbox *b = server_find(&r->w.source, RENAMED);
    server_rename(&r->w.source, b, NEW_NAME, false);
}

/* Both folders are looked at. */
static void delivered_to_trash(struct rig *r)
{
    rig_deliver(r, TRASH, 11, 0);
    rig_quiet(r);
    rig_deliver(r, FROM, 12, 0);
    rig_deliver(r, TRASH, 13, 0);
}

/* --- What is there then --------------------------------------------------------------------- */

static size_t count(const struct server *s, uint32_t content, uint16_t flags)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct mailbox *b = s->boxes[i];
        for (size_t k = 0; k < b->n; k++)
            n += b->v[k].content == content && (b->v[k].flags & flags) == flags;
    }
    return n;
}

/* An archive may have it in the old place and in the new one. */
static void expect_mark(struct rig *r, uint32_t content)
{
    if (count(&r->w.target, content, FLAG_DELETED) == 0)
        fail_msg("%s: seed %u: message %u is there %zu times, and its mark is not", r->name,
            (unsigned)r->h.seed, content, count(&r->w.target, content, 0));
}

static void mark_stays(struct rig *r)
{
    expect_mark(r, 0);
}

static void common_mark_stays(struct rig *r)
{
    expect_mark(r, 3);
}

static void same(struct rig *r)
{
    rig_compare(r);
}

static void each_once(struct rig *r)
{
    for (uint32_t c = 0; c < 4; c++) {
        size_t n = count(&r->w.target, c, 0);
        if (n != 1)
            fail_msg("%s: message %u is there %zu times", r->name, c, n);
    }
}

static const struct row rows[] = {
    {"a copy that its user has marked follows its message, numbered anew", PLAN_ARCHIVE, 0,
        marked_and_moved, {ACT_TGT_RENUMBER}, mark_stays},
    {"one that both have marked goes to Trash, numbered anew", PLAN_REVERSE, 0, removed,
        {ACT_TGT_RENUMBER}, common_mark_stays},
    {"one that both have marked goes to Trash by a copy, cut", PLAN_REVERSE, QUIRK_NO_MOVE, removed,
        {ACT_CUT_TARGET}, common_mark_stays},
    {"one comes that is marked, cut, both numbered anew", PLAN_MIRROR, 0, delivered,
        {ACT_CUT_SOURCE, ACT_TGT_RENUMBER, ACT_RENUMBER}, same},
    {"a folder is renamed on either side", PLAN_ARCHIVE, 0, renamed, {ACT_TGT_RENAME}, each_once},
    {"one is moved to Trash", PLAN_REVERSE, 0, delivered_to_trash, {ACT_MOVE}, each_once},
    {"one is moved to Trash, and its copy by a copy", PLAN_REVERSE, QUIRK_NO_MOVE,
        delivered_to_trash, {ACT_MOVE}, each_once},
};

static void begin(const struct row *row, uint64_t seed)
{
    rig_init(&rig, row->name, 0, row->quirks, seed);
    for (uint32_t i = 0; i < 4; i++)
        rig_deliver(&rig, FROM, i, i == 3 ? FLAG_DELETED : 0);
    rig_deliver(&rig, RENAMED, 9, 0);
    rig_deliver(&rig, TO, 10, 0);
    rig_quiet(&rig);
    rig_compare(&rig);
    rig.policy = row->policy;
    row->before(&rig);
}

/* Names are numbers for the actions: which of the folders that are there. */
static uint32_t at(const struct server *s, uint8_t name)
{
    uint32_t i = 0;
    while (s->boxes[i]->name != name)
        i++;
    return i;
}

static void arm(const struct row *row, uint32_t ticks)
{
    for (size_t i = 0; i < COUNT_OF(row->meanwhile) && row->meanwhile[i] != ACT_DELIVER; i++) {
        bool is_source = row->meanwhile[i] == ACT_RENUMBER || row->meanwhile[i] == ACT_MOVE;
        rig.h.v[i] = (struct action){.tick = rig.w.tick + ticks,
            .what = row->meanwhile[i],
            .a = at(is_source ? &rig.w.source : &rig.w.target, FROM),
            .b = TRASH};
        rig.h.n = (uint32_t)i + 1;
    }
    rig.w.next = 0;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    begin(row, 1);
    uint32_t before = rig.w.tick;
    (void)rig_pass(&rig);
    uint32_t ticks = rig.w.tick - before;
    rig_fini(&rig);
    assert_true(ticks > 10 && ticks < TICKS_MAX);
    for (uint32_t k = 1; k <= ticks; k++) {
        begin(row, 1 + k % 7);
        arm(row, k);
        (void)rig_pass(&rig);
        /* A MOVE that gets a NO leaves a doubt (end.h). */
        bool is_doubtful = strstr(rig.told, "cannot change messages") != NULL;
        rig_quiet(&rig);
        if (!is_doubtful)
            row->expect(&rig);
        rig_fini(&rig);
    }
}

/* --- A first pass over a folder that was listed as empty ---------------------------------------
 */

static const struct first {
    const char *name;
    enum act what[2];
    uint32_t quirks; /* of the source */
} firsts[] = {
    {"mail comes into an empty folder", {ACT_DELIVER}, 0},
    {"mail is moved into an empty folder", {ACT_MOVE, ACT_DELIVER}, 0},
    {"an empty folder is replaced, and mail comes", {ACT_RENUMBER, ACT_DELIVER}, 0},
    {"an empty folder is replaced by one that has mail", {ACT_DELIVER, ACT_RENUMBER}, 0},
    {"an empty folder gets mail, and the source is cut", {ACT_DELIVER, ACT_CUT_SOURCE}, 0},
    {"an empty folder gets mail, and we are killed", {ACT_DELIVER, ACT_KILL}, 0},
    {"the same without MODSEQs", {ACT_DELIVER, ACT_RENUMBER}, QUIRK_NO_CONDSTORE},
};

static void arm_first(const struct first *row, uint32_t ticks)
{
    const uint32_t empty = at(&rig.w.source, TO);
    for (size_t i = 0; i < COUNT_OF(row->what); i++) {
        bool is_move = row->what[i] == ACT_MOVE;
        rig.h.v[i] = (struct action){.tick = rig.w.tick + ticks,
            .what = row->what[i],
            .a = is_move ? at(&rig.w.source, FROM) : empty,
            .b = is_move ? empty << 8 : 1};
    }
    rig.h.n = COUNT_OF(row->what);
    rig.w.next = 0;
}

static void test_first(void **state)
{
    const struct first *row = *state;
    uint32_t ticks = 1;
    for (uint32_t k = 0; k <= ticks; k++) {
        rig_init(&rig, row->name, row->quirks, 0, 1 + k % 7);
        for (uint32_t i = 0; i < 4; i++)
            rig_deliver(&rig, FROM, i, 0);
        rig.w.contents = 4;
        (void)rig_box(&rig.w.source, TO);
        uint32_t before = rig.w.tick;
        if (k > 0)
            arm_first(row, k);
        (void)rig_pass(&rig);
        ticks = k > 0 ? ticks : rig.w.tick - before;
        rig_quiet(&rig);
        rig_compare(&rig);
        rig_fini(&rig);
    }
    assert_true(ticks > 10 && ticks < TICKS_MAX);
}

static int clean_up(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + COUNT_OF(firsts)];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
            .test_func = test_row,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < COUNT_OF(firsts); i++)
        tests[COUNT_OF(rows) + i] = (struct CMUnitTest){.name = firsts[i].name,
            .test_func = test_first,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)&firsts[i]};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
