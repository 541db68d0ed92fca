/* SPDX-License-Identifier: ISC */
/*
 * mbox_uids: see mbox_uids.h.
 *
 * A UID that we have given to a message without one is what the next program that writes X-UIDs
 * gives it as well, as long as all go on from the same number.  If one did not, and gave it to
 * another message, then the file's UIDs are believed no more: the list has its own UIDVALIDITY from
 * then on.
 */
#include "imapsync/ends/mbox_uids.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/limits.h"

#define UID_MAX (UINT32_MAX - 1)

/* --- Text --------------------------------------------------------------------------------- */

void mbox_list_fini(struct mbox_list *l)
{
    free(l->v);
    *l = (struct mbox_list){0};
}

static void add_row(struct mbox_list *l, uint32_t uid, uint64_t key)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap + l->cap / 2 : 64;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n++] = (struct mbox_row){uid, key};
}

static bool number(struct slice *rest, char letter, uint64_t min, uint64_t max, uint64_t *out)
{
    struct slice word;
    return slice_split(rest, ' ', &word) && word.n > 1 && word.p[0] == (unsigned char)letter &&
           num_u64(slice_from(word, 1), min, max, out) == 0;
}

static bool parse_header(struct slice line, struct mbox_list *l)
{
    uint64_t validity, next, own;
    const struct slice magic = SLICE_LIT("coexist-uids 1 ");
    if (!slice_starts(line, magic))
        return false;
    line = slice_from(line, magic.n);
    bool is = number(&line, 'V', 1, UINT32_MAX, &validity) &&
              number(&line, 'N', 1, UID_MAX, &next) && number(&line, 'K', 0, 1, &own) &&
              number(&line, 'C', 0, MESSAGES_MAX, &l->count) &&
              number(&line, 'S', 0, UINT64_MAX, &l->size) &&
              number(&line, 'M', 0, UINT64_MAX, &l->mtime_ns) &&
              number(&line, 'I', 0, UINT64_MAX, &l->ino) && !line.p;
    if (!is)
        return false;
    l->validity = (uint32_t)validity;
    l->next = (uint32_t)next;
    l->is_own = own == 1;
    return true;
}

static bool parse_row(struct slice line, struct mbox_list *l)
{
    struct slice word;
    unsigned char octets[8];
    uint32_t uid;
    uint64_t key = 0;
    if (!slice_split(&line, ' ', &word) || num_u32(word, 1, UID_MAX - 1, &uid) != 0 ||
        num_hex(line, octets, sizeof(octets)) != 0)
        return false;
    if (uid >= l->next || (l->n > 0 && uid <= l->v[l->n - 1].uid) || l->n == MESSAGES_MAX)
        return false;
    for (size_t i = 0; i < sizeof(octets); i++)
        key = key << 8 | octets[i];
    add_row(l, uid, key);
    return true;
}

int mbox_list_parse(struct slice text, struct mbox_list *l)
{
    struct slice line;
    bool is = text.n > 0 && text.p[text.n - 1] == '\n' && slice_split(&text, '\n', &line) &&
              parse_header(line, l);
    while (is && slice_split(&text, '\n', &line) && text.p)
        is = parse_row(line, l);
    if (!is)
        mbox_list_fini(l);
    return is ? 0 : -1;
}

int mbox_list_format(const struct mbox_list *l, struct buf *out)
{
    int r = buf_addf(out, "coexist-uids 1 V%u N%u K%d C%llu S%llu M%llu I%llu\n", l->validity,
        l->next, l->is_own, (unsigned long long)l->count, (unsigned long long)l->size,
        (unsigned long long)l->mtime_ns, (unsigned long long)l->ino);
    for (size_t i = 0; i < l->n && r == 0; i++)
        r = buf_addf(out, "%u %016llx\n", l->v[i].uid, (unsigned long long)l->v[i].key);
    return r;
}

/* --- Giving ------------------------------------------------------------------------------- */

/* How many messages, from the first one on, have UIDs of the file; SIZE_MAX: it has none, or they
 * cannot be. */
