/* SPDX-License-Identifier: ISC */
/*
 * verify_folder: the source's listing of one folder against the journal, and the journal against
 * the target.
 *
 * Each message of the source needs a pair, each pair's target UID has to be there, and with_content
 * its body needs the digest that was taken when the message was copied, which the journal
 * remembers: a UID never changes its content, so each message is read once.  Other line ends are no
 * other content (canon.h): Courier and Dovecot store some messages with others than they were
 * given.  Since pairs are one to one, all of them right means that the multisets of contents are
 * equal.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/stream/bodies.h"
#include "imapsync/plan/match.h"
#include "imapsync/copy/shown.h"
#include "imapsync/copy/verify_parts.h"

#define CONTENTS_AT_ONCE 1000 /* read in one go */
#define PAIRS_AT_ONCE 4000

void verify_end(struct check *k)
{
    journal_folder_fini(&k->record);
    keywords_fini(&k->keywords);
    end_changes_fini(&k->source);
    end_changes_fini(&k->target);
    free(k->new);
    free(k->missing);
}

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static struct copy_finding of_message(
    const struct check *k, enum item_code code, uint32_t uid, const char *why)
{
    return (struct copy_finding){.code = code,
        .folder = k->record.source.name,
        .uid = uid,
        .uidvalidity = k->record.source.uidvalidity,
        .why = why};
}

static bool tell_message(struct check *k, enum item_code code, uint32_t uid, const char *why)
{
    const struct copy_finding f = of_message(k, code, uid, why);
    return copy_tell(k->c, &f);
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
        enum match_how how = found && have ? match_of_content(&want, have) : MATCH_NOTHING;
        if (how <= MATCH_LINES) {
            p->is_compared = true;
            journal_pair_put(k->c->journal, k->record.id, p, NULL);
        } else {
            k->n_different++;
            if (!tell_message(k, ITEM_DIFFERENT, p->src_uid,
                    have && have->is_refused ? "the copy cannot be read"
                    : how == MATCH_TEXT      ? "the copy has other header lines"
                                             : "the copy has other content"))
                out->different++;
        }
    }
    struct err first = *err;
    int written = journal_commit(k->c->journal, err);
    if (result != 0)
        *err = first;
    return result != 0 ? result : written;
}

static void open_folder(struct end *e, struct slice name, bool is_only_opened,
    struct end_changes *out, struct end_ticket *t)
{
    const struct end_open o = {
        .folder = name, .is_only_opened = is_only_opened, .is_brief = !is_only_opened};
    *t = (struct end_ticket){0};
    e->ops->open(e, &o, out, t);
}

/* By now another folder may be open. */
static int open_for_content(struct check *k, struct err *err)
{
    struct end_ticket t;
    struct end_changes numbers;
    if (k->is_open_for_content)
        return 0;
    end_changes_init(&numbers, &k->keywords);
    open_folder(k->c->to, k->record.target.name, true, &numbers, &t);
    int result = end_check(k->c->to, &t, "cannot open the folder", err);
    if (result == 0 && numbers.uidvalidity != k->record.target.uidvalidity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "target: the folder was replaced (UIDVALIDITY)");
        result = err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    end_changes_fini(&numbers);
    k->is_open_for_content = result == 0;
    return result;
}

static int check_content(struct check *k, struct copy_verdict *out, struct err *err)
{
    int result = 0;
    if (k->n_new == 0)
        return 0;
    k->has_unread = !k->with_content;
    if (k->with_content && open_for_content(k, err) != 0)
        return -1;
    for (size_t i = 0; k->with_content && result == 0 && i < k->n_new; i += CONTENTS_AT_ONCE) {
        size_t left = k->n_new - i;
        result = copy_check_cancelled(k->c, err);
        if (result == 0)
            result = check_some(k, i, left < CONTENTS_AT_ONCE ? left : CONTENTS_AT_ONCE, out, err);
        k->looked->done += left < CONTENTS_AT_ONCE ? left : CONTENTS_AT_ONCE;
        copy_looked(k->c, k->looked);
    }
    k->n_new = 0;
    return result;
}

/* Whoever has accepted that it is not there has accepted it here. */
static void on_missing(struct check *k, uint32_t uid, bool has_item)
{
    struct copy_finding f = of_message(k, ITEM_MISSING, uid, "not on the target");
    f.is_told_already = has_item;
    if (filtered_has(k->c, k->record.id, uid)) {
        k->n_filtered++;
        return;
    }
    /* Grown in powers of two. */
    if ((k->n_missing & (k->n_missing - 1)) == 0)
        k->missing =
            mem_realloc_array(k->missing, k->n_missing ? 2 * k->n_missing : 1, sizeof(*k->missing));
    k->missing[k->n_missing++] = uid;
    k->n_accepted += copy_tell(k->c, &f);
}

/* What the source lists before this UID has no pair. */
static void skip_to(struct check *k, uint64_t uid)
{
    while (k->next != 0 && k->next < uid) {
        on_missing(k, k->next, false);
        k->next = uid_set_next(&k->source.uids, k->next);
    }
}

static void check_pair(struct check *k, const struct pair *p, bool is_listed)
{
    bool is_there = p->state == PAIR_STORED && end_changes_have(&k->target, p->tgt_uid);
    k->n_ours += is_there;
    if (!is_listed)
        return;
    if (p->state == PAIR_REFUSED || p->state == PAIR_SENT) {
        if (!tell_is_accepted(k->c, k->record.id, p->src_uid))
            on_missing(k, p->src_uid, true);
    } else if (!is_there)
        k->n_gone++;
    else if (!p->is_compared || k->is_anew)
        k->new[k->n_new++] = *p;
}

