/* SPDX-License-Identifier: ISC */
/* journal_known: which UIDs the pairs of a folder have, out of its spans. */
#include "imapsync/journal/journal_parts.h"

struct known_side {
    struct uid_set stored, single; /* with a UID on the other side; without */
    unsigned states;               /* of the single ones */
};

static void add_span(struct known_side *to, uint32_t first, const struct record_span *span)
{
    for (size_t at = 0, n; at < span->n; at += n) {
        uint8_t what = span->of[at];
        for (n = 1; at + n < span->n && span->of[at + n] == what;)
            n++;
        const struct uid_range range = {first + (uint32_t)at, first + (uint32_t)(at + n - 1)};
        if (what & SPAN_STORED)
            uid_set_add_range(&to->stored, range);
        if (what & SPAN_STATE) {
            uid_set_add_range(&to->single, range);
            to->states |= 1U << (what & SPAN_STATE);
        }
    }
}

static int read_sides(
    struct journal *j, uint32_t folder, struct known_side sides[SIDES], struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    struct buf from;
    struct record_span span;
    uint32_t its, number;
    int side;
    buf_init(&from, 16);
    record_key_span(&from, folder, SIDE_A, 0);
    int r = bdb_cursor_open(j->t.state, j->t.txn, buf_slice(&from), &c, err);
    buf_fini(&from);
    if (r != 0)
        return r;
    while ((r = bdb_cursor_next(c, &key, &value, err)) == 1) {
        if (!record_is_span(key, &its, &side, &number) || its != folder) {
            r = 0;
            break;
        }
        if (!record_unpack_span(value, &span) || (number == 0 && span.of[0] != 0)) {
            r = TABLES_DAMAGED;
            break;
        }
        add_span(&sides[side], number * SPAN_UIDS, &span);
    }
    bdb_cursor_close(&c);
    return r;
}

int journal_known_get(
    struct journal *j, uint32_t folder, struct journal_known *out, struct err *err)
{
    struct known_side sides[SIDES] = {0};
    *out = (struct journal_known){0};
    /* What the transaction has changed, if there is one. */
    int r = spans_write(&j->t, err);
    if (r == 0)
        r = read_sides(j, folder, sides, err);
    size_t n_to = uid_set_size(&sides[j->to].stored), n_from = uid_set_size(&sides[j->from].stored);
    struct known_side *from = &sides[j->from], *to = &sides[j->to];
    out->source = from->stored;
    out->target = to->stored;
    out->odd = from->single;
    out->alone = to->single;
    out->states = from->states | (n_from > 0 ? 1U << PAIR_STORED : 0);
    /* Under each UID of A stands one. */
    out->n_stored = j->from == SIDE_A ? n_from : n_to;
    out->has_twins = n_from != n_to;
    uid_set_join_with(&out->source, &out->odd);
    return journal_as_error(j, r, "which UIDs have pairs", err);
}

void journal_known_fini(struct journal_known *k)
{
    uid_set_fini(&k->source);
    uid_set_fini(&k->target);
    uid_set_fini(&k->odd);
    uid_set_fini(&k->alone);
}

int journal_add_sources(
    struct journal *j, uint32_t folder, uint32_t tgt_uid, struct uid_set *to, struct err *err)
{
    struct record_pair p;
    struct under_b b;
    bool found;
    uint32_t uid;
    int r;
    if (j->to == SIDE_A) {
        r = tables_get_a(&j->t, folder, tgt_uid, &p, &found, err);
        if (r == 0 && found && p.uid[SIDE_B] != 0)
            uid_set_add(to, p.uid[SIDE_B]);
        return journal_as_error(j, r, "pair", err);
    }
    r = tables_get_b(&j->t, folder, tgt_uid, &b, err);
    struct slice rest = buf_slice(&b.uids);
    while (r == 0 && record_next_uid(&rest, &uid))
        uid_set_add(to, uid);
    buf_fini(&b.uids);
    return journal_as_error(j, r, "pair", err);
}

static int highest_in(
    struct journal *j, struct bdb *db, uint32_t folder, uint32_t *out, struct err *err)
{
    struct buf below, key;
    uint32_t of, uid;
    buf_init(&below, 16);
    buf_init(&key, 16);
    record_key_uid(&below, folder + 1, 0);
    int r = bdb_last_below(db, j->t.txn, buf_slice(&below), &key, err);
    *out = r == 1 && record_is_uid(buf_slice(&key), &of, &uid) && of == folder ? uid : 0;
    buf_fini(&below);
    buf_fini(&key);
    return r < 0 ? -1 : 0;
}

int journal_highest(
    struct journal *j, uint32_t folder, uint32_t *source_out, uint32_t *target_out, struct err *err)
{
    uint32_t of[SIDES];
    if (highest_in(j, j->t.pairs, folder, &of[SIDE_A], err) != 0 ||
        highest_in(j, j->t.uids, folder, &of[SIDE_B], err) != 0)
        return -1;
    *source_out = of[j->from];
    *target_out = of[j->to];
    return 0;
}
