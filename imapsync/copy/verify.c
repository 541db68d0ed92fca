/* SPDX-License-Identifier: ISC */
/*
 * verify: the source's listing against the journal, and the journal against the target.
 *
 * Each message of the source needs a pair, each pair's target UID has to be there, and with_content
 * its body needs the SHA-256 that was taken when the message was copied, which the journal
 * remembers: a UID never changes its content, so each message is read once.  Since pairs are one to
 * one, all of them right means that the multisets of contents are equal.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/bodies.h"
#include "imapsync/copy/copy_parts.h"

#define CONTENTS_AT_ONCE 1000 /* read in one go */

struct check {
    struct copy *c;
    struct journal_folder record;
    struct keywords keywords;
    struct end_changes source, target;
    struct pair *pairs;
    size_t n_pairs;
    struct pair *new; /* whose contents have not been compared */
    size_t n_new;
};

static void check_fini(struct check *k)
{
    journal_folder_fini(&k->record);
    keywords_fini(&k->keywords);
    end_changes_fini(&k->source);
    end_changes_fini(&k->target);
    free(k->pairs);
    free(k->new);
}

/* --- One folder ------------------------------------------------------------------------------ */

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Compares the digests of what the target has with those in the journal, for some of the pairs. */
static int check_some(
    struct check *k, size_t from, size_t n, struct copy_verdict *out, struct err *err)
{
    struct body bodies[CONTENTS_AT_ONCE] = {0};
    for (size_t i = 0; i < n; i++)
        bodies[i].uid = k->new[from + i].tgt_uid;
    mem_sort(bodies, n, sizeof(*bodies), by_uid);
    int result = bodies_digest(k->c->to, bodies, n, err);
    if (result != 0)
        return -1;
    journal_begin(k->c->journal);
    for (size_t i = from; result == 0 && i < from + n; i++) {
        struct pair *p = &k->new[i];
        struct content want;
        bool found = false;
        result = journal_content(k->c->journal, k->record.id, p->src_uid, &want, &found, err);
        if (result != 0)
            break;
        struct body key = {.uid = p->tgt_uid};
        const struct body *have = mem_search(&key, bodies, n, sizeof(*bodies), by_uid);
        if (found && want.has_digest && have && have->is_there &&
            memcmp(have->digest, want.digest, SHA256_SIZE) == 0) {
            p->is_compared = true;
            journal_pair_put(k->c->journal, k->record.id, p, NULL);
        } else {
            out->different++;
            copy_report(k->c, k->record.source.name, p->src_uid, "the copy has other content");
        }
    }
    struct err first = *err;
    int written = journal_commit(k->c->journal, err);
    if (result != 0)
        *err = first;
    return result != 0 ? result : written;
}

static int check_content(struct check *k, struct copy_verdict *out, struct err *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < k->n_new; i += CONTENTS_AT_ONCE) {
        size_t left = k->n_new - i;
        result = copy_check_cancelled(k->c, err);
        if (result == 0)
            result = check_some(k, i, left < CONTENTS_AT_ONCE ? left : CONTENTS_AT_ONCE, out, err);
    }
    return result;
}

/* The merge of the source's listing with the pairs, both by source UID. */
static void check_pairs(struct check *k, struct copy_verdict *out)
{
    size_t i = 0, p = 0, ours = 0;
    size_t cap = 0;
    while (i < k->source.n || p < k->n_pairs) {
        uint32_t uid = i < k->source.n ? k->source.v[i].uid : UINT32_MAX;
        const struct pair *pair = p < k->n_pairs ? &k->pairs[p] : NULL;
        bool has_pair = pair && (i == k->source.n || pair->src_uid <= uid);
        bool is_listed = i < k->source.n && (!pair || uid <= pair->src_uid);
        bool is_there = has_pair && pair->state == PAIR_STORED &&
                        end_changes_find(&k->target, pair->tgt_uid) != NULL;
        ours += is_there;
        if (is_listed && (!has_pair || pair->state == PAIR_REFUSED || pair->state == PAIR_SENT)) {
            out->missing++;
            copy_report(k->c, k->record.source.name, uid, "not on the target");
        } else if (is_listed && !is_there) {
            out->gone++;
        } else if (is_listed && !pair->is_compared) {
            if (k->n_new == cap) {
                cap = cap ? cap + cap / 2 : 256;
                k->new = mem_realloc_array(k->new, cap, sizeof(*k->new));
            }
            k->new[k->n_new++] = *pair;
        }
        i += is_listed;
        p += has_pair;
    }
    out->messages += k->source.n;
    out->extra += k->target.n > ours ? k->target.n - ours : 0;
}

