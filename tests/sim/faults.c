/* SPDX-License-Identifier: ISC */
/*
 * faults: see faults.h.  Each __wrap_ function stands before the engine's own of that name, which
 * is then __real_: the linker puts it there (--wrap, see the Makefile).
 */
#include "tests/sim/faults.h"

#include <stdlib.h>
#include <string.h>

#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/resolve.h"
#include "imapsync/copy/restored.h"
#include "tests/sim/world.h"

enum fault fault_planted = FAULT_NONE;

#define FAULT_NAME(name, text) #name,
static const char *const fault_names[] = {FAULTS(FAULT_NAME)};
#define FAULT_TEXT(name, text) text,
static const char *const fault_texts[] = {FAULTS(FAULT_TEXT)};

static unsigned pairs_put;

const char *fault_name(enum fault f)
{
    return fault_names[f];
}

const char *fault_text(enum fault f)
{
    return fault_texts[f];
}

void faults_reset(void)
{
    pairs_put = 0;
}

/* --- What is seen ------------------------------------------------------------------------------
 */

bool __real_restored(const struct restored_known *known, const struct record_numbers *now);
bool __wrap_restored(const struct restored_known *known, const struct record_numbers *now);
bool __wrap_restored(const struct restored_known *known, const struct record_numbers *now)
{
    return !fault_is(FAULT_RESTORED_UNSEEN) && __real_restored(known, now);
}

/* --- What is written into the journal ------------------------------------------------------------
 */

void __real_journal_intent_put(struct journal *j, uint32_t folder, struct intent *i);
void __wrap_journal_intent_put(struct journal *j, uint32_t folder, struct intent *i);
void __wrap_journal_intent_put(struct journal *j, uint32_t folder, struct intent *i)
{
    struct intent mine = *i;
    if (fault_is(FAULT_INTENT_NOT_WRITTEN) && i->kind == INTENT_APPEND) {
        i->id = 1000000;
        return;
    }
    if ((fault_is(FAULT_INTENT_NO_FLAGS) && i->kind == INTENT_FLAGS) ||
        (fault_is(FAULT_INTENT_NO_REMOVAL) && i->kind == INTENT_DELETE)) {
        i->id = 1000000;
        return;
    }
    if (fault_is(FAULT_INTENT_HALF) && i->kind == INTENT_APPEND)
        mine.n = (mine.n + 1) / 2;
    if (fault_is(FAULT_INTENT_UIDNEXT) && i->kind == INTENT_APPEND)
        mine.tgt_uidnext += 4;
    __real_journal_intent_put(j, folder, &mine);
    i->id = mine.id;
}

void __real_journal_intent_sent_put(
    struct journal *j, uint32_t folder, uint64_t id, const struct intent_sent *sent, size_t n);
void __wrap_journal_intent_sent_put(
    struct journal *j, uint32_t folder, uint64_t id, const struct intent_sent *sent, size_t n);
void __wrap_journal_intent_sent_put(
    struct journal *j, uint32_t folder, uint64_t id, const struct intent_sent *sent, size_t n)
{
    if (fault_is(FAULT_INTENT_HALF))
        n = (n + 1) / 2;
    __real_journal_intent_sent_put(j, folder, id, sent, n);
}

void __real_journal_pair_put(
    struct journal *j, uint32_t folder, const struct pair *p, const struct content *content);
void __wrap_journal_pair_put(
    struct journal *j, uint32_t folder, const struct pair *p, const struct content *content);
void __wrap_journal_pair_put(
    struct journal *j, uint32_t folder, const struct pair *p, const struct content *content)
{
    struct pair mine = *p;
    if (fault_is(FAULT_PAIR_DROPPED) && p->state == PAIR_STORED && ++pairs_put % 5 == 0)
        return;
    if (fault_is(FAULT_PAIR_OLD_FLAGS) && p->state == PAIR_STORED && !content)
        return;
    if (fault_is(FAULT_PAIR_WRONG) && p->state == PAIR_STORED && p->tgt_uid % 4 == 1)
        mine.tgt_uid++;
    if (fault_is(FAULT_PAIR_NO_FLAGS))
        memset(&mine.flags, 0, sizeof(mine.flags));
    if (fault_is(FAULT_SENT_AS_REFUSED) && p->state == PAIR_SENT)
        mine.state = PAIR_REFUSED;
    __real_journal_pair_put(j, folder, &mine, content);
}

int __real_journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err);
int __wrap_journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err);
int __wrap_journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    int result = __real_journal_pairs(j, folder, out, n_out, err);
    size_t kept = 0;
    if (result != 0 || !fault_is(FAULT_GONE_FORGOTTEN))
        return result;
    for (size_t i = 0; i < *n_out; i++) {
        if ((*out)[i].state != PAIR_GONE)
            (*out)[kept++] = (*out)[i];
    }
    *n_out = kept;
    return 0;
}

