/* SPDX-License-Identifier: ISC */
/*
 * folders: mapping names, without I/O.
 *
 * A name is taken apart at the source's delimiter and each level decoded from modified UTF-7; what
 * does not decode is taken as plain bytes.  Each level is put together again for the target: its
 * delimiter inside a level, control characters and empty levels become "_".  INBOX is INBOX.  A
 * special folder (\Sent, ...) goes to the target's folder of that use unless another folder of the
 * source needs that name.  Where two names would meet, the later one gets " 2", " 3", ...: two
 * folders never become one.  All of it is a function of the two lists, and the journal keeps what
 * was decided, so a name stays once it is given.
 */
#include "imapsync/copy/folders.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/utf7.h"

static void free_slice(struct slice *s)
{
    free((void *)(uintptr_t)s->p);
    *s = SLICE_NONE;
}

static struct slice dup_slice(struct slice s)
{
    return slice_make(slice_dup(s), s.n);
}

/* One level of a name, clean for the target. */
static void add_level(struct slice level, int delimiter, struct buf *out)
{
    struct buf text;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    if (imap_utf7_decode(level, &text) != 0) {
        buf_clear(&text);
        /* Not modified UTF-7: UTF-8 as it is, or each byte as the Latin-1 letter it stands for. */
        bool is_utf8 = imap_utf8_valid(level);
        for (size_t i = 0; i < level.n; i++) {
            unsigned char c = level.p[i];
            int r = is_utf8 || c < 0x80 ? buf_add_byte(&text, c)
                                        : buf_addf(&text, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
            BUG_ON(r != 0);
        }
    }
    for (size_t i = 0; i < text.n; i++) {
        unsigned char *c = &text.p[text.off + i];
        if (*c < 0x20 || *c == 0x7f || *c == delimiter)
            *c = '_';
    }
    if (text.n == 0)
        BUG_ON(buf_add_byte(&text, '_') != 0);
    BUG_ON(imap_utf7_encode(buf_slice(&text), out) != 0);
    buf_fini(&text);
}

static void add_mapped(const struct folder_list *source, const struct folder *f,
    const struct folder_list *target, struct buf *out)
{
    struct slice rest = f->name, level;
    if (folder_is_inbox(rest)) {
        BUG_ON(buf_add_str(out, "INBOX") != 0);
        return;
    }
    if (source->personal.n > 0 && slice_starts(rest, source->personal) &&
        rest.n > source->personal.n)
        rest = slice_from(rest, source->personal.n);
    BUG_ON(buf_add(out, target->personal) != 0);
    bool is_first = true;
    unsigned char from = f->delimiter < 0 ? 0 : (unsigned char)f->delimiter;
    while (slice_split(&rest, from, &level)) {
        unsigned char join = target->delimiter < 0 ? '_' : (unsigned char)target->delimiter;
        if (!is_first)
            BUG_ON(buf_add_byte(out, join) != 0);
        add_level(level, target->delimiter, out);
        is_first = false;
    }
}

/* Equal are those that a target takes for one folder: INBOX is INBOX in any case. */
static int by_name(const void *a, const void *b)
{
    static const struct slice inbox = {(const unsigned char *)"INBOX", 5};
    const struct slice *x = a, *y = b;
    x = folder_is_inbox(*x) ? &inbox : x;
    y = folder_is_inbox(*y) ? &inbox : y;
    size_t n = x->n < y->n ? x->n : y->n;
    int r = n > 0 ? memcmp(x->p, y->p, n) : 0;
    return r != 0 ? r : x->n < y->n ? -1 : x->n > y->n;
}

static bool is_used(const struct folder_map *m, size_t except, struct slice name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (i != except && m->names[i].p && by_name(&m->names[i], &name) == 0)
            return true;
    }
    return false;
}

/* Puts special folders where the target has its own of that use. */
static void map_uses(
    const struct folder_list *source, const struct folder_list *target, struct folder_map *m)
{
    for (size_t i = 0; i < source->n; i++) {
        const struct folder *f = &source->v[i];
        if (f->use == FOLDER_USE_NONE || !m->names[i].p || folder_is_inbox(f->name))
            continue;
        for (size_t k = 0; k < target->n; k++) {
            const struct folder *t = &target->v[k];
            if (t->use != f->use || !folder_is_own(target, t) || is_used(m, i, t->name))
                continue;
            free_slice(&m->names[i]);
            m->names[i] = dup_slice(t->name);
            break;
        }
    }
}

