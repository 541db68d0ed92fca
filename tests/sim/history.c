/* SPDX-License-Identifier: ISC */
/*
 * history: a history is made from a seed, run, and judged.
 *
 * People act while ticks go by, in passes and between them.  When all actions are over it is quiet:
 * no kills, no cuts, no news; then the engine gets as many passes as it needs until two in a row
 * change nothing, and the oracle judges.  Behind the flip a pass is one that adds.
 *
 * In some histories the first passes have a filter, and the others go on without: nothing of it may
 * be seen in the end.
 */
#include "tests/sim/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/copy.h"
#include "imapsync/move/known.h"
#include "tests/sim/faults.h"
#include "tests/sim/disk.h"
#include "tests/sim/model_end.h"
#include "tests/sim/oracle.h"
#include "tests/sim/site.h"
#include "tests/sim/world.h"

#define PASSES_MAX 60
#define QUIET_PASSES_MAX 12
#define FILTERED 6 /* of so many histories one */
#define FILTERED_PASSES 6

struct run {
    struct world w;
    const char *dir;
    struct copy *copy;
    struct known known; /* the marks of the flip */
    bool has_swept, has_failed;
    bool was_quiet;   /* the last pass */
    bool is_swept;    /* the last pass was a sweep that went through, and nothing was late */
    unsigned ways;    /* how often the sides were exchanged */
    bool is_filtered; /* the copy leaves something out */
    struct copy_counts counts;
    struct outcome *out;
};

static struct end *make_source(const struct end_maker *m, const struct wait_limits *limits)
{
    (void)m;
    return model_end_new(world, &world->source, limits);
}

static struct end *make_target(const struct end_maker *m, const struct wait_limits *limits)
{
    (void)m;
    return model_end_new(world, &world->target, limits);
}

/* The mailboxes keep their names when the sides are exchanged. */
static const struct end_maker source_makers[] = {
    {.label = "source", .user = "user", .name = "sim://old", .make = make_source},
    {.label = "source", .user = "user", .name = "sim://new", .make = make_source}};
static const struct end_maker target_makers[] = {
    {.label = "target", .user = "user", .name = "sim://new", .make = make_target},
    {.label = "target", .user = "user", .name = "sim://old", .make = make_target}};

static void on_progress(void *arg, const struct copy_counts *counts)
{
    (void)arg, (void)counts;
}

static bool has_filter(const struct history *h)
{
    return h->seed % FILTERED == 1 && h->purpose != PURPOSE_BACKFILL;
}