static void all_missing(struct check *k, struct slice folder, struct copy_verdict *out)
{
    out->messages += k->source.n;
    out->missing += k->source.n;
    if (k->source.n > 0)
        copy_report(k->c, folder, 0, "not on the target");
}

static int list(struct end *e, struct slice folder, struct end_changes *out, struct err *err)
{
    struct end_ticket t = {0};
    e->ops->open(e, &(struct end_open){.folder = folder, .want = END_WANT_FLAGS}, out, &t);
    return end_check(e, &t, "cannot open the folder", err);
}

static int check_folder(struct copy *c, const struct folder *f, bool with_content,
    struct copy_verdict *out, struct err *err)
{
    struct check k = {.c = c};
    bool found = false;
    int result = -1;
    end_changes_init(&k.source, &k.keywords);
    end_changes_init(&k.target, &k.keywords);
    if (journal_folder_get(c->journal, f->name, &k.record, &found, err) != 0 ||
        list(c->from, f->name, &k.source, err) != 0)
        goto done;
    if (!k.source.is_sure) {
        out->missing += k.source.exists > k.source.n ? k.source.exists - k.source.n : 1;
        copy_report(c, f->name, 0, "the source does not list all of its messages");
    }
    if (!found || k.source.uidvalidity != k.record.source.uidvalidity) {
        all_missing(&k, f->name, out);
        result = 0;
        goto done;
    }
    if (journal_pairs(c->journal, k.record.id, &k.pairs, &k.n_pairs, err) != 0)
        goto done;
    /* UIDVALIDITY 0: a sweep has found that the target's user has removed the folder. */
    if (k.record.target.uidvalidity != 0 && list(c->to, k.record.target.name, &k.target, err) != 0)
        goto done;
    if (k.target.uidvalidity != k.record.target.uidvalidity) {
        all_missing(&k, f->name, out);
        result = 0;
        goto done;
    }
    check_pairs(&k, out);
    /* They have done their part; a large folder needs the room. */
    end_changes_fini(&k.source);
    end_changes_fini(&k.target);
    free(k.pairs);
    k.pairs = NULL;
    result = with_content ? check_content(&k, out, err) : 0;
done:
    check_fini(&k);
    return result;
}

int copy_verify(struct copy *c, bool with_content, struct copy_verdict *out, struct err *err)
{
    struct folder_list from = {0};
    *out = (struct copy_verdict){0};
    if (copy_connect(c, err) != 0)
        return -1;
    struct end_ticket t = {0};
    folder_list_init(&from);
    c->from->ops->folders(c->from, &from, &t);
    int result = end_check(c->from, &t, "cannot list the folders", err);
    for (size_t i = 0; result == 0 && i < from.n; i++) {
        const struct folder *f = &from.v[i];
        if (f->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL) || !folder_is_own(&from, f))
            continue;
        result = copy_check_cancelled(c, err);
        if (result == 0)
            result = check_folder(c, f, with_content, out, err);
        /* Nobody knows what a folder has that cannot be read: at least one message is missing. */
        if (result != 0 && copy_is_exception(c, err)) {
            out->missing++;
            copy_report(c, f->name, 0, err->text);
            err_clear(err);
            result = 0;
        }
    }
    folder_list_fini(&from);
    if (result != 0)
        copy_disconnect(c);
    return result;
}
