/* SPDX-License-Identifier: ISC */
/* journal_pairs: single pairs, by the UIDs of whichever side is the source. */
#include <string.h>

#include "base/core/buf.h"
#include "imapsync/journal/journal_parts.h"

/* What stands under a UID of a side: one pair, or under B as many as have it. */
static int each_under(struct journal *j, int side, uint32_t folder, uint32_t uid, each_pair *each,
    void *arg, struct err *err)
{
    struct record_pair p;
    struct under_b b;
    bool found = false;
    uint32_t a;
    int r;
    if (side == SIDE_A) {
        r = tables_get_a(&j->t, folder, uid, &p, &found, err);
        return r == 0 && found ? each(j, folder, &p, arg, err) : r;
    }
    r = tables_get_b(&j->t, folder, uid, &b, err);
    if (r == 0 && b.is_pair)
        r = each(j, folder, &b.pair, arg, err);
    struct slice rest = buf_slice(&b.uids);
    while (r == 0 && record_next_uid(&rest, &a)) {
        r = tables_get_a(&j->t, folder, a, &p, &found, err);
        if (r == 0)
            r = found && p.uid[SIDE_B] == uid ? each(j, folder, &p, arg, err) : TABLES_DAMAGED;
    }
    buf_fini(&b.uids);
    return r;
}

int journal_each_of_source(
    struct journal *j, uint32_t folder, uint32_t uid, each_pair *each, void *arg, struct err *err)
{
    return each_under(j, j->from, folder, uid, each, arg, err);
}

static int take_first(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    struct record_pair *out = arg;
    (void)j, (void)folder, (void)err;
    if (out->state == 0)
        *out = *p;
    return 0;
}

static int drop_it(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    const uint32_t *kept = arg; /* the target's UID of a pair that another one replaces */
    if (*kept != 0 && p->uid[j->to] != *kept && j->from == SIDE_B && p->state == PAIR_STORED)
        return 0; /* another message of the target that has the same UID on the source */
    return tables_drop_pair(&j->t, folder, p, err);
}

struct pair journal_as_pair(const struct journal *j, const struct record_pair *p)
{
    return (struct pair){.src_uid = p->uid[j->from],
        .tgt_uid = p->uid[j->to],
        .state = p->state,
        .is_compared = p->is_compared,
        .is_touched = p->is_touched,
        .is_removed = p->is_removed,
        .is_marked = p->is_marked,
        .flags = p->flags};
}

int journal_as_error(struct journal *j, int r, const char *what, struct err *err)
{
    return r == TABLES_DAMAGED ? journal_damaged(j, what, err) : r;
}

static struct content content_of(const struct record_pair *p)
{
    struct content c = {.has_digest = p->has_digest,
        .canon = p->canon,
        .size = p->size,
        .since = p->since,
        .told = p->told};
    memcpy(c.digest, p->digest, SHA256_SIZE);
    return c;
}

int journal_content(struct journal *j, uint32_t folder, uint32_t src_uid, struct content *out,
    bool *found_out, struct err *err)
{
    struct record_pair p = {0};
    int r = journal_each_of_source(j, folder, src_uid, take_first, &p, err);
    *found_out = r == 0 && p.state != 0;
    *out = content_of(&p);
    return journal_as_error(j, r, "pair", err);
}

struct namers {
    uint32_t src_uid;
    bool has_own;
    size_t n, n_alone;
};

static int count_namer(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    struct namers *n = arg;
    (void)folder, (void)err;
    n->has_own = n->has_own || p->uid[j->from] == n->src_uid;
    n->n += p->uid[j->from] != 0;
    n->n_alone += p->uid[j->from] == 0;
    return 0;
}

int journal_count_target(struct journal *j, uint32_t folder, uint32_t tgt_uid, uint32_t src_uid,
    bool *own_out, size_t *out, struct err *err)
{
    struct namers n = {.src_uid = src_uid};
    int r = each_under(j, j->to, folder, tgt_uid, count_namer, &n, err);
    *own_out = n.has_own;
    *out = n.n;
    return journal_as_error(j, r, "pair", err);
}

int journal_has_target(
    struct journal *j, uint32_t folder, uint32_t tgt_uid, bool *out, struct err *err)
{
    struct namers n = {0};
    int r = each_under(j, j->to, folder, tgt_uid, count_namer, &n, err);
    *out = n.n + n.n_alone > 0;
    return journal_as_error(j, r, "pair", err);
}

struct wanted_copy {
    const unsigned char *digest;
    bool is_found;
};

static int compare_copy(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    struct wanted_copy *w = arg;
    (void)j, (void)folder, (void)err;
    w->is_found = w->is_found || (p->has_digest && memcmp(p->digest, w->digest, SHA256_SIZE) == 0);
    return 0;
}

int journal_has_copy(struct journal *j, uint32_t folder, uint32_t tgt_uid,
    const unsigned char digest[SHA256_SIZE], bool *out, struct err *err)
{
    struct wanted_copy w = {.digest = digest};
    int r = each_under(j, j->to, folder, tgt_uid, compare_copy, &w, err);
    *out = r == 0 && w.is_found;
    return journal_as_error(j, r, "pair", err);
}

