/* SPDX-License-Identifier: ISC */
/*
 * resolve_match: reads the messages of two sides, the likely ones first, and joins them by content
 * (match.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/plan/match.h"
#include "imapsync/copy/resolve_parts.h"

void resolve_side_fini(struct resolve_side *s)
{
    free(s->v);
    free(s->sizes);
    free(s->is_read);
    *s = (struct resolve_side){0};
}

void resolve_side_add(
    struct resolve_side *s, uint32_t uid, uint32_t size, const struct content *known)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 128;
        s->v = mem_realloc_array(s->v, s->cap, sizeof(*s->v));
        s->sizes = mem_realloc_array(s->sizes, s->cap, sizeof(*s->sizes));
        s->is_read = mem_realloc_array(s->is_read, s->cap, sizeof(*s->is_read));
    }
    s->v[s->n] = (struct body){.uid = uid, .is_there = known != NULL};
    if (known) {
        s->v[s->n].canon = known->canon;
        memcpy(s->v[s->n].digest, known->digest, SHA256_SIZE);
    }
    s->sizes[s->n] = size;
    s->is_read[s->n++] = known != NULL;
}

/* Sizes only where there is a choice. */
static int to_side(
    struct resolve_job *job, const struct wanted_list *l, struct resolve_side *out, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes sizes;
    uint32_t *unknown = mem_realloc_array(NULL, l->n + 1, sizeof(*unknown));
    size_t n = 0;
    int result = 0;
    end_changes_init(&sizes, job->keywords);
    for (size_t i = 0; job->adopt_all && i < l->n; i++) {
        if (!l->v[i].has_content)
            unknown[n++] = l->v[i].uid;
    }
    if (n > 0) {
        job->source->ops->attributes(job->source, unknown, n, END_WANT_SIZES, &sizes, &t);
        result = end_check(job->source, &t, "cannot read sizes", err);
    }
    for (size_t i = 0; result == 0 && i < l->n; i++) {
        const struct wanted *w = &l->v[i];
        const struct listed *m = end_changes_find(&sizes, w->uid);
        resolve_side_add(out, w->uid,
            w->has_content     ? w->content.size
            : m && m->has_size ? m->size
                               : 0,
            w->has_content ? &w->content : NULL);
        /* Else its copy would be removed and that of another one made again. */
        out->v[out->n - 1].comes_last = !resolve_is_listed(job, w->uid);
        out->v[out->n - 1].flags = w->has_flags ? &w->lasting : NULL;
    }
    end_changes_fini(&sizes);
    free(unknown);
    return result;
}

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

const struct body *resolve_side_find(const struct resolve_side *s, uint32_t uid)
{
    const struct body key = {.uid = uid};
    return s->n > 0 ? mem_search(&key, s->v, s->n, sizeof(key), by_uid) : NULL;
}

/* Reads what was not read; sizes: only those of these sizes. */
static int read_some(
    struct end *e, struct resolve_side *s, const uint32_t *sizes, size_t n_sizes, struct err *err)
{
    struct body *asked = mem_realloc_array(NULL, s->n + 1, sizeof(*asked));
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->is_read[i] || (sizes && !uids_have(sizes, n_sizes, s->sizes[i])))
            continue;
        asked[n++] = s->v[i];
        s->is_read[i] = true;
    }
    int result = n > 0 ? bodies_digest(e, asked, n, err) : 0;
    for (size_t i = 0; result == 0 && i < n; i++) {
        struct body *b = mem_search(&asked[i], s->v, s->n, sizeof(*b), by_uid);
        *b = asked[i];
    }
    free(asked);
    return result;
}

static uint32_t *sizes_of(const struct resolve_side *s, size_t *n_out)
{
    uint32_t *sizes = mem_realloc_array(NULL, s->n + 1, sizeof(*sizes));
    if (s->n > 0)
        memcpy(sizes, s->sizes, s->n * sizeof(*sizes));
    *n_out = uids_sort(sizes, s->n);
    return sizes;
}

