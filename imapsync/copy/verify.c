/* SPDX-License-Identifier: ISC */
/*
 * verify: the source's listing against the journal, and the journal against the target.
 *
 * Each message of the source needs a pair, each pair's target UID has to be there, and with_content
 * its body needs the digest that was taken when the message was copied, which the journal
 * remembers: a UID never changes its content, so each message is read once.  Other line ends are no
 * other content (canon.h): Courier and Dovecot store some messages with others than they were
 * given.  Since pairs are one to one, all of them right means that the multisets of contents are
 * equal.
 *
 * Folders are listed in windows, on both sides at once.  A folder in which nothing is missing and
 * all contents are right is remembered with the numbers of both sides.  As long as both show the
 * same UIDVALIDITY, UIDNEXT and number of messages they have the same messages, since UIDs are not
 * given twice: under a hold such a folder costs nothing but its part of one status of all.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/copy/bodies.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/match.h"

#define CONTENTS_AT_ONCE 1000 /* read in one go */
#define PAIRS_AT_ONCE 4000

#define WINDOW_FOLDERS 256
#define WINDOW_MESSAGES 100000 /* listed at once on each side, unless one folder has more */

/* One folder that is being compared. */
struct check {
    struct copy *c;
    const struct folder *f;
    bool with_content, is_known, is_opened_there;
    struct journal_folder record;
    struct keywords keywords;
    struct end_changes source, target;
    struct end_ticket from, to;
    uint32_t next;    /* in the source's listing; 0: that was all */
    size_t n_ours;    /* messages of the target that have a pair */
    struct pair *new; /* whose contents have not been compared, of this portion */
    size_t n_new;
    bool is_open_for_content, has_unread;
    uint32_t *missing;
    size_t n_missing;
    size_t n_different, n_gone, n_extra;
    struct record_seen seen, seen_there;
};

static void check_fini(struct check *k)
{
    journal_folder_fini(&k->record);
    keywords_fini(&k->keywords);
    end_changes_fini(&k->source);
    end_changes_fini(&k->target);
    free(k->new);
    free(k->missing);
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
        enum match_how how = found && have ? match_of_content(&want, have) : MATCH_NOTHING;
        if (how <= MATCH_LINES) {
            p->is_compared = true;
            journal_pair_put(k->c->journal, k->record.id, p, NULL);
        } else {
            out->different++;
            k->n_different++;
            copy_report(k->c, k->record.source.name, p->src_uid,
                how == MATCH_TEXT ? "the copy has other header lines"
                                  : "the copy has other content");
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
    }
    k->n_new = 0;
    return result;
}

static void on_missing(struct check *k, uint32_t uid)
{
    /* Grown in powers of two. */
    if ((k->n_missing & (k->n_missing - 1)) == 0)
        k->missing =
            mem_realloc_array(k->missing, k->n_missing ? 2 * k->n_missing : 1, sizeof(*k->missing));
    k->missing[k->n_missing++] = uid;
    copy_report(k->c, k->record.source.name, uid, "not on the target");
}

/* What the source lists before this UID has no pair. */
static void skip_to(struct check *k, uint64_t uid)
{
    while (k->next != 0 && k->next < uid) {
        on_missing(k, k->next);
        k->next = uid_set_next(&k->source.uids, k->next);
    }
}

static void check_pair(struct check *k, const struct pair *p, bool is_listed)
{
    bool is_there = p->state == PAIR_STORED && end_changes_have(&k->target, p->tgt_uid);
    k->n_ours += is_there;
    if (!is_listed)
        return;
    if (p->state == PAIR_REFUSED || p->state == PAIR_SENT)
        on_missing(k, p->src_uid);
    else if (!is_there)
        k->n_gone++;
    else if (!p->is_compared)
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
    out->messages += k->source.n_uids;
    out->missing += k->n_missing;
    out->gone += k->n_gone;
    out->extra += k->n_extra;
    return r;
}

static void tell_compared(const struct copy *c, const struct journal_folder *record,
    const struct record_seen *source, const struct record_seen *target, const uint32_t *missing,
    size_t n_missing)
{
    const struct copy_compared compared = {.source = record->source.name,
        .target = record->target.name,
        .source_uidvalidity = source->uidvalidity,
        .target_uidvalidity = target->uidvalidity,
        .source_uid = source->highest,
        .target_uid = target->highest,
        .missing = missing,
        .n_missing = n_missing};
    if (c->events->compared)
        c->events->compared(c->arg, &compared);
}

static void all_missing(struct check *k, struct slice folder, struct copy_verdict *out)
{
    out->messages += k->source.n_uids;
    out->missing += k->source.n_uids;
    if (k->source.n_uids > 0)
        copy_report(k->c, folder, 0, "not on the target");
}

static struct record_seen seen(const struct end_changes *c)
{
    return (struct record_seen){.uidvalidity = c->uidvalidity,
        .uidnext = c->uidnext,
        .messages = c->exists,
        .highest = uid_set_last(&c->uids)};
}

/* Asks both sides for their lists. */
static int begin(struct check *k, struct err *err)
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
    if (k->n_missing > 0 || k->n_different > 0 || k->has_unread || k->seen.uidnext == 0 ||
        k->seen_there.uidnext == 0)
        return 0;
    return journal_compared_put(k->c->journal, k->record.id, &compared, err);
}

