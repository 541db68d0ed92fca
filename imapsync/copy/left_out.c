/* SPDX-License-Identifier: ISC */
/*
 * left_out: folders that only show messages of others (\All, \Flagged) are not copied, and that is
 * said.  It is not always true of them: where mail is archived by taking it out of all folders, as
 * Gmail does it, \All is the only place where it is.  So behind the copies each message that such a
 * folder shows is looked for among the pairs, by its content; what has none is told.
 *
 * Numbers would prove nothing: one message may be in several folders (labels), and some folders,
 * such as Trash, are not in \All.  Nor would sizes.  Each message is read once, and the journal
 * remembers its digest (journal_shown_put).
 *
 * Known weakness: behind a message of which the source dies, what was not read yet is told as if
 * it were nowhere else.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/copy/bodies.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/policy.h"

#define AT_ONCE 500

/* One of these folders. */
struct shown {
    struct copy *c;
    const struct folder *f;
    struct end_changes listing;
    uint64_t n_only; /* nowhere else, or nobody knows */
    uint32_t first;  /* of them */
};

static void on_pair(void *arg, uint32_t folder, const struct pair *p)
{
    bool *has_copy = arg;
    (void)folder;
    *has_copy = *has_copy || p->state != PAIR_REFUSED;
}

static void add_only(struct shown *s, uint32_t uid)
{
    s->first = s->n_only++ == 0 ? uid : s->first;
}

static int judge(struct shown *s, uint32_t uid, const unsigned char *digest, struct err *err)
{
    bool has_copy = false;
    if (journal_by_digest(s->c->journal, digest, on_pair, &has_copy, err) != 0)
        return -1;
    if (!has_copy)
        add_only(s, uid);
    return 0;
}

/* Bodies of which the journal has no digest yet. */
static int read_new(struct shown *s, struct body *v, size_t n, struct err *err)
{
    struct copy *c = s->c;
    if (n == 0 || !copy_reads(c))
        return 0;
    if (bodies_digest(c->from, v, n, err) != 0) {
        c->has_died = c->has_died || c->from->ops->is_broken(c->from);
        return -1;
    }
    journal_begin(c->journal);
    for (size_t i = 0; i < n; i++) {
        if (v[i].is_there)
            journal_shown_put(
                c->journal, s->f->name, s->listing.uidvalidity, v[i].uid, v[i].digest);
    }
    return journal_commit(c->journal, err);
}

static int look_at_some(struct shown *s, const uint32_t *uids, size_t n, struct err *err)
{
    struct body *new = mem_zalloc((n + 1) * sizeof(*new));
    size_t n_new = 0;
    int result = copy_check_cancelled(s->c, err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        unsigned char digest[SHA256_SIZE];
        bool is_known;
        result = journal_shown_get(
            s->c->journal, s->f->name, s->listing.uidvalidity, uids[i], digest, &is_known, err);
        if (result == 0 && is_known)
            result = judge(s, uids[i], digest, err);
        else
            new[n_new++] = (struct body){.uid = uids[i]};
    }
    if (result == 0)
        result = read_new(s, new, n_new, err);
    for (size_t i = 0; result == 0 && i < n_new; i++) {
        if (new[i].is_there)
            result = judge(s, new[i].uid, new[i].digest, err);
        else
            add_only(s, new[i].uid);
    }
    free(new);
    return result;
}

static int look(struct shown *s, struct err *err)
{
    struct end_ticket t = {0};
    struct end *from = s->c->from;
    const struct end_changes *l = &s->listing;
    uint32_t uids[AT_ONCE];
    from->ops->open(
        from, &(struct end_open){.folder = s->f->name, .is_brief = true}, &s->listing, &t);
    int result = end_check(from, &t, "cannot open the folder", err);
    for (size_t n = 0; result == 0; result = look_at_some(s, uids, n, err)) {
        n = uid_set_some(&l->uids, n > 0 ? uids[n - 1] : 0, uids, AT_ONCE);
        if (n == 0)
            break;
    }
    /* What is not listed nobody can look at. */
    size_t n_listed = uid_set_size(&l->uids);
    if (result == 0 && !l->is_sure)
        s->n_only += l->exists > n_listed ? l->exists - n_listed : 1;
    return result;
}

