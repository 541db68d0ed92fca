/* SPDX-License-Identifier: ISC */
/*
 * apply_settle_move: where the messages of a MOVE are that was cut off.  Those that are in the
 * other folder are above the UIDNEXT that it had, in no pair, and have the content that the journal
 * knows; their pairs follow them.  k equal messages are k candidates.
 *
 * A target without MOVE copies first: one that is in both places has been copied, and what is left
 * of it in the old one, unless its user has touched it since, is removed.  What stays there does
 * not keep the mark of a removal that was on its way.  The pairs follow last, so that what is cut
 * off here as well is found the same again.
 *
 * What went to Trash is no message of the source (new UID 0), and stands alone there.
 *
 * One that is in neither, and may be what cannot be read in the other one, is SENT there.
 *
 * Where one of the folders has another UIDVALIDITY since, or is not there, content tells more
 * (resolve.h), so each message gets a pair in every place where it may be: in the old folder it
 * stays, in the other one it is SENT.  Those that are not found are forgotten, and one that is
 * found in the old folder, where its message is not any more, is removed as any other.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"
#include "imapsync/stream/bodies.h"
#include "imapsync/plan/match.h"

struct search {
    struct apply_settling *s;
    const struct intent *i;
    struct journal_folder to; /* id 0: the journal does not know it any more */
    struct keywords keywords;
    bool is_there;            /* it is the one that it was */
    struct end_changes there; /* what the other folder got since */
    struct body *bodies;
    size_t n;
    bool has_unread;    /* among them, and it may be any */
    struct pair *pairs; /* of the old folder */
    size_t n_pairs;
    struct pair *others; /* of the other one */
    size_t n_others;
    struct moved *moved;
    size_t n_moved;
    uint32_t *twice; /* on the target, in the old folder: goes */
    size_t n_twice;
    uint32_t *marked; /* the same: stays, and its mark is ours */
    size_t n_marked;
};

/* What becomes of a pair. */
struct moved {
    struct pair was, now;
    bool goes;    /* the old one does */
    bool follows; /* there is one in the other folder */
    struct content content;
};

static int open_other(struct search *x, bool *is_open_out, struct err *err)
{
    struct end_ticket t = {0};
    struct end *e = x->s->target;
    bool found;
    if (journal_folder_by_id(x->s->journal, x->i->to, &x->to, &found, err) != 0 ||
        journal_keywords_get(x->s->journal, x->i->to, &x->keywords, err) != 0)
        return -1;
    if (!found || !folder_list_find(x->s->there, x->to.target.name))
        return 0;
    e->ops->open(e,
        &(struct end_open){
            .folder = x->to.target.name, .from = x->i->tgt_uidnext, .want = END_WANT_FLAGS},
        &x->there, &t);
    if (end_wait(e, &t, err) != 0)
        return -1;
    *is_open_out = t.result != END_OK || !x->there.is_sure;
    x->is_there = !*is_open_out && x->there.uidvalidity == x->to.target.uidvalidity;
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
    for (size_t i = 0; i < x->n; i++)
        x->has_unread = x->has_unread || x->bodies[i].is_refused;
    return 0;
}

/* The one that is most like it. */
static struct body *find(struct search *x, const struct content *c)
{
    enum match_how nearest = MATCH_NOTHING;
    struct body *found = NULL;
    for (size_t i = 0; i < x->n; i++) {
        enum match_how how = match_of_content(c, &x->bodies[i]);
        if (x->bodies[i].mate != 0 || how >= nearest)
            continue;
        nearest = how;
        found = &x->bodies[i];
    }
    return found;
}

static const struct pair *old_pair(const struct search *x, uint32_t tgt_uid)
{
    for (size_t at = 0; at < x->n_pairs; at++) {
        const struct pair *p = &x->pairs[at];
        if (p->tgt_uid == tgt_uid && (p->state == PAIR_STORED || p->src_uid == 0))
            return &x->pairs[at];
    }
    return NULL;
}

/* --- Judging -------------------------------------------------------------------------------- */

/* What is left of it in the old folder.  copy: in the other one, NULL: there is none that we know;
 * base: what both sides had in common, NULL: not known any more. */
static void judge_rest(struct search *x, const struct listed *left, const struct listed *copy,
    const struct flags *base)
{
    bool is_marked = left->flags.system & FLAG_DELETED;
    bool is_touched =
        copy && (left->flags.system & ~FLAG_DELETED) != (copy->flags.system & ~FLAG_DELETED);
    if (copy && !is_touched)
        x->twice[x->n_twice++] = left->uid;
    else if (is_marked && !(base && base->system & FLAG_DELETED) &&
             !(copy && copy->flags.system & FLAG_DELETED))
        x->marked[x->n_marked++] = left->uid;
}

