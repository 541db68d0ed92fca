/* SPDX-License-Identifier: ISC */
/* alone: see alone.h. */
#include "imapsync/copy/alone.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/plan/match.h"

#define AT_ONCE 200

int alone_content(
    struct work *w, const struct pair *p, struct content *out, bool *found_out, struct err *err)
{
    struct journal *j = w->c->journal;
    return p->src_uid != 0
               ? journal_content(j, w->record->id, p->src_uid, out, found_out, err)
               : journal_copy_content(j, w->record->id, p->tgt_uid, out, found_out, err);
}

static int open_there(struct work *w, struct end_changes *out, bool is_only_opened, struct err *err)
{
    struct end_ticket t = {0};
    w->c->to->ops->open(w->c->to,
        &(struct end_open){.folder = w->record->target.name,
            .is_only_opened = is_only_opened,
            .uidvalidity = w->target->uidvalidity},
        out, &t);
    return end_check(w->c->to, &t, "cannot open the folder", err);
}

/* --- Contents --------------------------------------------------------------------------------- */

static int read_some(
    struct work *w, const struct pair *const *pairs, struct body *v, size_t n, struct err *err)
{
    struct journal *j = w->c->journal;
    if (bodies_digest(w->c->to, v, n, err) != 0)
        return -1;
    journal_begin(j);
    for (size_t i = 0; i < n; i++) {
        struct content c = {.has_digest = true, .canon = v[i].canon};
        memcpy(c.digest, v[i].digest, SHA256_SIZE);
        if (v[i].is_there)
            journal_pair_put(j, w->record->id, pairs[i], &c);
    }
    return journal_commit(j, err);
}

static int read_all(struct work *w, const struct pair *alone, size_t n_alone, struct err *err)
{
    struct body v[AT_ONCE];
    const struct pair *pairs[AT_ONCE];
    bool is_open = false;
    size_t n = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < n_alone; i++) {
        struct content c;
        bool found;
        if (alone_content(w, &alone[i], &c, &found, err) != 0)
            return -1;
        if (found && !c.has_digest) {
            v[n] = (struct body){.uid = alone[i].tgt_uid};
            pairs[n++] = &alone[i];
        }
        if (n == 0 || (n < AT_ONCE && i + 1 < n_alone))
            continue;
        if (!is_open) {
            struct end_changes numbers;
            end_changes_init(&numbers, &w->keywords);
            result = open_there(w, &numbers, true, err);
            end_changes_fini(&numbers);
            is_open = true;
        }
        if (result == 0)
            result = read_some(w, pairs, v, n, err);
        n = 0;
    }
    return result;
}

int alone_read(struct work *w, struct err *err)
{
    struct pair *v;
    size_t n;
    if (w->record->target.uidvalidity == 0 ||
        w->record->target.uidvalidity != w->target->uidvalidity)
        return 0;
    if (journal_alone(w->c->journal, w->record->id, &v, &n, err) != 0)
        return -1;
    int result = read_all(w, v, n, err);
    free(v);
    return result;
}

/* --- Numbers ------------------------------------------------------------------------------------
 *
 * Old and new ones may be the same, so what stands alone is kept at the end of all numbers until
 * the pairs have theirs.
 */

int alone_take(struct work *w, struct alone *out, struct err *err)
{
    *out = (struct alone){.n = w->n_alone};
    out->pairs = mem_realloc_array(NULL, out->n + 1, sizeof(*out->pairs));
    out->contents = mem_zalloc((out->n + 1) * sizeof(*out->contents));
    for (size_t i = 0; i < out->n; i++) {
        bool found;
        out->pairs[i] = w->pairs[i];
        if (journal_copy_content(w->c->journal, w->record->id, w->pairs[i].tgt_uid,
                &out->contents[i], &found, err) != 0)
            return -1;
    }
    journal_begin(w->c->journal);
    for (size_t i = 0; i < out->n; i++)
        journal_copy_del(w->c->journal, w->record->id, out->pairs[i].tgt_uid);
    for (size_t i = 0; i < out->n; i++) {
        out->pairs[i].tgt_uid = UINT32_MAX - (uint32_t)(out->n - i);
        journal_pair_put(w->c->journal, w->record->id, &out->pairs[i], &out->contents[i]);
    }
    if (journal_commit(w->c->journal, err) != 0)
        return -1;
    w->n_pairs -= out->n;
    w->n_alone = 0;
    memmove(w->pairs, w->pairs + out->n, w->n_pairs * sizeof(*w->pairs));
    return 0;
}