static int finish(struct check *k, struct copy_verdict *out, struct err *err)
{
    struct copy *c = k->c;
    struct slice name = k->f->name;
    if (end_check(c->from, &k->from, "cannot open the folder", err) != 0 ||
        (k->is_opened_there && end_check(c->to, &k->to, "cannot open the folder", err) != 0))
        return -1;
    if (!k->source.is_sure) {
        out->missing +=
            k->source.exists > k->source.n_uids ? k->source.exists - k->source.n_uids : 1;
        copy_report(c, name, 0, "the source does not list all of its messages");
    }
    if (!k->is_known || k->source.uidvalidity != k->record.source.uidvalidity ||
        k->target.uidvalidity != k->record.target.uidvalidity) {
        all_missing(k, name, out);
        return 0;
    }
    k->seen = seen(&k->source);
    k->seen_there = seen(&k->target);
    if (check_pairs(k, out, err) != 0)
        return -1;
    tell_compared(c, &k->record, &k->seen, &k->seen_there, k->missing, k->n_missing);
    return k->source.is_sure && k->target.is_sure ? remember(k, err) : 0;
}

/* --- All folders -------------------------------------------------------------------------- */

struct verify {
    struct copy *c;
    enum copy_scope scope;
    bool with_content;
    struct folder_list from, there;
    struct copy_verdict *out;
};

static bool is_as_seen(const struct record_seen *s, const struct folder *f)
{
    const unsigned all = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY;
    return f && (f->has & all) == all && f->uidvalidity == s->uidvalidity &&
           f->uidnext == s->uidnext && f->messages == s->messages;
}

/* *same_out: it was compared, and neither side has changed since. */
static int look_up(struct verify *v, const struct folder *f, bool *same_out, struct err *err)
{
    struct journal_folder record;
    struct journal_compared compared;
    bool found;
    *same_out = false;
    if (v->scope == COPY_ALL)
        return 0;
    if (journal_folder_get(v->c->journal, f->name, &record, &found, err) != 0)
        return -1;
    int result = found ? journal_compared_get(v->c->journal, record.id, &compared, &found, err) : 0;
    if (result == 0 && found && is_as_seen(&compared.source, f) &&
        is_as_seen(&compared.target, folder_list_find(&v->there, record.target.name)) &&
        record.source.uidvalidity == compared.source.uidvalidity &&
        record.target.uidvalidity == compared.target.uidvalidity) {
        *same_out = true;
        v->out->messages += compared.source.messages;
        v->out->gone += compared.gone;
        v->out->extra += compared.extra;
        tell_compared(v->c, &record, &compared.source, &compared.target, NULL, 0);
    }
    journal_folder_fini(&record);
    return result;
}

/* Nobody knows what a folder has that cannot be read: at least one message is missing. */
static int excuse(struct verify *v, const struct folder *f, struct err *err)
{
    if (!copy_is_exception(v->c, err))
        return -1;
    v->out->missing++;
    copy_report(v->c, f->name, 0, err->text);
    err_clear(err);
    return 0;
}

static int check_window(struct verify *v, struct check *checks, size_t n, struct err *err)
{
    int result = 0;
    size_t begun = 0;
    for (; result == 0 && begun < n; begun++)
        result = begin(&checks[begun], err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        result = copy_check_cancelled(v->c, err);
        if (result == 0 && finish(&checks[i], v->out, err) != 0)
            result = excuse(v, checks[i].f, err);
    }
    if (result != 0) {
        /* What is still on its way is answered into what is freed next. */
        end_lose(v->c->from, err);
        end_lose(v->c->to, err);
    }
    for (size_t i = 0; i < n; i++)
        check_fini(&checks[i]);
    return result;
}

static int check_all(struct verify *v, struct err *err)
{
    struct check *checks = mem_zalloc(WINDOW_FOLDERS * sizeof(*checks));
    size_t n = 0;
    uint64_t messages = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < v->from.n; i++) {
        const struct folder *f = &v->from.v[i];
        bool is_same = false;
        if (f->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL) || !folder_is_own(&v->from, f))
            continue;
        result = look_up(v, f, &is_same, err);
        if (result != 0 || is_same)
            continue;
        if (n == WINDOW_FOLDERS || (n > 0 && messages + f->messages > WINDOW_MESSAGES)) {
            result = check_window(v, checks, n, err);
            n = 0;
            messages = 0;
        }
        messages += f->messages;
        checks[n++] = (struct check){.c = v->c, .f = f, .with_content = v->with_content};
    }
    if (result == 0 && n > 0)
        result = check_window(v, checks, n, err);
    free(checks);
    return result;
}

int copy_verify(struct copy *c, enum copy_scope scope, bool with_content, struct copy_verdict *out,
    struct err *err)
{
    struct verify v = {.c = c, .scope = scope, .with_content = with_content, .out = out};
    *out = (struct copy_verdict){0};
    if (copy_connect(c, err) != 0)
        return -1;
    int result = copy_list_both(c, &v.from, &v.there, err);
    if (result == 0)
        result = check_all(&v, err);
    folder_list_fini(&v.from);
    folder_list_fini(&v.there);
    if (result != 0)
        copy_disconnect(c);
    return result;
}