int journal_get_alone(
    struct journal *j, uint32_t folder, uint32_t tgt_uid, struct record_pair *out, struct err *err)
{
    struct under_b b;
    bool found;
    int r;
    *out = (struct record_pair){0};
    if (j->to == SIDE_A) {
        r = tables_get_a(&j->t, folder, tgt_uid, out, &found, err);
        if (r == 0 && (!found || out->uid[SIDE_B] != 0))
            out->state = 0;
        return r;
    }
    r = tables_get_b(&j->t, folder, tgt_uid, &b, err);
    if (r == 0 && b.is_pair)
        *out = b.pair;
    buf_fini(&b.uids);
    return r;
}

int journal_copy_content(struct journal *j, uint32_t folder, uint32_t tgt_uid, struct content *out,
    bool *found_out, struct err *err)
{
    struct record_pair p;
    int r = journal_get_alone(j, folder, tgt_uid, &p, err);
    *found_out = r == 0 && p.state != 0;
    *out = content_of(&p);
    return journal_as_error(j, r, "pair", err);
}

int journal_pair_get(struct journal *j, uint32_t folder, uint32_t src_uid, uint32_t tgt_uid,
    struct pair *out, bool *found_out, struct err *err)
{
    struct record_pair p = {0};
    int r = src_uid != 0 ? journal_each_of_source(j, folder, src_uid, take_first, &p, err)
                         : journal_get_alone(j, folder, tgt_uid, &p, err);
    *found_out = r == 0 && p.state != 0;
    *out = journal_as_pair(j, &p);
    return journal_as_error(j, r, "pair", err);
}

/* Under one UID of A stands one pair. */
static int drop_other(
    struct journal *j, uint32_t folder, const struct record_pair *now, struct err *err)
{
    struct record_pair p;
    bool found;
    int r = tables_get_a(&j->t, folder, now->uid[SIDE_A], &p, &found, err);
    bool is_other = r == 0 && found && p.uid[SIDE_B] != now->uid[SIDE_B];
    return is_other ? tables_drop_pair(&j->t, folder, &p, err) : r;
}

void journal_pair_put(
    struct journal *j, uint32_t folder, const struct pair *p, const struct content *content)
{
    struct record_pair old = {0}, new = {.state = p->state, .is_compared = p->is_compared};
    uint32_t kept = p->tgt_uid;
    int r = 0;
    if (j->txn_result != 0)
        return;
    new.uid[j->from] = p->src_uid;
    new.uid[j->to] = p->tgt_uid;
    new.flags = p->flags;
    new.is_touched = p->is_touched;
    new.is_removed = p->is_removed;
    new.is_marked = p->is_marked;
    r = p->src_uid != 0
            ? journal_each_of_source(j, folder, p->src_uid, take_first, &old, &j->txn_err)
            : journal_get_alone(j, folder, p->tgt_uid, &old, &j->txn_err);
    if (content) {
        new.has_digest = content->has_digest;
        new.canon = content->canon;
        new.size = content->size;
        new.since = content->since;
        new.told = content->told;
        memcpy(new.digest, content->digest, SHA256_SIZE);
    } else {
        new.has_digest = old.has_digest;
        new.canon = old.canon;
        new.size = old.size;
        new.since = old.since;
        new.told = old.told;
        new.is_compared = new.is_compared || (old.is_compared && old.uid[j->to] == p->tgt_uid);
        memcpy(new.digest, old.digest, SHA256_SIZE);
    }
    /* A change of flags, the most frequent one, touches one record. */
    bool is_same =
        old.state != 0 && memcmp(old.uid, new.uid, sizeof(old.uid)) == 0 &&
        old.has_digest == new.has_digest &&memcmp(old.digest, new.digest, SHA256_SIZE) == 0;
    bool is_new_content = new.has_digest && !(old.state != 0 && old.has_digest &&
                                                memcmp(old.digest, new.digest, SHA256_SIZE) == 0);
    if (r == 0 && j->watch)
        j->watch->put(j->watch->arg, folder, p, new.has_digest ? new.digest : NULL, is_new_content);
    if (r == 0 && old.state != 0 && !is_same && p->src_uid != 0)
        r = journal_each_of_source(j, folder, p->src_uid, drop_it, &kept, &j->txn_err);
    if (r == 0 && !is_same && j->to == SIDE_A && p->src_uid != 0 && p->tgt_uid != 0)
        r = drop_other(j, folder, &new, &j->txn_err);
    if (r == 0)
        r = is_same && new.uid[SIDE_A] != 0 ? tables_put_under_a(&j->t, folder, &new, &j->txn_err)
                                            : tables_put_pair(&j->t, folder, &new, &j->txn_err);
    if (r != 0)
        j->txn_result = journal_as_error(j, r, "pair", &j->txn_err);
}

void journal_pair_del(struct journal *j, uint32_t folder, uint32_t src_uid)
{
    uint32_t all = 0;
    if (j->txn_result != 0)
        return;
    int r = journal_each_of_source(j, folder, src_uid, drop_it, &all, &j->txn_err);
    if (r != 0)
        j->txn_result = journal_as_error(j, r, "pair", &j->txn_err);
}

void journal_copy_del(struct journal *j, uint32_t folder, uint32_t tgt_uid)
{
    struct record_pair p;
    if (j->txn_result != 0)
        return;
    int r = journal_get_alone(j, folder, tgt_uid, &p, &j->txn_err);
    if (r == 0 && p.state != 0)
        r = tables_drop_pair(&j->t, folder, &p, &j->txn_err);
    if (r != 0)
        j->txn_result = journal_as_error(j, r, "pair", &j->txn_err);
}
