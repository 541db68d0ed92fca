/* SPDX-License-Identifier: ISC */
/*
 * tell: see tell.h; what a pass has mended is in tell_mended.c.
 *
 * Known weakness: a journal that cannot be read when an item is told has no acceptance for it; that
 * the journal has failed is told by the next one who needs it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/items_choice.h"
#include "imapsync/copy/tell_parts.h"

#define WAITING_MAX 500 /* then they are written */

/* --- Items of our own ---------------------------------------------------------------------- */

static struct slice dup(struct slice s)
{
    return s.n > 0 ? slice_make(slice_dup(s), s.n) : SLICE_NONE;
}

static struct item item_dup(const struct item *i)
{
    struct item out = *i;
    out.folder = dup(i->folder);
    out.words = dup(i->words);
    out.by = dup(i->by);
    out.why = dup(i->why);
    return out;
}

static void item_fini(struct item *i)
{
    free((void *)(uintptr_t)i->folder.p);
    free((void *)(uintptr_t)i->words.p);
    free((void *)(uintptr_t)i->by.p);
    free((void *)(uintptr_t)i->why.p);
}

void item_list_add(struct item_list *to, const struct item *i)
{
    if ((to->n & (to->n - 1)) == 0)
        to->v = mem_realloc_array(to->v, to->n ? 2 * to->n : 1, sizeof(*to->v));
    to->v[to->n++] = item_dup(i);
}

void item_list_fini(struct item_list *of)
{
    for (size_t i = 0; i < of->n; i++)
        item_fini(&of->v[i]);
    free(of->v);
    *of = (struct item_list){0};
}

void tell_fini(struct tell *t)
{
    item_list_fini(&t->waiting);
    free(t->known);
    free(t->flags);
    free(t->held);
    free(t->told);
    *t = (struct tell){0};
}

/* --- What is known --------------------------------------------------------------------------- */

struct tell_look tell_look_begin(struct copy *c)
{
    struct tell_look l = {.c = c, .now_ms = clock_wall_ms()};
    buf_init(&l.name, 16 * FOLDER_NAME_MAX);
    return l;
}

void tell_look_end(struct tell_look *l)
{
    buf_fini(&l->name);
    journal_folder_fini(&l->record);
}

int tell_look_at(struct tell_look *l, struct slice folder, struct err *err)
{
    if (l->name.n > 0 && slice_eq(buf_slice(&l->name), folder))
        return 0;
    buf_clear(&l->name);
    journal_folder_fini(&l->record);
    if (buf_add(&l->name, folder) != 0)
        buf_clear(&l->name);
    return journal_folder_get(l->c->journal, folder, &l->record, &l->is_known, err);
}

static enum tell_fate fate_of(const struct copy *c, const struct item *i, int64_t now_ms)
{
    if (i->state == ITEM_ACCEPTED)
        return TELL_ACCEPTED;
    bool waits = i->state == ITEM_OPEN &&
                 (i->code == ITEM_VANISHED || (c->backs_off && now_ms < i->due_ms &&
                                                  i->due_ms - now_ms <= ITEM_WAIT_MAX_MS));
    return waits ? TELL_RESTS : TELL_DUE;
}

static void add_known(struct tell_known **v, size_t *n, const struct tell_known *k)
{
    if ((*n & (*n - 1)) == 0)
        *v = mem_realloc_array(*v, *n ? 2 * *n : 1, sizeof(**v));
    (*v)[(*n)++] = *k;
}

