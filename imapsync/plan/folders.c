/* SPDX-License-Identifier: ISC */
/*
 * folders: mapping names, without I/O.
 *
 * What a folder would be called by itself is in folder_plain.c.
 *
 * Names are given in this order; who comes later yields:
 *
 *   1. what the journal knows keeps its name, and INBOX its own
 *   2. what an administrator has said
 *   3. a special folder (\Sent, ...) meets the target's folder of that use (folder_special.c),
 *      unless another folder of the source would have that name by itself
 *   4. what shows all messages, of which only those come that are nowhere else, is Archive, where
 *      that is free
 *   5. all others, parents first: below a parent that has got another name, else by itself
 *
 * Those of one rank come in an order of their own, parents first, and not as they are listed. Where
 * two names would meet, the later one gets the name of folder_fallback(), which does not depend on
 * what else there is: two folders never become one, and a journal that is lost finds it again.
 */
#include "imapsync/plan/folders.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/plan/folder_special.h"
#include "imapsync/ends/limits.h"

#define NONE UINT32_MAX

/* --- Sets of names ------------------------------------------------------------------------- */

/* Which folder of the source has, or would have, a name. */
struct names {
    const struct slice *of; /* by position */
    uint32_t *slots;        /* position, plus one; 0: free */
    size_t n_slots;
};

static void names_init(struct names *s, const struct slice *of, size_t n)
{
    *s = (struct names){.of = of, .n_slots = 64};
    while (s->n_slots < 2 * (n + 1))
        s->n_slots *= 2;
    s->slots = mem_zalloc(s->n_slots * sizeof(*s->slots));
}

static uint32_t *names_slot(const struct names *s, struct slice name)
{
    size_t at = (size_t)folder_name_hash(name) & (s->n_slots - 1);
    while (s->slots[at] != 0 && !folder_same_name(s->of[s->slots[at] - 1], name))
        at = (at + 1) & (s->n_slots - 1);
    return &s->slots[at];
}

/* Of several the first. */
static void names_add(struct names *s, uint32_t i)
{
    uint32_t *slot = names_slot(s, s->of[i]);
    *slot = *slot != 0 ? *slot : i + 1;
}

static uint32_t names_find(const struct names *s, struct slice name)
{
    uint32_t slot = *names_slot(s, name);
    return slot != 0 ? slot - 1 : NONE;
}

/* --- One name ------------------------------------------------------------------------------ */

struct mapper {
    const struct folder_mapping *in;
    struct slice *plain; /* what each would be called by itself; owned */
    struct slice *names; /* what it is called; owned */
    unsigned char *origins;
    struct names wanted; /* plain ones, of those that have no name yet */
    struct names taken;
    uint32_t *order; /* of those that are copied; owned */
    size_t n_order;
};

static void free_slice(struct slice *s)
{
    free((void *)(uintptr_t)s->p);
    *s = SLICE_NONE;
}

static struct slice dup_slice(struct slice s)
{
    return slice_make(slice_dup(s), s.n);
}

static void take(struct mapper *m, size_t i, struct slice name, enum folder_origin origin)
{
    m->names[i] = dup_slice(name);
    m->origins[i] = (unsigned char)origin;
    names_add(&m->taken, (uint32_t)i);
}

static bool is_free(const struct mapper *m, struct slice name)
{
    return names_find(&m->taken, name) == NONE;
}

/* Nor may anybody come to want it. */
static bool is_unwanted(const struct mapper *m, struct slice name)
{
    return is_free(m, name) && names_find(&m->wanted, name) == NONE;
}

/* The name, or one of its own where that is another one's. */
static void take_like(struct mapper *m, size_t i, struct slice like, enum folder_origin origin)
{
    const struct folder *f = &m->in->source->v[i];
    struct buf name;
    bool is_good = like.n <= FOLDER_NAME_MAX && is_free(m, like);
    origin = is_good                     ? origin
             : like.n <= FOLDER_NAME_MAX ? FOLDER_ORIGIN_LIKE
                                         : FOLDER_ORIGIN_FALLBACK;
    buf_init(&name, 32 * FOLDER_NAME_MAX);
    BUG_ON(buf_add(&name, like) != 0);
    for (unsigned step = like.n <= FOLDER_NAME_MAX ? 0 : FOLDER_FALLBACKS - 1;
         !is_good && step < FOLDER_FALLBACKS; step++) {
        buf_clear(&name);
        folder_fallback(f, like, m->in->target, m->in->salt, step, &name);
        is_good = is_unwanted(m, buf_slice(&name));
    }
    /* Two folders of one name have one digest: a hostile list, or one in 2^32. */
    while (!is_good && !is_unwanted(m, buf_slice(&name)))
        BUG_ON(buf_add_byte(&name, '_') != 0);
    take(m, i, buf_slice(&name), origin);
    buf_fini(&name);
}

/* --- Whose turn it is --------------------------------------------------------------------------
 */

