/* SPDX-License-Identifier: ISC */
/* filtered: see filtered.h. */
#include "imapsync/copy/filtered.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

void filtered_fini(struct filtered *f)
{
    for (size_t i = 0; i < f->n; i++)
        uid_set_fini(&f->v[i].uids);
    free(f->v);
    *f = (struct filtered){0};
}

void filtered_take(struct works *all)
{
    const struct plan *p = &all->plan;
    for (size_t i = 0; i < p->n_withheld; i++) {
        struct work *w = all->planned[p->withheld[i].folder];
        if (p->withheld[i].reason != PLAN_R_FILTERED)
            continue;
        w->n_exceptions++;
        uid_set_add(&w->filtered, p->withheld[i].src_uid);
    }
}

static void keep(struct filtered *f, struct work *w)
{
    if ((f->n & (f->n - 1)) == 0)
        f->v = mem_realloc_array(f->v, f->n ? 2 * f->n : 1, sizeof(*f->v));
    f->v[f->n++] = (struct filtered_folder){.folder = w->record->id, .uids = w->filtered};
    f->is_sorted = false;
    w->filtered = (struct uid_set){0};
}

void filtered_tell(struct works *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct work *w = &all->v[i];
        struct buf text;
        uid_set_join(&w->filtered);
        const size_t n = uid_set_size(&w->filtered);
        if (n == 0 || w->is_over)
            continue;
        buf_init(&text, 1024);
        if (buf_addf(&text, "%zu message%s not copied: only those ", n, n == 1 ? " is" : "s are") !=
                0 ||
            filter_text(&w->c->options.filter, &text) != 0)
            buf_clear(&text);
        if (!folder_tell(w, ITEM_FILTERED, 0, n, buf_cstr(&text)))
            w->p->counts->messages_filtered += n;
        w->done.filtered += n;
        buf_fini(&text);
        keep(&w->c->filtered, w);
    }
}

static int by_folder(const void *a, const void *b)
{
    const struct filtered_folder *x = a, *y = b;
    return x->folder < y->folder ? -1 : x->folder > y->folder;
}

bool filtered_has(struct copy *c, uint32_t folder, uint32_t uid)
{
    struct filtered *f = &c->filtered;
    const struct filtered_folder key = {.folder = folder};
    if (f->n == 0)
        return false;
    if (!f->is_sorted)
        mem_sort(f->v, f->n, sizeof(*f->v), by_folder);
    f->is_sorted = true;
    const struct filtered_folder *at = mem_search(&key, f->v, f->n, sizeof(key), by_folder);
    return at && uid_set_has(&at->uids, uid);
}
