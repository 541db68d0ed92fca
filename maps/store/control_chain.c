/* SPDX-License-Identifier: ISC */
/*
 * control_chain: whether entries that lead to others go in a circle, or to too many.  That is asked
 * of the decision itself, over the map as the transaction has it, so that look-up and check cannot
 * disagree: of the entry that changes, and of those that lead to it, however many aliases are
 * between, since what one alias gets longer by, all those above it do.
 *
 * Holds do not count: a chain that is too long is so whoever is held on the way.
 *
 * Known weaknesses: those that lead here by a detail or by an "@domain" entry are not found, and of
 * more than ABOVE_MAX only the first are.  Look-up finds them: 451.
 */
#include "maps/store/control_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"

#define ABOVE_MAX 10000 /* entries looked at that lead to one */
#define TOPS_MAX 1000   /* decided on, from those with most aliases between on */

/* --- The map as it would be ------------------------------------------------------------------- */

struct chain {
    struct control_call *call;
    struct slice key; /* that changes; n == 0: the transaction has all changes */
    const struct route_entry *entry;
    struct buf bytes;
    struct arena *mem; /* of the decision */
    struct decision d;
    bool has_failed;
};

static enum route_answer get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *entry)
{
    struct chain *c = arg;
    if (c->key.n && slice_eq(key, c->key)) {
        *entry = *c->entry;
    } else if (store_get(c->call->c->store, c->call->txn, key, &c->bytes, entry, c->call->err) !=
               0) {
        c->has_failed = true;
        return ROUTE_UNKNOWN;
    } else if (c->bytes.n > 0) {
        /* Decoded anew: the entry has to borrow from the store. */
        memcpy(store->bytes, buf_slice(&c->bytes).p, c->bytes.n);
        if (record_decode(slice_make(store->bytes, c->bytes.n), entry) != 0)
            BUG("a record that was just read");
    }
    entry->state = ROUTE_STATE_ACTIVE;
    return entry->is_tombstone ? ROUTE_NOT_FOUND : ROUTE_FOUND;
}

/* 1: endless, and c->d says how; 0: not; -1: the store failed. */
static int is_endless(struct chain *c, struct slice key)
{
    const struct route_view view = {.get = get, .arg = c};
    struct decide_request request = {
        .rcpt = key, .source_server = CONF_SERVER_NONE, .now_s = c->call->c->now_ms / 1000};
    struct buf rcpt;

    buf_init(&rcpt, 2 * ROUTE_KEY_MAX);
    if (key.p[0] == '@' && buf_add_str(&rcpt, "somebody.without.an.entry") == 0 &&
        buf_add(&rcpt, key) == 0)
        request.rcpt = buf_slice(&rcpt);
    arena_reset(c->mem);
    decide(c->call->c->conf, &view, &request, c->mem, &c->d, NULL);
    buf_fini(&rcpt);
    return c->has_failed ? -1 : c->d.is_endless;
}

/* --- Who leads here --------------------------------------------------------------------------- */

struct above {
    struct slice *v; /* v[0]: where they lead; those with one alias more between come later */
    bool *is_top;    /* nothing leads there */
    size_t n, from;
    uint64_t *seen; /* hashes, 2 * ABOVE_MAX slots; 0: free */
    struct arena *mem;
};

/* True when it is new. */
static bool note(struct above *a, struct slice key)
{
    uint64_t hash = route_key_hash(key);
    size_t at = hash % (2 * ABOVE_MAX);

    while (a->seen[at] && a->seen[at] != hash)
        at = at + 1 < 2 * ABOVE_MAX ? at + 1 : 0;
    if (a->seen[at])
        return false;
    a->seen[at] = hash;
    a->v[a->n] = arena_dup(a->mem, key);
    if (!a->v[a->n].p)
        return false;
    a->is_top[a->n++] = true;
    return true;
}

static int on_follower(void *arg, struct slice key, struct err *err ATTR_UNUSED)
{
    struct above *a = arg;
    a->is_top[a->from] = false;
    if (a->n == ABOVE_MAX)
        return 1;
    note(a, key);
    return 0;
}

static int find_above(struct control_call *call, struct slice key, struct above *a)
{
    note(a, key);
    for (a->from = 0; a->from < a->n; a->from++)
        if (store_followers(call->c->store, call->txn, a->v[a->from], on_follower, a, call->err) !=
            0)
            return -1;
    return 0;
}

