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
    folder_list_init(&s->names);
    folder_list_init(&s->targets);
}

void summary_fini(struct summary *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].source);
        free(s->v[i].target);
    }
    for (size_t i = 0; i < s->n_biggest; i++)
        free(s->biggest[i].folder);
    for (size_t i = 0; i < s->n_renamed; i++) {
        free(s->renamed[i].from);
        free(s->renamed[i].to);
    }
    free(s->v);
    free(s->renamed);
    folder_list_fini(&s->names);
    folder_list_fini(&s->targets);
    summary_init(s);
}

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

static struct summary_folder *find(const struct summary *s, bool is_target, struct slice name)
{
    const struct folder_list *l = is_target ? &s->targets : &s->names;
    const struct folder *f = folder_list_find(l, name);
    /* The place in the list of names is that in v; of the others it is kept in a number. */
    return !f ? NULL : is_target ? &s->v[f->messages] : &s->v[f - l->v];
}

static struct summary_folder *add(struct summary *s, struct slice name)
{
    struct err ignored = ERR_INIT;
    const size_t before = s->names.n;
    if (folder_list_add(&s->names, name, -1, 0, FOLDER_USE_NONE, &ignored) != 0 ||
        s->names.n == before)
        return NULL;
    if ((s->n & (s->n - 1)) == 0)
        s->v = mem_realloc_array(s->v, s->n ? 2 * s->n : 1, sizeof(*s->v));
    s->v[s->n] = (struct summary_folder){
        .source = clean(name), .octets_after = -1, .octets_there_after = -1};
    return &s->v[s->n++];
}

static void take_target(struct summary *s, struct summary_folder *f, struct slice target)
{
    struct err ignored = ERR_INIT;
    struct folder *there;
    free(f->target);
    f->target = target.n > 0 ? clean(target) : NULL;
    if (target.n > 0 &&
        folder_list_add(&s->targets, target, -1, 0, FOLDER_USE_NONE, &ignored) == 0 &&
        (there = folder_list_find(&s->targets, target)) != NULL)
        there->messages = (uint32_t)(f - s->v);
}

/* What an earlier pass has done is done; all else the last one knows. */
static void join(struct copy_folder *to, const struct copy_folder *last)
{
    const struct copy_folder was = *to;
    *to = *last;
    to->is_made = was.is_made || last->is_made;
    to->messages_there = was.messages_there;
    to->all_octets_there = was.all_octets_there;
    to->copied += was.copied;
    to->octets += was.octets;
    to->adopted += was.adopted;
    to->flags += was.flags;
    to->moved += was.moved;
    to->deleted += was.deleted;
    to->kept += was.kept;
}

const struct summary_folder *summary_folder(struct summary *s, const struct copy_folder *f)
{
    struct summary_folder *to = find(s, false, f->source);
    bool is_new = !to;
    if (is_new && (to = add(s, f->source)) == NULL)
        return NULL;
    if (is_new)
        to->f = *f;
    else
        join(&to->f, f);
    to->f.source = to->f.target = SLICE_NONE;
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
    if (f && is_target) {
        f->target_after = messages;
        f->octets_there_after = octets;
        f->has_target_after = true;
    } else if (f) {
        f->source_after = messages;
        f->octets_after = octets;
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
    to->is_compared = true;
    to->compared = *f;
    to->compared.source = to->compared.target = SLICE_NONE;
    to->compared.missing = NULL;
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