static void make_distinct(struct folder_map *m, size_t i)
{
    for (unsigned k = 2; is_used(m, i, m->names[i]); k++) {
        struct buf name;
        buf_init(&name, 16 * FOLDER_NAME_MAX);
        struct slice base = m->names[i];
        if (k > 2)
            base.n = (size_t)slice_rfind(base, ' ');
        BUG_ON(buf_add(&name, base) != 0 || buf_addf(&name, " %u", k) != 0);
        free_slice(&m->names[i]);
        m->names[i] = dup_slice(buf_slice(&name));
        buf_fini(&name);
    }
}

/* Names that more than one folder has: the first keeps it. */
static void make_all_distinct(struct folder_map *m)
{
    struct slice *sorted = mem_realloc_array(NULL, m->n + 1, sizeof(*sorted));
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->names[i].p)
            sorted[n++] = m->names[i];
    }
    mem_sort(sorted, n, sizeof(*sorted), by_name);
    bool has_twins = false;
    for (size_t i = 1; i < n; i++)
        has_twins = has_twins || by_name(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    for (size_t i = m->n; has_twins && i-- > 0;) {
        if (m->names[i].p && !m->is_kept[i])
            make_distinct(m, i);
    }
}

void folder_map_make(
    const struct folder_list *source, const struct folder_list *target, struct folder_map *out)
{
    out->n = source->n;
    out->names = mem_zalloc((source->n + 1) * sizeof(*out->names));
    out->is_kept = mem_zalloc((source->n + 1) * sizeof(*out->is_kept));
    for (size_t i = 0; i < source->n; i++) {
        const struct folder *f = &source->v[i];
        if (!folder_is_own(source, f) || f->attrs & FOLDER_VIRTUAL)
            continue;
        struct buf name;
        buf_init(&name, 16 * FOLDER_NAME_MAX);
        add_mapped(source, f, target, &name);
        out->names[i] = dup_slice(buf_slice(&name));
        buf_fini(&name);
    }
    map_uses(source, target, out);
    make_all_distinct(out);
}

void folder_map_keep(struct folder_map *m, size_t i, struct slice name)
{
    struct slice copy = dup_slice(name);
    free_slice(&m->names[i]);
    m->names[i] = copy;
    m->is_kept[i] = true;
}

/* A folder that was given another's name when there was no other must not meet that other now. */
void folder_map_settle(struct folder_map *m)
{
    make_all_distinct(m);
}

void folder_map_fini(struct folder_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        free_slice(&m->names[i]);
    free(m->names);
    free(m->is_kept);
    *m = (struct folder_map){0};
}

bool folder_safe_name(struct slice name, const struct folder_map *map,
    const struct folder_list *target, struct buf *out)
{
    bool differs = false;
    size_t start = out->n;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = name.p[i];
        bool is_safe = ascii_is_alpha(c) || ascii_is_digit(c) || c == target->delimiter ||
                       memchr(" &+,-._", c, 7) != NULL;
        differs = differs || !is_safe;
        if (buf_add_byte(out, is_safe ? c : '_') != 0)
            return false;
    }
    size_t n = out->n - start;
    for (unsigned k = 2; differs && (is_used(map, map->n, buf_slice(out)) ||
                                        folder_list_find(target, buf_slice(out)));
         k++) {
        buf_truncate(out, start + n);
        if (buf_addf(out, " %u", k) != 0)
            return false;
    }
    return differs;
}

void folder_text(struct slice name, struct buf *out)
{
    size_t start = out->n;
    if (imap_utf7_decode(name, out) == 0 || buf_add(out, name) == 0) {
        for (size_t i = start; i < out->n; i++) {
            unsigned char *c = &out->p[out->off + i];
            if (*c < 0x20 || *c == 0x7f)
                *c = '_';
        }
    }
}