static enum control_outcome refuse(struct chain *c, struct slice key, struct slice top)
{
    const char *chain = c->d.chain ? c->d.chain : "";
    if (slice_eq(key, top))
        return (enum control_outcome)control_refuse(
            c->call, ERR_PERM, EX_DATAERR, "%.*s: %s: %s", SLICE_ARG(key), c->d.text, chain);
    return (enum control_outcome)control_refuse(c->call, ERR_PERM, EX_DATAERR,
        "%.*s: %.*s leads here, and then: %s: %s", SLICE_ARG(key), SLICE_ARG(top), c->d.text,
        chain);
}

/* What was endless before is no worse now. */
static int was_endless(struct chain *c, struct slice top)
{
    struct slice key = c->key;
    if (key.n == 0)
        return 0;
    c->key = SLICE_NONE;
    int rc = is_endless(c, top);
    c->key = key;
    return rc;
}

static enum control_outcome check_tops(struct chain *c, struct slice key, const struct above *a)
{
    size_t asked = 0;

    for (size_t i = a->n; i-- > 1 && asked < TOPS_MAX;) {
        if (!a->is_top[i])
            continue;
        asked++;
        int rc = is_endless(c, a->v[i]);
        if (rc < 0)
            return CONTROL_FAILED;
        if (rc == 0)
            continue;
        rc = was_endless(c, a->v[i]);
        if (rc == 0 && is_endless(c, a->v[i]) > 0) /* again, for its words */
            return refuse(c, key, a->v[i]);
        if (rc < 0 || c->has_failed)
            return CONTROL_FAILED;
    }
    return CONTROL_DONE;
}

static enum control_outcome check_above(struct chain *c, struct slice key)
{
    struct above a = {.v = mem_realloc_array(NULL, ABOVE_MAX, sizeof *a.v),
        .is_top = mem_zalloc(ABOVE_MAX * sizeof *a.is_top),
        .seen = mem_zalloc(2 * ABOVE_MAX * sizeof *a.seen),
        .mem = arena_new(ABOVE_MAX * (ROUTE_KEY_MAX + 64))};
    enum control_outcome outcome = CONTROL_FAILED;

    if (find_above(c->call, key, &a) == 0)
        outcome = check_tops(c, key, &a);
    arena_free(&a.mem);
    free(a.seen);
    free(a.is_top);
    free(a.v);
    return outcome;
}

/* --- The check -------------------------------------------------------------------------------- */

/* Does anybody lead there? */
static int on_any(void *arg, struct slice key ATTR_UNUSED, struct err *err ATTR_UNUSED)
{
    *(bool *)arg = true;
    return 1;
}

static enum control_outcome run(struct chain *c, struct slice key, bool leads, bool with_above)
{
    enum control_outcome outcome = CONTROL_DONE;
    bool has_above = false;

    c->mem = arena_new(DECIDE_MEM_MAX);
    buf_init(&c->bytes, 2 * ROUTE_RECORD_MAX);
    if (leads) {
        int rc = is_endless(c, key);
        outcome = rc < 0 ? CONTROL_FAILED : rc > 0 ? refuse(c, key, key) : CONTROL_DONE;
    }
    if (outcome == CONTROL_DONE && with_above &&
        store_followers(c->call->c->store, c->call->txn, key, on_any, &has_above, c->call->err) !=
            0)
        outcome = CONTROL_FAILED;
    if (outcome == CONTROL_DONE && has_above)
        outcome = check_above(c, key);
    buf_fini(&c->bytes);
    arena_free(&c->mem);
    return outcome;
}

/* Do both lead to the same, if to anything? */
static bool leads_alike(const struct route_entry *a, const struct route_entry *b)
{
    return a->is_tombstone == b->is_tombstone && a->kind == b->kind &&
           slice_eq(a->targets, b->targets) && slice_eq(a->owner, b->owner) &&
           (a->route.n == 0) == (b->route.n == 0);
}

enum control_outcome control_check_targets(struct control_call *call, struct slice key,
    const struct route_entry *old, const struct route_entry *entry)
{
    struct chain c = {.call = call, .key = key, .entry = entry};
    return run(&c, key, entry->targets.n > 0, !leads_alike(old, entry));
}

enum control_outcome control_check_written(
    struct control_call *call, struct slice key, bool is_above)
{
    struct chain c = {.call = call};
    return run(&c, key, !is_above, is_above);
}
