/* SPDX-License-Identifier: ISC */
/*
 * amounts: see amounts.h.
 *
 * Quotas are asked for by the first copy and by each pass of a cut-over, and as long as one of
 * these items is there; they leave with the listings and cost no round trip.
 *
 * "Much less": fewer than half of the octets that are said to be used, and at least 1 MiB of them
 * missing; or the same of messages, and 50.  Whatever the source lists counts as there, copied or
 * left out by whatever rule.  A quota that says that nothing is used says nothing.
 *
 * Known weakness: mail that a server counts and shows nobody, as behind a lazy expunge, is missing
 * here; where it is more than half of all somebody has to accept that.
 */
#include "imapsync/copy/amounts.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/copy/copy_parts.h"

#define WHY_MAX 400
#define QUOTA SLICE_LIT("(quota)") /* the place of an item that is of no folder */

typedef unsigned long long ull;

static double mib(uint64_t octets)
{
    return (double)octets / (1 << 20);
}

bool amounts_is_less(uint64_t there, uint64_t used, uint64_t least)
{
    return there < used && there < used - there && used - there >= least;
}

static bool is_behind_flip(const struct pass *p)
{
    return plan_policy(p->policy)->is_behind_flip;
}

void amounts_ask(struct copy *c, struct pass *p)
{
    struct amounts *a = &p->amounts;
    a->is_asked = !is_behind_flip(p) && (c->options.is_thorough || c->tell.has_amounts ||
                                            !journal_is_complete(c->journal));
    if (!a->is_asked)
        return;
    c->from->ops->quota(c->from, &a->source, &a->ask[0]);
    c->to->ops->quota(c->to, &a->target, &a->ask[1]);
}

/* --- A source that has nothing -----------------------------------------------------------------
 */

static bool has_mail(const struct folder_list *from, const struct folder *f)
{
    return !(f->attrs & FOLDER_NOSELECT) && folder_is_own(from, f);
}

/* false: there is a folder of which nobody knows. */
static bool count_listed(const struct folder_list *from, uint64_t *out)
{
    bool is_known = !from->is_unsure;
    *out = 0;
    for (size_t i = 0; i < from->n; i++) {
        const struct folder *f = &from->v[i];
        if (!has_mail(from, f))
            continue;
        is_known = is_known && f->has & FOLDER_HAS_MESSAGES;
        *out += f->has & FOLDER_HAS_MESSAGES ? f->messages : 0;
    }
    return is_known;
}

struct known_messages {
    struct journal *journal;
    uint64_t n;
    int result;
    struct err *err;
};

static void on_folder(void *arg, const struct journal_folder *f)
{
    struct known_messages *k = arg;
    struct journal_known known;
    if (k->result != 0)
        return;
    k->result = journal_known_get(k->journal, f->id, &known, k->err);
    k->n += known.n_stored;
    journal_known_fini(&known);
}

/* An acceptance is good for as many as were copied until then: a mailbox that was empty when
 * somebody said so, and has filled since, is asked about again when it is emptied. */
static int tell_empty(struct copy *c, struct pass *p, const char *what, struct err *err)
{
    struct known_messages k = {.journal = c->journal, .err = err};
    char why[WHY_MAX];
    if (journal_folders_each(c->journal, on_folder, &k, err) != 0 || k.result != 0)
        return -1;
    int r = k.n > 0 ? fmt_into(why, sizeof(why), "%s, and %llu were copied from it before", what,
                          (ull)k.n)
                    : fmt_into(why, sizeof(why), "%s", what);
    BUG_ON(r != 0);
    if (copy_tell(c, &(struct copy_finding){
                         .code = ITEM_EMPTY, .folder = SLICE_LIT("INBOX"), .n = k.n, .why = why}))
        return 0;
    p->has_failed = p->is_source_doubted = true;
    return 0;
}

