/* SPDX-License-Identifier: ISC */
/*
 * marks: see marks.h.
 *
 * The form: "coexmark", version, has_flipped, folders, digests, and the SHA-256 of all that.  Half
 * a million messages are 10 MB; a digest is cut to 128 bits, since whoever can make two messages of
 * the same 128 bits of SHA-256 has better things to do.
 */
#include "imapsync/move/marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/err.h"
#include "base/core/mem.h"
#include "imapsync/copy/pack.h"

static const char magic[8] = {'c', 'o', 'e', 'x', 'm', 'a', 'r', 'k'};

static void folder_fini(struct marks_folder *f)
{
    free((void *)(uintptr_t)f->source.name.p);
    free((void *)(uintptr_t)f->target.name.p);
    free(f->owed);
}

static void drop_folders(struct marks *m)
{
    for (size_t i = 0; i < m->n_folders; i++)
        folder_fini(&m->folders[i]);
    free(m->folders);
    m->folders = NULL;
    m->n_folders = 0;
}

void marks_fini(struct marks *m)
{
    drop_folders(m);
    free(m->digests);
    *m = (struct marks){0};
}

/* --- Digests ------------------------------------------------------------------------------- */

static int by_digest(const void *a, const void *b)
{
    const struct marks_digest *x = a, *y = b;
    return memcmp(x->digest, y->digest, MARKS_DIGEST);
}

static int append(struct marks *m, const unsigned char *digest, uint32_t ever, uint32_t now)
{
    if (m->n_digests == MARKS_DIGESTS_MAX)
        return -1;
    if (m->n_digests == m->room) {
        m->room += m->room / 2 + 64;
        m->digests = mem_realloc_array(m->digests, m->room, sizeof(*m->digests));
    }
    struct marks_digest *d = &m->digests[m->n_digests++];
    *d = (struct marks_digest){.ever = ever, .now = now};
    memcpy(d->digest, digest, MARKS_DIGEST);
    return 0;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* Equal ones become one: what they have ever been, and what they are now, in sum. */
static void sort(struct marks *m)
{
    size_t n = 0;
    if (m->n_digests > 0)
        mem_sort(m->digests, m->n_digests, sizeof(*m->digests), by_digest);
    for (size_t i = 0; i < m->n_digests; i++) {
        if (n > 0 && by_digest(&m->digests[n - 1], &m->digests[i]) == 0) {
            m->digests[n - 1].ever = sum(m->digests[n - 1].ever, m->digests[i].ever);
            m->digests[n - 1].now = sum(m->digests[n - 1].now, m->digests[i].now);
        } else {
            m->digests[n++] = m->digests[i];
        }
    }
    m->n_digests = m->n_sorted = n;
}

static struct marks_digest *find_sorted(struct marks *m, const unsigned char *digest)
{
    struct marks_digest key;
    memcpy(key.digest, digest, MARKS_DIGEST);
    return m->n_sorted > 0 ? mem_search(&key, m->digests, m->n_sorted, sizeof(key), by_digest)
                           : NULL;
}

static struct marks_digest *find(struct marks *m, const unsigned char *digest)
{
    if (m->n_sorted < m->n_digests)
        sort(m);
    return find_sorted(m, digest);
}

void marks_inventory_begin(struct marks *m)
{
    marks_pass(m);
}

int marks_inventory_add(struct marks *m, const unsigned char digest[SHA256_SIZE])
{
    /* Most are known from the last time, and need no more room. */
    struct marks_digest *d = find_sorted(m, digest);
    if (!d)
        return append(m, digest, 0, 1);
    d->now = sum(d->now, 1);
    return 0;
}

void marks_inventory_end(struct marks *m)
{
    sort(m);
    for (size_t i = 0; i < m->n_digests; i++) {
        struct marks_digest *d = &m->digests[i];
        d->ever = d->now > d->ever ? d->now : d->ever;
        d->now = 0;
    }
}

/* --- Folders ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct marks_folder *x = a, *y = b;
    size_t n = x->source.name.n < y->source.name.n ? x->source.name.n : y->source.name.n;
    int r = n > 0 ? memcmp(x->source.name.p, y->source.name.p, n) : 0;
    return r != 0                                ? r
           : x->source.name.n < y->source.name.n ? -1
                                                 : x->source.name.n > y->source.name.n;
}

void marks_folders_begin(struct marks *m)
{
    drop_folders(m);
    m->has_flipped = false;
}

static struct marks_end end_dup(const struct marks_end *e)
{
    return (struct marks_end){
        .name = {(const unsigned char *)slice_dup(e->name), e->name.n},
        .uidvalidity = e->uidvalidity,
        .uid = e->uid,
    };
}

int marks_folder_add(struct marks *m, const struct marks_folder *f)
{
    if (m->n_folders == MARKS_FOLDERS_MAX)
        return -1;
    /* Grown in powers of two. */
    if ((m->n_folders & (m->n_folders - 1)) == 0)
        m->folders =
            mem_realloc_array(m->folders, m->n_folders ? 2 * m->n_folders : 1, sizeof(*m->folders));
    struct marks_folder *to = &m->folders[m->n_folders++];
    *to = (struct marks_folder){.source = end_dup(&f->source), .target = end_dup(&f->target)};
    if (f->n_owed > 0) {
        to->owed = mem_realloc_array(NULL, f->n_owed, sizeof(*to->owed));
        memcpy(to->owed, f->owed, f->n_owed * sizeof(*to->owed));
        to->n_owed = f->n_owed;
    }
    return 0;
}

