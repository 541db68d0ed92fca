/* SPDX-License-Identifier: ISC */
/*
 * What is under way on the target when the engine is killed, at each event of the network and at
 * each commit of the journal, and what has become of the folders until the next pass: changes of
 * flags, moves and removals.  The next passes make the target what the source is, whatever came in
 * between: no flag is undone, no copy is doubled, none goes, or bears a mark, that should not.
 *
 * Four messages, 0 to 3, are in one folder, and 9 in another, which is Trash: on the way back what
 * is removed goes there, once.
 */
#include <stdlib.h>
#include "tests/unit/copy_rig.h"

#define FROM 1
#define TO 2
#define TICKS_MAX 400

/* --- Behind a flip: everything without a pair is late ----------------------------------------- */

static struct {
    uint8_t name_of[32]; /* by the journal's number */
    bool has[MODEL_FOLDERS][64];
} marks;

static int marks_begin(void *arg, bool is_complete, struct err *err)
{
    (void)arg, (void)is_complete, (void)err;
    return 0;
}

static uint8_t number_of_folder(struct slice name)
{
    return (uint8_t)model_folder_number((const char *)name.p, name.n);
}

static int marks_look(void *arg, uint32_t id, struct slice folder, uint32_t uidvalidity,
    uint32_t highest, bool is_restored, struct err *err)
{
    (void)arg, (void)uidvalidity, (void)highest, (void)is_restored, (void)err;
    assert_true(id < COUNT_OF(marks.name_of));
    marks.name_of[id] = number_of_folder(folder);
    return 0;
}

static bool marks_is_known(const void *known, uint32_t uid)
{
    return ((const bool *)known)[uid];
}

static void marks_folder(
    void *arg, struct slice folder, uint32_t uidvalidity, struct past_folder *out)
{
    (void)arg, (void)uidvalidity;
    *out = (struct past_folder){
        .is_known = marks_is_known, .known = marks.has[number_of_folder(folder)]};
}

static bool marks_knows(void *arg)
{
    (void)arg;
    return true;
}

static int marks_ever(void *arg, const unsigned char digest[SHA256_SIZE], size_t now,
    size_t *ever_out, struct err *err)
{
    (void)arg, (void)digest, (void)now, (void)err;
    *ever_out = 0;
    return 0;
}

/* Told before the journal is, which may be killed then. */
static void marks_put(
    void *arg, uint32_t folder, const struct pair *p, const unsigned char *digest, bool is_new)
{
    (void)arg, (void)digest, (void)is_new;
    marks.has[marks.name_of[folder]][p->src_uid] = true;
}

static int marks_commit(void *arg, struct err *err)
{
    (void)arg, (void)err;
    return 0;
}

static void marks_abort(void *arg)
{
    (void)arg;
}

static const struct past past = {
    marks_begin, marks_look, marks_folder, marks_knows, marks_ever, NULL};
static const struct journal_watch watch = {marks_put, marks_commit, marks_abort, NULL};

/* --- What is under way ---------------------------------------------------------------------- */

static void change_flags(struct rig *r)
{
    (void)rig_flag(r, &r->w.source, FROM, 0, FLAG_SEEN, true);
    (void)rig_flag(r, &r->w.source, FROM, 1, FLAG_SEEN, true);
    (void)rig_flag(r, &r->w.source, FROM, 2, FLAG_ANSWERED, false);
    (void)rig_flag(r, &r->w.source, FROM, 2, FLAG_SEEN, true);
}

static void move_two(struct rig *r)
{
    rig_move(&r->w.source, FROM, 0, TO);
    rig_move(&r->w.source, FROM, 2, TO);
}

static void remove_two(struct rig *r)
{
    rig_remove(&r->w.source, FROM, 0);
    rig_remove(&r->w.source, FROM, 2);
}

static void deliver_equal(struct rig *r)
{
    rig_deliver(r, FROM, 5, 0);
    rig_deliver(r, FROM, 6, 0);
    rig_deliver(r, FROM, 5, 0);
}

static void deliver_one(struct rig *r)
{
    rig_deliver(r, FROM, 5, 0);
}

static void deliver_newest_first(struct rig *r)
{
    rig_close(r);
    r->options.is_newest_first = true;
    deliver_equal(r);
}

static void deliver_behind_flip(struct rig *r)
{
    memset(&marks, 0, sizeof(marks));
    r->past = &past;
    r->watch = &watch;
    r->policy = PLAN_BACKFILL;
    deliver_newest_first(r);
}

/* --- What comes in between ------------------------------------------------------------------ */

