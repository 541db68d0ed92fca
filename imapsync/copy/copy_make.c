/* SPDX-License-Identifier: ISC */
/*
 * copy_make: folders that the target does not have yet.  They are begun all at once and nobody
 * waits for them: what has changed is asked for behind them, on both sides, and only who needs one
 * of them takes what has come.
 *
 * Each is opened for writing behind its making: a folder that nobody has opened need not have a
 * UIDVALIDITY that lasts (Courier).
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"

/* A folder that is being made. */
struct wish {
    struct slice name; /* owned */
    enum folder_use use;
    bool is_subscribed;
    struct end_ticket make, subscribe, open;
    struct end_changes numbers;
};

struct making {
    struct wish *v; /* in place while it is under way */
    size_t n;
    struct keywords keywords; /* of nobody */
};

void copy_make_add(struct pass *p, struct slice name, enum folder_use use, bool is_subscribed)
{
    if (!p->making)
        p->making = mem_zalloc(sizeof(*p->making));
    struct making *m = p->making;
    if (m->n % 64 == 0)
        m->v = mem_realloc_array(m->v, m->n + 64, sizeof(*m->v));
    m->v[m->n++] = (struct wish){
        .name = slice_make(slice_dup(name), name.n), .use = use, .is_subscribed = is_subscribed};
}

/* Shorter ones first, so that no server has made a folder by itself when its turn comes. */
static int by_name(const void *a, const void *b)
{
    const struct wish *x = a, *y = b;
    if (x->name.n != y->name.n)
        return x->name.n < y->name.n ? -1 : 1;
    return memcmp(x->name.p, y->name.p, x->name.n);
}

static int ask_for(struct end *e, struct making *m, struct wish *w, struct err *err)
{
    if (end_room(e, err) != 0)
        return -1;
    end_changes_init(&w->numbers, &m->keywords);
    e->ops->make(e, w->name, w->use, &w->make);
    w->subscribe.result = END_NO;
    if (w->is_subscribed) {
        w->subscribe.result = END_PENDING;
        e->ops->subscribe(e, w->name, true, &w->subscribe);
    }
    e->ops->open(e,
        &(struct end_open){.folder = w->name, .is_for_writing = true, .is_only_opened = true},
        &w->numbers, &w->open);
    return 0;
}

int copy_make_begin(struct copy *c, struct pass *p, struct err *err)
{
    struct making *m = p->making;
    if (!m)
        return 0;
    mem_sort(m->v, m->n, sizeof(*m->v), by_name);
    for (size_t i = 0; i < m->n; i++) {
        if (ask_for(c->to, m, &m->v[i], err) != 0)
            return -1;
    }
    return 0;
}

bool copy_is_making(const struct pass *p, struct slice name)
{
    const struct wish wanted = {.name = name};
    const struct making *m = p->making;
    return m && mem_search(&wanted, m->v, m->n, sizeof(wanted), by_name);
}

/* One that could not be made is not an error here: whoever needs it tries and reports. */
static int add_made(const struct wish *w, struct folder_list *there, struct err *err)
{
    unsigned attrs = w->subscribe.result == END_OK ? FOLDER_SUBSCRIBED : 0;
    if (w->make.result != END_OK || w->open.result != END_OK)
        return 0;
    if (folder_list_add(there, w->name, there->delimiter, attrs, w->use, err) != 0)
        return -1;
    struct folder *f = folder_list_find(there, w->name);
    if (!f)
        return 0;
    f->has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDVALIDITY |
             (w->numbers.uidnext != 0 ? FOLDER_HAS_UIDNEXT : 0u);
    f->uidvalidity = w->numbers.uidvalidity;
    f->uidnext = w->numbers.uidnext;
    f->messages = w->numbers.exists;
    f->modseq = w->numbers.modseq;
    return 0;
}

int copy_make_finish(struct copy *c, struct pass *p, struct err *err)
{
    struct making *m = p->making;
    int result = 0;
    if (!m)
        return 0;
    if (end_drain(c->to, err) != 0)
        return -1;
    for (size_t i = 0; i < m->n && result == 0; i++)
        result = add_made(&m->v[i], p->there, err);
    copy_make_fini(p);
    return result;
}

void copy_make_fini(struct pass *p)
{
    struct making *m = p->making;
    for (size_t i = 0; m && i < m->n; i++) {
        free((void *)(uintptr_t)m->v[i].name.p);
        end_changes_fini(&m->v[i].numbers);
    }
    if (m) {
        free(m->v);
        keywords_fini(&m->keywords);
    }
    free(m);
    p->making = NULL;
}
