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

/* What is on its way of one. */
struct asked {
    struct end_ticket make, subscribe, open;
    struct end_changes numbers;
};

/* A folder that is being made.  There may be many thousands of them: what was answered leaves its
 * numbers. */
struct wish {
    struct slice name; /* owned */
    enum folder_use use;
    bool is_subscribed; /* it is to be; then: it is */
    bool is_made;
    uint32_t uidvalidity, uidnext, exists;
    uint64_t modseq;
    struct asked *asked; /* owned; NULL: it was not begun, or is over */
};

struct making {
    struct wish *v;
    size_t n, n_over;         /* the first ones are over */
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

static void forget(struct wish *w)
{
    if (w->asked)
        end_changes_fini(&w->asked->numbers);
    free(w->asked);
    w->asked = NULL;
}

static void take_answers(struct making *m)
{
    for (; m->n_over < m->n && m->v[m->n_over].asked; m->n_over++) {
        struct wish *w = &m->v[m->n_over];
        const struct asked *a = w->asked;
        if (a->make.result == END_PENDING || a->subscribe.result == END_PENDING ||
            a->open.result == END_PENDING)
            return;
        w->is_made = a->make.result == END_OK && a->open.result == END_OK;
        w->is_subscribed = a->subscribe.result == END_OK;
        w->uidvalidity = a->numbers.uidvalidity;
        w->uidnext = a->numbers.uidnext;
        w->exists = a->numbers.exists;
        w->modseq = a->numbers.modseq;
        forget(w);
    }
}

static int ask_for(struct end *e, struct making *m, struct wish *w, struct err *err)
{
    if (end_room(e, err) != 0)
        return -1;
    take_answers(m);
    struct asked *a = w->asked = mem_zalloc(sizeof(*a));
    end_changes_init(&a->numbers, &m->keywords);
    e->ops->make(e, w->name, w->use, &a->make);
    a->subscribe.result = END_NO;
    if (w->is_subscribed) {
        a->subscribe.result = END_PENDING;
        e->ops->subscribe(e, w->name, true, &a->subscribe);
    }
    e->ops->open(e,
        &(struct end_open){.folder = w->name, .is_for_writing = true, .is_only_opened = true},
        &a->numbers, &a->open);
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
    unsigned attrs = w->is_subscribed ? FOLDER_SUBSCRIBED : 0;
    if (!w->is_made)
        return 0;
    if (folder_list_add(there, w->name, there->delimiter, attrs, w->use, err) != 0)
        return -1;
    struct folder *f = folder_list_find(there, w->name);
    if (!f)
        return 0;
    f->has =
        FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDVALIDITY | (w->uidnext != 0 ? FOLDER_HAS_UIDNEXT : 0u);
    f->uidvalidity = w->uidvalidity;
    f->uidnext = w->uidnext;
    f->messages = w->exists;
    f->modseq = w->modseq;
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
    take_answers(m);
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
        forget(&m->v[i]);
    }
    if (m) {
        free(m->v);
        keywords_fini(&m->keywords);
    }
    free(m);
    p->making = NULL;
}
