/* SPDX-License-Identifier: ISC */
/*
 * history: a history is made from a seed, run, and judged.
 *
 * People act while ticks go by, in passes and between them.  When all actions are over it is quiet:
 * no kills, no cuts, no news; then the engine gets as many passes as it needs until two in a row
 * change nothing, and the oracle judges.  Behind the flip a pass is one that adds.
 */
#include "tests/sim/history.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "imapsync/copy/copy.h"
#include "imapsync/move/known.h"
#include "tests/sim/faults.h"
#include "tests/sim/disk.h"
#include "tests/sim/model_end.h"
#include "tests/sim/site.h"
#include "tests/sim/world.h"

#define PASSES_MAX 60
#define QUIET_PASSES_MAX 12

static const char *const acts[ACTS] = {"deliver", "deliver again", "flag", "delete", "move", "make",
    "rename", "renumber", "drop", "target add", "target flag", "target delete", "target move",
    "target renumber", "target drop", "cut source", "cut target", "kill", "kill before a commit",
    "kill behind a commit", "lose the journal", "flip"};

/* How often, out of all weights. */
static const uint8_t weights[ACTS] = {
    30, 5, 14, 12, 5, 5, 1, 1, 1, 4, 9, 5, 2, 1, 1, 4, 6, 5, 4, 4, 1, 2};

const char *act_name(enum act a)
{
    return acts[a];
}

/* --- Making
 * ---------------------------------------------------------------------------------------- */

#define BIT(act) (1u << (act))
#define INTERRUPTIONS                                                                              \
    (BIT(ACT_CUT_SOURCE) | BIT(ACT_CUT_TARGET) | BIT(ACT_KILL) | BIT(ACT_KILL_AT_COMMIT) |         \
        BIT(ACT_KILL_BEHIND_COMMIT))
#define NEW_NUMBERS (BIT(ACT_RENUMBER) | BIT(ACT_TGT_RENUMBER) | BIT(ACT_JOURNAL_LOST))

/* What does harm and is not mended yet: with this quirk these actions do not come, and those of
 * `without` are taken from the same server.  docs/simulation.md has a story for each. */
static const struct open_fault {
    uint32_t quirk, without, acts;
} open_faults[] = {
    {QUIRK_SIZES, 0, NEW_NUMBERS},
    {QUIRK_ALTERS, QUIRK_NO_UIDPLUS, NEW_NUMBERS | INTERRUPTIONS},
    {QUIRK_STORES_NO, QUIRK_STORES_NO, 0},
};

static void leave_out_open(struct history *h)
{
    uint32_t all = 0;
    for (uint32_t k = 0; k < h->n; k++)
        all |= BIT(h->v[k].what);
    /* What came late is in the marks only if it went all the way: a kill, or an answer that had to
     * be settled, keeps it out of them, and then the journal must not be lost. */
    bool is_settled = all & INTERRUPTIONS || h->quirks[1] & (QUIRK_NO_UIDPLUS | QUIRK_UIDS);
    uint32_t left_out = is_settled                    ? BIT(ACT_JOURNAL_LOST) | BIT(ACT_RENUMBER)
                        : all & BIT(ACT_JOURNAL_LOST) ? BIT(ACT_RENUMBER)
                                                      : 0;
    for (uint32_t k = 0; all & BIT(ACT_FLIP) && k < h->n; k++) {
        bool has_no_marks = h->v[k].what == ACT_JOURNAL_LOST && h->v[k].a % 3 == 0;
        if (BIT(h->v[k].what) & left_out && !has_no_marks)
            h->v[k].what = ACT_DELIVER;
    }
    for (size_t i = 0; i < sizeof(open_faults) / sizeof(*open_faults); i++) {
        const struct open_fault *o = &open_faults[i];
        if (!((h->quirks[0] | h->quirks[1]) & o->quirk))
            continue;
        h->quirks[1] &= ~o->without;
        for (uint32_t k = 0; k < h->n; k++) {
            if (BIT(h->v[k].what) & o->acts)
                h->v[k].what = ACT_DELIVER;
        }
    }
}

static uint32_t some_quirks(struct rng *r, bool is_target)
{
    static const uint16_t usual[] = {QUIRK_NO_UIDPLUS, QUIRK_NO_MULTIAPPEND, QUIRK_NO_CONDSTORE,
        QUIRK_NO_TOKENS, QUIRK_UNSOLICITED, QUIRK_SIZES};
    static const uint16_t odd[] = {QUIRK_NO_KEYWORDS, QUIRK_REFUSES, QUIRK_SHORT, QUIRK_UIDS,
        QUIRK_STORES_NO, QUIRK_LOSES, QUIRK_ALTERS, QUIRK_LATE, QUIRK_LIMIT};
    uint32_t q = 0;
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
        q |= rng_one_in(r, 4) ? usual[i] : 0u;
    if (is_target && rng_one_in(r, 3))
        q |= odd[rng_below(r, sizeof(odd) / sizeof(*odd))];
    else if (!is_target && rng_one_in(r, 12))
        q |= QUIRK_SHORT;
    return q;
}

