/* SPDX-License-Identifier: ISC */
/*
 * known: see known.h.
 *
 * Behind the flip whatever the journal gets is in the marks first, durably, by its watch: late mail
 * that was copied, by whichever way its outcome became known, and what was found to be no late
 * mail.  So it does not matter where a kill comes, nor when the journal is lost.  Before the flip
 * the journal's index is the inventory; from the last inventory to the flip, while mail waits, the
 * few that come are counted instead.
 *
 * Users who were flipped before there were marks have none: those of them whose journal is whole
 * get theirs from it, without folders, so that contents tell.  Who has neither is told, once, that
 * nobody knows (E-LATE-UNKNOWN), until one pass has been through all folders; the marks that this
 * begins know what was found then.
 */
#include "imapsync/move/known.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"

#define COUNTED_MAX 65536 /* octets; of more an inventory is taken at the flip */

struct known_look {
    uint32_t id; /* the journal's */
    struct marks_look at;
};

void known_init(struct known *k, const char *user_dir)
{
    *k = (struct known){0};
    marks_store_init(&k->store, user_dir);
}

static void drop_looks(struct known *k)
{
    for (size_t i = 0; i < k->n_looks; i++)
        free((void *)(uintptr_t)k->looks[i].at.name.p);
    free(k->looks);
    k->looks = NULL;
    k->n_looks = 0;
}

/* What is in memory is forgotten, and read again when it is needed. */
static void forget(struct known *k)
{
    marks_fini(&k->marks);
    marks_store_close(&k->store);
    k->is_loaded = false;
}

void known_fini(struct known *k)
{
    if (!k->store.user_dir)
        return;
    forget(k);
    drop_looks(k);
    marks_fini(&k->next);
    *k = (struct known){0};
}

/* --- Inventory -------------------------------------------------------------------------------- */

static int add(void *arg, const unsigned char *head, struct err *err)
{
    return marks_store_add(arg, marks_key(head), err);
}

static int write_all(struct known *k, bool with_inventory, struct err *err)
{
    int result = marks_store_begin(&k->store, &k->marks, err);
    if (result == 0 && with_inventory)
        result = copy_inventory(k->copy, add, &k->store, err);
    if (result == 0)
        result = marks_store_end(&k->store, &k->marks, err);
    if (result != 0)
        forget(k);
    else
        k->is_loaded = true;
    return result;
}

static int load(struct known *k, bool *found_out, struct err *err)
{
    *found_out = true;
    if (k->is_loaded)
        return 0;
    if (marks_store_open(&k->store, &k->marks, found_out, err) != 0)
        return -1;
    k->is_loaded = true;
    return 0;
}

/* --- Up to the flip ------------------------------------------------------------------------- */

int known_seen(struct known *k, struct err *err)
{
    bool is_found;
    if (load(k, &is_found, err) != 0)
        return -1;
    marks_changes_done(&k->marks); /* the inventory has them */
    if (write_all(k, true, err) != 0)
        return -1;
    k->is_counting = true;
    return 0;
}

void known_compare(struct known *k)
{
    marks_fini(&k->next);
    k->is_full = false;
}

void known_compared(struct known *k, const struct copy_compared *f)
{
    if (marks_folder_add(&k->next, f->source, f->source_uidvalidity, f->source_uid, f->missing,
            f->n_missing) != 0)
        k->is_full = true;
}

int known_flip(struct known *k, struct err *err)
{
    if (k->is_full)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the mailbox has more folders than marks can hold");
    if (!k->is_counting && known_seen(k, err) != 0)
        return -1;
    marks_flip(&k->marks, &k->next);
    if (marks_store_append(&k->store, &k->marks, err) == 0)
        return 0;
    k->is_counting = false;
    forget(k);
    return -1;
}

static int count(struct known *k, const unsigned char *digest, struct err *err)
{
    if (marks_changes(&k->marks).n < COUNTED_MAX)
        return marks_count_one(&k->marks, digest, err);
    k->is_counting = false;
    forget(k);
    return 0;
}

/* --- What the journal gets -------------------------------------------------------------------- */

static struct known_look *look_of(const struct known *k, uint32_t id)
{
    for (size_t i = k->n_looks; i-- > 0;) {
        if (k->looks[i].id == id)
            return &k->looks[i];
    }
    return NULL;
}

