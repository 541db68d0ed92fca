/* SPDX-License-Identifier: ISC */
/*
 * apply_settle_move: where the messages of a MOVE are that was cut off.  Those that are in the
 * other folder are above the UIDNEXT that it had, in no pair, and have the content that the journal
 * knows; their pairs follow them.  k equal messages are k candidates.
 *
 * A target without MOVE copies first: one that is in both places has been copied, and what is left
 * of it in the old one, unless its user has touched it since, is removed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/apply_parts.h"
#include "imapsync/copy/bodies.h"

struct search {
    struct apply_settling *s;
    const struct intent *i;
    struct journal_folder to;
    struct keywords keywords;
    struct end_changes there; /* what the other folder got since */
    struct body *bodies;
    size_t n;
    struct pair *pairs; /* of the old folder */
    size_t n_pairs;
    struct pair *others; /* of the other one */
    size_t n_others;
    uint32_t *twice; /* on the target, in the old folder */
    size_t n_twice;
};

/* Opens the other folder.  *is_there_out: it is the one that it was. */
static int open_other(struct search *x, bool *is_there_out, bool *is_open_out, struct err *err)
{
    struct end_ticket t = {0};
    struct end *e = x->s->target;
    *is_there_out = false;
    if (apply_folder_by_id(x->s->journal, x->i->to, &x->to, err) != 0 ||
        journal_keywords_get(x->s->journal, x->i->to, &x->keywords, err) != 0)
        return -1;
    if (x->to.id == 0 || !folder_list_find(x->s->there, x->to.target.name))
        return 0;
    e->ops->open(e,
        &(struct end_open){
            .folder = x->to.target.name, .from = x->i->tgt_uidnext, .want = END_WANT_FLAGS},
        &x->there, &t);
    if (end_wait(e, &t, err) != 0)
        return -1;
    *is_open_out = t.result != END_OK || !x->there.is_sure;
    *is_there_out = !*is_open_out && x->there.uidvalidity == x->to.target.uidvalidity;
    return 0;
}

/* The candidates with their contents. */
static int read_candidates(struct search *x, bool *is_open_out, struct err *err)
{
    x->bodies = mem_realloc_array(NULL, x->there.n + 1, sizeof(*x->bodies));
    for (size_t i = 0; i < x->there.n; i++) {
        bool is_ours;
        if (journal_has_target(x->s->journal, x->to.id, x->there.v[i].uid, &is_ours, err) != 0)
            return -1;
        if (!is_ours && x->there.v[i].uid >= x->i->tgt_uidnext)
            x->bodies[x->n++] = (struct body){.uid = x->there.v[i].uid};
    }
    if (x->n > 0 && bodies_digest(x->s->target, x->bodies, x->n, err) != 0) {
        *is_open_out = !x->s->target->ops->is_broken(x->s->target);
        return *is_open_out ? 0 : -1;
    }
    return 0;
}

static struct body *find(struct search *x, const struct content *c)
{
    for (size_t i = 0; i < x->n; i++) {
        struct body *b = &x->bodies[i];
        bool is_same =
            memcmp(b->digest, c->digest, SHA256_SIZE) == 0 ||
            (canon_is_known(&c->canon) && memcmp(&b->canon, &c->canon, sizeof(c->canon)) == 0);
        if (b->is_there && b->mate == 0 && is_same)
            return b;
    }
    return NULL;
}

struct moved {
    struct pair was, now;
    struct content content;
};

/* By an earlier look, which was cut off before what was left was removed. */
static bool is_moved(const struct search *x, uint32_t new_uid)
{
    const struct pair *p = apply_find(x->others, x->n_others, new_uid);
    return p && p->state == PAIR_STORED;
}