int amounts_look(struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    uint64_t n;
    const struct folder *inbox = folder_list_find(from, SLICE_LIT("INBOX"));
    if (is_behind_flip(p) || !count_listed(from, &n))
        return 0;
    if (n == 0)
        return tell_empty(c, p, "the source has no message in any folder", err);
    if (!inbox || inbox->attrs & FOLDER_NOSELECT)
        return tell_empty(c, p, "the source has no INBOX, though messages in other folders", err);
    return 0;
}

/* --- A source that has less than is said -------------------------------------------------------
 */

static int weigh(
    struct copy *c, const struct folder_list *from, uint64_t enough, uint64_t *out, struct err *err)
{
    struct amounts_folder *others = mem_zalloc((from->n + 1) * sizeof(*others));
    struct amounts_sum of_others;
    uint64_t octets;
    size_t n = 0;
    int result = 0;
    *out = 0;
    for (size_t i = 0; result == 0 && i < from->n && *out < enough; i++) {
        const struct folder *f = &from->v[i];
        bool is_known;
        if (!has_mail(from, f) || (f->has & FOLDER_HAS_MESSAGES && f->messages == 0))
            continue;
        result = amounts_of_copied(c, f, &octets, &is_known, err);
        *out += octets;
        if (!is_known)
            others[n++] = (struct amounts_folder){f, f->messages};
    }
    if (result == 0 && *out < enough) {
        result = amounts_of_folders(c, others, n, NULL, &of_others, err);
        *out += of_others.octets;
    }
    free(others);
    return result;
}

static bool was_enough(const struct amounts_weighed *w, uint64_t messages, uint64_t used)
{
    const double part = w->messages > messages ? (double)messages / (double)w->messages : 1;
    return w->messages > 0 &&
           !amounts_is_less((uint64_t)(part * (double)w->octets), used, AMOUNTS_LESS_OCTETS);
}

static void tell_less(struct copy *c, struct pass *p, const char *why)
{
    if (!copy_tell(c, &(struct copy_finding){.code = ITEM_EMPTY, .folder = QUOTA, .why = why}))
        p->has_failed = true;
}

int amounts_compare(struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    const struct end_quota *q = &p->amounts.source;
    char why[WHY_MAX];
    uint64_t messages, octets;
    if (!count_listed(from, &messages))
        return 0;
    if (amounts_is_less(messages, q->messages.used, AMOUNTS_LESS_MESSAGES)) {
        BUG_ON(fmt_into(why, sizeof(why),
                   "by its quota the source has %llu messages, and it lists %llu",
                   (ull)q->messages.used, (ull)messages) != 0);
        tell_less(c, p, why);
        return 0;
    }
    if (!amounts_is_less(p->counts->octets_copied, q->octets.used, AMOUNTS_LESS_OCTETS) ||
        was_enough(&c->weighed, messages, q->octets.used))
        return 0;
    /* Contents that are in the journal now, and the sizes of what is left out. */
    p->opened = NULL;
    if (weigh(c, from, q->octets.used - q->octets.used / 2, &octets, err) != 0)
        return -1;
    c->weighed = (struct amounts_weighed){messages, octets};
    if (!amounts_is_less(octets, q->octets.used, AMOUNTS_LESS_OCTETS))
        return 0;
    BUG_ON(fmt_into(why, sizeof(why),
               "by its quota the source has %.1f MiB, and its folders have %.1f MiB in %llu "
               "message%s",
               mib(q->octets.used), mib(octets), (ull)messages, messages == 1 ? "" : "s") != 0);
    tell_less(c, p, why);
    return 0;
}

/* --- A target that is too small ----------------------------------------------------------------
 */

/* What is to be sent, folder by folder. */
struct load {
    struct amounts_folder *v;
    size_t n;
    struct amounts_sum sum; /* octets: 0 before they are asked for */
};

/* Those that the journal knows have come.  Where it knows nothing, what the target's folder has is
 * taken for the same: a journal may be lost. */
