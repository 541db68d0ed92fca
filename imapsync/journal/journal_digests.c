/* SPDX-License-Identifier: ISC */
/* journal_digests: pairs of any folder by their content. */
#include <string.h>

#include "imapsync/journal/journal_parts.h"

/* The pair that a key of `digests` names. */
static int get_named(struct journal *j, uint32_t folder, const uint32_t uid[SIDES],
    struct record_pair *out, struct err *err)
{
    struct under_b b;
    bool found = false;
    int r;
    if (uid[SIDE_A] != 0) {
        r = tables_get_a(&j->t, folder, uid[SIDE_A], out, &found, err);
        return r == 0 && !found ? TABLES_DAMAGED : r;
    }
    r = tables_get_b(&j->t, folder, uid[SIDE_B], &b, err);
    if (r == 0 && !b.is_pair)
        r = TABLES_DAMAGED;
    *out = b.pair;
    buf_fini(&b.uids);
    return r;
}

int journal_by_digest(struct journal *j, const unsigned char digest[SHA256_SIZE],
    void (*each)(void *arg, uint32_t folder, const struct pair *p), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value, prefix;
    uint32_t folder, uid[SIDES];
    int r = bdb_cursor_open(j->t.digests, NULL, slice_make(digest, RECORD_DIGEST_KEY), &c, err);
    if (r != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        struct record_pair p;
        if (!record_is_digest(key, &prefix, &folder, uid)) {
            r = TABLES_DAMAGED;
            break;
        }
        if (!slice_eq(prefix, slice_make(digest, RECORD_DIGEST_KEY))) {
            r = 0;
            break;
        }
        r = get_named(j, folder, uid, &p, err);
        if (r != 0)
            break;
        if (memcmp(p.digest, digest, SHA256_SIZE) == 0 && p.uid[j->from] != 0) {
            const struct pair one = journal_as_pair(j, &p);
            each(arg, folder, &one);
        }
    }
    bdb_cursor_close(&c);
    return journal_as_error(j, r, "digests", err);
}

int journal_digests(struct journal *j,
    int (*each)(void *arg, const unsigned char *head, struct err *err), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value, head;
    uint32_t folder, uid[SIDES];
    int r = bdb_cursor_open(j->t.digests, j->t.txn, SLICE_NONE, &c, err);
    if (r != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        if (!record_is_digest(key, &head, &folder, uid)) {
            r = TABLES_DAMAGED;
            break;
        }
        r = each(arg, head.p, err);
        if (r != 0)
            break;
    }
    bdb_cursor_close(&c);
    return journal_as_error(j, r, "digests", err);
}
