/* SPDX-License-Identifier: ISC */
/*
 * plan_moves: a message that was lost in one place and is new in another is the same message when
 * the server says so (EMAILID) or its content is the same.  Of k equal ones lost and m new ones the
 * smaller number is joined, so equal messages stay as many as they were.  Those of one folder are
 * joined first: there only the number has changed, and nothing moves.
 *
 * A content costs a reading.  Sizes as servers tell them are often wrong, so they only order: first
 * those are asked for that have the size of a lost one; the others only when what was lost would
 * otherwise be more than may be deleted.
 */
#include "imapsync/copy/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/os/hmac.h"

struct ref {
    struct slice key;
    uint32_t folder, uid;
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
    if (r == 0 && x->uid != y->uid)
        r = x->uid < y->uid ? -1 : 1;
    return r != 0 ? r : x->at < y->at ? -1 : x->at > y->at;
}

static struct slice digest_slice(const unsigned char *digest)
{
    return digest ? slice_make(digest, SHA256_SIZE) : SLICE_NONE;
}

static struct slice lost_id(const struct plan_match *m, const struct plan_lost *l)
{
    return m->is_target ? l->pair.tgt_id : l->pair.id;
}

static struct slice key_of_lost(
    const struct plan_match *m, const struct plan_lost *l, enum plan_witness proof)
{
    if (l->match != PLAN_NONE || l->pair.state == PAIR_REFUSED)
        return SLICE_NONE;
    return proof == PLAN_W_EMAILID ? lost_id(m, l) : digest_slice(l->pair.digest);
}

static struct slice key_of_fresh(const struct plan_draft *d, const struct plan_match *m,
    const struct plan_fresh *f, enum plan_witness proof)
{
    if (f->is_taken)
        return SLICE_NONE;
    struct plan_message message = plan_message_of(d, m->is_target, f);
    return proof == PLAN_W_EMAILID ? message.id : digest_slice(message.digest);
}

static void join(
    struct plan_match *m, const struct ref *lost, const struct ref *fresh, enum plan_witness proof)
{
    m->lost[lost->at].match = fresh->at;
    m->lost[lost->at].proof = proof;
    m->fresh[fresh->at].is_taken = true;
}

/* All of one key. */
static void join_group(struct plan_match *m, const struct ref *lost, size_t n_lost,
    const struct ref *fresh, size_t n_fresh, enum plan_witness proof)
{
    for (size_t i = 0, k = 0; i < n_lost && k < n_fresh;) {
        if (lost[i].folder == fresh[k].folder)
            join(m, &lost[i++], &fresh[k++], proof);
        else if (lost[i].folder < fresh[k].folder)
            i++;
        else
            k++;
    }
    for (size_t i = 0, k = 0; i < n_lost && k < n_fresh;) {
        if (m->lost[lost[i].at].match != PLAN_NONE)
            i++;
        else if (m->fresh[fresh[k].at].is_taken)
            k++;
        else
            join(m, &lost[i++], &fresh[k++], proof);
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

static void join_by(const struct plan_draft *d, struct plan_match *m, enum plan_witness proof)
{
    struct ref *lost = mem_realloc_array(NULL, m->n_lost + 1, sizeof(*lost));
    struct ref *fresh = mem_realloc_array(NULL, m->n_fresh + 1, sizeof(*fresh));
    size_t n_lost = 0, n_fresh = 0;
    for (size_t i = 0; i < m->n_lost; i++) {
        const struct plan_lost *l = &m->lost[i];
        uint32_t uid = m->is_target ? l->pair.tgt_uid : l->pair.src_uid;
        struct ref r = {key_of_lost(m, l, proof), l->folder, uid, i};
        if (r.key.n > 0)
            lost[n_lost++] = r;
    }
    for (size_t i = 0; n_lost > 0 && i < m->n_fresh; i++) {
        const struct plan_fresh *f = &m->fresh[i];
        struct ref r = {key_of_fresh(d, m, f, proof), f->folder, f->uid, i};
        if (r.key.n > 0)
            fresh[n_fresh++] = r;
    }
    mem_sort(lost, n_lost, sizeof(*lost), by_key);
    mem_sort(fresh, n_fresh, sizeof(*fresh), by_key);
    for (size_t i = 0, k = 0; i < n_lost && k < n_fresh;) {
        int r = compare_keys(&lost[i], &fresh[k]);
        size_t of_lost = group(lost, n_lost, i), of_fresh = group(fresh, n_fresh, k);
        if (r == 0)
            join_group(m, &lost[i], of_lost, &fresh[k], of_fresh, proof);
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
    join_by(d, m, PLAN_W_EMAILID);
    join_by(d, m, PLAN_W_DIGEST);
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

void plan_match_ask(struct plan_draft *d, const struct plan_match *m, bool is_wide)
{
    uint32_t *sizes = mem_realloc_array(NULL, m->n_lost + 1, sizeof(*sizes));
    size_t n = 0;
    bool is_any_size = is_wide, have_all_ids = true;
    for (size_t i = 0; i < m->n_lost; i++) {
        const struct plan_lost *l = &m->lost[i];
        if (key_of_lost(m, l, PLAN_W_DIGEST).n == 0)
            continue;
        sizes[n++] = l->pair.size;
        is_any_size = is_any_size || l->pair.size == 0;
        have_all_ids = have_all_ids && lost_id(m, l).n > 0;
    }
    mem_sort(sizes, n, sizeof(*sizes), by_number);
    for (size_t i = 0; n > 0 && i < m->n_fresh; i++) {
        const struct plan_fresh *f = &m->fresh[i];
        struct plan_message message = plan_message_of(d, m->is_target, f);
        if (f->is_taken || message.digest || message.is_unreadable ||
            (have_all_ids && message.id.n > 0))
            continue;
        if (is_any_size || message.size == 0 ||
            mem_search(&message.size, sizes, n, sizeof(*sizes), by_number))
            plan_ask(d, PLAN_ASK_CONTENT, m->is_target, f);
    }
    free(sizes);
}
