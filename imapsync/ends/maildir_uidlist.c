/* SPDX-License-Identifier: ISC */
/* maildir_uidlist: see maildir_uidlist.h. */
#include "imapsync/ends/maildir_uidlist.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/maildir_name.h"

void uidlist_init(struct uidlist *l)
{
    *l = (struct uidlist){.next = 1};
    buf_init(&l->text, UIDLIST_MAX + UIDLIST_MAX / 4);
}

void uidlist_fini(struct uidlist *l)
{
    buf_fini(&l->text);
    free(l->v);
    free(l->slots);
    *l = (struct uidlist){0};
}

/* --- Names -------------------------------------------------------------------------------- */

static size_t hash_of(struct slice s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ s.p[i]) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 29);
}

static uint32_t *slot_of(const struct uidlist *l, struct slice base)
{
    size_t i = hash_of(base) & (l->n_slots - 1);
    while (l->slots[i] != 0 && !slice_eq(l->v[l->slots[i] - 1].base, base))
        i = (i + 1) & (l->n_slots - 1);
    return &l->slots[i];
}

static void grow(struct uidlist *l)
{
    l->cap = l->cap ? 2 * l->cap : 64;
    l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    free(l->slots);
    l->n_slots = 2 * l->cap;
    l->slots = mem_zalloc(l->n_slots * sizeof(*l->slots));
    for (size_t i = 0; i < l->n; i++)
        *slot_of(l, l->v[i].base) = (uint32_t)i + 1;
}

static void add(struct uidlist *l, const struct uidlist_row *row)
{
    if (l->n == l->cap)
        grow(l);
    uint32_t *slot = slot_of(l, row->base);
    if (*slot != 0)
        l->v[*slot - 1].uid = 0;
    l->v[l->n] = *row;
    *slot = (uint32_t)++l->n;
    if (row->uid >= l->next)
        l->next = row->uid + 1;
}

const struct uidlist_row *uidlist_find(const struct uidlist *l, struct slice base)
{
    if (l->n_slots == 0)
        return NULL;
    uint32_t at = *slot_of(l, base);
    return at ? &l->v[at - 1] : NULL;
}

/* --- Reading ------------------------------------------------------------------------------ */

static bool field_value(struct slice fields, unsigned char key, struct slice *out)
{
    while (slice_split(&fields, ' ', out)) {
        if (out->n > 1 && out->p[0] == key) {
            *out = slice_from(*out, 1);
            return true;
        }
    }
    return false;
}

/* An ID that goes into other lines as well. */
static bool id_of(struct slice fields, struct slice *out)
{
    if (!field_value(fields, 'G', out) || out->n > OBJECT_ID_MAX)
        return false;
    for (size_t i = 0; i < out->n; i++) {
        if (!ascii_is_print(out->p[i]))
            return false;
    }
    return true;
}

static bool parse_header(struct uidlist *l, struct slice line, unsigned *version)
{
    struct slice word, fields, validity, next;
    if (!slice_split(&line, ' ', &word) || !line.p)
        return false;
    fields = line;
    if (slice_eq(word, SLICE_LIT("1"))) {
        *version = 1;
        if (!slice_split(&fields, ' ', &validity) || !slice_split(&fields, ' ', &next))
            return false;
    } else {
        *version = 3;
        if (!slice_eq(word, SLICE_LIT("3")) || !field_value(fields, 'V', &validity) ||
            !field_value(fields, 'N', &next))
            return false;
        if (!id_of(fields, &l->guid))
            l->guid = SLICE_NONE;
    }
    return num_u32(validity, 1, UINT32_MAX, &l->validity) == 0 &&
           num_u32(next, 1, UIDLIST_UID_MAX, &l->next) == 0;
}

static bool parse_row(struct slice line, unsigned version, struct uidlist_row *out)
{
    struct slice word;
    struct maildir_name name;
    *out = (struct uidlist_row){0};
    if (!slice_split(&line, ' ', &word) || !line.p ||
        num_u32(word, 1, UIDLIST_UID_MAX - 1, &out->uid) != 0)
        return false;
    if (version == 3) {
        ptrdiff_t colon = line.n > 0 && line.p[0] == ':' ? 0 : slice_search(line, SLICE_LIT(" :"));
        if (colon < 0)
            return false;
        out->fields = slice_sub(line, 0, (size_t)colon);
        line = slice_from(line, (size_t)colon + (colon > 0 ? 2 : 1));
    }
    if (!maildir_name_split(line, &name))
        return false;
    out->base = name.base;
    return true;
}

int uidlist_parse(struct uidlist *l)
{
    struct slice rest = buf_slice(&l->text), line;
    struct uidlist_row row;
    unsigned version;
    uint32_t last = 0;
    l->is_torn = rest.n == 0 || rest.p[rest.n - 1] != '\n';
    if (!slice_split(&rest, '\n', &line) || !rest.p || !parse_header(l, line, &version))
        return -1;
    /* What follows the last line's end is empty, or torn. */
    while (slice_split(&rest, '\n', &line) && rest.p) {
        if (!parse_row(line, version, &row) || row.uid <= last || l->n == MESSAGES_MAX) {
            l->n_skipped++;
            continue;
        }
        last = row.uid;
        add(l, &row);
    }
    return 0;
}

struct slice uidlist_id(const struct uidlist_row *row)
{
    struct slice guid;
    return id_of(row->fields, &guid) ? guid : row->base;
}

/* --- Writing ------------------------------------------------------------------------------ */

int uidlist_add_header(struct buf *out, uint32_t validity, uint32_t next, struct slice guid)
{
    int r = buf_addf(out, "3 V%u N%u", validity, next);
    if (r == 0 && guid.n > 0)
        r = buf_addf(out, " G%.*s", SLICE_ARG(guid));
    return r == 0 ? buf_add_byte(out, '\n') : -1;
}

int uidlist_add_row(struct buf *out, uint32_t uid, struct slice fields, struct slice base)
{
    int r = buf_addf(out, "%u ", uid);
    if (r == 0 && fields.n > 0)
        r = buf_add(out, fields) == 0 && buf_add_byte(out, ' ') == 0 ? 0 : -1;
    if (r == 0)
        r = buf_add_byte(out, ':') == 0 && buf_add(out, base) == 0 ? 0 : -1;
    return r == 0 ? buf_add_byte(out, '\n') : -1;
}
