/* SPDX-License-Identifier: ISC */
/* journal_forget: what is known of a folder is not true any more. */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/journal/journal_parts.h"

/* Pairs that stand under A, or those that stand under B alone.  1: one, 0: no more. */
static int next_pair(struct bdb_cursor *c, uint32_t folder, int side, struct record_pair *out,
    bool *is_pair_out, struct err *err)
{
    struct slice value, uids;
    uint32_t uid;
    int r = scan_next(c, folder, &uid, &value, err);
    *is_pair_out = true;
    if (r != 1)
        return r;
    if (side == SIDE_A ? !record_unpack_pair(value, SIDE_A, uid, out)
                       : !record_unpack_refs(value, uid, is_pair_out, out, &uids))
        return TABLES_DAMAGED + 1;
    return 1;
}

#define AT_ONCE 500

/* Deletes up to AT_ONCE pairs of the folder: 1 when there may be more. */
static int forget_some(struct journal *j, uint32_t folder, int side, struct err *err)
{
    struct record_pair *v = mem_realloc_array(NULL, AT_ONCE, sizeof(*v));
    struct bdb_cursor *c;
    bool is_pair;
    size_t n = 0;
    int r = scan_open(j, side == SIDE_A ? j->t.pairs : j->t.uids, folder, 0, &c, err);
    if (r == 0) {
        while (n < AT_ONCE && (r = next_pair(c, folder, side, &v[n], &is_pair, err)) == 1)
            n += is_pair;
        bdb_cursor_close(&c);
    }
    if (r > 1)
        r = journal_damaged(j, "pair", err);
    if (r >= 0 && n > 0) {
        journal_begin(j);
        for (size_t i = 0; i < n && j->txn_result == 0; i++) {
            int d = tables_drop_pair(&j->t, folder, &v[i], &j->txn_err);
            j->txn_result = journal_as_error(j, d, "pair", &j->txn_err);
        }
        r = journal_commit_later(j, err);
    }
    free(v);
    return r < 0 ? -1 : n == AT_ONCE;
}

static int forget_intents(struct journal *j, uint32_t folder, struct err *err)
{
    struct intent *v;
    size_t n;
    int result = journal_intents_any(j, folder, &v, &n, err);
    if (result == 0 && n > 0) {
        journal_begin(j);
        for (size_t k = 0; k < n; k++)
            journal_intent_del(j, folder, v[k].id);
        result = journal_commit_later(j, err);
    }
    intents_free(v, n);
    return result;
}

int journal_folder_forget(struct journal *j, uint32_t folder, struct err *err)
{
    if (journal_compared_forget(j, folder, err) != 0)
        return -1;
    for (int side = SIDE_A; side < SIDES; side++) {
        int r;
        while ((r = forget_some(j, folder, side, err)) > 0)
            continue;
        if (r < 0)
            return -1;
    }
    return forget_intents(j, folder, err);
}

int journal_folder_detach(
    struct journal *j, uint32_t folder, enum pair_state state, bool keeps_alone, struct err *err)
{
    struct pair *pairs;
    size_t n;
    if (journal_compared_forget(j, folder, err) != 0)
        return -1;
    if (journal_pairs_all(j, folder, &pairs, &n, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < n && result == 0;) {
        journal_begin(j);
        for (size_t k = 0; k < AT_ONCE && i < n; k++, i++) {
            if (pairs[i].src_uid == 0 && !keeps_alone)
                journal_copy_del(j, folder, pairs[i].tgt_uid);
            if (pairs[i].src_uid == 0 ||
                (pairs[i].state != PAIR_STORED && pairs[i].state != PAIR_SENT))
                continue;
            pairs[i].state = state;
            pairs[i].tgt_uid = 0;
            pairs[i].is_compared = false;
            journal_pair_put(j, folder, &pairs[i], NULL);
        }
        result = journal_commit(j, err);
    }
    free(pairs);
    return result;
}