/* The merge of the source's listing with the pairs, both by source UID. */
static int check_pairs(struct check *k, struct copy_verdict *out, struct err *err)
{
    struct journal_walk walk = {0};
    int r;
    k->next = uid_set_next(&k->source.uids, 0);
    while ((r = journal_walk(k->c->journal, k->record.id, &walk, PAIRS_AT_ONCE, err)) == 1) {
        k->new = mem_realloc_array(k->new, walk.n, sizeof(*k->new));
        for (size_t i = 0; i < walk.n; i++) {
            skip_to(k, walk.v[i].src_uid);
            bool is_listed = k->next != 0 && k->next == walk.v[i].src_uid;
            check_pair(k, &walk.v[i], is_listed);
            /* The way back: several of ours may have one there. */
            bool is_last = i + 1 == walk.n || walk.v[i + 1].src_uid != walk.v[i].src_uid;
            if (is_listed && is_last)
                k->next = uid_set_next(&k->source.uids, k->next);
        }
        if (check_content(k, out, err) != 0) {
            r = -1;
            break;
        }
    }
    journal_walk_fini(&walk);
    if (r == 0)
        skip_to(k, UINT64_MAX);
    k->n_extra = r == 0 && k->target.n_uids > k->n_ours ? k->target.n_uids - k->n_ours : 0;
    out->messages += k->source.n_uids - k->n_filtered;
    out->missing += k->n_missing - k->n_accepted;
    out->gone += k->n_gone;
    out->extra += k->n_extra;
    return r;
}

void verify_tell(const struct copy *c, const struct journal_folder *record,
    const struct record_seen *source, struct copy_compared found)
{
    found.source = record->source.name;
    found.target = record->target.name;
    found.source_uidvalidity = source->uidvalidity;
    found.source_uid = source->highest;
    if (c->events->compared)
        c->events->compared(c->arg, &found);
}

static void all_missing(struct check *k, struct slice folder, struct copy_verdict *out)
{
    out->messages += k->source.n_uids;
    if (k->source.n_uids > 0 && !copy_tell(k->c, &(struct copy_finding){.code = ITEM_MISSING,
                                                     .folder = folder,
                                                     .n = k->source.n_uids,
                                                     .why = "not on the target"}))
        out->missing += k->source.n_uids;
}

static struct record_seen seen(const struct end_changes *c)
{
    return (struct record_seen){.uidvalidity = c->uidvalidity,
        .uidnext = c->uidnext,
        .messages = c->exists,
        .highest = uid_set_last(&c->uids)};
}

int verify_begin(struct check *k, struct err *err)
{
    struct copy *c = k->c;
    end_changes_init(&k->source, &k->keywords);
    end_changes_init(&k->target, &k->keywords);
    if (journal_folder_get(c->journal, k->f->name, &k->record, &k->is_known, err) != 0)
        return -1;
    open_folder(c->from, k->f->name, false, &k->source, &k->from);
    /* UIDVALIDITY 0: a sweep has found that the target's user has removed the folder. */
    k->is_opened_there = k->is_known && k->record.target.uidvalidity != 0;
    if (k->is_opened_there)
        open_folder(c->to, k->record.target.name, false, &k->target, &k->to);
    return 0;
}

/* So that it need not be listed again; -1 only for the journal. */
static int remember(struct check *k, struct err *err)
{
    const struct journal_compared compared = {.source = k->seen,
        .target = k->seen_there,
        .gone = (uint32_t)k->n_gone,
        .extra = (uint32_t)k->n_extra};
    if (k->n_missing > 0 || k->n_filtered > 0 || k->n_different > 0 || k->has_unread ||
        k->seen.uidnext == 0 || k->seen_there.uidnext == 0)
        return 0;
    return journal_compared_put(k->c->journal, k->record.id, &compared, err);
}

/* What other folders have is no matter of one that only shows it. */
static int leave_shown(struct check *k, struct copy_verdict *out, struct err *err)
{
    struct shown s;
    int result = shown_begin(&s, k->c, k->all, k->f, NULL, 0, err);
    s.learns = true;
    if (result == 0)
        result = shown_sift(&s, &k->source, err);
    if (result == 0 && s.n_unread > 0 &&
        !copy_tell_folder(k->c, ITEM_UNREAD, k->f->name,
            "messages could not be read: whether they are in other folders nobody knows"))
        out->missing += s.n_unread;
    shown_end(&s);
    return result;
}

int verify_finish(struct check *k, struct copy_verdict *out, struct err *err)
{
    struct copy *c = k->c;
    struct slice name = k->f->name;
    if (end_check(c->from, &k->from, "cannot open the folder", err) != 0 ||
        (k->is_opened_there && end_check(c->to, &k->to, "cannot open the folder", err) != 0))
        return -1;
    if (!k->source.is_sure) {
        if (!copy_tell_folder(c, ITEM_SHORT, name, "the source does not list all of its messages"))
            out->missing +=
                k->source.exists > k->source.n_uids ? k->source.exists - k->source.n_uids : 1;
    }
    k->seen = seen(&k->source);
    if (k->f->attrs & FOLDER_VIRTUAL && leave_shown(k, out, err) != 0)
        return -1;
    if (!k->is_known || k->source.uidvalidity != k->record.source.uidvalidity ||
        k->target.uidvalidity != k->record.target.uidvalidity) {
        all_missing(k, name, out);
        return 0;
    }
    k->seen_there = seen(&k->target);
    if (check_pairs(k, out, err) != 0)
        return -1;
    verify_tell(c, &k->record, &k->seen,
        (struct copy_compared){.messages = k->source.n_uids - k->n_filtered,
            .missing = k->missing,
            .n_missing = k->n_missing,
            .different = k->n_different,
            .gone = k->n_gone});
    return k->source.is_sure && k->target.is_sure ? remember(k, err) : 0;
}
