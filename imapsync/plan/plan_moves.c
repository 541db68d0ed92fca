/* SPDX-License-Identifier: ISC */
/*
 * plan_moves: a message that was lost in one place and is new in another is the same message when
 * the server says so (EMAILID) or its content is the same.  Of k equal ones lost and m new ones the
 * smaller number is joined, so equal messages stay as many as they were.  Those of one folder are
 * joined first: there only the number has changed, and nothing moves.
 *
 * A content costs a reading.  Sizes as servers tell them are often wrong, so they only order: first
 * those are asked for that have the size of a lost one; the others only when what was lost would
 * otherwise be more than may be deleted, or be on the target twice.
 */
#include "imapsync/plan/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/os/hmac.h"

struct ref {
    struct slice key;
    uint32_t folder;
    bool comes_last; /* its user is known to have removed it: others are joined first */
    bool stays;      /* it is joined in its own folder only */
    uint32_t uid;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int r = memcmp(x->key.p, y->key.p, n);
    if (r == 0 && x->key.n != y->key.n)
        r = x->key.n < y->key.n ? -1 : 1;
    if (r == 0 && x->folder != y->folder)
        r = x->folder < y->folder ? -1 : 1;
    if (r == 0 && x->comes_last != y->comes_last)
        r = x->comes_last ? 1 : -1;
    if (r == 0 && x->uid != y->uid)
        r = x->uid < y->uid ? -1 : 1;
    return r != 0 ? r : x->at < y->at ? -1 : x->at > y->at;
}

/* By the server's word, by all octets, by all but the ends of lines, by all but lines of the header
 * that were added. */
enum by { BY_ID, BY_OCTETS, BY_LINES, BY_TEXT };

static struct slice content_key(const unsigned char *digest, const struct canon *canon, enum by how)
{
    if (how == BY_OCTETS)
        return digest ? slice_make(digest, SHA256_SIZE) : SLICE_NONE;
    if (!digest || !canon || !canon_is_known(canon))
        return SLICE_NONE;
    return how == BY_TEXT ? slice_make(canon->text, CANON_TEXT) : slice_make(canon, CANON_SIZE);
}

static struct slice lost_id(const struct plan_match *m, const struct plan_lost *l)
{
    return m->is_target ? l->pair.tgt_id : l->pair.id;
}

/* Where the copy is lost as well, and the message is to come again, it would keep what is new from
 * a copy that is there. */
static bool has_nothing(const struct plan_draft *d, const struct plan_lost *l)
{
    return l->is_other_lost &&
           (l->pair.src_uid == 0 || (d->in->is_fresh && d->policy->repeats_gone));
}

static struct slice key_of_lost(
    const struct plan_draft *d, const struct plan_match *m, const struct plan_lost *l, enum by how)
{
    /* A copy whose message was not found where the source had been numbered anew: that server may
     * have added lines to what it was sent on an earlier way. */
    bool may_be_altered = !m->is_target && l->pair.src_uid == 0 && l->pair.is_unproved;
    if (l->match != PLAN_NONE || l->pair.state == PAIR_REFUSED || has_nothing(d, l) ||
        (how == BY_TEXT && !may_be_altered))
        return SLICE_NONE;
    return how == BY_ID ? lost_id(m, l) : content_key(l->pair.digest, l->pair.canon, how);
}

static struct slice key_of_fresh(
    const struct plan_draft *d, const struct plan_match *m, const struct plan_fresh *f, enum by how)
{
    if (f->is_taken)
        return SLICE_NONE;
    struct plan_message message = plan_message_of(d, m->is_target, f);
    if (how == BY_ID)
        return message.id;
    return f->is_again && !message.digest ? content_key(f->digest, f->canon, how)
                                          : content_key(message.digest, message.canon, how);
}

static void join(struct plan_match *m, const struct ref *lost, const struct ref *fresh, enum by how)
{
    m->lost[lost->at].match = fresh->at;
    m->lost[lost->at].proof = how == BY_ID ? PLAN_W_EMAILID : PLAN_W_DIGEST;
    m->fresh[fresh->at].is_taken = true;
}

/* All of one key. */
static void join_group(struct plan_match *m, const struct ref *lost, size_t n_lost,
    const struct ref *fresh, size_t n_fresh, enum by how)
{
    for (size_t i = 0, k = 0; i < n_lost && k < n_fresh;) {
        if (lost[i].folder == fresh[k].folder)
            join(m, &lost[i++], &fresh[k++], how);
        else if (lost[i].folder < fresh[k].folder)
            i++;
        else
            k++;
    }
    for (size_t i = 0, k = 0; i < n_lost && k < n_fresh;) {
        if (m->lost[lost[i].at].match != PLAN_NONE || lost[i].stays)
            i++;
        else if (m->fresh[fresh[k].at].is_taken)
            k++;
        else
            join(m, &lost[i++], &fresh[k++], how);
    }
}

static size_t group(const struct ref *v, size_t n, size_t i)
{
    size_t k = 1;
    while (i + k < n && slice_eq(v[i].key, v[i + k].key))
        k++;
    return k;
}

static int compare_keys(const struct ref *a, const struct ref *b)
{
    struct ref x = {.key = a->key}, y = {.key = b->key};
    return by_key(&x, &y);
}