static void judge(struct search *x, const struct pair *p, const struct listed *left,
    uint32_t new_uid, const struct content *content)
{
    struct body *b = x->is_there && content->has_digest ? find(x, content) : NULL;
    const struct listed *copy = b ? end_changes_find(&x->there, b->uid) : NULL;
    struct moved m = {.was = *p, .now = *p, .content = *content};
    bool is_lost = x->to.id != 0 && (!x->is_there || (x->has_unread && !left && !x->s->is_void));
    if (b) {
        b->mate = p->tgt_uid;
        m.follows = true;
        m.now.src_uid = new_uid;
        m.now.tgt_uid = b->uid;
        m.now.state = new_uid != 0 ? PAIR_STORED : PAIR_GONE;
        m.now.is_removed = new_uid == 0;
        m.now.is_marked = false;
    } else if (is_lost && new_uid != 0 && !apply_find(x->others, x->n_others, new_uid, 0)) {
        m.follows = true;
        m.now = (struct pair){.src_uid = new_uid, .state = PAIR_SENT, .flags = p->flags};
        m.content.since = 1;
        m.content.told = 0;
    }
    m.goes = !x->s->is_void && (b || (is_lost && !left));
    if (x->s->is_void)
        m.was.is_marked = true;
    if (left)
        judge_rest(x, left, copy, &p->flags);
    x->moved[x->n_moved++] = m;
}

static int judge_all(struct search *x, struct err *err)
{
    const struct intent *i = x->i;
    for (size_t k = 0; k < i->n; k++) {
        const struct pair *p = old_pair(x, i->uids[k]);
        const struct listed *left = x->s->is_void ? NULL : end_changes_find(x->s->left, i->uids[k]);
        struct content c;
        bool found = false;
        if (!p) {
            if (left)
                judge_rest(x, left, NULL, NULL);
            continue;
        }
        const struct plan_op op = {.src_uid = p->src_uid, .tgt_uid = p->tgt_uid};
        if (apply_content(x->s->journal, i->folder, &op, &c, &found, err) != 0)
            return -1;
        judge(x, p, left, i->new_uids[k], &c);
    }
    return 0;
}

/* --- The journal and the target ------------------------------------------------------------- */

static void put(struct search *x, const struct moved *m)
{
    struct journal *j = x->s->journal;
    if (m->goes && m->was.src_uid != 0)
        journal_pair_del(j, x->i->folder, m->was.src_uid);
    else if (m->goes)
        journal_copy_del(j, x->i->folder, m->was.tgt_uid);
    else if (x->s->is_void)
        journal_pair_put(j, x->i->folder, &m->was, NULL);
    if (m->follows)
        journal_pair_put(j, x->to.id, &m->now, &m->content);
}

static bool sends_again(const struct search *x)
{
    for (size_t k = 0; k < x->n_moved; k++) {
        if (x->moved[k].follows && x->moved[k].now.state == PAIR_SENT)
            return true;
    }
    return false;
}

static int put_moved(struct search *x, struct err *err)
{
    struct journal *j = x->s->journal;
    if (sends_again(x) && apply_forget_numbers(j, &x->to, err) != 0)
        return -1;
    journal_begin(j);
    for (size_t k = 0; k < x->n_moved; k++)
        put(x, &x->moved[k]);
    journal_intent_del(j, x->i->folder, x->i->id);
    return journal_commit(j, err);
}

static int settle(struct search *x, bool *is_open_out, struct err *err)
{
    struct journal *j = x->s->journal;
    if (open_other(x, is_open_out, err) != 0)
        return -1;
    if (x->is_there && read_candidates(x, is_open_out, err) != 0)
        return -1;
    if (*is_open_out)
        return 0;
    if (journal_pairs_all(j, x->i->folder, &x->pairs, &x->n_pairs, err) != 0 ||
        journal_pairs(j, x->i->to, &x->others, &x->n_others, err) != 0 || judge_all(x, err) != 0)
        return -1;
    if (x->n_twice + x->n_marked > 0 &&
        apply_take_marks(x->s, x->twice, x->n_twice, x->marked, x->n_marked, is_open_out, err) != 0)
        return -1;
    return *is_open_out ? 0 : put_moved(x, err);
}

int apply_settle_move(
    struct apply_settling *s, const struct intent *i, bool *is_open_out, struct err *err)
{
    struct search x = {.s = s, .i = i};
    end_changes_init(&x.there, &x.keywords);
    x.moved = mem_realloc_array(NULL, i->n + 1, sizeof(*x.moved));
    x.twice = mem_realloc_array(NULL, i->n + 1, sizeof(*x.twice));
    x.marked = mem_realloc_array(NULL, i->n + 1, sizeof(*x.marked));
    int result = settle(&x, is_open_out, err);
    free(x.moved);
    free(x.twice);
    free(x.marked);
    free(x.bodies);
    free(x.pairs);
    free(x.others);
    end_changes_fini(&x.there);
    keywords_fini(&x.keywords);
    journal_folder_fini(&x.to);
    return result;
}
