/* SPDX-License-Identifier: ISC */
/*
 * folder_stored: a target that does not keep a date or a flag says OK to it: real Dovecot stores a
 * date that is still to come as the one of today, Cyrus one of the first second of 1970.  So copies
 * with such dates, or with keywords, are looked at behind the copying, and in the first pass the
 * first FOLDER_SAMPLE ones with each system flag.  Another date is told as if it had been refused.
 * A flag that no copy has, of at least FOLDER_SAMPLE that were sent with it, is set once more; then
 * it is told, and is not common to both sides: on the way back it would count as removed.  What
 * some copies lack, or too few, its user may have taken away in between.
 *
 * Known weakness: after a kill between the copying and the look it does.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

#define ALONE_MAX 3 /* so many are told as one */

static uint32_t *uids_of(const struct work *w)
{
    uint32_t *uids = mem_realloc_array(NULL, w->n_checks, sizeof(*uids));
    for (size_t i = 0; i < w->n_checks; i++)
        uids[i] = w->checks[i].tgt_uid;
    return uids;
}

static int look(
    struct work *w, bool opens, unsigned want, struct end_changes *there, struct err *err)
{
    struct end *to = w->c->to;
    struct end_ticket open = {.result = END_OK}, t = {0};
    struct end_changes numbers;
    uint32_t *uids = uids_of(w);
    end_changes_init(&numbers, &w->keywords);
    if (opens) {
        open.result = END_PENDING;
        to->ops->open(to,
            &(struct end_open){.folder = w->record->target.name,
                .is_only_opened = true,
                .is_for_writing = true,
                .uidvalidity = w->record->target.uidvalidity},
            &numbers, &open);
    }
    to->ops->attributes(to, uids, w->n_checks, want, there, &t);
    free(uids);
    int result = end_check(to, &open, "cannot open the folder", err);
    struct err ignored = ERR_INIT;
    int answered =
        end_check(to, &t, "cannot look at what was stored", result == 0 ? err : &ignored);
    end_changes_fini(&numbers);
    end_changes_finish(there);
    return result != 0 ? result : answered;
}

static void check_date(struct work *w, const struct check *k, const struct end_changes *there)
{
    const struct listed *m = end_changes_find(&w->listing, k->src_uid),
                        *copy = end_changes_find(there, k->tgt_uid);
    if (!k->has_odd_date || !m || !copy ||
        (copy->has_date && !copy->has_arrival && copy->date_s == m->date_s))
        return;
    if (!folder_tell(
            w, ITEM_DATE, m->uid, 0, "stored with another date: the target does not keep this one"))
        w->p->counts->messages_reduced++;
}

/* --- Flags ------------------------------------------------------------------------------------ */

/* What a copy that is there was sent with, but for marks of a removal, and what it lacks of that.
 */
static void compare(const struct work *w, const struct check *k, const struct end_changes *there,
    struct flags *sent, struct flags *lacks)
{
    const struct listed *m = end_changes_find(&w->listing, k->src_uid),
                        *copy = end_changes_find(there, k->tgt_uid);
    *sent = *lacks = (struct flags){0};
    if (!m || !copy || !copy->has_flags)
        return;
    if (!k->is_plain)
        *sent = m->flags;
    sent->system = m->flags.system & (uint8_t)~FLAG_DELETED;
    *lacks = flags_minus(sent, &copy->flags);
}

/* A flag is in n[0] once it has come, in n[1] when it has come twice, and so on. */
static void count_up(struct flags n[FOLDER_SAMPLE], const struct flags *f)
{
    struct flags carry = *f;
    for (size_t i = 0; i < FOLDER_SAMPLE; i++) {
        struct flags both = flags_and(&n[i], &carry);
        n[i] = flags_or(&n[i], &carry);
        carry = both;
    }
}

/* Flags that no copy has, of at least FOLDER_SAMPLE that were sent with them. */
static struct flags dropped(const struct work *w, const struct end_changes *there)
{
    struct flags n_sent[FOLDER_SAMPLE], kept = {0};
    memset(n_sent, 0, sizeof(n_sent));
    for (size_t i = 0; i < w->n_checks; i++) {
        struct flags sent, lacks;
        compare(w, &w->checks[i], there, &sent, &lacks);
        count_up(n_sent, &sent);
        sent = flags_minus(&sent, &lacks);
        kept = flags_or(&kept, &sent);
    }
    return flags_minus(&n_sent[FOLDER_SAMPLE - 1], &kept);
}

