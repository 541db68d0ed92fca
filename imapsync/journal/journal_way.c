/* SPDX-License-Identifier: ISC */
/*
 * journal_way: which side mail comes from, and whether a copy may stand alone on the other one.
 */
#include "imapsync/journal/journal_parts.h"

bool journal_has_turned(const struct journal *j)
{
    return j->way_from != j->from;
}

bool journal_has_both_ways(const struct journal *j)
{
    return j->has_way;
}

bool journal_has_alone(const struct journal *j)
{
    return j->has_way || j->has_alone;
}

int journal_expect_alone(struct journal *j, struct err *err)
{
    struct buf key, value;
    if (journal_has_alone(j))
        return 0;
    buf_init(&key, 16);
    buf_init(&value, 16);
    record_key_alone(&key);
    journal_begin(j);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
    if (journal_commit(j, err) != 0)
        return -1;
    j->has_alone = true;
    return 0;
}

bool journal_is_fresh(const struct journal *j)
{
    return !j->is_way_through;
}

static int put_way(struct journal *j, bool is_through, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, 16);
    record_key_way(&key);
    record_pack_way(&value, j->from, is_through);
    journal_begin(j);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
    if (journal_commit(j, err) != 0)
        return -1;
    j->has_way = true;
    j->way_from = j->from;
    j->is_way_through = is_through;
    return 0;
}

int journal_turn(struct journal *j, struct err *err)
{
    return put_way(j, false, err);
}

int journal_through(struct journal *j, struct err *err)
{
    return j->is_way_through ? 0 : put_way(j, true, err);
}

void journal_exchange(struct journal *j)
{
    int from = j->from;
    const struct journal_watch *watch = j->watch;
    j->from = j->to;
    j->to = from;
    j->watch = j->watch_beside;
    j->watch_beside = watch;
}