static size_t labelled(const struct mbox_scan *s)
{
    size_t n = 0;
    uint32_t last = 0;
    if (s->validity == 0)
        return SIZE_MAX;
    while (n < s->n && s->v[n].uid > last)
        last = s->v[n++].uid;
    for (size_t i = n; i < s->n; i++) {
        if (s->v[i].uid != 0)
            return SIZE_MAX;
    }
    return last < UID_MAX - MESSAGES_MAX && s->last < UID_MAX - MESSAGES_MAX ? n : SIZE_MAX;
}

static int by_uid(const void *a, const void *b)
{
    const struct mbox_row *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* The file has given a UID of the list's to another message. */
static bool contradicts(const struct mbox_scan *s, size_t n, const struct mbox_list *l)
{
    for (size_t i = 0; i < n; i++) {
        const struct mbox_row key = {.uid = s->v[i].uid},
                              *row = mem_search(&key, l->v, l->n, sizeof(key), by_uid);
        if (row && row->key != s->v[i].key)
            return true;
    }
    return false;
}

struct place {
    uint64_t key;
    size_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Messages from `from` on, by the rows from `row` on in their order; new ones from next on. */
static uint32_t match(
    struct mbox_scan *s, size_t from, const struct mbox_list *l, size_t row, uint32_t next)
{
    struct place *places = mem_realloc_array(NULL, l->n + 1, sizeof(*places));
    for (size_t i = 0; i < l->n; i++)
        places[i] = (struct place){l->v[i].key, i};
    mem_sort(places, l->n, sizeof(*places), by_key);
    for (size_t i = from; i < s->n; i++) {
        const struct place key = {s->v[i].key, row};
        size_t k = mem_place(&key, places, l->n, sizeof(key), by_key);
        bool is = k < l->n && places[k].key == key.key;
        s->v[i].uid = is ? l->v[places[k].row].uid : 0;
        row = is ? places[k].row + 1 : row;
    }
    free(places);
    for (size_t i = from; i < s->n; i++) {
        if (s->v[i].uid == 0)
            s->v[i].uid = next++;
    }
    return next;
}

static void keep(const struct mbox_scan *s, size_t from, struct mbox_list *l)
{
    bool is_own = l->is_own;
    uint32_t validity = l->validity, next = l->next;
    free(l->v);
    *l = (struct mbox_list){.validity = validity, .next = next, .is_own = is_own, .count = s->n};
    for (size_t i = from; i < s->n; i++)
        add_row(l, s->v[i].uid, s->v[i].key);
    mem_sort(l->v, l->n, sizeof(*l->v), by_uid);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

bool mbox_uids_give(struct mbox_scan *s, struct mbox_list *l, uint32_t fresh, bool *labels_out)
{
    size_t n = labelled(s), row = 0;
    bool is_known = n != SIZE_MAX && l->validity == s->validity && !l->is_own;
    bool is_own = n == SIZE_MAX || (l->is_own && n < s->n) || (is_known && contradicts(s, n, l));
    if (s->n == 0 && s->validity == 0)
        is_own = false; /* an empty file: its first message says what it is */
    if (is_own) {
        if (!l->is_own || l->validity == 0 || l->next >= UID_MAX - MESSAGES_MAX) {
            mbox_list_fini(l);
            l->validity = fresh;
        }
        l->is_own = true;
        l->next = match(s, 0, l, 0, larger(l->next, 1));
        keep(s, 0, l);
        *labels_out = false;
        return true;
    }
    if (s->validity == 0 && l->validity == 0)
        l->validity = fresh;
    if (s->validity != 0 && !is_known) {
        mbox_list_fini(l);
        l->validity = s->validity;
    }
    l->is_own = false;
    uint32_t last = larger(s->last, n > 0 && n != SIZE_MAX ? s->v[n - 1].uid : 0);
    while (row < l->n && l->v[row].uid <= (n > 0 && n != SIZE_MAX ? s->v[n - 1].uid : 0))
        row++;
    size_t from = n == SIZE_MAX ? 0 : n;
    l->next = match(s, from, l, row, larger(l->next, last + 1));
    keep(s, from, l);
    *labels_out = from == s->n;
    return from < s->n || s->validity == 0;
}