static int look_at(struct copy *c, const struct folder *f, uint64_t *n_out, struct err *err)
{
    struct shown s = {.c = c, .f = f};
    struct keywords keywords = {0};
    char why[200];
    end_changes_init(&s.listing, &keywords);
    int result = look(&s, err);
    if (result != 0 && copy_is_exception(c, err)) {
        s.n_only = copy_tell_folder(c, ITEM_FOLDER, f->name, err->text) ? 0 : f->messages;
        err_clear(err);
        result = 0;
    } else if (result == 0 && s.n_only > 0) {
        BUG_ON(fmt_into(why, sizeof(why),
                   "%llu of the messages that it shows, this one first, %s in no "
                   "folder that is copied",
                   (unsigned long long)s.n_only, s.n_only == 1 ? "is" : "are") != 0);
        if (copy_tell(c, &(struct copy_finding){.code = ITEM_LEFT_OUT,
                             .folder = f->name,
                             .uid = s.first,
                             .uidvalidity = s.listing.uidvalidity,
                             .n = s.n_only,
                             .why = why}))
            s.n_only = 0;
    }
    *n_out = s.n_only;
    end_changes_fini(&s.listing);
    keywords_fini(&keywords);
    return result;
}

/* --- All of them ------------------------------------------------------------------------------ */

static bool is_shown(const struct copy *c, const struct folder_list *from, const struct folder *f)
{
    return folder_rules_take(&c->options.folders, f) && f->attrs & FOLDER_VIRTUAL &&
           !(f->attrs & FOLDER_NOSELECT) && !(f->has & FOLDER_HAS_MESSAGES && f->messages == 0) &&
           folder_is_own(from, f);
}

/* Their numbers as one: when nothing else has changed either, they are not looked at again. */
static uint64_t numbers_of(const struct copy *c, const struct folder_list *from)
{
    uint64_t sum = 1;
    for (size_t i = 0; i < from->n; i++) {
        const struct folder *f = &from->v[i];
        const uint32_t numbers[] = {f->uidvalidity, f->uidnext, f->messages};
        for (size_t k = 0; is_shown(c, from, f) && k < 3; k++)
            sum = (sum ^ numbers[k]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

int copy_tell_left_out(struct copy *c, struct pass *p, const struct folder_list *from,
    bool has_changed, struct err *err)
{
    const struct plan_policy *policy = plan_policy(p->policy);
    const uint64_t numbers = numbers_of(c, from);
    const bool is_known = !has_changed && c->left_out == numbers;
    uint64_t most = 0, n = 0;
    int result = 0;
    /* Behind a flip that was counted before it, but for one that came before the copy. */
    if (policy->is_behind_flip && p->policy != PLAN_BACKFILL)
        return 0;
    for (size_t i = 0; result == 0 && i < from->n; i++) {
        const struct folder *f = &from->v[i];
        if (!is_shown(c, from, f))
            continue;
        p->counts->folders_left_out++;
        p->opened = NULL;
        if (!c->has_told_left_out)
            log_info("folder_left_out", log_str("user", c->source->user),
                log_slice("folder", f->name), log_u64("messages", f->messages));
        /* Which of them are nowhere else would have to be read, behind copies that are not made. */
        if (!is_known && !c->options.is_dry)
            result = look_at(c, f, &n, err);
        most = n > most ? n : most;
    }
    if (result == 0) {
        p->counts->messages_left_out = most;
        c->has_told_left_out = true;
        c->left_out = most == 0 ? numbers : 0;
    }
    return result;
}
