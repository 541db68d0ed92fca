/* SPDX-License-Identifier: ISC */
/* summary: see summary.h.  summary_text.c and summary_json.c have its shapes. */
#include "imapsync/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/journal/text.h"
#include "imapsync/ends/limits.h"

void summary_init(struct summary *s)
{
    *s = (struct summary){0};
}

static void free_target(struct summary_folder *f)
{
    if (f->target_wire != f->wire) {
        if (f->target_wire != f->target)
            free(f->target_wire);
        free(f->target);
    }
    f->target = f->target_wire = NULL;
}

static void free_folder(struct summary_folder *f)
{
    free_target(f);
    if (f->wire != f->source)
        free(f->wire);
    free(f->source);
    free(f->done);
    free(f->octets);
    free(f->compared);
}

void summary_fini(struct summary *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_folder(&s->v[i]);
    for (size_t i = 0; i < s->n_biggest; i++)
        free(s->biggest[i].folder);
    for (size_t i = 0; i < s->n_renamed; i++) {
        free(s->renamed[i].from);
        free(s->renamed[i].to);
    }
    free(s->v);
    free(s->renamed);
    free(s->slots[0]);
    free(s->slots[1]);
    summary_init(s);
}

/* --- Names ------------------------------------------------------------------------------------ */

/* A name on the wire, for people. */
static char *clean(struct slice name)
{
    struct buf text;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    folder_text(name, &text);
    char *out = text_dup(buf_slice(&text));
    buf_fini(&text);
    return out;
}

/* Both are one text where they read the same. */
static void take_name(struct slice name, char **clean_out, char **wire_out)
{
    *clean_out = clean(name);
    *wire_out = slice_eq(slice_str(*clean_out), name) ? *clean_out : slice_dup(name);
}

static const char *wire_of(const struct summary_folder *f, bool is_target)
{
    return is_target ? f->target_wire : f->wire;
}

static uint32_t *slot_of(const struct summary *s, bool is_target, struct slice name)
{
    uint32_t *slots = s->slots[is_target];
    size_t at = (size_t)folder_name_hash(name) & (s->n_slots - 1);
    while (slots[at] != 0 &&
           !folder_same_name(slice_str(wire_of(&s->v[slots[at] - 1], is_target)), name))
        at = (at + 1) & (s->n_slots - 1);
    return &slots[at];
}

/* Room for one folder more; the tables stay at most half full. */
static void grow(struct summary *s)
{
    if (s->n % 1024 == 0)
        s->v = mem_realloc_array(s->v, s->n + 1024, sizeof(*s->v));
    if (2 * (s->n + 1) <= s->n_slots)
        return;
    s->n_slots = s->n_slots ? 2 * s->n_slots : 64;
    for (unsigned side = 0; side < 2; side++) {
        free(s->slots[side]);
        s->slots[side] = mem_zalloc(s->n_slots * sizeof(*s->slots[side]));
        for (size_t i = 0; i < s->n; i++) {
            const char *name = wire_of(&s->v[i], side == 1);
            if (name)
                *slot_of(s, side == 1, slice_str(name)) = (uint32_t)i + 1;
        }
    }
}

static struct summary_folder *find(const struct summary *s, bool is_target, struct slice name)
{
    uint32_t at = s->n > 0 ? *slot_of(s, is_target, name) : 0;
    return at > 0 ? &s->v[at - 1] : NULL;
}

static struct summary_folder *add(struct summary *s, struct slice name)
{
    if (s->n == FOLDERS_MAX || name.n == 0 || name.n > FOLDER_NAME_MAX || slice_find(name, 0) >= 0)
        return NULL;
    grow(s);
    struct summary_folder *f = &s->v[s->n];
    *f = (struct summary_folder){.left_out = NULL};
    take_name(name, &f->source, &f->wire);
    *slot_of(s, false, name) = (uint32_t)++s->n;
    return f;
}

/* The name that it had before is a target's no more. */
static void forget_target(struct summary *s)
{
    memset(s->slots[1], 0, s->n_slots * sizeof(*s->slots[1]));
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].target_wire)
            *slot_of(s, true, slice_str(s->v[i].target_wire)) = (uint32_t)i + 1;
    }
}

static void take_target(struct summary *s, struct summary_folder *f, struct slice target)
{
    if (f->target_wire && slice_eq(slice_str(f->target_wire), target))
        return;
    const bool had_one = f->target_wire != NULL;
    free_target(f);
    if (had_one)
        forget_target(s);
    if (target.n == 0 || slice_find(target, 0) >= 0)
        return;
    if (slice_eq(slice_str(f->wire), target)) {
        f->target = f->source;
        f->target_wire = f->wire;
    } else {
        take_name(target, &f->target, &f->target_wire);
    }
    *slot_of(s, true, target) = (uint32_t)(f - s->v) + 1;
}

/* --- What is told of a folder ----------------------------------------------------------------- */

static struct summary_octets *octets_of(struct summary_folder *f)
{
    if (!f->octets) {
        f->octets = mem_zalloc(sizeof(*f->octets));
        *f->octets = (struct summary_octets){{-1, -1}, {-1, -1}};
    }
    return f->octets;
}