static void nothing(struct rig *r)
{
    (void)r;
}

static void renumber_from(struct rig *r)
{
    server_renumber(&r->w.target, server_find(&r->w.target, FROM));
}

static void renumber_to(struct rig *r)
{
    server_renumber(&r->w.target, server_find(&r->w.target, TO));
}

static void renumber_both(struct rig *r)
{
    renumber_from(r);
    renumber_to(r);
}

static void flags_back(struct rig *r)
{
    (void)rig_flag(r, &r->w.source, FROM, 0, FLAG_SEEN, false);
    (void)rig_flag(r, &r->w.source, FROM, 2, FLAG_SEEN, false);
}

static void renumber_and_flags_back(struct rig *r)
{
    renumber_from(r);
    flags_back(r);
}

static void renumber_source(struct rig *r)
{
    server_renumber(&r->w.source, server_find(&r->w.source, FROM));
    server_renumber(&r->w.source, server_find(&r->w.source, TO));
}

static void renumber_all(struct rig *r)
{
    renumber_both(r);
    renumber_source(r);
}

static void deliver_again(struct rig *r)
{
    rig_deliver(r, FROM, 0, 0);
}

static void renumber_and_deliver_again(struct rig *r)
{
    renumber_from(r);
    rig_deliver(r, FROM, 0, 0);
}

static void move_first(struct rig *r)
{
    rig_move(&r->w.source, FROM, 5, TO);
}

static void take_away_and_move(struct rig *r)
{
    if (rig_find(&r->w.target, FROM, 5))
        rig_remove(&r->w.target, FROM, 5);
    move_first(r);
}

/* --- All of it ------------------------------------------------------------------------------ */

/* It went to Trash by its user, between the looks at two folders: lost in one pass, new in the
 * next. */
static void put_in_trash(struct rig *r)
{
    rig_deliver(r, TO, 0, 0);
    rig_deliver(r, TO, 2, FLAG_ANSWERED);
}

struct row {
    const char *name;
    void (*change)(struct rig *r), (*between)(struct rig *r);
};

static const struct row rows[] = {
    {"flags", change_flags, nothing},
    {"flags, numbered anew", change_flags, renumber_from},
    {"flags, changed back", change_flags, flags_back},
    {"flags, numbered anew, changed back", change_flags, renumber_and_flags_back},
    {"flags, the source numbered anew", change_flags, renumber_source},
    {"flags, both numbered anew", change_flags, renumber_all},
    {"moves", move_two, nothing},
    {"moves, numbered anew where they were", move_two, renumber_from},
    {"moves, numbered anew where they go", move_two, renumber_to},
    {"moves, both folders numbered anew", move_two, renumber_both},
    {"removals", remove_two, nothing},
    {"removals, numbered anew", remove_two, renumber_from},
    {"removals, there again", remove_two, deliver_again},
    {"removals, numbered anew, there again", remove_two, renumber_and_deliver_again},
};

/* On the way back. */
static const struct row back[] = {
    {"to Trash", remove_two, nothing},
    {"to Trash, and there on the source as well", remove_two, put_in_trash},
    {"moved to Trash", move_two, nothing},
};

/* Copies of equal messages, on servers that do not tell which is which. */
static const struct row copies[] = {
    {"equal ones", deliver_equal, nothing},
    {"equal ones, and the first is moved", deliver_equal, move_first},
    {"taken away there before anybody has looked, then moved", deliver_one, take_away_and_move},
    {"equal ones, the newest first", deliver_newest_first, nothing},
    {"equal ones, the newest first, behind a flip", deliver_behind_flip, nothing},
};

#define ROWS (COUNT_OF(rows) + COUNT_OF(back) + COUNT_OF(copies))

static bool is_back(const struct row *row)
{
    return row >= back && row < back + COUNT_OF(back);
}

static bool is_copies(const struct row *row)
{
    return row >= copies && row < copies + COUNT_OF(copies);
}

static const struct row *row_at(size_t i)
{
    if (i < COUNT_OF(rows))
        return &rows[i];
    i -= COUNT_OF(rows);
    return i < COUNT_OF(back) ? &back[i] : &copies[i - COUNT_OF(back)];
}

static uint64_t number_of(const struct row *row)
{
    uint64_t i = 0;
    while (row_at(i) != row)
        i++;
    return i + 1;
}

static struct rig rig;
static unsigned n_vanished; /* how often it was told as missing */

