/* SPDX-License-Identifier: ISC */
/*
 * changes: an array that is sorted only when its messages came in another order.  IDs are kept
 * beside it, since most ends tell none.
 */
#include "imapsync/ends/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/limits.h"
#include "imapsync/imap/token.h"

#define KEPT_WORDS_MAX (64u << 10) /* octets; a server that keeps more keywords keeps all */
#define LOST_WORDS_MAX 400

void end_changes_init(struct end_changes *c, struct keywords *keywords)
{
    *c = (struct end_changes){.keywords = keywords};
    buf_init(&c->kept_words, KEPT_WORDS_MAX);
    buf_init(&c->lost_words, LOST_WORDS_MAX);
    buf_init(&c->token, END_TOKEN_MAX);
    buf_init(&c->folder_id, OBJECT_ID_MAX);
}

/* --- IDs ------------------------------------------------------------------------------------- */

#define IDS_MAX (256u << 20) /* octets; then the others have none */
#define IDS_REPEATED 65536   /* more than two for each message that are kept, of the same ones */

struct id_at {
    uint32_t uid, at, n;
};

struct id_table {
    struct buf text;
    struct id_at *v;
    size_t n, cap;
    bool is_disordered;
};

static void ids_free(struct id_table **ids)
{
    if (*ids) {
        buf_fini(&(*ids)->text);
        free((*ids)->v);
    }
    free(*ids);
    *ids = NULL;
}

void end_changes_add_id(struct end_changes *c, uint32_t uid, struct slice id)
{
    if (id.n == 0 || id.n > OBJECT_ID_MAX)
        return;
    if (!c->ids) {
        c->ids = mem_zalloc(sizeof(*c->ids));
        buf_init(&c->ids->text, IDS_MAX);
    }
    struct id_table *ids = c->ids;
    if (ids->n >= IDS_REPEATED + 2 * c->n || buf_add(&ids->text, id) != 0)
        return;
    if (ids->n == ids->cap) {
        ids->cap = ids->cap ? ids->cap + ids->cap / 2 : 64;
        ids->v = mem_realloc_array(ids->v, ids->cap, sizeof(*ids->v));
    }
    if (ids->n > 0 && ids->v[ids->n - 1].uid >= uid)
        ids->is_disordered = true;
    ids->v[ids->n++] = (struct id_at){uid, (uint32_t)(ids->text.n - id.n), (uint32_t)id.n};
}