void marks_folders_end(struct marks *m)
{
    if (m->n_folders > 0)
        mem_sort(m->folders, m->n_folders, sizeof(*m->folders), by_name);
    m->has_flipped = true;
}

static struct marks_folder *folder_of(const struct marks *m, struct slice name)
{
    const struct marks_folder key = {.source.name = name};
    return m->n_folders > 0 ? mem_search(&key, m->folders, m->n_folders, sizeof(key), by_name)
                            : NULL;
}

/* --- The decision -------------------------------------------------------------------------------
 */

static size_t owed_at(const struct marks_folder *f, uint32_t uid)
{
    size_t i = 0;
    while (i < f->n_owed && f->owed[i] != uid)
        i++;
    return i;
}

enum marks_place marks_place(
    const struct marks *m, struct slice folder, uint32_t uidvalidity, uint32_t uid)
{
    const struct marks_folder *f = folder_of(m, folder);
    if (!f || f->source.uidvalidity != uidvalidity || uid > f->source.uid)
        return MARKS_BY_CONTENT;
    return owed_at(f, uid) < f->n_owed ? MARKS_OWED : MARKS_BEFORE;
}

void marks_pass(struct marks *m)
{
    for (size_t i = 0; i < m->n_digests; i++)
        m->digests[i].now = 0;
}

bool marks_is_late(struct marks *m, const unsigned char digest[SHA256_SIZE])
{
    struct marks_digest *d = find(m, digest);
    if (!d && append(m, digest, 0, 1) != 0)
        return true; /* too many to be counted */
    if (!d)
        return true;
    d->now = sum(d->now, 1);
    return d->now > d->ever;
}

int marks_came(struct marks *m, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    const unsigned char digest[SHA256_SIZE])
{
    struct marks_folder *f = folder_of(m, folder);
    if (f && f->source.uidvalidity == uidvalidity) {
        size_t at = owed_at(f, uid);
        if (at < f->n_owed) {
            f->n_owed--;
            memmove(&f->owed[at], &f->owed[at + 1], (f->n_owed - at) * sizeof(*f->owed));
        }
    }
    struct marks_digest *d = find(m, digest);
    if (!d)
        return append(m, digest, 1, 0);
    d->ever = sum(d->ever, 1);
    return 0;
}

/* --- Octets --------------------------------------------------------------------------------------
 */

static size_t end_size(const struct marks_end *e)
{
    return 12 + e->name.n;
}

static size_t ever_seen(const struct marks *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_digests; i++)
        n += m->digests[i].ever > 0;
    return n;
}

static size_t packed_size(const struct marks *m)
{
    size_t n = sizeof(magic) + 10 + SHA256_SIZE + ever_seen(m) * (MARKS_DIGEST + 4);
    for (size_t i = 0; i < m->n_folders; i++)
        n += end_size(&m->folders[i].source) + end_size(&m->folders[i].target) + 4 +
             4 * m->folders[i].n_owed;
    return n;
}

static void pack_end(struct buf *out, const struct marks_end *e)
{
    pack_bytes(out, e->name);
    pack_u32(out, e->uidvalidity);
    pack_u32(out, e->uid);
}

static void pack_raw(struct buf *out, const void *p, size_t n)
{
    BUG_ON(buf_add(out, slice_make(p, n)) != 0);
}