static void begin(const struct row *row, uint32_t quirks, uint64_t seed)
{
    rig_init(&rig, row->name, 0, quirks, seed);
    for (uint32_t i = 0; i < 4; i++)
        rig_deliver(&rig, FROM, i, i == 2 ? FLAG_ANSWERED : 0);
    rig_deliver(&rig, TO, 9, 0);
    rig_quiet(&rig);
    rig_compare(&rig);
    rig.policy = is_back(row) ? PLAN_REVERSE : PLAN_MIRROR;
    row->change(&rig);
}

/* It comes where nobody knew that it had been there, and else is told as missing, once: nothing
 * waits. */
static void compare_taken(void)
{
    bool is_there = rig_find(&rig.w.target, TO, 5) != NULL;
    rig_expect(&rig, &rig.w.target, FROM, "0 1 2+1 3");
    rig_expect(&rig, &rig.w.target, TO, is_there ? "5 9" : "9");
    assert_int_equal(rig.n.deletions_withheld, 0);
    n_vanished += strstr(rig.told, "does not have it") != NULL;
}

/* What was known to be there when it was moved such a target keeps as well. */
static void compare_copies(const struct row *row)
{
    if (row->between == take_away_and_move) {
        compare_taken();
        return;
    }
    const bool is_moved = row->between == move_first;
    struct buf got;
    buf_init(&got, 1000);
    rig_text(&rig.w.target, FROM, &got);
    bool is_kept = is_moved && strstr(buf_cstr(&got), "5 5");
    buf_fini(&got);
    rig_expect(
        &rig, &rig.w.target, FROM, is_moved && !is_kept ? "0 1 2+1 3 5 6" : "0 1 2+1 3 5 5 6");
    rig_expect(&rig, &rig.w.target, TO, is_moved ? "5 9" : "9");
}

/* On the way back nothing is lost: what the source does not have is in Trash. */
static void compare(const struct row *row)
{
    if (is_copies(row)) {
        compare_copies(row);
        return;
    }
    if (!is_back(row)) {
        rig_compare(&rig);
        return;
    }
    rig_expect(&rig, &rig.w.source, FROM, "1 3");
    rig_expect(&rig, &rig.w.target, FROM, "1 3");
    rig_expect(&rig, &rig.w.target, TO, "0 2+1 9");
}

/* How long the pass takes that is to be killed. */
static uint32_t ticks_of(const struct row *row, uint32_t quirks, uint64_t seed)
{
    begin(row, quirks, seed);
    uint32_t before = rig.w.tick;
    (void)rig_pass(&rig);
    uint32_t ticks = rig.w.tick - before;
    rig_fini(&rig);
    assert_true(ticks > 10 && ticks < TICKS_MAX);
    return ticks;
}

/* At every n-th event; the network is another one each time. */
static void killed(const struct row *row, uint32_t quirks, uint64_t seed, enum act kill, unsigned n)
{
    uint32_t ticks = ticks_of(row, quirks, seed);
    for (uint32_t k = 1 + (uint32_t)seed % n; k <= ticks; k += n) {
        begin(row, quirks, seed);
        rig_arm(&rig, kill, k);
        (void)rig_pass(&rig);
        row->between(&rig);
        rig_quiet(&rig);
        compare(row);
        rig_fini(&rig);
    }
}

/* COEXIST_KILLS, as for `make chaos`: at all of them. */
static void test_row(void **state)
{
    static const enum act kills[] = {
        ACT_KILL, ACT_KILL_AT_COMMIT, ACT_KILL_BEHIND_COMMIT, ACT_CUT_TARGET};
    static const uint32_t quirks[] = {
        0, QUIRK_NO_MOVE, QUIRK_NO_CONDSTORE | QUIRK_NO_TOKENS | QUIRK_NO_IDS};
    static const uint32_t untold[] = {QUIRK_NO_UIDPLUS, QUIRK_NO_UIDPLUS | QUIRK_NO_MULTIAPPEND};
    const struct row *row = *state;
    const size_t n = is_copies(row) ? COUNT_OF(untold) : COUNT_OF(quirks);
    for (size_t q = 0; q < n; q++) {
        for (size_t k = 0; k < COUNT_OF(kills); k++)
            killed(row, is_copies(row) ? untold[q] : quirks[q], number_of(row) + 100 * k, kills[k],
                getenv("COEXIST_KILLS") ? 1 : 12);
    }
    assert_true(row->between != take_away_and_move || n_vanished > 0);
}

static int clean_up(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[ROWS];
    for (size_t i = 0; i < COUNT_OF(tests); i++)
        tests[i] = (struct CMUnitTest){.name = row_at(i)->name,
            .test_func = test_row,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)row_at(i)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