/* What is not listed may be what is looked for. */
static int wait_for_all(const struct work *w, struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%s: the server lists fewer messages than it counts, and some are in doubt",
        w->c->to->label);
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* Of the target, what no pair names. */
static int read_free(struct work *w, struct body **out, size_t *n_out, struct err *err)
{
    struct end_changes there;
    end_changes_init(&there, &w->keywords);
    int result = open_there(w, &there, false, err);
    if (result == 0 && !there.is_sure)
        result = wait_for_all(w, err);
    *out = mem_realloc_array(NULL, there.n + 1, sizeof(**out));
    *n_out = 0;
    for (size_t i = 0; result == 0 && i < there.n; i++) {
        bool is_known;
        result = journal_has_target(w->c->journal, w->record->id, there.v[i].uid, &is_known, err);
        if (result == 0 && !is_known)
            (*out)[(*n_out)++] = (struct body){.uid = there.v[i].uid};
    }
    end_changes_fini(&there);
    return result == 0 && *n_out > 0 ? bodies_digest(w->c->to, *out, *n_out, err) : result;
}

/* --- What a restore has taken -------------------------------------------------------------------
 *
 * Behind a flip a message that was moved on the source is known in its new place as one that was
 * seen before, and its copy stands alone in the old one.
 */

struct owed {
    uint32_t folder;
    struct pair pair;
    bool is_found;
};

/* One that the target's user has not removed. */
static void take_seen(void *arg, uint32_t folder, const struct pair *p)
{
    struct owed *o = arg;
    if (o->is_found || p->src_uid == 0 || p->state != PAIR_GONE || p->is_removed)
        return;
    *o = (struct owed){folder, *p, true};
}

/* Its message is where it was seen last, and comes again from there. */
static int owe(struct work *w, const struct content *c, struct err *err)
{
    struct journal *j = w->c->journal;
    struct owed o = {0};
    if (!c->has_digest || journal_by_digest(j, c->digest, take_seen, &o, err) != 0)
        return c->has_digest ? -1 : 0;
    if (!o.is_found)
        return 0;
    o.pair.state = PAIR_LOST;
    journal_begin(j);
    journal_pair_put(j, o.folder, &o.pair, NULL);
    return journal_commit(j, err);
}

int alone_find(struct work *w, struct alone *a, struct err *err)
{
    struct body *now = NULL, *was = mem_zalloc((a->n + 1) * sizeof(*was));
    size_t n_now = 0;
    int result = a->n > 0 ? read_free(w, &now, &n_now, err) : 0;
    for (size_t i = 0; i < a->n; i++) {
        was[i] = (struct body){.uid = (uint32_t)i + 1,
            .is_there = a->contents[i].has_digest,
            .canon = a->contents[i].canon};
        memcpy(was[i].digest, a->contents[i].digest, SHA256_SIZE);
    }
    if (result == 0 && a->n > 0)
        match_up(was, a->n, now, n_now, MATCH_LINES);
    for (size_t i = 0; result == 0 && folder_is_behind_flip(w) && i < a->n; i++)
        result = was[i].mate == 0 ? owe(w, &a->contents[i], err) : 0;
    if (result == 0 && a->n > 0) {
        journal_begin(w->c->journal);
        for (size_t i = 0; i < a->n; i++) {
            journal_copy_del(w->c->journal, w->record->id, a->pairs[i].tgt_uid);
            a->pairs[i].tgt_uid = was[i].mate;
            if (was[i].mate != 0)
                journal_pair_put(w->c->journal, w->record->id, &a->pairs[i], &a->contents[i]);
        }
        result = journal_commit(w->c->journal, err);
    }
    free(was);
    free(now);
    return result;
}

void alone_fini(struct alone *a)
{
    free(a->pairs);
    free(a->contents);
    *a = (struct alone){0};
}