struct copy_folder summary_numbers(const struct summary_folder *f)
{
    static const struct summary_done nothing;
    const struct summary_done *d = f->done ? f->done : &nothing;
    return (struct copy_folder){.origin = (enum folder_origin)f->origin,
        .left_out = f->left_out,
        .is_made = f->is_made,
        .is_lost = f->is_lost,
        .has_failed = f->has_failed,
        .messages = f->messages,
        .messages_there = f->messages_there,
        .all_octets = f->octets ? f->octets->before[0] : -1,
        .all_octets_there = f->octets ? f->octets->before[1] : -1,
        .copied = d->copied,
        .octets = d->octets,
        .adopted = d->adopted,
        .filtered = d->filtered,
        .failed = d->failed,
        .flags = d->flags,
        .moved = d->moved,
        .deleted = d->deleted,
        .kept = d->kept,
        .withheld = d->withheld};
}

static void keep(struct summary_folder *to, const struct copy_folder *f)
{
    const struct summary_done done = {f->copied, f->octets, f->adopted, f->filtered, f->failed,
        f->flags, f->moved, f->deleted, f->kept, f->withheld};
    const bool has_done =
        (done.copied | done.octets | done.adopted | done.filtered | done.failed | done.flags |
            done.moved | done.deleted | done.kept | done.withheld) != 0;
    to->origin = (unsigned char)f->origin;
    to->left_out = f->left_out;
    to->is_made = f->is_made;
    to->is_lost = f->is_lost;
    to->has_failed = f->has_failed;
    to->messages = f->messages;
    to->messages_there = f->messages_there;
    if (to->octets || f->all_octets >= 0 || f->all_octets_there >= 0) {
        octets_of(to)->before[0] = f->all_octets;
        octets_of(to)->before[1] = f->all_octets_there;
    }
    if (has_done && !to->done)
        to->done = mem_zalloc(sizeof(*to->done));
    if (to->done)
        *to->done = done;
}

/* What an earlier pass has done is done; all else the last one knows. */
static struct copy_folder join(const struct copy_folder *was, const struct copy_folder *last)
{
    struct copy_folder to = *last;
    to.is_made = was->is_made || last->is_made;
    to.messages_there = was->messages_there;
    to.all_octets_there = was->all_octets_there;
    to.copied += was->copied;
    to.octets += was->octets;
    to.adopted += was->adopted;
    to.flags += was->flags;
    to.moved += was->moved;
    to.deleted += was->deleted;
    to.kept += was->kept;
    return to;
}

const struct summary_folder *summary_folder(struct summary *s, const struct copy_folder *f)
{
    struct summary_folder *to = find(s, false, f->source);
    struct copy_folder all = *f;
    if (to) {
        const struct copy_folder was = summary_numbers(to);
        all = join(&was, f);
    } else if ((to = add(s, f->source)) == NULL) {
        return NULL;
    }
    keep(to, &all);
    take_target(s, to, f->target);
    return to;
}

void summary_message(struct summary *s, const struct copy_message *m)
{
    size_t at = s->n_biggest;
    if (at == SUMMARY_BIGGEST && m->octets <= s->biggest[at - 1].m.octets)
        return;
    if (at == SUMMARY_BIGGEST)
        free(s->biggest[--at].folder);
    for (; at > 0 && s->biggest[at - 1].m.octets < m->octets; at--)
        s->biggest[at] = s->biggest[at - 1];
    s->biggest[at] = (struct summary_message){.folder = clean(m->folder), .m = *m};
    s->biggest[at].m.folder = SLICE_NONE;
    s->n_biggest += s->n_biggest < SUMMARY_BIGGEST;
}

void summary_renamed(struct summary *s, struct slice from, struct slice to)
{
    s->renamed = mem_realloc_array(s->renamed, s->n_renamed + 1, sizeof(*s->renamed));
    s->renamed[s->n_renamed].from = clean(from);
    s->renamed[s->n_renamed++].to = clean(to);
}

void summary_count(
    struct summary *s, bool is_target, struct slice name, uint32_t messages, int64_t octets)
{
    struct summary_folder *f = find(s, is_target, name);
    if (!f)
        return;
    if (f->octets || octets >= 0)
        octets_of(f)->after[is_target] = octets;
    if (is_target) {
        f->target_after = messages;
        f->has_target_after = true;
    } else {
        f->source_after = messages;
        f->has_source_after = true;
    }
}

void summary_compared(struct summary *s, const struct copy_compared *f)
{
    struct summary_folder *to = find(s, false, f->source);
    if (!to)
        to = add(s, f->source);
    if (!to)
        return;
    if (!to->compared)
        to->compared = mem_zalloc(sizeof(*to->compared));
    *to->compared = *f;
    to->compared->source = to->compared->target = SLICE_NONE;
    to->compared->missing = NULL;
}

void summary_items(struct summary *s, const struct report *r)
{
    for (size_t i = 0; i < s->n; i++)
        s->v[i].items = 0;
    for (size_t k = 0; k < r->n_items; k++) {
        for (size_t i = 0; i < s->n; i++)
            s->v[i].items += strcmp(s->v[i].source, r->items[k].folder) == 0;
    }
}

uint64_t summary_skipped(const struct copy_folder *f)
{
    const uint64_t others = f->copied + f->failed + f->filtered;
    return f->left_out || f->messages < others ? 0 : f->messages - others;
}