static enum act some_act(struct rng *r)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < ACTS; i++)
        sum += weights[i];
    uint32_t at = rng_below(r, sum);
    unsigned i = 0;
    while (at >= weights[i])
        at -= weights[i++];
    return (enum act)i;
}

void history_make(uint64_t seed, bool has_open, struct history *out)
{
    struct rng r = {.s = seed * 0x2545f4914f6cdd1du + 1};
    uint32_t tick = 0, gap;
    *out = (struct history){
        .seed = seed, .settle_ms = rng_one_in(&r, 2) ? 0 : 2000, .has_open = has_open};
    out->quirks[0] = some_quirks(&r, false);
    out->quirks[1] = some_quirks(&r, true);
    out->n = 4 + rng_below(&r, ACTIONS_MAX - 4);
    gap = 1 + rng_below(&r, 12);
    for (uint32_t i = 0; i < out->n; i++) {
        tick += rng_one_in(&r, 3) ? 0 : rng_below(&r, 2 * gap);
        out->v[i] = (struct action){.tick = tick,
            .what = i < 4 ? ACT_DELIVER : some_act(&r),
            .a = (uint32_t)(rng_next(&r) >> 40),
            .b = (uint32_t)(rng_next(&r) >> 40)};
    }
    if (!has_open)
        leave_out_open(out);
}

static void print_quirks(FILE *out, const char *name, uint32_t quirks)
{
    static const char *const texts[QUIRKS] = {"no UIDPLUS", "no MULTIAPPEND", "no CONDSTORE",
        "no tokens", "unsolicited data", "sizes are estimates", "no keywords", "refuses contents",
        "short listings", "tells wrong UIDs", "stores and says NO", "says OK and loses",
        "alters octets", "stores late", "APPENDLIMIT"};
    (void)fprintf(out, "%s:", name);
    for (unsigned i = 0; i < QUIRKS; i++) {
        if (quirks & 1u << i)
            (void)fprintf(out, " [%s]", texts[i]);
    }
    (void)fprintf(out, quirks ? "\n" : " plain\n");
}

void history_print(const struct history *h, FILE *out)
{
    (void)fprintf(out, "seed %llu, %u actions, settle %u ms\n", (unsigned long long)h->seed, h->n,
        h->settle_ms);
    print_quirks(out, "source", h->quirks[0]);
    print_quirks(out, "target", h->quirks[1]);
    for (uint32_t i = 0; i < h->n; i++)
        (void)fprintf(out, "  at %u: %s (%u, %u)\n", h->v[i].tick, act_name(h->v[i].what),
            h->v[i].a, h->v[i].b);
}

/* --- Running
 * --------------------------------------------------------------------------------------- */

struct run {
    struct world w;
    const char *dir;
    struct copy *copy;
    struct known known; /* the marks of the flip */
    struct late_judge judge;
    bool has_swept, has_failed;
    struct copy_counts counts;
    struct outcome *out;
};

static int make_source(const struct end_maker *m, const struct wait_limits *limits,
    struct end **out, bool *is_silent_out, struct err *err)
{
    (void)m, (void)err;
    *is_silent_out = false;
    *out = model_end_new(world, &world->source, limits);
    return 0;
}

static int make_target(const struct end_maker *m, const struct wait_limits *limits,
    struct end **out, bool *is_silent_out, struct err *err)
{
    (void)m, (void)err;
    *is_silent_out = false;
    *out = model_end_new(world, &world->target, limits);
    return 0;
}

static const struct end_maker source_maker = {"source", "user", "sim://source", make_source};
static const struct end_maker target_maker = {"target", "user", "sim://target", make_target};

static void on_progress(void *arg, const struct copy_counts *counts)
{
    (void)arg, (void)counts;
}

/* What the engine tells is not lost in silence: it counts, until the next pass says otherwise. */
static void on_exception(void *arg, const struct copy_exception *e)
{
    struct run *r = arg;
    int folder = model_folder_number(e->folder, strlen(e->folder));
    world_story(&r->w, "    engine: %s, message %u: %s", e->folder, e->uid, e->why);
    if (folder < 0) {
        r->w.ledger.is_told_all = true;
        return;
    }
    const struct mailbox *b = server_find(&r->w.source, (uint8_t)folder);
    const struct message *m = b && e->uid ? mailbox_find(b, e->uid) : NULL;
    if (strncmp(e->why, "E-LATE-UNKNOWN", 14) == 0)
        r->w.ledger.is_given_up[folder] = true;
    else if (!m || strncmp(e->why, "E-", 2) == 0)
        r->w.ledger.is_told[folder] = true;
    else
        r->w.ledger.tally[folder][m->content].told++;
}

