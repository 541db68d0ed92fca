/* SPDX-License-Identifier: ISC */
/*
 * generator: which history follows from a seed.  A change here gives every seed another one; what
 * has to be kept is kept as a story (story.c).
 */
#include "tests/sim/history.h"
#include "tests/sim/model.h"
#include "tests/sim/rng.h"

/* How often, out of all weights. */
static const uint8_t weights[ACTS] = {
    30, 5, 14, 12, 8, 2, 5, 2, 1, 1, 4, 9, 5, 4, 1, 1, 1, 4, 6, 5, 4, 4, 1, 2, 1, 3, 3};

#define BIT(act) (1u << (act))
#define INTERRUPTIONS                                                                              \
    (BIT(ACT_CUT_SOURCE) | BIT(ACT_CUT_TARGET) | BIT(ACT_KILL) | BIT(ACT_KILL_AT_COMMIT) |         \
        BIT(ACT_KILL_BEHIND_COMMIT))

static uint32_t some_quirks(struct rng *r, bool is_target, bool has_open)
{
    static const uint32_t usual[] = {QUIRK_NO_UIDPLUS, QUIRK_NO_MULTIAPPEND, QUIRK_NO_CONDSTORE,
        QUIRK_NO_IDS, QUIRK_NO_MOVE, QUIRK_NO_TOKENS, QUIRK_UNSOLICITED, QUIRK_SIZES};
    static const uint32_t odd[] = {QUIRK_NO_KEYWORDS, QUIRK_REFUSES, QUIRK_SHORT, QUIRK_UIDS,
        QUIRK_STORES_NO, QUIRK_LOSES, QUIRK_ALTERS, QUIRK_LATE, QUIRK_LIMIT};
    uint32_t q = 0;
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
        q |= rng_one_in(r, 4) ? usual[i] : 0u;
    if (is_target && rng_one_in(r, 3))
        q |= odd[rng_below(r, sizeof(odd) / sizeof(*odd))];
    else if (!is_target && rng_one_in(r, 12))
        q |= QUIRK_SHORT;
    if (is_target && rng_one_in(r, 12))
        q |= QUIRK_FIRST_OPEN;
    /* What is open. */
    if (is_target && rng_one_in(r, 12) && has_open)
        q |= QUIRK_ONCE;
    return q;
}

/* The last ones are restores. */
static enum act some_act(struct rng *r, bool has_restores)
{
    const unsigned n = has_restores ? ACTS : ACT_RESTORE;
    uint32_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += weights[i];
    uint32_t at = rng_below(r, sum);
    unsigned i = 0;
    while (at >= weights[i])
        at -= weights[i++];
    return (enum act)i;
}

/* What kind of people they are. */
struct mood {
    bool is_calm;    /* nothing breaks */
    bool is_sorting; /* messages and folders are moved all the time */
    bool is_unsure;  /* a flag that is changed is changed back soon, and the engine killed meanwhile
                      */
    bool is_torn;    /* they cannot make up their minds on which server to be */
    bool has_restores;
};

static enum act act_in(const struct mood *m, struct rng *r)
{
    static const uint8_t sorting[] = {ACT_MOVE, ACT_MOVE, ACT_MOVE, ACT_RENAME, ACT_MAKE};
    enum act a;
    if (m->is_torn && rng_one_in(r, 6))
        return rng_one_in(r, 2) ? ACT_FLIP : ACT_BACK;
    if (m->is_torn && rng_one_in(r, 4))
        return ACT_MOVE;
    if (m->is_sorting && rng_one_in(r, 2))
        return (enum act)sorting[rng_below(r, sizeof(sorting))];
    do
        a = some_act(r, m->has_restores);
    while (m->is_calm && BIT(a) & INTERRUPTIONS);
    return a;
}

/* A flag is changed, the engine killed about when it has followed, and the flag changed back before
 * the next one looks.  Both actions mean the same message, as long as its neighbours stay. */
static void change_back(struct rng *r, struct history *h)
{
    static const uint8_t kills[] = {ACT_KILL, ACT_KILL, ACT_KILL_AT_COMMIT, ACT_CUT_TARGET};
    for (uint32_t i = 4; i + 2 < h->n; i++) {
        if (h->v[i].what != ACT_FLAG)
            continue;
        h->v[i + 1].what = (enum act)kills[rng_below(r, sizeof(kills))];
        h->v[i + 2].what = ACT_FLAG;
        h->v[i + 2].a = h->v[i].a;
        h->v[i + 2].b = h->v[i].b;
        uint32_t tick = h->v[i].tick + 10 + rng_below(r, 20);
        for (uint32_t k = i + 1; k < h->n && (k <= i + 2 || h->v[k].tick < tick); k++)
            h->v[k].tick = tick;
        i += 2;
    }
}

void history_make(uint64_t seed, bool has_open, struct history *out)
{
    struct rng r = {.s = seed * 0x2545f4914f6cdd1du + 1};
    uint32_t tick = 0, gap;
    *out = (struct history){
        .seed = seed, .settle_ms = rng_one_in(&r, 2) ? 0 : 2000, .has_open = has_open};
    /* Not drawn: what a seed was before there were portions it is still. */
    out->portion = seed % 3 == 0 ? 1 + (uint32_t)(seed / 3 % 3) : 0;
    out->quirks[0] = some_quirks(&r, false, has_open);
    out->quirks[1] = some_quirks(&r, true, has_open);
    out->purpose = rng_one_in(&r, 8)   ? PURPOSE_ARCHIVE
                   : rng_one_in(&r, 8) ? PURPOSE_BACKFILL
                                       : PURPOSE_MOVE;
    out->n = 4 + rng_below(&r, ACTIONS_MAX - 4);
    gap = 1 + rng_below(&r, 12);
    /* Time enough for a pass or two in between: only what both sides have can be moved. */
    if (rng_one_in(&r, 3)) {
        gap = 20 + rng_below(&r, 40);
        out->n = 4 + out->n / 3;
    }
    const struct mood mood = {.is_calm = rng_one_in(&r, 5),
        .is_sorting = rng_one_in(&r, 4),
        .is_unsure = rng_one_in(&r, 6),
        .is_torn = out->purpose == PURPOSE_MOVE && rng_one_in(&r, 3),
        .has_restores = seed % 8 == 1};
    for (uint32_t i = 0; i < out->n; i++) {
        tick += rng_one_in(&r, 3) ? 0 : rng_below(&r, 2 * gap);
        out->v[i] = (struct action){.tick = tick,
            .what = i < 4 ? ACT_DELIVER : act_in(&mood, &r),
            .a = (uint32_t)(rng_next(&r) >> 40),
            .b = (uint32_t)(rng_next(&r) >> 40)};
    }
    if (mood.is_torn && rng_one_in(&r, 2))
        out->v[0] = (struct action){.what = ACT_MAKE, .a = LEDGER_TRASH};
    if (mood.is_unsure && !mood.is_calm)
        change_back(&r, out);
    out->tear = rng_one_in(&r, 3) ? (enum tear)(1 + rng_below(&r, TEARS - 1)) : TEAR_NONE;
}
