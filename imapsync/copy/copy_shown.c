/* SPDX-License-Identifier: ISC */
/* copy_shown: the folders of a pass that show messages of others (shown.h), and when they come. */
#include <stdlib.h>

#include "imapsync/copy/due_parts.h"
#include "imapsync/copy/shown.h"

int copy_add_shown(struct copy *c, struct pass *p, const struct folder_list *from,
    struct dues *dues, uint32_t *out, size_t *n_out, struct err *err)
{
    const bool takes_part = !plan_policy(p->policy)->is_behind_flip && dues->n > 0;
    const bool has_jobs = dues->n > 0;
    size_t n;
    uint32_t *all = shown_all(c, from, &n);
    int result = 0;
    *n_out = 0;
    for (size_t i = 0; result == 0 && i < n; i++) {
        struct copy_job job;
        const struct folder *f = &from->v[all[i]];
        bool has_changed;
        p->counts->folders++;
        result = due_prepare(c, p, f, p->map->names[all[i]], &job, &has_changed, err);
        if (result != 0 && copy_is_exception(c, err)) {
            p->is_all = false;
            copy_folder_failed(c, p, ITEM_FOLDER, f->name, err->text);
            err_clear(err);
            result = 0;
        } else if (result == 0 && (has_jobs || has_changed)) {
            out[(*n_out)++] = all[i];
            job.origin = p->map->origins[all[i]];
            if (takes_part && job.record.source.uidvalidity != 0) {
                due_add(dues, &job);
                continue;
            }
        } else if (result == 0) {
            p->counts->folders_unchanged++;
        }
        journal_folder_fini(&job.record);
    }
    free(all);
    return result;
}

/* A dry pass copies nothing that could be compared with what they show. */
static void tell_shown(struct copy *c, const struct pass *p, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct folder *f = &p->from->v[v[i]];
        copy_tell_passed(
            c, &(struct copy_folder){.source = f->name,
                   .target = p->map->names[v[i]],
                   .origin = p->map->origins[v[i]],
                   .left_out = "shows messages of other folders: what is in none of these "
                               "comes along",
                   .messages = f->messages});
    }
}

int copy_do_shown(struct copy *c, struct pass *p, const uint32_t *v, size_t n, struct err *err)
{
    int result = 0;
    const bool was_all = p->is_all;
    if (c->options.is_dry) {
        tell_shown(c, p, v, n);
        return 0;
    }
    p->learns = true;
    p->is_all = false;
    for (size_t i = 0; result == 0 && i < n; i++) {
        struct copy_job job;
        bool has_changed;
        const struct folder *f = &p->from->v[v[i]];
        result = due_prepare(c, p, f, p->map->names[v[i]], &job, &has_changed, err);
        job.origin = p->map->origins[v[i]];
        if (result != 0 && copy_is_exception(c, err)) {
            copy_folder_failed(c, p, ITEM_FOLDER, f->name, err->text);
            err_clear(err);
            result = 0;
        } else if (result == 0) {
            result = copy_folders(c, p, &job, 1, err);
        }
        journal_folder_fini(&job.record);
    }
    p->learns = false;
    p->is_all = was_all;
    return result;
}