/* Those of one message stay in the order in which they came. */
static int by_uid_and_place(const void *a, const void *b)
{
    const struct id_at *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_uid_of_id(const void *a, const void *b)
{
    const struct id_at *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Each once, by its last word. */
static void ids_finish(struct id_table *ids)
{
    size_t kept = 0;
    if (!ids || !ids->is_disordered)
        return;
    mem_sort(ids->v, ids->n, sizeof(*ids->v), by_uid_and_place);
    for (size_t i = 0; i < ids->n; i++) {
        if (kept > 0 && ids->v[kept - 1].uid == ids->v[i].uid)
            kept--;
        ids->v[kept++] = ids->v[i];
    }
    ids->n = kept;
    ids->is_disordered = false;
}

struct slice end_changes_id(const struct end_changes *c, size_t i)
{
    const struct id_table *ids = c->ids;
    if (!ids)
        return SLICE_NONE;
    const struct id_at key = {.uid = c->v[i].uid},
                       *at = mem_search(&key, ids->v, ids->n, sizeof(key), by_uid_of_id);
    return at ? slice_sub(buf_slice(&ids->text), at->at, at->n) : SLICE_NONE;
}

/* --- Messages ------------------------------------------------------------------------------- */

void end_changes_clear(struct end_changes *c)
{
    c->n = c->n_uids = c->n_vanished = 0;
    c->is_disordered = c->is_brief = false;
    uid_set_fini(&c->uids);
    ids_free(&c->ids);
}

void end_changes_fini(struct end_changes *c)
{
    ids_free(&c->ids);
    free(c->v);
    uid_set_fini(&c->uids);
    free(c->vanished);
    buf_fini(&c->kept_words);
    buf_fini(&c->lost_words);
    buf_fini(&c->token);
    buf_fini(&c->folder_id);
    *c = (struct end_changes){0};
}

static bool has_word(struct slice words, struct slice word)
{
    struct slice w;
    while (slice_split(&words, ' ', &w)) {
        if (slice_eq_nocase(w, word))
            return true;
    }
    return false;
}

static void add_lost(struct buf *out, struct slice word)
{
    if (has_word(buf_slice(out), word) || out->n + word.n + 1 > LOST_WORDS_MAX)
        return;
    BUG_ON(out->n > 0 && buf_add_byte(out, ' ') != 0);
    for (size_t i = 0; i < word.n; i++)
        BUG_ON(buf_add_byte(out, ascii_is_print(word.p[i]) ? word.p[i] : '?') != 0);
}

void end_changes_take_flags(struct end_changes *c, struct slice words, struct flags *out)
{
    struct slice word;
    size_t lost = flags_parse(words, c->keywords, out);
    c->flags_lost += lost;
    while (lost > 0 && imap_word_next(&words, &word)) {
        if (word.p[0] != '\\' && keywords_bit(c->keywords, word) < 0)
            add_lost(&c->lost_words, word);
    }
}

struct flags end_changes_storable(const struct end_changes *c)
{
    struct flags f = {.system = (uint8_t)c->storable};
    for (size_t i = 0; i < FLAGS_WORDS && c->takes_keywords; i++)
        f.keywords[i] = UINT64_MAX;
    for (size_t i = 0; i < c->keywords->n && !c->takes_keywords; i++) {
        if (has_word(buf_slice(&c->kept_words), slice_str(c->keywords->names[i])))
            f.keywords[i / 64] |= UINT64_C(1) << i % 64;
    }
    return f;
}

bool end_changes_add_uids(struct end_changes *c, struct uid_range range)
{
    if (range.last - range.first >= MESSAGES_MAX - c->n_uids)
        return false;
    uid_set_add_range(&c->uids, range);
    c->n_uids += range.last - range.first + 1;
    return true;
}

/* Merge sort: qsort() may exchange equal ones, and the last word has to stay the last. */
static void sort(struct listed *v, struct listed *room, size_t n)
{
    size_t half = n / 2, i = 0, k = half, at = 0;
    if (n < 2)
        return;
    sort(v, room, half);
    sort(v + half, room, n - half);
    if (v[half - 1].uid <= v[half].uid)
        return;
    while (i < half && k < n)
        room[at++] = v[k].uid < v[i].uid ? v[k++] : v[i++];
    while (i < half)
        room[at++] = v[i++];
    memcpy(v, room, at * sizeof(*v));
}

unsigned end_listed_lacks(const struct listed *m, unsigned want)
{
    unsigned told = (m->has_flags ? END_WANT_FLAGS : 0u) | (m->has_date ? END_WANT_DATES : 0u) |
                    (m->has_size ? END_WANT_SIZES : 0u);
    return want & (END_WANT_FLAGS | END_WANT_DATES | END_WANT_SIZES) & ~told;
}

static void merge(struct listed *m, const struct listed *word)
{
    if (word->has_date && !(word->has_arrival && m->has_date)) {
        m->has_date = true;
        m->has_arrival = word->has_arrival;
        m->date_s = word->date_s;
        m->zone_min = word->zone_min;
    }
    if (word->has_flags) {
        m->has_flags = true;
        m->flags = word->flags;
    }
    if (word->has_size) {
        m->has_size = true;
        m->size = word->size;
    }
}

void end_changes_finish(struct end_changes *c)
{
    size_t kept = 0;
    ids_finish(c->ids);
    uid_set_join(&c->uids);
    c->n_uids = uid_set_size(&c->uids);
    if (!c->is_disordered)
        return;
    struct listed *room = mem_realloc_array(NULL, c->n + 1, sizeof(*room));
    sort(c->v, room, c->n);
    free(room);
    for (size_t i = 0; i < c->n; i++) {
        if (kept > 0 && c->v[kept - 1].uid == c->v[i].uid)
            merge(&c->v[kept - 1], &c->v[i]);
        else
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
    c->is_disordered = false;
}

/* Who tells the same messages over and over needs no more room for it. */
static void make_room(struct end_changes *c)
{
    end_changes_finish(c);
    if (c->n < c->cap / 2)
        return;
    c->cap = c->cap >= 64 ? c->cap + c->cap / 2 : 64;
    c->v = mem_realloc_array(c->v, c->cap, sizeof(*c->v));
}

bool end_changes_add(struct end_changes *c, const struct listed *m)
{
    if (c->n == c->cap)
        make_room(c);
    if (c->n == MESSAGES_MAX)
        return false;
    if (c->n > 0 && c->v[c->n - 1].uid >= m->uid)
        c->is_disordered = true;
    c->v[c->n++] = *m;
    return true;
}

static void make_room_for_vanished(struct end_changes *c)
{
    if (c->n_vanished > 0)
        c->n_vanished = uids_sort(c->vanished, c->n_vanished);
    if (c->n_vanished < c->cap_vanished / 2)
        return;
    c->cap_vanished = c->cap_vanished ? c->cap_vanished + c->cap_vanished / 2 : 64;
    c->vanished = mem_realloc_array(c->vanished, c->cap_vanished, sizeof(*c->vanished));
}

void end_changes_add_vanished(struct end_changes *c, uint32_t uid)
{
    if (c->n_vanished == c->cap_vanished)
        make_room_for_vanished(c);
    c->vanished[c->n_vanished++] = uid;
}

void end_changes_miss(struct end_changes *c, const struct uid_set *known)
{
    if (!c->is_whole || !c->is_sure)
        return;
    for (uint32_t uid = uid_set_next(known, 0); uid != 0; uid = uid_set_next(known, uid)) {
        if (!end_changes_have(c, uid))
            end_changes_add_vanished(c, uid);
    }
}

static int by_uid(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

const struct listed *end_changes_find(const struct end_changes *c, uint32_t uid)
{
    struct listed key = {.uid = uid};
    return mem_search(&key, c->v, c->n, sizeof(key), by_uid);
}

bool end_changes_have(const struct end_changes *c, uint32_t uid)
{
    return uid_set_has(&c->uids, uid) || end_changes_find(c, uid) != NULL;
}