static size_t depth_of(const struct folder *f)
{
    size_t n = 0;
    for (size_t i = 0; f->delimiter >= 0 && i < f->name.n; i++)
        n += f->name.p[i] == (unsigned char)f->delimiter;
    return n;
}

/* Whether what both have, counted from the end, differs in more than delimiters. */
static bool is_altered(const struct folder *f, struct slice plain, int delimiter)
{
    const size_t n = f->name.n < plain.n ? f->name.n : plain.n;
    bool is = false;
    for (size_t i = 1; !is && i <= n; i++) {
        const int was = f->name.p[f->name.n - i], now = plain.p[plain.n - i];
        is = was != now && !(was == f->delimiter && now == delimiter);
    }
    return is;
}

struct turn {
    struct slice name;
    size_t depth;
    uint32_t at;
    bool is_altered;
};

/* Parents first; who keeps his name comes before who only gets the same. */
static int by_turn(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    if (x->is_altered != y->is_altered)
        return x->is_altered ? 1 : -1;
    return slice_order(x->name, y->name);
}

static void make_order(struct mapper *m)
{
    const struct folder_list *source = m->in->source;
    struct turn *turns = mem_zalloc((source->n + 1) * sizeof(*turns));
    m->order = mem_realloc_array(NULL, source->n + 1, sizeof(*m->order));
    for (size_t i = 0; i < source->n; i++) {
        const struct folder *f = &source->v[i];
        if (m->plain[i].p)
            turns[m->n_order++] = (struct turn){.name = f->name,
                .depth = depth_of(f),
                .at = (uint32_t)i,
                .is_altered = is_altered(f, m->plain[i], m->in->target->delimiter)};
    }
    mem_sort(turns, m->n_order, sizeof(*turns), by_turn);
    for (size_t k = 0; k < m->n_order; k++)
        m->order[k] = turns[k].at;
    free(turns);
}

/* --- All of them --------------------------------------------------------------------------- */

bool folder_is_mapped(
    const struct folder_list *source, const struct folder *f, const struct folder_rules *rules)
{
    return folder_is_own(source, f) && folder_rules_take(rules, f);
}

static bool is_open(const struct mapper *m, size_t i)
{
    return m->plain[i].p && !m->names[i].p;
}

static void take_kept(struct mapper *m)
{
    const struct folder_map *given = m->in->given;
    for (size_t k = 0; m->in->kept && k < m->n_order; k++) {
        const size_t i = m->order[k];
        if (m->in->kept[i].n > 0)
            take(m, i, m->in->kept[i], FOLDER_ORIGIN_KEPT);
    }
    for (size_t k = 0; given && given->names && k < m->n_order; k++) {
        const size_t i = m->order[k];
        if (is_open(m, i) && given->names[i].n > 0 && is_free(m, given->names[i]))
            take(m, i, given->names[i], given->origins[i]);
    }
    for (size_t k = 0; k < m->n_order; k++) {
        const size_t i = m->order[k];
        if (is_open(m, i) && folder_is_inbox(m->in->source->v[i].name))
            take_like(m, i, m->plain[i], FOLDER_ORIGIN_PLAIN);
    }
}

static void take_said(struct mapper *m)
{
    struct buf name;
    buf_init(&name, 8 * FOLDER_NAME_MAX);
    for (size_t k = 0; k < m->n_order; k++) {
        const size_t i = m->order[k];
        buf_clear(&name);
        if (is_open(m, i) &&
            folder_rules_name(m->in->rules, &m->in->source->v[i], m->in->target, &name))
            take_like(m, i, buf_slice(&name), FOLDER_ORIGIN_SAID);
    }
    buf_fini(&name);
}

static bool may_meet(void *arg, size_t i, struct slice name)
{
    const struct mapper *m = arg;
    uint32_t other = names_find(&m->wanted, name);
    return is_open(m, i) && is_free(m, name) && (other == NONE || other == i);
}

static void take_special(struct mapper *m)
{
    const size_t n = m->in->source->n;
    const struct folder **special = mem_zalloc((n + 1) * sizeof(*special));
    folder_special(
        &(struct folder_special){m->in->source, m->in->target, m->plain, may_meet, m}, special);
    for (size_t i = 0; i < n; i++) {
        if (special[i])
            take(m, i, special[i]->name,
                folder_same_name(special[i]->name, m->plain[i]) ? FOLDER_ORIGIN_PLAIN
                                                                : FOLDER_ORIGIN_SPECIAL);
    }
    free(special);
}

/* Not below another folder, and only where nobody comes to want it. */
static void take_all(struct mapper *m)
{
    struct buf name;
    buf_init(&name, 4 * FOLDER_NAME_MAX);
    BUG_ON(buf_add(&name, m->in->target->personal) != 0 || buf_add_str(&name, "Archive") != 0);
    for (size_t k = 0; k < m->n_order; k++) {
        if (is_open(m, m->order[k]) && m->in->source->v[m->order[k]].attrs & FOLDER_ALL &&
            is_unwanted(m, buf_slice(&name)))
            take(m, m->order[k], buf_slice(&name), FOLDER_ORIGIN_SPECIAL);
    }
    buf_fini(&name);
}