void marks_pack(struct marks *m, struct buf *out)
{
    unsigned char digest[SHA256_SIZE];
    if (m->n_sorted < m->n_digests)
        sort(m);
    buf_fini(out);
    buf_init(out, packed_size(m));
    pack_raw(out, magic, sizeof(magic));
    pack_u8(out, MARKS_VERSION);
    pack_u8(out, m->has_flipped);
    pack_u32(out, (uint32_t)m->n_folders);
    for (size_t i = 0; i < m->n_folders; i++) {
        const struct marks_folder *f = &m->folders[i];
        pack_end(out, &f->source);
        pack_end(out, &f->target);
        pack_u32(out, (uint32_t)f->n_owed);
        for (size_t k = 0; k < f->n_owed; k++)
            pack_u32(out, f->owed[k]);
    }
    pack_u32(out, (uint32_t)ever_seen(m));
    for (size_t i = 0; i < m->n_digests; i++) {
        if (m->digests[i].ever == 0)
            continue; /* only met */
        pack_raw(out, m->digests[i].digest, MARKS_DIGEST);
        pack_u32(out, m->digests[i].ever);
    }
    sha256_of(buf_slice(out), digest);
    pack_raw(out, digest, sizeof(digest));
}

static bool unpack_end(struct slice *s, struct marks_end *out)
{
    return unpack_bytes(s, &out->name) && unpack_u32(s, &out->uidvalidity) &&
           unpack_u32(s, &out->uid);
}

/* Ascending, so that each form has one meaning. */
static bool unpack_owed(struct slice *s, struct marks_folder *f)
{
    uint32_t n;
    if (!unpack_u32(s, &n) || n > s->n / 4)
        return false;
    f->owed = mem_realloc_array(NULL, (size_t)n + 1, sizeof(*f->owed));
    for (f->n_owed = 0; f->n_owed < n; f->n_owed++) {
        uint32_t uid;
        if (!unpack_u32(s, &uid) || (f->n_owed > 0 && uid <= f->owed[f->n_owed - 1]))
            return false;
        f->owed[f->n_owed] = uid;
    }
    return true;
}

static bool unpack_folders(struct slice *s, struct marks *m)
{
    uint32_t n;
    if (!unpack_u32(s, &n) || n > MARKS_FOLDERS_MAX)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct marks_folder f = {0}; /* its names are borrowed */
        bool is_right = unpack_end(s, &f.source) && unpack_end(s, &f.target) &&
                        unpack_owed(s, &f) && marks_folder_add(m, &f) == 0;
        free(f.owed);
        if (!is_right || (i > 0 && by_name(&m->folders[i - 1], &m->folders[i]) >= 0))
            return false;
    }
    return true;
}

static bool unpack_digests(struct slice *s, struct marks *m)
{
    uint32_t n, ever;
    if (!unpack_u32(s, &n) || n > MARKS_DIGESTS_MAX || s->n != n * (uint64_t)(MARKS_DIGEST + 4))
        return false;
    m->digests = mem_realloc_array(NULL, (size_t)n + 1, sizeof(*m->digests));
    m->room = (size_t)n + 1;
    for (uint32_t i = 0; i < n; i++) {
        const unsigned char *digest = s->p;
        *s = slice_from(*s, MARKS_DIGEST);
        if (!unpack_u32(s, &ever) || ever == 0 || append(m, digest, ever, 0) != 0 ||
            (i > 0 && by_digest(&m->digests[i - 1], &m->digests[i]) >= 0))
            return false;
    }
    m->n_sorted = m->n_digests;
    return true;
}

int marks_unpack(struct slice s, struct marks *out)
{
    unsigned char digest[SHA256_SIZE];
    uint8_t version, has_flipped;
    *out = (struct marks){0};
    if (s.n < sizeof(magic) + SHA256_SIZE || memcmp(s.p, magic, sizeof(magic)) != 0)
        return -1;
    struct slice body = slice_sub(s, 0, s.n - SHA256_SIZE);
    sha256_of(body, digest);
    if (memcmp(digest, s.p + body.n, SHA256_SIZE) != 0)
        return -1;
    body = slice_from(body, sizeof(magic));
    if (!unpack_u8(&body, &version) || version != MARKS_VERSION ||
        !unpack_u8(&body, &has_flipped) || has_flipped > 1 || !unpack_folders(&body, out) ||
        !unpack_digests(&body, out)) {
        marks_fini(out);
        return -1;
    }
    out->has_flipped = has_flipped == 1;
    return 0;
}