static int by_lack(const void *a, const void *b)
{
    const struct check *x = a, *y = b;
    int order = flags_compare(&x->lacks, &y->lacks);
    return order ? order : x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

/* Those that lack the same as the first of them. */
static size_t same_lack(const struct work *w, size_t first)
{
    size_t n = 1;
    while (
        first + n < w->n_checks && flags_eq(&w->checks[first + n].lacks, &w->checks[first].lacks))
        n++;
    return n;
}

/* How many lack some of these.  They stand behind the others, and those that lack the same
 * together. */
static size_t find_lacks(struct work *w, const struct end_changes *there, const struct flags *of)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_checks; i++) {
        struct flags sent;
        compare(w, &w->checks[i], there, &sent, &w->checks[i].lacks);
        w->checks[i].lacks = flags_and(&w->checks[i].lacks, of);
        n += !flags_empty(&w->checks[i].lacks);
    }
    mem_sort(w->checks, w->n_checks, sizeof(*w->checks), by_lack);
    return n;
}

/* A NO leaves them as they are. */
static int set_again(struct work *w, size_t n_lacks, struct end_changes *there, struct err *err)
{
    struct end *to = w->c->to;
    uint32_t *uids = uids_of(w);
    struct end_ticket *t = mem_zalloc(n_lacks * sizeof(*t));
    int result = 0;
    size_t n_t = 0;
    for (size_t i = w->n_checks - n_lacks, n; result == 0 && i < w->n_checks; i += n) {
        n = same_lack(w, i);
        result = end_room(to, err);
        if (result == 0)
            to->ops->flags(to, uids + i, n,
                &(struct end_flags){.flags = &w->checks[i].lacks, .keywords = &w->keywords}, NULL,
                &t[n_t++]);
    }
    if (result == 0)
        result = end_drain(to, err);
    else if (!to->ops->is_idle(to))
        end_lose(to, err);
    free(uids);
    free(t);
    return result == 0 ? look(w, false, END_WANT_FLAGS, there, err) : -1;
}

/* What is not there is not common to both. */
static int forget(struct work *w, const struct check *v, size_t n, struct err *err)
{
    struct journal *j = w->c->journal;
    struct pair *pairs = mem_zalloc(n * sizeof(*pairs));
    bool found = true;
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i++) {
        result = journal_pair_get(j, w->record->id, v[i].src_uid, 0, &pairs[i], &found, err);
        if (!found)
            pairs[i].tgt_uid = 0;
    }
    if (result == 0) {
        journal_begin(j);
        for (size_t i = 0; i < n; i++) {
            pairs[i].flags = flags_minus(&pairs[i].flags, &v[i].lacks);
            if (pairs[i].tgt_uid == v[i].tgt_uid)
                journal_pair_put(j, w->record->id, &pairs[i], NULL);
        }
        result = journal_commit(j, err);
    }
    free(pairs);
    return result;
}

static int check_flags(struct work *w, struct end_changes *there, struct err *err)
{
    const struct flags of = dropped(w, there);
    size_t n_lacks = find_lacks(w, there, &of);
    if (n_lacks == 0)
        return 0;
    end_changes_clear(there);
    if (set_again(w, n_lacks, there, err) != 0)
        return -1;
    n_lacks = find_lacks(w, there, &of);
    for (size_t i = w->n_checks - n_lacks, n; i < w->n_checks; i += n) {
        const struct check *k = &w->checks[i];
        n = same_lack(w, i);
        w->n_exceptions += n; /* told again, when it may be tried again */
        for (size_t at = 0; at < n && n < ALONE_MAX; at++)
            folder_tell_dropped(w, k[at].src_uid, 1, &k[at].lacks);
        if (n >= ALONE_MAX)
            folder_tell_dropped(w, 0, n, &k->lacks);
        if (forget(w, k, n, err) != 0)
            return -1;
    }
    return 0;
}

int folder_check_stored(struct work *w, struct err *err)
{
    struct end_changes there;
    bool has_dates = false;
    if (w->n_checks == 0)
        return 0;
    for (size_t i = 0; i < w->n_checks; i++)
        has_dates = has_dates || w->checks[i].has_odd_date;
    end_changes_init(&there, &w->keywords);
    int result = look(w, true, END_WANT_FLAGS | (has_dates ? END_WANT_DATES : 0u), &there, err);
    for (size_t i = 0; result == 0 && i < w->n_checks; i++)
        check_date(w, &w->checks[i], &there);
    if (result == 0)
        result = check_flags(w, &there, err);
    end_changes_fini(&there);
    w->n_checks = 0;
    return result;
}
