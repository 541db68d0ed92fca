/* SPDX-License-Identifier: ISC */
/*
 * folders: collecting names and mapping them, without I/O.
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
#include "imapsync/imap/limits.h"
#include "imapsync/imap/utf7.h"

static const struct {
    const char *name;
    enum folder_use use;
} uses[] = {
    {"\\Archive", FOLDER_USE_ARCHIVE},
    {"\\Drafts", FOLDER_USE_DRAFTS},
    {"\\Junk", FOLDER_USE_JUNK},
    {"\\Sent", FOLDER_USE_SENT},
    {"\\Trash", FOLDER_USE_TRASH},
};

static const struct {
    const char *name;
    unsigned attr;
} attrs[] = {
    {"\\Noselect", FOLDER_NOSELECT},
    {"\\NonExistent", FOLDER_NOSELECT},
    {"\\Subscribed", FOLDER_SUBSCRIBED},
    {"\\Noinferiors", FOLDER_NOINFERIORS},
    {"\\All", FOLDER_VIRTUAL},
    {"\\Flagged", FOLDER_VIRTUAL},
};

const char *folder_use_name(enum folder_use use)
{
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        if (uses[i].use == use)
            return uses[i].name;
    }
    return NULL;
}

void folder_list_init(struct folder_list *l)
{
    *l = (struct folder_list){.delimiter = -1};
}

static void free_slice(struct slice *s)
{
    free((void *)(uintptr_t)s->p);
    *s = SLICE_NONE;
}

static struct slice dup_slice(struct slice s)
{
    return slice_make(slice_dup(s), s.n);
}

void folder_list_fini(struct folder_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free_slice(&l->v[i].name);
    for (size_t i = 0; i < l->n_foreign; i++)
        free_slice(&l->foreign[i]);
    free_slice(&l->personal);
    free(l->v);
    free(l->slots);
    folder_list_init(l);
}

static bool is_inbox(struct slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("INBOX"));
}

static bool same_name(struct slice a, struct slice b)
{
    return slice_eq(a, b) || (is_inbox(a) && is_inbox(b));
}

/* The slot of the name, or the free one where it belongs. */
static size_t slot_of(const struct folder_list *l, struct slice name)
{
    uint64_t hash = 14695981039346656037u;
    bool fold = is_inbox(name);
    for (size_t i = 0; i < name.n; i++)
        hash = (hash ^ (fold ? ascii_lower(name.p[i]) : name.p[i])) * 1099511628211u;
    size_t at = (size_t)(hash ^ hash >> 32) & (l->n_slots - 1);
    while (l->slots[at] != 0 && !same_name(l->v[l->slots[at] - 1].name, name))
        at = (at + 1) & (l->n_slots - 1);
    return at;
}

struct folder *folder_list_find(const struct folder_list *l, struct slice name)
{
    if (l->n_slots == 0)
        return NULL;
    uint32_t slot = l->slots[slot_of(l, name)];
    return slot != 0 ? &l->v[slot - 1] : NULL;
}

/* Room for one more folder; the table stays at most half full. */
static void grow(struct folder_list *l)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 32;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    if (2 * (l->n + 1) <= l->n_slots)
        return;
    free(l->slots);
    l->n_slots = l->n_slots ? 2 * l->n_slots : 64;
    l->slots = mem_zalloc(l->n_slots * sizeof(*l->slots));
    for (size_t i = 0; i < l->n; i++)
        l->slots[slot_of(l, l->v[i].name)] = (uint32_t)i + 1;
}

static size_t count_levels(struct slice name, int delimiter)
{
    size_t n = 1;
    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == delimiter;
    return n;
}

int folder_list_add(struct folder_list *l, const struct imap_mailbox_data *m, struct err *err)
{
    struct buf name;
    buf_init(&name, IMAP_MAILBOX_NAME_MAX);
    struct folder *f = NULL;
    int result = 0;
    if (imap_str_add(m->name, &name) != 0 || name.n == 0 ||
        count_levels(buf_slice(&name), m->delimiter) > IMAP_MAILBOX_LEVELS_MAX ||
        slice_find(buf_slice(&name), 0) >= 0) {
        l->ignored++;
        goto done;
    }
    f = folder_list_find(l, buf_slice(&name));
    if (!f) {
        if (l->n == IMAP_MAILBOXES_MAX) {
            result = err_set(err, ERR_PERM, EX_DATAERR, "more than %d folders", IMAP_MAILBOXES_MAX);
            goto done;
        }
        grow(l);
        l->slots[slot_of(l, buf_slice(&name))] = (uint32_t)l->n + 1;
        f = &l->v[l->n++];
        *f = (struct folder){.name = dup_slice(buf_slice(&name)), .delimiter = m->delimiter};
    }
    for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++)
        f->attrs |= imap_words_have(m->attributes, attrs[i].name) ? attrs[i].attr : 0;
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        if (imap_words_have(m->attributes, uses[i].name))
            f->use = uses[i].use;
    }
done:
    buf_fini(&name);
    return result;
}

bool folder_is_own(const struct folder_list *l, const struct folder *f)
{
    for (size_t i = 0; i < l->n_foreign; i++) {
        struct slice p = l->foreign[i];
        if (p.n > 0 && slice_starts(f->name, p))
            return false;
        /* "Other Users/" hides the name "Other Users" itself as well. */
        if (p.n > 1 && slice_eq(f->name, slice_sub(p, 0, p.n - 1)))
            return false;
    }
    return true;
}

/* --- Mapping -------------------------------------------------------------------- */

/* One level of a name, clean for the target. */
static void add_level(struct slice level, int delimiter, struct buf *out)
{
    struct buf text;
    buf_init(&text, 4 * IMAP_MAILBOX_NAME_MAX);
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
    if (is_inbox(rest)) {
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

/* Distinct names, ready for bsearch. */
static int by_name(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
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
        if (f->use == FOLDER_USE_NONE || !m->names[i].p || is_inbox(f->name))
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
        buf_init(&name, 16 * IMAP_MAILBOX_NAME_MAX);
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
        buf_init(&name, 16 * IMAP_MAILBOX_NAME_MAX);
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