static void on_put(
    void *arg, uint32_t id, const struct pair *p, const unsigned char *digest, bool is_new)
{
    struct known *k = arg;
    int result = 0;
    if (k->has_failed || p->src_uid == 0)
        return;
    if (!k->is_behind) {
        if (k->is_counting && digest && is_new)
            result = count(k, digest, &k->why);
    } else if (p->state == PAIR_STORED || p->state == PAIR_SENT || p->state == PAIR_GONE) {
        const struct known_look *l = look_of(k, id);
        if (l)
            result = marks_learn(&k->marks, &l->at, p->src_uid, digest, is_new, &k->why);
    }
    k->has_failed = result != 0;
}

/* In memory the marks may be further than the journal. */
static void on_abort(void *arg)
{
    struct known *k = arg;
    if (k->has_failed || marks_changes(&k->marks).n > 0) {
        k->is_counting = false;
        forget(k);
    }
    k->has_failed = false;
}

static int on_commit(void *arg, struct err *err)
{
    struct known *k = arg;
    int result = 0;
    if (k->has_failed) {
        *err = k->why;
        result = -1;
    } else if (k->is_behind) {
        result = marks_store_append(&k->store, &k->marks, err);
    }
    if (result != 0)
        on_abort(k);
    return result;
}

/* --- Behind the flip -------------------------------------------------------------------------- */

static int on_begin(void *arg, bool is_complete, struct err *err ATTR_UNUSED)
{
    struct known *k = arg;
    k->is_behind = true;
    k->is_complete = is_complete;
    marks_pass(&k->marks);
    drop_looks(k);
    return 0;
}

/* Marks that can be asked, made if need be. */
static int be_ready(struct known *k, struct err *err)
{
    bool is_found;
    if (load(k, &is_found, err) != 0)
        return -1;
    bool was_anew = k->marks.is_anew;
    k->marks.is_anew = !k->is_complete && (!is_found || was_anew);
    if (is_found && was_anew == k->marks.is_anew)
        return 0;
    return write_all(k, !is_found && k->is_complete, err);
}

static int on_look(void *arg, uint32_t id, struct slice folder, uint32_t uidvalidity,
    uint32_t highest, bool is_restored, struct err *err)
{
    struct known *k = arg;
    const struct marks_look at = {.name = folder, .uidvalidity = uidvalidity, .highest = highest};
    if (be_ready(k, err) != 0)
        return -1;
    /* Durable before the journal has its new numbers. */
    if (is_restored && marks_restored(&k->marks, &at) != 0)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the mailbox has more folders than marks can hold");
    if (is_restored && marks_store_append(&k->store, &k->marks, err) != 0)
        return -1;
    struct known_look *l = look_of(k, id);
    if (l) {
        free((void *)(uintptr_t)l->at.name.p);
        l->at = at;
        l->at.name.p = (const unsigned char *)slice_dup(folder);
        return 0;
    }
    /* Grown in powers of two. */
    if ((k->n_looks & (k->n_looks - 1)) == 0)
        k->looks = mem_realloc_array(k->looks, k->n_looks ? 2 * k->n_looks : 1, sizeof(*k->looks));
    l = &k->looks[k->n_looks++];
    *l = (struct known_look){.id = id, .at = at};
    l->at.name.p = (const unsigned char *)slice_dup(folder);
    return 0;
}

static bool is_known(const void *places, uint32_t uid)
{
    return marks_uids_have(places, uid);
}

static void on_folder(void *arg, struct slice folder, uint32_t uidvalidity, struct past_folder *out)
{
    const struct known *k = arg;
    const struct marks_folder *f = marks_find(&k->marks, folder);
    *out = (struct past_folder){0};
    if (!f || f->uidvalidity != uidvalidity)
        return;
    *out = (struct past_folder){.mark = f->has_mark ? f->uid : 0,
        .owed = f->owed,
        .n_owed = f->n_owed,
        .is_known = is_known,
        .known = &f->places};
}

static bool on_knows(void *arg)
{
    const struct known *k = arg;
    return k->is_loaded && !k->marks.is_anew;
}

static int on_ever(void *arg, const unsigned char digest[SHA256_SIZE], size_t now, size_t *ever_out,
    struct err *err)
{
    struct known *k = arg;
    return marks_meet(&k->marks, digest, now, ever_out, err);
}

int known_keep(struct known *k, struct err *err)
{
    return k->is_loaded && k->store.log_size > MARKS_LOG_MAX ? write_all(k, false, err) : 0;
}

void known_use(struct known *k, struct copy *copy)
{
    k->copy = copy;
    k->past = (struct past){.begin = on_begin,
        .look = on_look,
        .folder = on_folder,
        .knows = on_knows,
        .ever = on_ever,
        .arg = k};
    k->watch =
        (struct journal_watch){.put = on_put, .commit = on_commit, .abort = on_abort, .arg = k};
    copy_behind_flip(copy, &k->past, &k->watch);
}