/* What the engine tells is not lost in silence: it counts, until the next pass says otherwise. */
static void on_exception(void *arg, const struct copy_exception *e)
{
    struct run *r = arg;
    int folder = model_folder_number(e->folder, strlen(e->folder));
    world_story(&r->w, "    engine: %s, message %u: %s", e->folder, e->uid, e->why);
    /* A comparison alone is too late: the copy had to find it.  In a backfill it says again what
     * was refused when it was tried. */
    if (e->code == ITEM_MISSING && r->w.h->purpose != PURPOSE_BACKFILL)
        return;
    if (folder < 0) {
        r->w.ledger.is_told_all = true;
        return;
    }
    const struct mailbox *b = server_find(&r->w.source, (uint8_t)folder);
    const struct message *m = b && e->uid ? mailbox_find(b, e->uid) : NULL;
    if (e->code == ITEM_LATE_UNKNOWN)
        r->w.ledger.is_given_up[folder] = true;
    else if (!m || e->code == ITEM_LEFT_OUT || e->code == ITEM_VANISHED)
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

static void no_mark(void *arg, struct slice folder, uint32_t uidvalidity, struct past_folder *out)
{
    (void)arg, (void)folder, (void)uidvalidity;
    *out = (struct past_folder){0};
}

static int never(void *arg, const unsigned char digest[SHA256_SIZE], size_t now, size_t *ever_out,
    struct err *err)
{
    (void)arg, (void)digest, (void)now, (void)err;
    *ever_out = 0;
    return 0;
}

static void on_put_deaf(
    void *arg, uint32_t folder, const struct pair *p, const unsigned char *digest, bool is_new)
{
    (void)arg, (void)folder, (void)p, (void)digest, (void)is_new;
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

/* Whoever copies ahead does so before the flip. */
static bool wants_filter(const struct run *r)
{
    return has_filter(r->w.h) && r->out->passes < FILTERED_PASSES && !r->w.is_quiet &&
           r->ways == 0 && !r->w.ledger.is_flipped;
}

static int begin(struct run *r)
{
    static const struct filter seen = {.with = {"\\Seen"}, .n_with = 1};
    const struct copy_options options = {.delete_percent = PLAN_DELETIONS_PERCENT,
        .settle_ms = r->w.h->settle_ms,
        .portion = r->w.h->portion,
        .connections = r->w.h->connections,
        .connection_messages = 1,
        .accept = UINT32_C(1) << ITEM_EMPTY, /* users do empty their mailboxes */
        .filter = r->is_filtered ? seen : (struct filter){0}};
    struct err err = ERR_INIT;
    if (r->copy)
        return 0;
    if (copy_new(&source_makers[r->ways % 2], &target_makers[r->ways % 2], r->dir, &options,
            &events, r, &r->copy, &err) == 0) {
        known_init(&r->known, r->dir);
        known_use(&r->known, r->copy);
        if (fault_is(FAULT_LATE_ALL))
            r->known.past.folder = no_mark, r->known.past.ever = never;
        if (fault_is(FAULT_CAME_FORGOTTEN))
            r->known.watch.put = on_put_deaf;
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

/* What a pass is for now, for the engine and, in its own words, for the oracle. */
static enum plan_policy_id purpose_now(struct run *r)
{
    static const enum rule rules[] = {
        [PLAN_MIRROR] = RULE_MIRROR,
        [PLAN_FIRST_SWEEP] = RULE_FIRST_SWEEP,
        [PLAN_AFTER_FLIP] = RULE_SWEEP,
        [PLAN_BACKFILL] = RULE_BACKFILL,
        [PLAN_ARCHIVE] = RULE_ARCHIVE,
        [PLAN_REVERSE] = RULE_REVERSE,
    };
    bool is_behind = r->w.ledger.is_flipped;
    enum plan_policy_id id = r->w.h->purpose == PURPOSE_ARCHIVE                ? PLAN_ARCHIVE
                             : r->w.h->purpose == PURPOSE_BACKFILL && !r->ways ? PLAN_BACKFILL
                             : is_behind && r->has_swept                       ? PLAN_AFTER_FLIP
                             : is_behind                                       ? PLAN_FIRST_SWEEP
                             : r->ways % 2                                     ? PLAN_REVERSE
                                                                               : PLAN_MIRROR;
    r->w.ledger.rule = rules[id];
    return id;
}

/* One pass; *is_quiet_out: it has changed nothing and nothing failed. */
static int pass(struct run *r, bool *is_quiet_out)
{
    struct err err = ERR_INIT;
    struct copy_counts n = {0};
    enum plan_policy_id policy = purpose_now(r);
    *is_quiet_out = false;
    if (r->is_filtered != wants_filter(r))
        end(r);
    r->is_filtered = wants_filter(r);
    r->out->passes++;
    r->w.ledger.pass_began = r->w.tick;
    r->w.ledger.is_in_pass = true;
    forget_told(&r->w.ledger);
    world_story(&r->w, "pass %u begins (%s)", r->out->passes, plan_policy(policy)->name);
    int result = begin(r);
    if (result == 0)
        result = copy_pass(r->copy, policy, &n, &err);
    r->w.ledger.is_in_pass = false;
    world_story(&r->w,
        "pass %u %s: %llu copied, %llu found, %llu moved, %llu failed, %llu removed, %llu "
        "flags%s%s",
        r->out->passes, result == 0 ? "is over" : "broke off",
        (unsigned long long)n.messages_copied, (unsigned long long)n.messages_adopted,
        (unsigned long long)n.messages_moved, (unsigned long long)n.messages_failed,
        (unsigned long long)n.messages_deleted, (unsigned long long)n.flags_changed,
        result == 0 ? "" : ": ", result == 0 ? "" : err.text);
    if (r->w.ledger.is_flipped && !r->w.is_killed && r->copy && known_keep(&r->known, &err) != 0)
        ledger_harm(&r->w.ledger, HARM_NO_QUIET, "marks: %s", err.text);
    r->out->failed_passes += result != 0;
    r->w.ledger.has_vanished = n.folders_vanished > 0;
    r->w.ledger.is_told_all |= n.keywords_lost > 0; /* the only ones without a place */
    *is_quiet_out = result == 0 && n.messages_copied + n.messages_adopted + n.messages_moved +
                                           n.messages_deleted + n.flags_changed ==
                                       0;
    r->has_failed = n.folders_failed + n.messages_failed + n.folders_short > 0;
    if (result == 0 && n.folders_failed == 0) {
        ledger_settled(&r->w.ledger);
        server_settled(&r->w.source);
        server_settled(&r->w.target);
        r->w.ledger.listed_at = r->w.ledger.pass_began;
    }
    if (result == 0 && !r->has_failed && !r->w.ledger.is_short)
        ledger_not_fresh(&r->w.ledger);
    r->has_swept |= result == 0 && policy == PLAN_FIRST_SWEEP;
    r->is_swept = result == 0 && n.messages_copied == 0;
    if (r->w.is_killed || result != 0)
        end(r);
    return result;
}

/* As a cut-over does it: all is compared, and what it must know for ever is on the disk.  Before a
 * backfill nothing is there yet, and all of it comes late. */
static bool flip(struct run *r)
{
    r->is_swept = false;
    if (r->is_filtered)
        return false;
    struct copy_verdict v;
    struct err err = ERR_INIT;
    bool is_forgotten = fault_is(FAULT_MARKS_OF_OLD) && r->ways > 0;
    bool is_done = begin(r) == 0 && (is_forgotten || known_seen(&r->known, &err) == 0);
    if (is_done) {
        known_compare(&r->known);
        bool is_first = r->w.h->purpose == PURPOSE_BACKFILL && r->ways == 0;
        is_done = copy_verify(r->copy, COPY_ALL, true, &v, &err) == 0 &&
                  (is_first || v.missing + v.different + v.gone == 0) && !r->w.is_killed &&
                  (is_forgotten || known_flip(&r->known, &err) == 0);
    }
    world_story(&r->w, is_done ? "the flip: from now on the user works on the target"
                               : "no flip: the comparison finds differences, or is cut off");
    if (is_done)
        ledger_flip(&r->w.ledger, &r->w.source);
    if (r->w.is_killed)
        end(r);
    return is_done;
}

/* The way back, or there once more, by the same journal; a few have lost it. */
static void turn(struct run *r, const struct action *x)
{
    bool has_journal = x->a % 8 > 0;
    end(r);
    if (!has_journal) {
        site_lose(r->dir);
        disk_forget();
        if (x->a % 16 > 0)
            site_lose_marks();
    }
    world_turn(&r->w, has_journal);
    r->ways++;
    r->has_swept = r->has_failed = r->was_quiet = r->is_swept = false;
    world_story(&r->w, "the sides are exchanged%s", has_journal ? "" : ", and the journal is lost");
}

/* Not all of it is good for every purpose. */
static bool is_for(const struct run *r, enum act what)
{
    if (what == ACT_FLIP)
        return !r->w.ledger.is_flipped && (r->w.h->purpose == PURPOSE_MOVE ||
                                              (r->w.h->purpose == PURPOSE_BACKFILL && r->ways));
    return what == ACT_BACK && r->w.ledger.is_flipped;
}

/* The flip comes behind a pass that was whole, and the way back behind a sweep that was, as a
 * cut-over takes care of. */
static bool is_waiting(const struct run *r)
{
    const struct world *w = &r->w;
    if (w->next == w->h->n || !is_for(r, w->h->v[w->next].what))
        return false;
    return w->h->v[w->next].what == ACT_FLIP ? !r->was_quiet || r->has_failed : !r->is_swept;
}

static void between(struct run *r)
{
    struct world *w = &r->w;
    while (w->next < w->h->n && w->h->v[w->next].tick <= w->tick && !is_waiting(r)) {
        const struct action *x = &w->h->v[w->next];
        if (x->what == ACT_FLIP && is_for(r, ACT_FLIP)) {
            if (!flip(r))
                break;
        } else if (x->what == ACT_BACK && is_for(r, ACT_BACK)) {
            turn(r, x);
        } else if (x->what == ACT_JOURNAL_LOST && !world_may_lose(w)) {
            /* The marks that are left go by UIDs. */
        } else if (x->what == ACT_JOURNAL_LOST) {
            end(r);
            site_lose(r->dir);
            world_lose_journal(w);
            if (x->a % 3 == 0) {
                site_lose_marks();
                ledger_marks_lost(&w->ledger);
            }
            world_story(w, x->a % 3 == 0 ? "journal and marks are lost" : "the journal is lost");
            w->next++;
            break;
        } else if (x->what != ACT_FLIP && x->what != ACT_BACK) {
            break;
        }
        w->next++;
    }
}

/* false: it could not be done, and may be tried again. */
static bool verify(struct run *r, bool may_fail)
{
    struct copy_verdict v;
    struct err err = ERR_INIT;
    if (begin(r) != 0 ||
        copy_verify(r->copy, r->w.h->seed % 2 ? COPY_ALL : COPY_CHANGED, true, &v, &err) != 0) {
        world_story(&r->w, "the verification fails: %s", err.text);
        if (!may_fail)
            ledger_harm(&r->w.ledger, HARM_NO_QUIET, "the verification fails: %s", err.text);
        return false;
    }
    world_story(&r->w,
        "verified: %llu messages, %llu missing, %llu different, %llu gone, %llu extra",
        (unsigned long long)v.messages, (unsigned long long)v.missing,
        (unsigned long long)v.different, (unsigned long long)v.gone, (unsigned long long)v.extra);
    /* Without a place: enough for the servers that lie. */
    if (r->w.target.quirks & (QUIRK_LOSES | QUIRK_ALTERS | QUIRK_UIDS | QUIRK_STORES_NO))
        r->w.ledger.is_told_all |= v.missing + v.different + v.gone > 0;
    return true;
}

/* A backfill begins with the flip; some mail is there before it. */
static void flip_first(struct run *r)
{
    struct world *w = &r->w;
    while (w->next < w->h->n && w->h->v[w->next].what == ACT_DELIVER)
        world_tick(w);
    while (w->ledger.harm == HARM_NONE && !flip(r))
        world_tick(w);
}

static void disturbed(struct run *r)
{
    struct world *w = &r->w;
    if (w->h->purpose == PURPOSE_BACKFILL)
        flip_first(r);
    while (w->next < w->h->n && r->out->passes < PASSES_MAX && w->ledger.harm == HARM_NONE) {
        between(r);
        (void)pass(r, &r->was_quiet);
        /* A cut-over waits for quiet; others do not stop for it. */
        if (w->next < w->h->n && w->h->v[w->next].tick > w->tick)
            world_tick(w);
        if (w->next < w->h->n && is_for(r, w->h->v[w->next].what) &&
            r->out->passes > PASSES_MAX / 2)
            w->next++;
    }
    w->next = w->h->n;
    end(r);
    for (unsigned i = 0; i < 16; i++)
        world_tick(w);
}

static void wait_for_quiet(struct run *r)
{
    unsigned n_quiet = 0, i;
    bool is_quiet;
    for (i = 0; i < QUIET_PASSES_MAX && n_quiet < 2 && r->w.ledger.harm == HARM_NONE; i++) {
        (void)pass(r, &is_quiet);
        n_quiet = is_quiet ? n_quiet + 1 : 0;
    }
    if (n_quiet < 2)
        ledger_harm(&r->w.ledger, HARM_NO_QUIET, "%u passes, and still something to do", i);
}

/* What a torn disk has left may not be read before all is compared; the next pass begins that
 * journal anew. */
static void quiet(struct run *r)
{
    bool is_torn = r->w.h->tear != TEAR_NONE && r->w.ledger.has_lost_journal;
    world_story(&r->w, "quiet");
    r->w.is_quiet = true;
    r->w.kill_armed = KILL_NONE;
    wait_for_quiet(r);
    if (r->w.ledger.harm != HARM_NONE || verify(r, is_torn))
        return;
    wait_for_quiet(r);
    if (r->w.ledger.harm == HARM_NONE)
        (void)verify(r, false);
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
