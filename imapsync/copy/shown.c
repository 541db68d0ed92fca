/* SPDX-License-Identifier: ISC */
/* shown: which messages of a folder that shows those of others are nowhere else. */
#include "imapsync/copy/shown.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/apply/apply_parts.h"
#include "imapsync/copy/folder_parts.h"

#define AT_ONCE 500

/* --- Which folders -----------------------------------------------------------------------------
 */

bool shown_is(const struct copy *c, const struct folder_list *from, const struct folder *f)
{
    return f->attrs & FOLDER_VIRTUAL && !(f->attrs & FOLDER_NOSELECT) &&
           folder_is_mapped(from, f, &c->options.folders);
}

struct rank {
    struct slice name;
    uint32_t at;
    bool is_all;
};

static int by_rank(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->is_all != y->is_all)
        return x->is_all ? -1 : 1;
    return slice_order(x->name, y->name);
}

uint32_t *shown_all(const struct copy *c, const struct folder_list *from, size_t *n_out)
{
    struct rank *v = NULL;
    size_t n = 0;
    for (size_t i = 0; i < from->n; i++) {
        if (!shown_is(c, from, &from->v[i]))
            continue;
        v = mem_realloc_array(v, n + 1, sizeof(*v));
        v[n++] = (struct rank){from->v[i].name, (uint32_t)i, (from->v[i].attrs & FOLDER_ALL) != 0};
    }
    mem_sort(v, n, sizeof(*v), by_rank);
    uint32_t *out = mem_realloc_array(NULL, n + 1, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        out[i] = v[i].at;
    free(v);
    *n_out = n;
    return out;
}

/* --- Where else messages are -------------------------------------------------------------------
 */

static int by_id(const void *a, const void *b)
{
    const struct shown_place *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int add_place(struct shown *s, const struct folder *f, const uint32_t *changed,
    size_t n_changed, struct err *err)
{
    struct journal_folder record = {0};
    bool found;
    if (journal_folder_get(s->c->journal, f->name, &record, &found, err) != 0)
        return -1;
    if (found)
        s->places[s->n_places++] = (struct shown_place){.id = record.id,
            .folder = f,
            .uidvalidity = record.source.uidvalidity,
            .has_changed = uids_have(changed, n_changed, record.id)};
    journal_folder_fini(&record);
    return 0;
}

int shown_begin(struct shown *s, struct copy *c, const struct folder_list *from,
    const struct folder *f, const uint32_t *changed, size_t n_changed, struct err *err)
{
    struct journal_folder record = {0};
    bool found;
    size_t n_all;
    *s = (struct shown){.c = c, .f = f};
    s->places = mem_zalloc((from->n + 1) * sizeof(*s->places));
    if (journal_folder_get(c->journal, f->name, &record, &found, err) != 0)
        return -1;
    s->id = found ? record.id : 0;
    journal_folder_fini(&record);
    uint32_t *all = shown_all(c, from, &n_all);
    int result = 0;
    for (size_t i = 0; result == 0 && i < from->n; i++) {
        const struct folder *other = &from->v[i];
        if (!(other->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL)) &&
            folder_is_mapped(from, other, &c->options.folders))
            result = add_place(s, other, changed, n_changed, err);
    }
    for (size_t i = 0; result == 0 && i < n_all && &from->v[all[i]] != f; i++)
        result = add_place(s, &from->v[all[i]], changed, n_changed, err);
    free(all);
    mem_sort(s->places, s->n_places, sizeof(*s->places), by_id);
    return result;
}

void shown_end(struct shown *s)
{
    uid_set_fini(&s->unknown);
    uid_set_fini(&s->refused);
    keywords_fini(&s->keywords);
    free(s->places);
    free(s->news);
    *s = (struct shown){0};
}

struct look {
    const struct shown *s;
    bool is_elsewhere;
};

static void on_pair(void *arg, uint32_t folder, const struct pair *p)
{
    struct look *l = arg;
    const struct shown_place key = {.id = folder};
    const struct shown_place *at =
        mem_search(&key, l->s->places, l->s->n_places, sizeof(key), by_id);
    if (!at || p->src_uid == 0)
        return;
    const struct told *t = at->work && !at->work->is_over ? &at->work->source_told : NULL;
    l->is_elsewhere = l->is_elsewhere || !t || !uids_have(t->vanished, t->n_vanished, p->src_uid);
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_SIZE);
}

static int is_elsewhere(
    const struct shown *s, const unsigned char *digest, bool *out, struct err *err)
{
    struct look l = {.s = s};
    if (mem_search(digest, s->news, s->n_news, SHA256_SIZE, by_digest)) {
        *out = true;
        return 0;
    }
    int result = journal_by_digest(s->c->journal, digest, on_pair, &l, err);
    *out = l.is_elsewhere;
    return result;
}

