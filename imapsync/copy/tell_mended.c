/* SPDX-License-Identifier: ISC */
/* tell_mended: behind a pass that was through: which items are gone, and what the others weigh. */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/items_choice.h"
#include "imapsync/copy/tell_parts.h"

static int by_key(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool was_told(const struct tell *t, const struct item *i)
{
    uint64_t key = tell_key(i->folder, i->uid, i->code);
    return mem_search(&key, t->told, t->n_told, sizeof(key), by_key) != NULL;
}

struct end_look {
    struct tell_look look;
    struct copy_counts *counts;
    struct item_list changed;
    struct item_list first; /* the heaviest one that is open, if there is any */
};

static bool has_copy(const struct pair *p)
{
    return p->state == PAIR_STORED || p->state == PAIR_SENT;
}

/* Of a message: whether the journal knows why it is not mended. */
static int stays(struct end_look *e, const struct item *i, bool *out, struct err *err)
{
    struct tell_look *l = &e->look;
    struct pair p = {0};
    bool found = false;
    *out = false;
    if (tell_look_at(l, i->folder, err) != 0)
        return -1;
    if (!l->is_known || (i->uidvalidity != 0 && i->uidvalidity != l->record.source.uidvalidity))
        return 0;
    if (journal_pair_get(l->c->journal, l->record.id, i->uid, 0, &p, &found, err) != 0)
        return -1;
    switch (item_row(i->code)->life) {
    case ITEM_LIFE_REFUSED:
        *out = found && p.state == PAIR_REFUSED;
        return 0;
    case ITEM_LIFE_SENT:
        *out = found && p.state == PAIR_SENT;
        return 0;
    case ITEM_LIFE_DOUBT:
        return found ? 0 : journal_has_appends(l->c->journal, l->record.id, out, err);
    case ITEM_LIFE_COPY:
        /* Of a folder: tried again with its messages. */
        *out = i->uid != 0
                   ? found && has_copy(&p)
                   : i->state == ITEM_ACCEPTED || (l->c->backs_off && l->now_ms < i->due_ms);
        return 0;
    case ITEM_LIFE_COMPARED:
        *out = found && has_copy(&p) && !p.is_compared;
        return 0;
    case ITEM_LIFE_PASS:
        /* An acceptance is not lost because one pass had no reason to look. */
        *out = i->state == ITEM_ACCEPTED && l->now_ms - i->seen_ms < ITEM_GONE_MS;
        return 0;
    case ITEM_LIFE_FOLDER:
    case ITEM_LIFE_ACCEPTED:
        *out = true;
        return 0;
    case ITEM_LIFE_LOOK:
        return 0;
    }
    BUG("all lives are above");
}

static int is_mended(struct end_look *e, const struct item *i, bool *out, struct err *err)
{
    const enum item_life life = item_row(i->code)->life;
    bool is_there = true;
    *out = false;
    if (was_told(&e->look.c->tell, i))
        return 0;
    if (life == ITEM_LIFE_ACCEPTED)
        return 0;
    if (life == ITEM_LIFE_LOOK || (life == ITEM_LIFE_PASS && i->state != ITEM_ACCEPTED))
        is_there = false;
    else if (stays(e, i, &is_there, err) != 0)
        return -1;
    *out = !is_there;
    return 0;
}

static void count(struct end_look *e, const struct item *i)
{
    struct copy_counts *n = e->counts;
    if (i->state == ITEM_ACCEPTED)
        n->items_accepted++;
    if (!item_is_open(i->state))
        return;
    const enum item_class class = item_row(i->code)->class;
    uint64_t *const of[ITEM_CLASSES] = {&n->items_loss, &n->items_withheld, &n->items_changed};
    /* Whoever copies with a filter wants that; what a cut-over makes of it messages_filtered says.
     */
    if (i->code != ITEM_FILTERED)
        ++*of[class];
    if (e->first.n > 0 && item_row(e->first.v[0].code)->class <= class)
        return;
    item_list_fini(&e->first);
    item_list_add(&e->first, i);
}

static int settle(void *arg, const struct item *i, struct err *err)
{
    struct end_look *e = arg;
    struct item now = *i;
    bool is_gone;
    if (i->is_back)
        return 0;
    if (i->state == ITEM_GONE) {
        if (e->look.now_ms - i->seen_ms > ITEM_GONE_MS)
            item_list_add(&e->changed, i);
        return 0;
    }
    if (is_mended(e, i, &is_gone, err) != 0)
        return -1;
    if (is_gone) {
        now.state = ITEM_GONE;
        now.seen_ms = e->look.now_ms;
    } else if (item_is_open(i->state) && tell_accepts(e->look.c, i->code)) {
        tell_accept(&now, TELL_BY_OPTION, e->look.now_ms);
    }
    if (now.state != i->state)
        item_list_add(&e->changed, &now);
    count(e, &now);
    return 0;
}

static int write_changed(struct end_look *e, struct err *err)
{
    struct journal *j = e->look.c->journal;
    if (e->changed.n == 0)
        return 0;
    journal_begin(j);
    for (size_t i = 0; i < e->changed.n; i++) {
        const struct item *now = &e->changed.v[i];
        if (now->state == ITEM_GONE && e->look.now_ms - now->seen_ms > ITEM_GONE_MS)
            journal_item_del(j, now);
        else
            journal_item_put(j, now);
    }
    return journal_commit(j, err);
}

int tell_end(struct copy *c, struct copy_counts *counts, struct err *err)
{
    struct tell *t = &c->tell;
    struct end_look e = {.look = tell_look_begin(c), .counts = counts};
    counts->items_loss = counts->items_withheld = counts->items_changed = 0;
    counts->items_accepted = 0;
    if (t->n_told > 0)
        mem_sort(t->told, t->n_told, sizeof(*t->told), by_key);
    int result = tell_flush(c, err);
    /* What was decided while it went on counts. */
    if (result == 0)
        result = items_take(c->journal, err);
    if (result == 0)
        result = journal_items_each(c->journal, settle, &e, err);
    if (result == 0)
        result = write_changed(&e, err);
    if (result == 0 && e.first.n > 0 && c->events->open) {
        char *words = slice_dup(e.first.v[0].words);
        tell_show(c, &e.first.v[0], c->events->open, words);
        free(words);
    }
    item_list_fini(&e.changed);
    item_list_fini(&e.first);
    tell_look_end(&e.look);
    return result;
}
