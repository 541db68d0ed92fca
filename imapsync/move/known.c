/* SPDX-License-Identifier: ISC */
/*
 * known: see known.h.
 *
 * Users who were flipped before there were marks have none: those of them whose journal is whole
 * get theirs from it, without folders, so that contents tell.  Who has neither is told, once, that
 * nobody knows (E-LATE-UNKNOWN); the journal that this begins, and the marks made of it, know what
 * was found then.
 *
 * What came late is in the journal before it is in the marks.  Killed in between, the journal still
 * knows it.
 */
#include "imapsync/move/known.h"

#include <sysexits.h>

#include "imapsync/move/marks_store.h"

static int too_many(struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR,
        "the mailbox has more messages or folders than marks "
        "can hold");
}

void known_init(struct known *k, const char *user_dir)
{
    *k = (struct known){.user_dir = user_dir};
}

void known_fini(struct known *k)
{
    marks_fini(&k->marks);
    *k = (struct known){0};
}

static int load(struct known *k, struct err *err)
{
    if (k->is_loaded)
        return 0;
    if (marks_load(k->user_dir, &k->marks, &k->was_found, err) != 0)
        return -1;
    k->is_loaded = true;
    return 0;
}

static int add(void *arg, const unsigned char *digest)
{
    return marks_inventory_add(arg, digest);
}

static int take_inventory(struct known *k, struct err *err)
{
    marks_inventory_begin(&k->marks);
    int result = copy_inventory(k->copy, add, &k->marks, err);
    marks_inventory_end(&k->marks);
    k->is_dirty = true;
    return result;
}

int known_keep(struct known *k, struct err *err)
{
    if (!k->is_dirty)
        return 0;
    if (marks_save(k->user_dir, &k->marks, err) != 0)
        return -1;
    k->is_dirty = false;
    k->was_found = true;
    return 0;
}

/* --- Up to the flip ------------------------------------------------------------------------- */

int known_seen(struct known *k, struct err *err)
{
    if (load(k, err) != 0 || take_inventory(k, err) != 0)
        return -1;
    return known_keep(k, err);
}

void known_compare(struct known *k)
{
    marks_folders_begin(&k->marks);
    k->is_full = false;
}

void known_compared(struct known *k, const struct copy_compared *f)
{
    const struct marks_folder folder = {
        .source = {f->source, f->source_uidvalidity, f->source_uid},
        .target = {f->target, f->target_uidvalidity, f->target_uid},
        .owed = (uint32_t *)(uintptr_t)f->missing,
        .n_owed = f->n_missing,
    };
    if (marks_folder_add(&k->marks, &folder) != 0)
        k->is_full = true;
}

int known_flip(struct known *k, bool has_more, struct err *err)
{
    if (k->is_full)
        return too_many(err);
    marks_folders_end(&k->marks);
    k->is_dirty = true;
    if (has_more && take_inventory(k, err) != 0)
        return -1;
    return known_keep(k, err);
}

/* --- Behind it ---------------------------------------------------------------------------------
 */

static int on_begin(void *arg, bool is_complete, struct err *err ATTR_UNUSED)
{
    struct known *k = arg;
    k->is_complete = is_complete;
    marks_pass(&k->marks);
    return 0;
}

static int on_place(void *arg, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    enum late_place *out, struct err *err)
{
    static const enum late_place places[] = {
        [MARKS_BEFORE] = LATE_BEFORE,
        [MARKS_OWED] = LATE_OWED,
        [MARKS_BY_CONTENT] = LATE_BY_CONTENT,
    };
    struct known *k = arg;
    bool is_first = !k->is_loaded;
    if (load(k, err) != 0)
        return -1;
    if (is_first && !k->was_found) {
        k->is_lost = !k->is_complete;
        if (!k->is_lost && take_inventory(k, err) != 0)
            return -1;
    }
    *out = k->is_lost ? LATE_UNKNOWN : places[marks_place(&k->marks, folder, uidvalidity, uid)];
    return 0;
}

static bool on_is_late(void *arg, const unsigned char digest[SHA256_SIZE])
{
    struct known *k = arg;
    return marks_is_late(&k->marks, digest);
}

static int on_came(void *arg, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    const unsigned char digest[SHA256_SIZE], struct err *err)
{
    struct known *k = arg;
    k->is_dirty = true;
    return marks_came(&k->marks, folder, uidvalidity, uid, digest) == 0 ? 0 : too_many(err);
}

const struct late_judge *known_judge(struct known *k)
{
    k->judge = (struct late_judge){
        .begin = on_begin, .place = on_place, .is_late = on_is_late, .came = on_came, .arg = k};
    return &k->judge;
}