static void on_compared(void *arg, const struct copy_compared *folder)
{
    known_compared(&((struct run *)arg)->known, folder);
}

static const struct copy_events events = {
    .progress = on_progress, .exception = on_exception, .compared = on_compared};

static int all_are_owed(void *arg, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    enum late_place *out, struct err *err)
{
    (void)arg, (void)folder, (void)uidvalidity, (void)uid, (void)err;
    *out = LATE_OWED;
    return 0;
}

static void forget_told(struct ledger *l)
{
    memset(l->is_told, 0, sizeof(l->is_told));
    l->is_told_all = false;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++) {
        for (unsigned c = 0; c < MODEL_CONTENTS; c++)
            l->tally[f][c].told = 0;
    }
}

static int begin(struct run *r)
{
    const struct copy_options options = {
        .delete_percent = PLAN_DELETIONS_PERCENT, .settle_ms = r->w.h->settle_ms};
    struct err err = ERR_INIT;
    if (r->copy)
        return 0;
    if (copy_new(&source_maker, &target_maker, r->dir, &options, &events, r, &r->copy, &err) == 0) {
        known_init(&r->known, r->dir);
        r->known.copy = r->copy;
        r->judge = *known_judge(&r->known);
        if (fault_is(FAULT_LATE_ALL))
            r->judge.place = all_are_owed;
        copy_behind_flip(r->copy, &r->judge);
        return 0;
    }
    world_story(&r->w, "  the copy cannot begin: %s", err.text);
    return -1;
}

static void end(struct run *r)
{
    copy_free(&r->copy);
    known_fini(&r->known);
    if (!r->w.is_killed)
        return;
    disk_crash(r->dir);
    world_revive(&r->w);
}

/* One pass; *is_quiet_out: it has changed nothing and nothing failed. */
static int pass(struct run *r, bool *is_quiet_out)
{
    struct err err = ERR_INIT;
    struct copy_counts n = {0};
    enum plan_policy_id policy = !r->w.ledger.is_flipped ? PLAN_MIRROR
                                 : r->has_swept          ? PLAN_AFTER_FLIP
                                                         : PLAN_FIRST_SWEEP;
    *is_quiet_out = false;
    r->out->passes++;
    r->w.ledger.pass_began = r->w.tick;
    forget_told(&r->w.ledger);
    world_story(&r->w, "pass %u begins (%s)", r->out->passes, plan_policy(policy)->name);
    int result = begin(r);
    if (result == 0)
        result = copy_pass(r->copy, policy, &n, &err);
    world_story(&r->w,
        "pass %u %s: %llu copied, %llu found, %llu failed, %llu removed, %llu flags%s%s",
        r->out->passes, result == 0 ? "is over" : "broke off",
        (unsigned long long)n.messages_copied, (unsigned long long)n.messages_adopted,
        (unsigned long long)n.messages_failed, (unsigned long long)n.messages_deleted,
        (unsigned long long)n.flags_changed, result == 0 ? "" : ": ", result == 0 ? "" : err.text);
    if (policy != PLAN_MIRROR && !r->w.is_killed && r->copy && known_keep(&r->known, &err) != 0)
        ledger_harm(&r->w.ledger, HARM_NO_QUIET, "marks: %s", err.text);
    r->out->failed_passes += result != 0;
    r->w.ledger.is_told_all |=
        n.deletions_withheld > 0 || n.keywords_lost > 0 || n.messages_reduced > 0;
    *is_quiet_out =
        result == 0 &&
        n.messages_copied + n.messages_adopted + n.messages_deleted + n.flags_changed == 0;
    r->has_failed = n.folders_failed + n.messages_failed + n.folders_short > 0;
    r->w.ledger.has_kept |= n.messages_kept > 0;
    if (result == 0 && n.folders_failed == 0)
        ledger_settled(&r->w.ledger);
    r->has_swept |= result == 0 && policy == PLAN_FIRST_SWEEP;
    if (r->w.is_killed || result != 0)
        end(r);
    return result;
}

/* As a cut-over does it: all is compared, and what it must know for ever is on the disk. */
static bool flip(struct run *r)
{
    struct copy_verdict v;
    struct err err = ERR_INIT;
    bool is_done = begin(r) == 0 && known_seen(&r->known, &err) == 0;
    if (is_done) {
        known_compare(&r->known);
        is_done = copy_verify(r->copy, COPY_ALL, true, &v, &err) == 0 &&
                  v.missing + v.different + v.gone == 0 && !r->w.is_killed &&
                  known_flip(&r->known, true, &err) == 0;
    }
    world_story(&r->w, is_done ? "the flip: from now on the user works on the target"
                               : "no flip: the comparison finds differences, or is cut off");
    r->w.ledger.is_flipped = is_done;
    if (r->w.is_killed)
        end(r);
    return is_done;
}