/* The nearest one above it that is listed and has a name. */
static const struct folder *parent_of(
    const struct mapper *m, const struct folder *f, size_t *at_out)
{
    struct slice name = f->name;
    ptrdiff_t end;
    while (f->delimiter >= 0 && (end = slice_rfind(name, (unsigned char)f->delimiter)) > 0) {
        name = slice_sub(name, 0, (size_t)end);
        const struct folder *parent = folder_list_find(m->in->source, name);
        *at_out = parent ? (size_t)(parent - m->in->source->v) : 0;
        if (parent && m->names[*at_out].p)
            return parent;
    }
    return NULL;
}

static void take_below(struct mapper *m, size_t i)
{
    const struct folder *f = &m->in->source->v[i];
    const int delimiter = m->in->target->delimiter;
    size_t at;
    const struct folder *parent = parent_of(m, f, &at);
    if (!parent || folder_same_name(m->names[at], m->plain[at])) {
        take_like(m, i, m->plain[i], FOLDER_ORIGIN_PLAIN);
        return;
    }
    struct buf name;
    buf_init(&name, 32 * FOLDER_NAME_MAX);
    BUG_ON(buf_add(&name, m->names[at]) != 0 ||
           buf_add_byte(&name, delimiter < 0 ? '_' : (unsigned char)delimiter) != 0);
    folder_add_levels(slice_from(f->name, parent->name.n + 1), f->delimiter, delimiter, &name);
    take_like(m, i, buf_slice(&name), FOLDER_ORIGIN_BELOW);
    buf_fini(&name);
}

static void take_rest(struct mapper *m)
{
    for (size_t k = 0; k < m->n_order; k++) {
        if (is_open(m, m->order[k]))
            take_below(m, m->order[k]);
    }
}

static void make_plain(struct mapper *m)
{
    struct buf name;
    buf_init(&name, 32 * FOLDER_NAME_MAX);
    for (size_t i = 0; i < m->in->source->n; i++) {
        if (!folder_is_mapped(m->in->source, &m->in->source->v[i], m->in->rules))
            continue;
        buf_clear(&name);
        folder_add_plain(m->in, &m->in->source->v[i], &name);
        m->plain[i] = dup_slice(buf_slice(&name));
    }
    buf_fini(&name);
    make_order(m);
    for (size_t k = 0; k < m->n_order; k++) {
        if (!(m->in->kept && m->in->kept[m->order[k]].n > 0))
            names_add(&m->wanted, m->order[k]);
    }
}

void folder_map_make(const struct folder_mapping *in, struct folder_map *out)
{
    const size_t n = in->source->n;
    struct mapper m = {.in = in};
    m.plain = mem_zalloc((n + 1) * sizeof(*m.plain));
    m.names = mem_zalloc((n + 1) * sizeof(*m.names));
    m.origins = mem_zalloc(n + 1);
    names_init(&m.wanted, m.plain, n);
    names_init(&m.taken, m.names, n);
    make_plain(&m);
    take_kept(&m);
    take_said(&m);
    take_special(&m);
    take_all(&m);
    take_rest(&m);
    for (size_t i = 0; i < n; i++)
        free_slice(&m.plain[i]);
    free(m.plain);
    free(m.order);
    free(m.wanted.slots);
    free(m.taken.slots);
    *out = (struct folder_map){.names = m.names, .origins = m.origins, .n = n};
}

void folder_map_fini(struct folder_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        free_slice(&m->names[i]);
    free(m->names);
    free(m->origins);
    *m = (struct folder_map){0};
}

static const struct {
    const char *name, *text;
} origins[] = {
    [FOLDER_ORIGIN_NONE] = {"none", "not copied"},
    [FOLDER_ORIGIN_KEPT] = {"kept", "as before"},
    [FOLDER_ORIGIN_SAID] = {"map", "--map"},
    [FOLDER_ORIGIN_SPECIAL] = {"special", "the folder of this use"},
    [FOLDER_ORIGIN_BELOW] = {"below", "goes with the one above"},
    [FOLDER_ORIGIN_PLAIN] = {"plain", "its own name"},
    [FOLDER_ORIGIN_LIKE] = {"like", "another has its name"},
    [FOLDER_ORIGIN_FALLBACK] = {"fallback", "a name that any server takes"},
};
_Static_assert(sizeof(origins) / sizeof(origins[0]) == FOLDER_ORIGINS, "words for each");

const char *folder_origin_name(enum folder_origin origin)
{
    return origins[origin].name;
}

const char *folder_origin_text(enum folder_origin origin)
{
    return origins[origin].text;
}
