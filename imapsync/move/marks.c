/* SPDX-License-Identifier: ISC */
/*
 * marks: see marks.h.
 *
 * A message whose UID is above all that its folder had when it was first looked at is one more than
 * there were; that of a folder that was numbered anew, renamed or restored has very likely been
 * counted elsewhere, and counts only when the pass has met more of its kind than that.
 */
#include "imapsync/move/marks.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"

/* --- Folders ---------------------------------------------------------------------------------- */

static void folder_fini(struct marks_folder *f)
{
    free((void *)(uintptr_t)f->name.p);
    free(f->owed);
    marks_uids_fini(&f->places);
}

void marks_drop_folders(struct marks *m)
{
    for (size_t i = 0; i < m->n_folders; i++)
        folder_fini(&m->folders[i]);
    free(m->folders);
    m->folders = NULL;
    m->n_folders = m->room = 0;
    m->changes_name = NULL;
}

void marks_fini(struct marks *m)
{
    marks_drop_folders(m);
    marks_counts_fini(&m->counts);
    buf_fini(&m->changes);
    *m = (struct marks){0};
}

static int by_name(const void *a, const void *b)
{
    struct slice x = ((const struct marks_folder *)a)->name;
    struct slice y = ((const struct marks_folder *)b)->name;
    size_t n = x.n < y.n ? x.n : y.n;
    int r = n > 0 ? memcmp(x.p, y.p, n) : 0;
    return r != 0 ? r : (x.n > y.n) - (x.n < y.n);
}

/* The first at or behind the name. */
static size_t find(const struct marks *m, struct slice name)
{
    const struct marks_folder wanted = {.name = name};
    return mem_place(&wanted, m->folders, m->n_folders, sizeof(*m->folders), by_name);
}

struct marks_folder *marks_find(const struct marks *m, struct slice name)
{
    size_t at = find(m, name);
    return at < m->n_folders && slice_eq(m->folders[at].name, name) ? &m->folders[at] : NULL;
}

/* NULL: too many. */
static struct marks_folder *insert(struct marks *m, struct slice name)
{
    size_t at = find(m, name);
    if (m->n_folders == MARKS_FOLDERS_MAX)
        return NULL;
    if (m->n_folders == m->room) {
        m->room += m->room / 2 + 8;
        m->folders = mem_realloc_array(m->folders, m->room, sizeof(*m->folders));
    }
    memmove(&m->folders[at + 1], &m->folders[at], (m->n_folders - at) * sizeof(*m->folders));
    m->n_folders++;
    m->folders[at] =
        (struct marks_folder){.name = {(const unsigned char *)slice_dup(name), name.n}};
    return &m->folders[at];
}

int marks_folder_add(struct marks *m, struct slice name, uint32_t uidvalidity, uint32_t uid,
    const uint32_t *owed, size_t n_owed)
{
    struct marks_folder *f = marks_find(m, name);
    if (!f && !(f = insert(m, name)))
        return -1;
    f->uidvalidity = uidvalidity;
    f->uid = uid;
    f->has_mark = true;
    free(f->owed);
    f->owed = mem_realloc_array(NULL, n_owed + 1, sizeof(*f->owed));
    if (n_owed > 0)
        memcpy(f->owed, owed, n_owed * sizeof(*owed));
    f->n_owed = n_owed;
    return 0;
}

struct marks_folder *marks_folder_now(struct marks *m, const struct marks_look *at)
{
    struct marks_folder *f = marks_find(m, at->name);
    if (f && f->uidvalidity == at->uidvalidity && !at->is_restored)
        return f;
    if (!f && !(f = insert(m, at->name)))
        return NULL;
    free(f->owed);
    marks_uids_fini(&f->places);
    *f = (struct marks_folder){.name = f->name, .uidvalidity = at->uidvalidity, .uid = at->highest};
    return f;
}

int marks_restored(struct marks *m, const struct marks_look *at)
{
    struct marks_look now = *at;
    now.is_restored = true;
    const struct marks_folder *f = marks_folder_now(m, &now);
    if (f)
        marks_note_restored(m, f);
    return f ? 0 : -1;
}

void marks_flip(struct marks *m, struct marks *next)
{
    marks_drop_folders(m);
    m->folders = next->folders;
    m->n_folders = next->n_folders;
    m->room = next->room;
    m->is_anew = false;
    next->folders = NULL;
    next->n_folders = next->room = 0;
    marks_note_flip(m);
}

/* --- Places ----------------------------------------------------------------------------------- */