static void between(struct run *r)
{
    struct world *w = &r->w;
    while (w->next < w->h->n && w->h->v[w->next].tick <= w->tick) {
        const struct action *x = &w->h->v[w->next];
        if (x->what == ACT_FLIP && !w->ledger.is_flipped) {
            if (!flip(r))
                break;
        } else if (x->what == ACT_JOURNAL_LOST) {
            end(r);
            site_lose(r->dir);
            w->ledger.has_lost_journal = true;
            if (x->a % 3 == 0)
                site_lose_marks();
            world_story(w, x->a % 3 == 0 ? "journal and marks are lost" : "the journal is lost");
            w->next++;
            break;
        } else if (x->what != ACT_FLIP) {
            break;
        }
        w->next++;
    }
}

/* The flip comes behind a pass that was whole, as a cut-over takes care of. */
static bool may_flip(const struct run *r, bool was_quiet)
{
    const struct world *w = &r->w;
    return w->next == w->h->n || w->h->v[w->next].what != ACT_FLIP ||
           w->h->v[w->next].tick > w->tick || (was_quiet && !r->has_failed);
}

static void verify(struct run *r)
{
    struct copy_verdict v;
    struct err err = ERR_INIT;
    if (begin(r) != 0 ||
        copy_verify(r->copy, r->w.h->seed % 2 ? COPY_ALL : COPY_CHANGED, true, &v, &err) != 0) {
        ledger_harm(&r->w.ledger, HARM_NO_QUIET, "the verification fails: %s", err.text);
        return;
    }
    world_story(&r->w,
        "verified: %llu messages, %llu missing, %llu different, %llu gone, %llu extra",
        (unsigned long long)v.messages, (unsigned long long)v.missing,
        (unsigned long long)v.different, (unsigned long long)v.gone, (unsigned long long)v.extra);
    /* Without a place: enough for the servers that lie. */
    if (r->w.target.quirks & (QUIRK_LOSES | QUIRK_ALTERS | QUIRK_UIDS | QUIRK_STORES_NO))
        r->w.ledger.is_told_all |= v.missing + v.different + v.gone > 0;
}

static void disturbed(struct run *r)
{
    struct world *w = &r->w;
    bool was_quiet = false;
    while (w->next < w->h->n && r->out->passes < PASSES_MAX && w->ledger.harm == HARM_NONE) {
        if (may_flip(r, was_quiet))
            between(r);
        (void)pass(r, &was_quiet);
        /* A cut-over waits for quiet; others do not stop for it. */
        if (w->next < w->h->n && w->h->v[w->next].tick > w->tick)
            world_tick(w);
        if (w->next < w->h->n && w->h->v[w->next].what == ACT_FLIP &&
            r->out->passes > PASSES_MAX / 2)
            w->next++;
    }
    w->next = w->h->n;
    end(r);
    for (unsigned i = 0; i < 16; i++)
        world_tick(w);
}

static void quiet(struct run *r)
{
    unsigned n_quiet = 0, i;
    bool is_quiet;
    world_story(&r->w, "quiet");
    r->w.is_quiet = true;
    r->w.kill_armed = KILL_NONE;
    for (i = 0; i < QUIET_PASSES_MAX && n_quiet < 2 && r->w.ledger.harm == HARM_NONE; i++) {
        (void)pass(r, &is_quiet);
        n_quiet = is_quiet ? n_quiet + 1 : 0;
    }
    if (n_quiet < 2)
        ledger_harm(&r->w.ledger, HARM_NO_QUIET, "%u passes, and still something to do", i);
    if (r->w.ledger.harm == HARM_NONE)
        verify(r);
}

void history_run(const struct history *h, FILE *story, struct outcome *out)
{
    struct run *r = mem_zalloc(sizeof(*r));
    *out = (struct outcome){0};
    r->out = out;
    r->dir = site_dir();
    faults_reset();
    world_init(&r->w, h, story);
    disturbed(r);
    quiet(r);
    end(r);
    if (r->w.ledger.harm == HARM_NONE)
        oracle_judge(&r->w.ledger, &r->w.source, &r->w.target);
    out->harm = r->w.ledger.harm;
    out->ticks = r->w.tick;
    BUG_ON(fmt_into(out->text, sizeof(out->text), "%s", r->w.ledger.text) != 0);
    if (out->harm != HARM_NONE)
        world_story(&r->w, "%s: %s", harm_name(out->harm), out->text);
    world_fini(&r->w);
    site_lose(r->dir);
    site_lose_marks();
    disk_forget();
    free(r);
}
