/* SPDX-License-Identifier: ISC */
/*
 * apply_journal: what changes nothing on the target: a pair gets another number, other flags or
 * another state, or goes.  Some hundred of them are one transaction; a crash in between leaves the
 * rest to the next plan.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"

#define AT_ONCE 500

struct known {
    struct content content;
    bool has_content;
};

static int content_of(
    struct apply_job *job, const struct plan_op *op, struct known *out, struct err *err)
{
    *out = (struct known){0};
    if (apply_content(job->journal, apply_record_id(job, op->folder), op, &out->content,
            &out->has_content, err) != 0)
        return -1;
    if (!out->has_content && op->kind == PLAN_GONE && job->content)
        out->has_content = job->content(job->arg, op->folder, op->src_uid, &out->content);
    return 0;
}

static void drop(struct apply_job *job, const struct plan_op *op)
{
    uint32_t folder = apply_record_id(job, op->folder);
    if (op->src_uid != 0)
        journal_pair_del(job->journal, folder, op->src_uid);
    else
        journal_copy_del(job->journal, folder, op->tgt_uid);
}

/* The pair as it then is; without a UID on either side there is none. */
static void put(struct apply_job *job, uint32_t folder, const struct pair *p, const struct known *k)
{
    if (p->src_uid != 0 || p->tgt_uid != 0)
        journal_pair_put(
            job->journal, apply_record_id(job, folder), p, k->has_content ? &k->content : NULL);
}

static void renumber(
    struct apply_job *job, const struct plan_op *op, const struct pair *was, const struct known *k)
{
    struct pair p = *was;
    struct known known = *k;
    p.state = op->state;
    p.is_compared = p.is_removed = false;
    if (op->is_target)
        p.tgt_uid = op->new_uid;
    else
        p.src_uid = op->new_uid;
    if (op->state != PAIR_STORED)
        p.tgt_uid = 0;
    /* The numbers of another folder. */
    if (op->state == PAIR_SENT && op->to != op->folder)
        known.content.since = 1;
    drop(job, op);
    put(job, op->to, &p, &known);
}

static int pair_of(
    struct apply_job *job, const struct plan_op *op, struct pair *out, struct err *err)
{
    bool found;
    if (journal_pair_get(job->journal, apply_record_id(job, op->folder), op->src_uid, op->tgt_uid,
            out, &found, err) != 0)
        return -1;
    if (!found)
        *out = (struct pair){.src_uid = op->src_uid, .tgt_uid = op->tgt_uid, .state = PAIR_STORED};
    return 0;
}

static void note(struct apply_job *job, const struct plan_op *op)
{
    struct pair p = {.src_uid = op->src_uid,
        .tgt_uid = op->tgt_uid,
        .state = op->src_uid != 0 ? PAIR_STORED : PAIR_GONE,
        .is_touched = op->is_touched,
        .flags = job->plan->changes[op->change].now};
    put(job, op->folder, &p, &(struct known){0});
}

/* One that the source has lost keeps the target's number, every other one the source's.  Removed by
 * its user is what the other side has lost, and what was in Trash already. */
static void end_pair(struct apply_job *job, const struct plan_op *op, const struct known *k)
{
    bool is_gone = op->kind == PLAN_GONE, is_in_trash = is_gone && op->witness == PLAN_W_IN_TRASH;
    bool is_lost = is_in_trash || (is_gone && op->witness == PLAN_W_LOST);
    struct pair p = {.src_uid = is_lost ? 0 : op->src_uid,
        .tgt_uid = is_lost ? op->tgt_uid : 0,
        .state = op->kind == PLAN_AWAY ? PAIR_AWAY : PAIR_GONE,
        .is_touched = op->is_touched,
        .is_removed = is_in_trash || (is_gone && op->witness == PLAN_W_TARGET_LOST),
        .flags = job->plan->changes[op->change].now};
    drop(job, op);
    put(job, op->folder, &p, k);
}

/* What the journal knows of up to AT_ONCE pairs, before the transaction that changes them. */
struct chunk {
    struct known known[AT_ONCE];
    struct pair was[AT_ONCE]; /* RENUMBER */
};

static int read_chunk(
    struct apply_job *job, const struct plan_op *ops, size_t n, struct chunk *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct plan_op *op = &ops[i];
        if (op->kind == PLAN_RENUMBER && pair_of(job, op, &out->was[i], err) != 0)
            return -1;
        if (op->kind != PLAN_NOTE && op->kind != PLAN_FORGET &&
            content_of(job, op, &out->known[i], err) != 0)
            return -1;
    }
    return 0;
}

static int write_chunk(struct apply_job *job, const struct plan_op *ops, size_t n,
    const struct chunk *c, struct err *err)
{
    journal_begin(job->journal);
    for (size_t i = 0; i < n; i++) {
        const struct plan_op *op = &ops[i];
        if (op->kind == PLAN_NOTE)
            note(job, op);
        else if (op->kind == PLAN_FORGET)
            drop(job, op);
        else if (op->kind == PLAN_RENUMBER)
            renumber(job, op, &c->was[i], &c->known[i]);
        else
            end_pair(job, op, &c->known[i]);
    }
    return journal_commit(job->journal, err);
}

int apply_journal(struct apply_job *job, const struct plan_op *ops, size_t n, struct err *err)
{
    struct chunk *c = mem_zalloc(sizeof(*c));
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i += AT_ONCE) {
        size_t k = n - i < AT_ONCE ? n - i : AT_ONCE;
        result = read_chunk(job, ops + i, k, c, err);
        if (result == 0)
            result = write_chunk(job, ops + i, k, c, err);
    }
    free(c);
    return result;
}
