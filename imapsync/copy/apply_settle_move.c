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

#include "base/core/clock.h"
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
        if (!p)
            continue;
        if (journal_content(x->s->journal, i->folder, p->src_uid, &c, &found, err) != 0)
            return -1;
        if (!found || !c.has_digest || (b = find(x, &c)) == NULL)
            continue;
        b->mate = i->uids[k];
        const struct listed *left = end_changes_find(x->s->left, i->uids[k]);
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

static int put_moved(
    struct search *x, const struct moved *v, size_t n, struct intent *rest, struct err *err)
{
    struct journal *j = x->s->journal;
    journal_begin(j);
    for (size_t k = 0; k < n; k++) {
        journal_pair_del(j, x->i->folder, v[k].was.src_uid);
        journal_pair_put(j, x->to.id, &v[k].now, &v[k].content);
    }
    journal_intent_del(j, x->i->folder, x->i->id);
    if (x->n_twice > 0) {
        *rest = (struct intent){
            .kind = INTENT_DELETE, .time_ms = clock_wall_ms(), .uids = x->twice, .n = x->n_twice};
        journal_intent_put(j, x->i->folder, rest);
    }
    return journal_commit(j, err);
}

int apply_settle_move(
    struct apply_settling *s, const struct intent *i, bool *is_open_out, struct err *err)
{
    struct search x = {.s = s, .i = i};
    struct moved *moved = mem_realloc_array(NULL, i->n + 1, sizeof(*moved));
    struct intent rest = {0};
    size_t n = 0;
    bool is_there = false;
    int result;
    end_changes_init(&x.there, &x.keywords);
    x.twice = mem_realloc_array(NULL, i->n + 1, sizeof(*x.twice));
    result = open_other(&x, &is_there, is_open_out, err);
    if (result == 0 && is_there)
        result = read_candidates(&x, is_open_out, err);
    if (result == 0 && is_there && !*is_open_out)
        result = journal_pairs(s->journal, i->folder, &x.pairs, &x.n_pairs, err);
    if (result == 0 && is_there && !*is_open_out)
        result = find_all(&x, moved, &n, err);
    if (result == 0 && !*is_open_out)
        result = put_moved(&x, moved, n, &rest, err);
    if (result == 0 && rest.n > 0)
        result = apply_finish_removal(s, &rest, err);
    free(moved);
    free(x.twice);
    free(x.bodies);
    free(x.pairs);
    end_changes_fini(&x.there);
    keywords_fini(&x.keywords);
    journal_folder_fini(&x.to);
    return result;
}