static int count_there(struct copy *c, const struct pass *p, const struct folder *f,
    struct slice mapped, uint64_t *out, struct err *err)
{
    struct journal_folder record;
    struct journal_known known;
    bool is_known;
    *out = 0;
    if (journal_folder_get(c->journal, f->name, &record, &is_known, err) != 0)
        return -1;
    const uint32_t id = is_known && record.source.uidvalidity != 0 ? record.id : 0;
    journal_folder_fini(&record);
    if (id != 0) {
        int result = journal_known_get(c->journal, id, &known, err);
        *out = result == 0 ? uid_set_size(&known.source) : 0;
        journal_known_fini(&known);
        return result;
    }
    const struct folder *there = folder_list_find(p->there, mapped);
    *out = there ? there->messages : 0;
    return 0;
}

static int load_of(struct copy *c, const struct pass *p, const struct folder_list *from,
    struct load *out, struct err *err)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct folder *f = &from->v[i];
        uint64_t there;
        if (!p->map->names[i].p || f->attrs & FOLDER_NOSELECT || f->messages == 0)
            continue;
        if (count_there(c, p, f, p->map->names[i], &there, err) != 0)
            return -1;
        if (there >= f->messages)
            continue;
        out->v[out->n++] = (struct amounts_folder){f, f->messages - there};
        out->sum.messages += f->messages - there;
    }
    return 0;
}

/* More can not be to be sent than the source says that it has, so most need no sizes.  What a
 * filter takes is in no number of anybody's. */
static bool needs_sizes(const struct amounts *a, const struct filter *filter)
{
    const uint64_t used = a->source.octets.used;
    return filter || (a->target.octets.limit > 0 && (used == 0 || used > a->target.octets.left));
}

static int refuse(struct copy *c, const char *why, struct err *err)
{
    if (copy_tell(c, &(struct copy_finding){.code = ITEM_QUOTA, .folder = QUOTA, .why = why}) ||
        c->options.is_dry)
        return 0;
    err_set(err, ERR_PERM, EX_CANTCREAT,
        "%s: %s: %s; nothing was sent (raise the quota; or accept %s, and it goes as far as it "
        "can)",
        c->target->label, item_row(ITEM_QUOTA)->name, why, item_row(ITEM_QUOTA)->name);
    return err_scope_set(err, ERR_SCOPE_USER);
}

static int judge(struct copy *c, struct pass *p, struct load *l, struct err *err)
{
    const struct end_quota *q = &p->amounts.target;
    const struct filter *filter = filter_is_empty(&c->options.filter) ? NULL : &c->options.filter;
    char why[WHY_MAX];
    if (needs_sizes(&p->amounts, filter)) {
        p->opened = NULL;
        if (amounts_of_folders(c, l->v, l->n, filter, &l->sum, err) != 0)
            return -1;
    }
    const ull messages = l->sum.messages;
    if (q->messages.limit > 0 && l->sum.messages > q->messages.left) {
        BUG_ON(fmt_into(why, sizeof(why),
                   "%llu messages are to be sent, and its quota leaves %llu of %llu", messages,
                   (ull)q->messages.left, (ull)q->messages.limit) != 0);
        return refuse(c, why, err);
    }
    if (q->octets.limit == 0 || l->sum.octets <= q->octets.left)
        return 0;
    BUG_ON(fmt_into(why, sizeof(why),
               "%.1f MiB in %llu message%s are to be sent, and its quota leaves %.1f of %.1f MiB",
               mib(l->sum.octets), messages, messages == 1 ? "" : "s", mib(q->octets.left),
               mib(q->octets.limit)) != 0);
    return refuse(c, why, err);
}

int amounts_fit(struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    const struct end_quota *q = &p->amounts.target;
    if (q->octets.limit == 0 && q->messages.limit == 0)
        return 0;
    struct load l = {.v = mem_zalloc((from->n + 1) * sizeof(*l.v))};
    int result = load_of(c, p, from, &l, err);
    if (result == 0 && l.n > 0)
        result = judge(c, p, &l, err);
    free(l.v);
    return result;
}