static int learn(void *arg, const struct item *i, struct err *err)
{
    struct tell_look *l = arg;
    struct tell *t = &l->c->tell;
    enum item_life life = item_row(i->code)->life;
    t->has_amounts =
        t->has_amounts || (life == ITEM_LIFE_LOOK && !i->is_back && i->state != ITEM_GONE);
    bool is_sent = life == ITEM_LIFE_REFUSED || life == ITEM_LIFE_SENT;
    bool is_flag = i->code == ITEM_FLAG, is_held = i->code == ITEM_HELD_BACK && i->uid != 0;
    if (i->is_back || i->state == ITEM_GONE || !(is_sent || is_flag || is_held))
        return 0;
    if (tell_look_at(l, i->folder, err) != 0)
        return -1;
    if (!l->is_known || (is_held && i->uidvalidity != l->record.source.uidvalidity))
        return 0;
    const struct tell_known k = {l->record.id, i->uid, fate_of(l->c, i, l->now_ms)};
    if (is_flag)
        add_known(&t->flags, &t->n_flags, &k);
    else if (is_held)
        add_known(&t->held, &t->n_held, &k);
    else
        add_known(&t->known, &t->n_known, &k);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct tell_known *x = a, *y = b;
    if (x->folder != y->folder)
        return x->folder < y->folder ? -1 : 1;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static int by_folder(const void *a, const void *b)
{
    const struct tell_known *x = a, *y = b;
    return x->folder < y->folder ? -1 : x->folder > y->folder;
}

int tell_begin(struct copy *c, struct err *err)
{
    struct tell *t = &c->tell;
    if (items_take(c->journal, err) != 0)
        return -1;
    struct tell_look l = tell_look_begin(c);
    t->n_told = t->n_known = t->n_flags = t->n_held = 0;
    t->has_amounts = false;
    int result = journal_items_each(c->journal, learn, &l, err);
    if (t->n_known > 0)
        mem_sort(t->known, t->n_known, sizeof(*t->known), by_place);
    if (t->n_flags > 0)
        mem_sort(t->flags, t->n_flags, sizeof(*t->flags), by_place);
    if (t->n_held > 0)
        mem_sort(t->held, t->n_held, sizeof(*t->held), by_place);
    tell_look_end(&l);
    return result;
}

/* Of one message there may be several: it is accepted if one of them is. */
static bool has_fate(const struct copy *c, uint32_t folder, uint32_t uid, bool also_rests)
{
    const struct tell *t = &c->tell;
    const struct tell_known key = {.folder = folder, .uid = uid}, *end = t->known + t->n_known;
    const struct tell_known *at =
        t->n_known > 0 ? mem_search(&key, t->known, t->n_known, sizeof(key), by_place) : NULL;
    while (at && at > t->known && by_place(at - 1, &key) == 0)
        at--;
    for (; at && at < end && by_place(at, &key) == 0; at++) {
        if (at->fate == TELL_ACCEPTED || (also_rests && at->fate == TELL_RESTS))
            return true;
    }
    return false;
}

bool tell_rests(const struct copy *c, uint32_t folder, uint32_t uid)
{
    return has_fate(c, folder, uid, true);
}

bool tell_is_accepted(const struct copy *c, uint32_t folder, uint32_t uid)
{
    return has_fate(c, folder, uid, false);
}

bool tell_flags_fate(const struct copy *c, uint32_t folder, uint32_t uid, enum tell_fate *out)
{
    const struct tell *t = &c->tell;
    const struct tell_known key = {.folder = folder, .uid = uid}, all = {.folder = folder};
    const struct tell_known *at =
        t->n_flags > 0 ? mem_search(&key, t->flags, t->n_flags, sizeof(key), by_place) : NULL;
    /* What is accepted of a folder is one of its keywords: others are tried, and it with them. */
    if (!at && t->n_flags > 0)
        at = mem_search(&all, t->flags, t->n_flags, sizeof(all), by_place);
    if (at && at->uid == 0 && at->fate != TELL_RESTS)
        at = NULL;
    *out = at ? at->fate : TELL_DUE;
    return at != NULL;
}

bool tell_held_fate(const struct copy *c, uint32_t folder, uint32_t uid, enum tell_fate *out)
{
    const struct tell *t = &c->tell;
    const struct tell_known key = {.folder = folder, .uid = uid};
    const struct tell_known *at =
        t->n_held > 0 ? mem_search(&key, t->held, t->n_held, sizeof(key), by_place) : NULL;
    *out = at ? at->fate : TELL_DUE;
    return at != NULL;
}

bool tell_is_due_in(const struct copy *c, uint32_t folder)
{
    const struct tell *t = &c->tell;
    const struct tell_known key = {.folder = folder}, *end = t->known + t->n_known;
    const struct tell_known *at =
        t->n_known > 0 ? mem_search(&key, t->known, t->n_known, sizeof(key), by_folder) : NULL;
    while (at && at > t->known && at[-1].folder == folder)
        at--;
    for (; at && at < end && at->folder == folder; at++) {
        if (at->fate == TELL_DUE)
            return true;
    }
    return false;
}

bool tell_is_retried(struct copy *c, struct slice folder, uint32_t uid, enum item_code code)
{
    struct err ignored = ERR_INIT;
    struct item item;
    return journal_item_get(c->journal, &(struct item_key){folder, uid, code}, &item, &ignored) ==
               0 &&
           item.code != ITEM_NONE && item.state == ITEM_RETRIED;
}

/* --- What was told in this pass -------------------------------------------------------------- */

uint64_t tell_key(struct slice folder, uint32_t uid, enum item_code code)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ uid ^ (uint64_t)code << 32;
    for (size_t i = 0; i < folder.n; i++)
        sum = (sum ^ folder.p[i]) * UINT64_C(0x100000001b3);
    return (sum ^ uid) * UINT64_C(0x100000001b3);
}