int shown_content(struct shown *s, uint32_t folder, uint32_t uid, struct content *out,
    bool *found_out, struct err *err)
{
    *found_out = false;
    int result = folder != 0 ? journal_content(s->c->journal, folder, uid, out, found_out, err) : 0;
    *found_out = result == 0 && *found_out && out->has_digest;
    return result;
}

/* --- What is left -------------------------------------------------------------------------------
 */

enum kind { KIND_UNKNOWN, KIND_ELSEWHERE, KIND_ONLY };

static int judge(
    struct shown *s, uint32_t uidvalidity, uint32_t uid, enum kind *out, struct err *err)
{
    struct content content = {0};
    bool found = false, is = false;
    *out = KIND_UNKNOWN;
    if (shown_content(s, s->id, uid, &content, &found, err) != 0 ||
        (!found && journal_shown_get(s->c->journal, s->f->name, uidvalidity, uid, content.digest,
                       &found, err) != 0))
        return -1;
    if (!found)
        return 0;
    if (is_elsewhere(s, content.digest, &is, err) != 0)
        return -1;
    *out = is ? KIND_ELSEWHERE : KIND_ONLY;
    return 0;
}

/* Those of `of` that are nowhere else go to `only`, what nobody knows to s->unknown. */
static int judge_all(struct shown *s, uint32_t uidvalidity, const struct uid_set *of,
    struct uid_set *only, struct err *err)
{
    struct uid_set unknown = {0};
    int result = 0;
    for (uint32_t uid = uid_set_next(of, 0); result == 0 && uid != 0; uid = uid_set_next(of, uid)) {
        enum kind kind;
        result = judge(s, uidvalidity, uid, &kind, err);
        if (result == 0 && kind != KIND_ELSEWHERE)
            uid_set_add(kind == KIND_ONLY ? only : &unknown, uid);
        if (result == 0 && uid % AT_ONCE == 0)
            result = copy_check_cancelled(s->c, err);
    }
    uid_set_join(&unknown);
    uid_set_fini(&s->unknown);
    s->unknown = unknown;
    return result;
}

/* What has a pair and no content was refused, or is one of before digests: it stays. */
static int keep_paired(struct shown *s, struct uid_set *only, struct err *err)
{
    struct journal_known known = {0};
    struct uid_set unknown = {0};
    if (s->id == 0 || uid_set_size(&s->unknown) == 0)
        return 0;
    int result = journal_known_get(s->c->journal, s->id, &known, err);
    for (uint32_t uid = uid_set_next(&s->unknown, 0); result == 0 && uid != 0;
         uid = uid_set_next(&s->unknown, uid))
        uid_set_add(uid_set_has(&known.source, uid) ? only : &unknown, uid);
    journal_known_fini(&known);
    uid_set_join(&unknown);
    uid_set_fini(&s->unknown);
    s->unknown = unknown;
    return result;
}

static int learn(struct shown *s, uint32_t uidvalidity, struct uid_set *only, struct err *err)
{
    struct uid_set was = s->unknown;
    s->unknown = (struct uid_set){0};
    uid_set_copy(&s->unknown, &was);
    int result = shown_learn(s, uidvalidity, err);
    if (result == 0)
        result = judge_all(s, uidvalidity, &was, only, err);
    uid_set_fini(&was);
    if (result != 0)
        return -1;
    /* What the source does not give is named where it is to be copied; what was refused, or not
     * read because others have killed the connection, may be anything. */
    uid_set_join(&s->refused);
    for (uint32_t uid = uid_set_next(&s->unknown, 0); uid != 0;
         uid = uid_set_next(&s->unknown, uid)) {
        bool is_left = !copy_reads(s->c) || uid_set_has(&s->refused, uid);
        s->n_unread += is_left;
        if (!is_left)
            uid_set_add(only, uid);
    }
    return 0;
}

int shown_sift(struct shown *s, struct end_changes *listing, struct err *err)
{
    struct uid_set only = {0};
    int result = judge_all(s, listing->uidvalidity, &listing->uids, &only, err);
    if (result == 0)
        result = keep_paired(s, &only, err);
    uid_set_join(&only);
    if (result == 0 && s->learns && uid_set_size(&s->unknown) > 0)
        result = learn(s, listing->uidvalidity, &only, err);
    uid_set_join(&only);
    uid_set_fini(&listing->uids);
    listing->uids = only;
    listing->n_uids = uid_set_size(&only);
    return result;
}

/* --- What has got a label ------------------------------------------------------------------------
 */

struct copied {
    uint32_t size;
    unsigned char digest[SHA256_SIZE];
};

static int by_size(const void *a, const void *b)
{
    const struct copied *x = a, *y = b;
    return x->size < y->size ? -1 : x->size > y->size;
}