static int find_all(struct search *x, struct moved *out, size_t *n_out, struct err *err)
{
    const struct intent *i = x->i;
    for (size_t k = 0; k < i->n; k++) {
        const struct pair *p = NULL;
        struct content c;
        struct body *b;
        bool found = false;
        for (size_t at = 0; at < x->n_pairs && !p; at++) {
            if (x->pairs[at].state == PAIR_STORED && x->pairs[at].tgt_uid == i->uids[k])
                p = &x->pairs[at];
        }
        const struct listed *left = end_changes_find(x->s->left, i->uids[k]);
        if (!p && left && is_moved(x, i->new_uids[k]))
            x->twice[x->n_twice++] = i->uids[k];
        if (!p)
            continue;
        if (journal_content(x->s->journal, i->folder, p->src_uid, &c, &found, err) != 0)
            return -1;
        if (!found || !c.has_digest || (b = find(x, &c)) == NULL)
            continue;
        b->mate = i->uids[k];
        const struct listed *copy = end_changes_find(&x->there, b->uid);
        struct moved *m = &out[(*n_out)++];
        m->was = m->now = *p;
        m->content = c;
        m->now.src_uid = i->new_uids[k];
        m->now.tgt_uid = b->uid;
        bool is_touched =
            left && copy &&
            (left->flags.system & ~FLAG_DELETED) != (copy->flags.system & ~FLAG_DELETED);
        if (left && !is_touched)
            x->twice[x->n_twice++] = i->uids[k];
    }
    return 0;
}

static int put_moved(struct search *x, const struct moved *v, size_t n, struct err *err)
{
    struct journal *j = x->s->journal;
    journal_begin(j);
    for (size_t k = 0; k < n; k++) {
        journal_pair_del(j, x->i->folder, v[k].was.src_uid);
        journal_pair_put(j, x->to.id, &v[k].now, &v[k].content);
    }
    if (x->n_twice == 0)
        journal_intent_del(j, x->i->folder, x->i->id);
    return journal_commit(j, err);
}

/* What was copied and not removed. */
static int remove_rest(struct search *x, bool *is_open_out, struct err *err)
{
    struct end *e = x->s->target;
    const struct journal_folder *f = x->s->folder;
    struct end_ticket opened = {0}, marked = {0}, removed = {0};
    struct end_changes numbers;
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags mark = {.flags = &deleted, .keywords = x->s->keywords};
    end_changes_init(&numbers, x->s->keywords);
    e->ops->open(e,
        &(struct end_open){.folder = f->target.name,
            .is_for_writing = true,
            .is_only_opened = true,
            .uidvalidity = f->target.uidvalidity},
        &numbers, &opened);
    e->ops->flags(e, x->twice, x->n_twice, &mark, NULL, &marked);
    e->ops->remove(e, x->twice, x->n_twice, &removed);
    int result = end_drain(e, err);
    end_changes_fini(&numbers);
    *is_open_out = removed.result != END_OK;
    if (result != 0 || *is_open_out)
        return result;
    journal_begin(x->s->journal);
    journal_intent_del(x->s->journal, x->i->folder, x->i->id);
    return journal_commit(x->s->journal, err);
}

static int settle(struct search *x, struct moved *moved, bool *is_open_out, struct err *err)
{
    struct journal *j = x->s->journal;
    bool is_there = false;
    size_t n = 0;
    if (open_other(x, &is_there, is_open_out, err) != 0)
        return -1;
    if (is_there && read_candidates(x, is_open_out, err) != 0)
        return -1;
    if (*is_open_out)
        return 0;
    if (is_there && (journal_pairs(j, x->i->folder, &x->pairs, &x->n_pairs, err) != 0 ||
                        journal_pairs(j, x->i->to, &x->others, &x->n_others, err) != 0 ||
                        find_all(x, moved, &n, err) != 0))
        return -1;
    if (put_moved(x, moved, n, err) != 0)
        return -1;
    return x->n_twice > 0 ? remove_rest(x, is_open_out, err) : 0;
}

int apply_settle_move(
    struct apply_settling *s, const struct intent *i, bool *is_open_out, struct err *err)
{
    struct search x = {.s = s, .i = i};
    struct moved *moved = mem_realloc_array(NULL, i->n + 1, sizeof(*moved));
    end_changes_init(&x.there, &x.keywords);
    x.twice = mem_realloc_array(NULL, i->n + 1, sizeof(*x.twice));
    int result = settle(&x, moved, is_open_out, err);
    free(moved);
    free(x.twice);
    free(x.bodies);
    free(x.pairs);
    free(x.others);
    end_changes_fini(&x.there);
    keywords_fini(&x.keywords);
    journal_folder_fini(&x.to);
    return result;
}
