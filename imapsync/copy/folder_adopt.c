/* SPDX-License-Identifier: ISC */
/*
 * folder_adopt: a large folder that is on both sides, and nobody knows which message is which: the
 * journal was lost, or another tool has copied it.  Then both sides have the messages in the same
 * order, but for some, so they are read and matched octet by octet (match.h) in portions, side by
 * side.  What has no mate yet is carried on to the next portion.
 *
 * Memory is for a portion, and for what has no mate.  Where that is something on both sides in the
 * end, it is looked at as a whole by resolve.h, which also knows messages that are only alike.
 *
 * The UIDVALIDITYs are written when it is done: a crash before that begins it anew.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/folder_parts.h"
#include "imapsync/plan/match.h"

#define AT_ONCE 4000 /* messages of each side */

struct message {
    struct body body;
    uint32_t size;
    bool is_read;
    struct flags flags;
};

struct side {
    struct told *told;
    const struct uid_set *uids; /* borrowed: all of the folder */
    uint32_t last;              /* of them that was taken */
    struct message *v;          /* of the portion, and those from before; ascending */
    size_t n;
};

/* --- A portion ----------------------------------------------------------------------------------
 */

static int take_more(struct work *w, struct side *s, struct err *err)
{
    uint32_t uids[AT_ONCE];
    size_t n = uid_set_some(s->uids, s->last, uids, AT_ONCE);
    struct end_changes some;
    if (n == 0)
        return 0;
    s->last = uids[n - 1];
    end_changes_init(&some, &w->keywords);
    int result = folder_list(w, s->told, uids, n, END_WANT_FLAGS | END_WANT_SIZES, &some, err);
    s->v = mem_realloc_array(s->v, s->n + some.n + 1, sizeof(*s->v));
    for (size_t i = 0; result == 0 && i < some.n; i++)
        s->v[s->n++] = (struct message){.body = {.uid = some.v[i].uid},
            .size = some.v[i].has_size ? some.v[i].size : 0,
            .flags = some.v[i].flags};
    end_changes_fini(&some);
    return result;
}

static uint32_t *sizes_of(const struct side *s, size_t *n_out)
{
    uint32_t *sizes = mem_realloc_array(NULL, s->n + 1, sizeof(*sizes));
    for (size_t i = 0; i < s->n; i++)
        sizes[i] = s->v[i].size;
    *n_out = s->n > 0 ? uids_sort(sizes, s->n) : 0;
    return sizes;
}

/* What the source dies of is found out when it is copied. */
static bool may_be_read(const struct work *w, const struct side *s, uint32_t uid)
{
    return s->told != &w->source_told || !suspects_are_unsent(&w->c->suspects, w->record->id, uid);
}

/* Those of which the other side has one of the same size. */
static int read_likely(struct work *w, struct side *s, const struct side *other, struct err *err)
{
    struct body *asked = mem_realloc_array(NULL, s->n + 1, sizeof(*asked));
    size_t n_sizes, n = 0, k = 0;
    uint32_t *sizes = sizes_of(other, &n_sizes);
    for (size_t i = 0; i < s->n; i++) {
        struct message *m = &s->v[i];
        if (m->is_read || !uids_have(sizes, n_sizes, m->size) || !may_be_read(w, s, m->body.uid))
            continue;
        m->is_read = true;
        asked[n++] = m->body;
    }
    free(sizes);
    int result = n > 0 ? bodies_digest(s->told->end, asked, n, err) : 0;
    for (size_t i = 0; result == 0 && i < s->n && k < n; i++) {
        if (s->v[i].body.uid == asked[k].uid)
            s->v[i].body = asked[k++];
    }
    free(asked);
    return result;
}

static struct body *bodies_of(const struct side *s)
{
    struct body *v = mem_realloc_array(NULL, s->n + 1, sizeof(*v));
    for (size_t i = 0; i < s->n; i++)
        v[i] = s->v[i].body;
    return v;
}