int __real_journal_folder_detach(
    struct journal *j, uint32_t folder, enum pair_state state, bool keeps_alone, struct err *err);
int __wrap_journal_folder_detach(
    struct journal *j, uint32_t folder, enum pair_state state, bool keeps_alone, struct err *err);
int __wrap_journal_folder_detach(
    struct journal *j, uint32_t folder, enum pair_state state, bool keeps_alone, struct err *err)
{
    state = fault_is(FAULT_RESTORED_AS_REMOVED) ? PAIR_GONE : state;
    return __real_journal_folder_detach(j, folder, state, keeps_alone, err);
}

int __real_journal_walk(
    struct journal *j, uint32_t folder, struct journal_walk *w, size_t max, struct err *err);
int __wrap_journal_walk(
    struct journal *j, uint32_t folder, struct journal_walk *w, size_t max, struct err *err);
int __wrap_journal_walk(
    struct journal *j, uint32_t folder, struct journal_walk *w, size_t max, struct err *err)
{
    int result = __real_journal_walk(j, folder, w, max, err);
    for (size_t i = 0; result == 1 && i < w->n && fault_is(FAULT_GONE_FORGOTTEN); i++) {
        if (w->v[i].state == PAIR_GONE)
            w->v[i].state = PAIR_REFUSED;
    }
    return result;
}

bool __real_journal_is_fresh(const struct journal *j);
bool __wrap_journal_is_fresh(const struct journal *j);
bool __wrap_journal_is_fresh(const struct journal *j)
{
    return !fault_is(FAULT_TURN_NOT_FRESH) && __real_journal_is_fresh(j);
}

bool __real_journal_is_complete(const struct journal *j);
bool __wrap_journal_is_complete(const struct journal *j);
bool __wrap_journal_is_complete(const struct journal *j)
{
    return fault_is(FAULT_NEVER_BLIND) || __real_journal_is_complete(j);
}

/* --- What the engine decides ---------------------------------------------------------------------
 */

int __real_resolve(struct resolve_job *job, struct err *err);
int __wrap_resolve(struct resolve_job *job, struct err *err);
int __wrap_resolve(struct resolve_job *job, struct err *err)
{
    if (fault_is(FAULT_BACK_COPIES) && job->adopt_all && world->ledger.rule == RULE_REVERSE)
        return 0;
    if (!fault_is(FAULT_INTENTS_FORGOTTEN) || job->adopt_all)
        return __real_resolve(job, err);
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_intents; i++)
        journal_intent_del(job->journal, job->folder->id, job->intents[i].id);
    return journal_commit(job->journal, err);
}

void __real_plan_make(const struct plan_input *in, struct plan *out);
void __wrap_plan_make(const struct plan_input *in, struct plan *out);
void __wrap_plan_make(const struct plan_input *in, struct plan *out)
{
    static const struct {
        enum fault fault;
        enum plan_policy_id policy, as;
    } swapped[] = {
        {FAULT_ARCHIVE_REMOVES, PLAN_ARCHIVE, PLAN_MIRROR},
        {FAULT_BACKFILL_FLAGS, PLAN_BACKFILL, PLAN_FIRST_SWEEP},
        {FAULT_SWEEP_TAKES_FLAGS, PLAN_AFTER_FLIP, PLAN_FIRST_SWEEP},
        {FAULT_BACK_REMOVES, PLAN_REVERSE, PLAN_MIRROR},
        {FAULT_BACK_NO_FLAGS, PLAN_REVERSE, PLAN_BACKFILL},
        {FAULT_BACK_STAYS, PLAN_REVERSE, PLAN_ARCHIVE},
    };
    struct plan_input mine = *in;
    if (fault_is(FAULT_REMOVE_BEHIND_FLIP))
        mine.policy = PLAN_MIRROR;
    for (size_t i = 0; i < sizeof(swapped) / sizeof(*swapped); i++) {
        if (fault_is(swapped[i].fault) && in->policy == swapped[i].policy)
            mine.policy = swapped[i].as;
    }
    __real_plan_make(&mine, out);
    bool is_sweep = in->policy == PLAN_FIRST_SWEEP || in->policy == PLAN_AFTER_FLIP;
    for (size_t i = 0; fault_is(FAULT_SWEEP_DELETED) && is_sweep && i < out->n_ops; i++) {
        if (out->ops[i].kind == PLAN_FLAGS)
            out->changes[out->ops[i].change].add.system |= FLAG_DELETED;
    }
}