static size_t owed_at(const struct marks_folder *f, uint32_t uid)
{
    size_t i = 0;
    while (i < f->n_owed && f->owed[i] != uid)
        i++;
    return i;
}

static enum marks_place place_in(const struct marks_folder *f, uint32_t uid)
{
    if (!f->has_mark || uid > f->uid)
        return marks_uids_have(&f->places, uid) ? MARKS_BEFORE : MARKS_BY_CONTENT;
    return owed_at(f, uid) < f->n_owed ? MARKS_OWED : MARKS_BEFORE;
}

enum marks_place marks_place(
    const struct marks *m, struct slice folder, uint32_t uidvalidity, uint32_t uid)
{
    const struct marks_folder *f = marks_find(m, folder);
    return f && f->uidvalidity == uidvalidity ? place_in(f, uid) : MARKS_BY_CONTENT;
}

void marks_take_place(struct marks_folder *f, uint32_t uid)
{
    if (!f->has_mark || uid > f->uid) {
        marks_uids_add(&f->places, uid);
        return;
    }
    size_t at = owed_at(f, uid);
    if (at < f->n_owed) {
        f->n_owed--;
        memmove(&f->owed[at], &f->owed[at + 1], (f->n_owed - at) * sizeof(*f->owed));
    }
}

/* --- Contents --------------------------------------------------------------------------------- */

uint64_t marks_key(const unsigned char *digest)
{
    uint64_t key = 0;
    for (size_t i = 0; i < MARKS_KEY_SIZE; i++)
        key = key << 8 | digest[i];
    return key;
}

static int ever(
    const struct marks *m, const unsigned char *digest, uint32_t *ever_out, struct err *err)
{
    uint64_t key = marks_key(digest);
    const struct marks_count *c = marks_counts_find(&m->counts, key);
    *ever_out = c ? c->ever : 0;
    return c || !m->stored ? 0 : m->stored(m->arg, key, ever_out, err);
}

static int count_of(
    struct marks *m, const unsigned char *digest, struct marks_count **out, struct err *err)
{
    uint32_t n;
    if (ever(m, digest, &n, err) != 0)
        return -1;
    *out = marks_counts_get(&m->counts, marks_key(digest));
    (*out)->ever = n;
    return 0;
}

static void set_ever(struct marks *m, struct marks_count *c, uint32_t n)
{
    if (n <= c->ever)
        return;
    c->ever = n;
    marks_note_count(m, c);
}

static uint32_t one_more(uint32_t n)
{
    return n < UINT32_MAX ? n + 1 : n;
}

int marks_count_one(struct marks *m, const unsigned char *digest, struct err *err)
{
    struct marks_count *c;
    if (count_of(m, digest, &c, err) != 0)
        return -1;
    set_ever(m, c, one_more(c->ever));
    return 0;
}

void marks_pass(struct marks *m)
{
    marks_counts_pass(&m->counts);
}

int marks_meet(
    struct marks *m, const unsigned char *digest, size_t now, size_t *ever_out, struct err *err)
{
    struct marks_count *c;
    if (count_of(m, digest, &c, err) != 0)
        return -1;
    c->now = (uint32_t)(now < UINT32_MAX ? now : UINT32_MAX);
    *ever_out = c->ever;
    return 0;
}

/* A place that was known has been counted, unless nobody could read it. */
static int count_known(struct marks *m, const unsigned char *digest, struct err *err)
{
    uint32_t n;
    if (ever(m, digest, &n, err) != 0)
        return -1;
    return n == 0 ? marks_count_one(m, digest, err) : 0;
}

static int count_new(struct marks *m, const struct marks_folder *f, uint32_t uid,
    const unsigned char *digest, struct err *err)
{
    struct marks_count *c;
    bool is_one_more = m->is_anew || f->has_mark || uid > f->uid;
    if (count_of(m, digest, &c, err) != 0)
        return -1;
    set_ever(m, c, is_one_more ? one_more(c->ever) : c->now > 1 ? c->now : 1);
    return 0;
}

int marks_learn(struct marks *m, const struct marks_look *at, uint32_t uid,
    const unsigned char *digest, bool is_new, struct err *err)
{
    bool is_counted = !digest || !is_new;
    bool is_known = marks_place(m, at->name, at->uidvalidity, uid) == MARKS_BEFORE;
    if (is_known)
        return is_counted ? 0 : count_known(m, digest, err);
    struct marks_folder *f = marks_folder_now(m, at);
    if (!f)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the mailbox has more folders than marks can hold");
    marks_take_place(f, uid);
    marks_note_place(m, f, uid);
    return is_counted ? 0 : count_new(m, f, uid, digest, err);
}