static void join_by(const struct plan_draft *d, struct plan_match *m, enum by how)
{
    struct ref *lost = mem_realloc_array(NULL, m->n_lost + 1, sizeof(*lost));
    struct ref *fresh = mem_realloc_array(NULL, m->n_fresh + 1, sizeof(*fresh));
    size_t n_lost = 0, n_fresh = 0;
    for (size_t i = 0; i < m->n_lost; i++) {
        const struct plan_lost *l = &m->lost[i];
        uint32_t uid = m->is_target ? l->pair.tgt_uid : l->pair.src_uid;
        struct ref r = {.key = key_of_lost(d, m, l, how),
            .folder = l->folder,
            .comes_last = l->pair.src_uid == 0 && !l->pair.is_unproved,
            .stays = d->in->alone_stays && l->pair.src_uid == 0 && l->pair.is_unproved,
            .uid = uid,
            .at = i};
        if (r.key.n > 0)
            lost[n_lost++] = r;
    }
    for (size_t i = 0; n_lost > 0 && i < m->n_fresh; i++) {
        const struct plan_fresh *f = &m->fresh[i];
        struct ref r = {
            .key = key_of_fresh(d, m, f, how), .folder = f->folder, .uid = f->uid, .at = i};
        if (r.key.n > 0)
            fresh[n_fresh++] = r;
    }
    mem_sort(lost, n_lost, sizeof(*lost), by_key);
    mem_sort(fresh, n_fresh, sizeof(*fresh), by_key);
    for (size_t i = 0, k = 0; i < n_lost && k < n_fresh;) {
        int r = compare_keys(&lost[i], &fresh[k]);
        size_t of_lost = group(lost, n_lost, i), of_fresh = group(fresh, n_fresh, k);
        if (r == 0)
            join_group(m, &lost[i], of_lost, &fresh[k], of_fresh, how);
        i += r <= 0 ? of_lost : 0;
        k += r >= 0 ? of_fresh : 0;
    }
    free(lost);
    free(fresh);
}

void plan_match(const struct plan_draft *d, struct plan_match *m)
{
    if (m->n_lost == 0 || m->n_fresh == 0)
        return;
    for (enum by how = BY_ID; how <= BY_TEXT; how++)
        join_by(d, m, how);
}

/* --- What is asked for ------------------------------------------------------------------------ */

static bool is_in_trash(const struct plan_draft *d, const struct plan_fresh *f)
{
    return d->in->folders[f->folder].is_target_trash;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* What is joined with nothing would be there twice: its message as a new one, and as it is. */
static bool is_twice(const struct plan_match *m, const struct plan_lost *l)
{
    return m->is_target ? l->comes_again : l->pair.src_uid == 0 && l->pair.is_unproved;
}

static size_t ask(struct plan_draft *d, const struct plan_match *m, bool is_wide)
{
    uint32_t *sizes = mem_realloc_array(NULL, m->n_lost + 1, sizeof(*sizes));
    size_t n = 0, n_before = d->out->n_asks;
    bool is_any_size = is_wide, have_all_ids = true;
    for (size_t i = 0; i < m->n_lost; i++) {
        const struct plan_lost *l = &m->lost[i];
        if (key_of_lost(d, m, l, BY_OCTETS).n == 0)
            continue;
        sizes[n++] = l->pair.size;
        is_any_size = is_any_size || l->pair.size == 0;
        have_all_ids = have_all_ids && lost_id(m, l).n > 0;
    }
    mem_sort(sizes, n, sizeof(*sizes), by_number);
    for (size_t i = 0; n > 0 && i < m->n_fresh; i++) {
        const struct plan_fresh *f = &m->fresh[i];
        struct plan_message message = plan_message_of(d, m->is_target, f);
        if (f->is_taken || f->digest || message.digest || message.is_unreadable ||
            (have_all_ids && message.id.n > 0))
            continue;
        /* What goes to Trash has been moved there by most mail programs. */
        if (is_any_size || message.size == 0 || is_in_trash(d, f) ||
            mem_search(&message.size, sizes, n, sizeof(*sizes), by_number))
            plan_ask(d, PLAN_ASK_CONTENT, m->is_target, f);
    }
    free(sizes);
    return d->out->n_asks - n_before;
}

void plan_match_ask(struct plan_draft *d, const struct plan_match *m, bool is_wide)
{
    bool would_be_twice = false;
    for (size_t i = 0; i < m->n_lost; i++) {
        const struct plan_lost *l = &m->lost[i];
        would_be_twice =
            would_be_twice || (key_of_lost(d, m, l, BY_OCTETS).n > 0 && is_twice(m, l));
    }
    if (ask(d, m, is_wide) == 0 && would_be_twice && !is_wide)
        (void)ask(d, m, true);
}

/* By all that is known: a content is asked for by the same signs. */
static bool may_be(const struct plan_draft *d, const struct plan_lost *l,
    const struct plan_fresh *f, const struct plan_message *m)
{
    return m->size == 0 || l->pair.size == 0 || m->size == l->pair.size || is_in_trash(d, f);
}

void plan_match_unread(const struct plan_draft *d, struct plan_match *m)
{
    for (size_t k = 0; k < m->n_fresh; k++) {
        struct plan_fresh *f = &m->fresh[k];
        const struct plan_message message = plan_message_of(d, m->is_target, f);
        if (f->is_taken || f->digest || !message.is_refused)
            continue;
        for (size_t i = 0; i < m->n_lost; i++) {
            struct plan_lost *l = &m->lost[i];
            if (key_of_lost(d, m, l, BY_OCTETS).n == 0 || !may_be(d, l, f, &message))
                continue;
            l->may_be_unread = f->may_be_lost = true;
        }
    }
}