static void take_mates(struct side *s, struct body *v)
{
    for (size_t i = 0; i < s->n; i++)
        s->v[i].body.mate = v[i].mate;
    free(v);
}

static void match(struct side *source, struct side *target)
{
    struct body *a = bodies_of(source), *b = bodies_of(target);
    match_up(a, source->n, b, target->n, MATCH_EXACT);
    take_mates(source, a);
    take_mates(target, b);
}

/* --- What the journal is told --------------------------------------------------------------------
 */

static int by_uid(const void *a, const void *b)
{
    const struct message *x = a, *y = b;
    return x->body.uid < y->body.uid ? -1 : x->body.uid > y->body.uid;
}

static int write_pairs(
    struct work *w, const struct side *source, const struct side *target, struct err *err)
{
    /* Names before the pairs that use their bits. */
    if (folder_keep_keywords(w, err) != 0)
        return -1;
    journal_begin(w->c->journal);
    for (size_t i = 0; i < source->n; i++) {
        const struct message *m = &source->v[i];
        struct message key = {.body.uid = m->body.mate};
        if (m->body.mate == 0)
            continue;
        const struct message *there = mem_search(&key, target->v, target->n, sizeof(key), by_uid);
        struct pair p = {.src_uid = m->body.uid, .tgt_uid = m->body.mate, .state = PAIR_STORED};
        struct content c = {.has_digest = true, .canon = m->body.canon, .size = m->size};
        /* What both have counts as seen, so none is removed that the target's user has set. */
        if (there)
            p.flags = flags_and(&m->flags, &there->flags);
        memcpy(c.digest, m->body.digest, SHA256_SIZE);
        journal_pair_put(w->c->journal, w->record->id, &p, &c);
        w->p->counts->messages_adopted++;
        w->done.adopted++;
    }
    return journal_commit(w->c->journal, err);
}

static void keep_unmatched(struct side *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].body.mate == 0)
            s->v[n++] = s->v[i];
    }
    s->n = n;
    s->v = mem_realloc_array(s->v, n + 1, sizeof(*s->v));
}

/* --- All of it
 * -------------------------------------------------------------------------------------- */

static bool has_more(const struct side *s)
{
    return uid_set_next(s->uids, s->last) != 0;
}

static int adopt(struct work *w, struct side *source, struct side *target, struct err *err)
{
    while (has_more(source) || has_more(target)) {
        if (copy_check_cancelled(w->c, err) != 0 || take_more(w, source, err) != 0 ||
            take_more(w, target, err) != 0 || read_likely(w, source, target, err) != 0 ||
            read_likely(w, target, source, err) != 0)
            return -1;
        match(source, target);
        if (write_pairs(w, source, target, err) != 0)
            return -1;
        keep_unmatched(source);
        keep_unmatched(target);
    }
    return 0;
}

int folder_adopt(struct work *w, bool *rest_out, struct err *err)
{
    struct end_changes there;
    struct told told = {.of = w, .end = w->c->to, .changes = &there};
    *rest_out = true;
    if (!w->listing.is_brief || !w->listing.is_sure)
        return 0;
    end_changes_init(&there, &w->keywords);
    /* For writing, so that Courier keeps its numbers. */
    w->c->to->ops->open(w->c->to,
        &(struct end_open){
            .folder = w->record->target.name, .is_for_writing = true, .is_brief = true},
        &there, &told.ticket);
    int result = end_check(w->c->to, &told.ticket, "cannot open the folder", err);
    struct side source = {.told = &w->source_told, .uids = &w->listing.uids};
    struct side target = {.told = &told, .uids = &there.uids};
    if (result == 0 && there.is_sure && there.uidvalidity == w->target->uidvalidity) {
        result = folder_reopen(w, err) == 0 ? adopt(w, &source, &target, err) : -1;
        *rest_out = (source.n > 0 && target.n > 0) || !w->listing.is_sure || !there.is_sure;
        w->states |= 1U << PAIR_STORED;
        w->has_all_pairs = false;
    }
    end_changes_fini(&there);
    free(source.v);
    free(target.v);
    return result;
}