static int read_likely(struct resolve_job *job, struct resolve_side *source,
    struct resolve_side *target, struct err *err)
{
    size_t n_from, n_to;
    uint32_t *from = sizes_of(source, &n_from), *to = sizes_of(target, &n_to);
    int result = read_some(job->source, source, to, n_to, err);
    if (result == 0)
        result = read_some(job->target, target, from, n_from, err);
    free(from);
    free(to);
    return result;
}

/* Whether any may still be joined: those that could not be read cannot. */
static bool has_left(const struct resolve_side *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].mate == 0 && (s->v[i].is_there || !s->is_read[i]))
            return true;
    }
    return false;
}

/* What the target has told of SENT pairs and what proves nothing: of equal candidates these. */
static void match_told(const struct resolve_job *job, const struct wanted_list *l,
    struct resolve_side *source, struct resolve_side *target)
{
    struct match_hint *hints = mem_realloc_array(NULL, l->n + 1, sizeof(*hints));
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].has_content && l->v[i].content.told != 0)
            hints[n++] = (struct match_hint){l->v[i].uid, l->v[i].content.told};
    }
    if (!job->is_renumbered_there && !job->is_another_there)
        match_hinted(source->v, source->n, target->v, target->n, hints, n);
    free(hints);
}

static int match(struct resolve_job *job, const struct wanted_list *l, struct resolve_side *source,
    struct resolve_side *target, struct err *err)
{
    if (job->adopt_all) {
        if (read_likely(job, source, target, err) != 0)
            return -1;
        match_told(job, l, source, target);
        match_up(source->v, source->n, target->v, target->n, MATCH_EXACT);
    }
    if (!has_left(source) || !has_left(target))
        return 0;
    if (read_some(job->source, source, NULL, 0, err) != 0)
        return -1;
    if (!has_left(source))
        return 0;
    if (read_some(job->target, target, NULL, 0, err) != 0)
        return -1;
    match_told(job, l, source, target);
    match_up(source->v, source->n, target->v, target->n, MATCH_TEXT);
    return 0;
}

int resolve_match(struct resolve_job *job, const struct wanted_list *l, struct resolve_side *source,
    struct resolve_side *target, struct err *err)
{
    return to_side(job, l, source, err) == 0 ? match(job, l, source, target, err) : -1;
}

/* --- Equal ones ------------------------------------------------------------------------------- */

bool resolve_marks(const struct resolve_job *job, struct past_folder *out)
{
    const struct past *past = job->past;
    if (!past || job->is_renumbered_here)
        return false;
    past->folder(past->arg, job->folder->source.name, job->listing->uidvalidity, out);
    return out->is_known != NULL;
}

/* It has a copy, as far as anybody has said. */
static bool is_stored(
    const struct resolve_job *job, const struct wanted *w, const struct past_folder *seen)
{
    const struct pair *was = resolve_find_pair(job, w->uid);
    if (was)
        return was->state == PAIR_SENT;
    return seen && w->has_content && seen->is_known(seen->known, w->uid);
}

struct body *resolve_exchanged(const struct resolve_job *job, const struct wanted_list *l,
    const struct resolve_side *source, size_t *n_out)
{
    struct body *has = mem_realloc_array(NULL, source->n + 1, sizeof(*has));
    struct body *lacks = mem_realloc_array(NULL, source->n + 1, sizeof(*lacks));
    struct past_folder seen;
    const struct past_folder *marks = resolve_marks(job, &seen) ? &seen : NULL;
    size_t n_has = 0, n_lacks = 0;
    for (size_t i = 0; i < source->n; i++) {
        struct body b = source->v[i];
        bool has_mate = b.mate != 0;
        b.mate = 0;
        if (is_stored(job, &l->v[i], marks) == has_mate)
            continue;
        if (has_mate)
            has[n_has++] = b;
        else
            lacks[n_lacks++] = b;
    }
    match_up(has, n_has, lacks, n_lacks, MATCH_EXACT);
    free(lacks);
    *n_out = n_has;
    return has;
}