static void note(struct tell *t, uint64_t key)
{
    if ((t->n_told & (t->n_told - 1)) == 0)
        t->told = mem_realloc_array(t->told, t->n_told ? 2 * t->n_told : 1, sizeof(*t->told));
    t->told[t->n_told++] = key;
}

/* --- Telling --------------------------------------------------------------------------------- */

void tell_show(struct copy *c, const struct item *i,
    void (*to)(void *arg, const struct copy_exception *e), const char *why)
{
    struct buf name;
    buf_init(&name, 4 * FOLDER_NAME_MAX);
    folder_text(i->folder, &name);
    to(c->arg, &(struct copy_exception){
                   .code = i->code, .folder = buf_cstr(&name), .uid = i->uid, .why = why});
    buf_fini(&name);
}

bool tell_accepts(const struct copy *c, enum item_code code)
{
    return c->options.accept >> code & 1;
}

void tell_accept(struct item *i, const char *by, int64_t now_ms)
{
    i->state = ITEM_ACCEPTED;
    i->by = slice_str(by);
    i->why = SLICE_NONE;
    i->by_ms = now_ms;
}

/* As it is to be in the journal; what it borrows is f's and the journal's. */
static struct item told_item(struct copy *c, const struct copy_finding *f)
{
    struct err ignored = ERR_INIT;
    struct slice words = slice_str(f->why);
    int64_t now_ms = clock_wall_ms();
    const struct item now = {.folder = f->folder,
        .uid = f->uid,
        .uidvalidity = f->uidvalidity,
        .code = f->code,
        .n = f->n,
        .has_date = f->message && f->message->has_date,
        .date_s = f->message ? f->message->date_s : 0,
        .size = f->message && f->message->has_size ? f->message->size : 0,
        .words = slice_sub(words, 0, words.n < ITEM_WORDS_MAX ? words.n : ITEM_WORDS_MAX)};
    struct item item;
    if (journal_item_get(
            c->journal, &(struct item_key){f->folder, f->uid, f->code}, &item, &ignored) != 0)
        item = (struct item){0};
    item_tell(&item, &now, now_ms);
    if (f->never_rests)
        item.due_ms = now_ms;
    if (f->accepted_by && item.state != ITEM_ACCEPTED)
        tell_accept(&item, f->accepted_by, now_ms);
    if (tell_accepts(c, f->code) && item.state != ITEM_ACCEPTED)
        tell_accept(&item, TELL_BY_OPTION, now_ms);
    return item;
}

bool copy_tell(struct copy *c, const struct copy_finding *f)
{
    struct tell *t = &c->tell;
    struct item item = told_item(c, f);
    bool is_accepted = item.state == ITEM_ACCEPTED;
    note(t, tell_key(f->folder, f->uid, f->code));
    if (!f->is_told_already) {
        if (journal_is_writing(c->journal)) {
            journal_item_put(c->journal, &item);
        } else {
            item_list_add(&t->waiting, &item);
        }
    }
    if (!is_accepted)
        tell_show(c, &item, c->events->exception, f->why);
    return is_accepted;
}

void copy_tell_rests(struct copy *c, const struct item_key *what)
{
    note(&c->tell, tell_key(what->folder, what->uid, what->code));
}

int copy_tell_mended(struct copy *c, const struct item_key *what, struct err *err)
{
    struct item item;
    if (journal_item_get(c->journal, what, &item, err) != 0)
        return -1;
    if (item.code == ITEM_NONE || item.state == ITEM_GONE)
        return 0;
    item.state = ITEM_GONE;
    item.seen_ms = clock_wall_ms();
    item_list_add(&c->tell.waiting, &item);
    return 0;
}

int tell_flush(struct copy *c, struct err *err)
{
    struct tell *t = &c->tell;
    int result = 0;
    for (size_t at = 0; result == 0 && at < t->waiting.n; at += WAITING_MAX) {
        journal_begin(c->journal);
        for (size_t i = at; i < t->waiting.n && i < at + WAITING_MAX; i++)
            journal_item_put(c->journal, &t->waiting.v[i]);
        result = journal_commit(c->journal, err);
    }
    item_list_fini(&t->waiting);
    return result;
}