static int load_copied(struct shown *s, struct copied **out, size_t *n_out, struct err *err)
{
    struct journal_walk walk = {0};
    size_t cap = 0;
    int r;
    *out = NULL;
    *n_out = 0;
    while ((r = journal_walk(s->c->journal, s->id, &walk, AT_ONCE, err)) == 1) {
        for (size_t i = 0; i < walk.n; i++) {
            struct content content;
            bool found;
            if (shown_content(s, s->id, walk.v[i].src_uid, &content, &found, err) != 0) {
                journal_walk_fini(&walk);
                return -1;
            }
            if (!found)
                continue;
            if (*n_out == cap) {
                cap = cap ? 2 * cap : 64;
                *out = mem_realloc_array(*out, cap, sizeof(**out));
            }
            (*out)[*n_out].size = content.size;
            memcpy((*out)[(*n_out)++].digest, content.digest, SHA256_SIZE);
        }
    }
    journal_walk_fini(&walk);
    mem_sort(*out, *n_out, sizeof(**out), by_size);
    return r;
}

/* Those of the work's new messages that the question is about: all, or of these sizes. */
static size_t ask_about(
    const struct work *w, const struct copied *v, size_t n, bool has_sizes, struct plan_ask *asks)
{
    size_t n_asks = 0;
    for (size_t i = 0; i < w->listing.n; i++) {
        const struct listed *l = &w->listing.v[i];
        const struct copied key = {.size = l->size};
        if (apply_find(w->pairs, w->n_pairs, l->uid, 0) ||
            (has_sizes && !mem_search(&key, v, n, sizeof(key), by_size)))
            continue;
        asks[n_asks++] = (struct plan_ask){.question = PLAN_ASK_CONTENT, .uid = l->uid};
    }
    return n_asks;
}

static bool lacks_sizes(const struct work *w, const struct plan_ask *asks, size_t n)
{
    bool lacks = false;
    for (size_t i = 0; !lacks && i < n; i++)
        lacks = !end_changes_find(&w->listing, asks[i].uid)->has_size;
    return lacks;
}

static int ask(struct work *w, const struct plan_ask *asks, size_t n, struct err *err)
{
    struct reading r;
    folder_read_begin(&r, w, asks, n);
    return folder_read_finish(&r, err);
}

static void take_news(struct shown *s, const struct work *w, const struct copied *v, size_t n)
{
    const struct told *t = &w->source_told;
    for (size_t i = 0; i < t->n_read; i++) {
        const struct listed *l = end_changes_find(&w->listing, t->read[i].uid);
        const struct copied key = {.size = l ? l->size : 0};
        bool is = false;
        for (size_t k = mem_place(&key, v, n, sizeof(key), by_size);
             t->read[i].is_there && !is && k < n && v[k].size == key.size; k++)
            is = memcmp(v[k].digest, t->read[i].digest, SHA256_SIZE) == 0;
        if (!is)
            continue;
        s->news = mem_realloc_array(s->news, s->n_news + 1, SHA256_SIZE);
        memcpy(s->news[s->n_news++], t->read[i].digest, SHA256_SIZE);
    }
}

static int news_of(
    struct shown *s, struct work *w, const struct copied *v, size_t n, struct err *err)
{
    if (uid_set_size(&w->fresh) > w->c->options.portion || folder_list_rest(w, err) != 0)
        return uid_set_size(&w->fresh) > w->c->options.portion ? 0 : -1;
    struct plan_ask *asks = mem_zalloc((w->listing.n + 1) * sizeof(*asks));
    size_t n_asks = ask_about(w, v, n, false, asks);
    int result = 0;
    if (n_asks > 0 && lacks_sizes(w, asks, n_asks))
        result = ask(w, asks, n_asks, err);
    n_asks = result == 0 ? ask_about(w, v, n, true, asks) : 0;
    if (n_asks > 0)
        result = ask(w, asks, n_asks, err);
    free(asks);
    if (result == 0)
        take_news(s, w, v, n);
    return result;
}

int shown_find_news(struct shown *s, struct works *all, const struct work *w, struct err *err)
{
    struct copied *v;
    size_t n;
    for (size_t i = 0; i < all->n; i++) {
        const struct shown_place key = {.id = all->v[i].record->id};
        struct shown_place *at = mem_search(&key, s->places, s->n_places, sizeof(key), by_id);
        if (at && &all->v[i] != w)
            at->work = &all->v[i];
    }
    int result = load_copied(s, &v, &n, err);
    for (size_t i = 0; result == 0 && n > 0 && copy_reads(s->c) && i < s->n_places; i++) {
        struct work *other = (struct work *)(uintptr_t)s->places[i].work;
        if (other && !other->is_over && !other->is_lost && other->source_told.is_asked)
            result = news_of(s, other, v, n, err) == 0 ? 0 : folder_excuse(other, err);
    }
    mem_sort(s->news, s->n_news, SHA256_SIZE, by_digest);
    free(v);
    return result;
}
