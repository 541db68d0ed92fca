/* SPDX-License-Identifier: ISC */
/* extras: see extras.h. */
#include "imapsync/copy/extras.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/ends/acl.h"

#define WORDS_MAX 400 /* of an item */

struct giving {
    struct end_ticket t;
    const struct named *of;
    char shown[ACL_LETTERS];
};

void extra_lost(struct extra *x, struct slice what, const char *shown, const char *why)
{
    x->n_lost++;
    /* What does not fit is counted. */
    if (buf_addf(&x->words, "%s%.*s%s%s: %s", x->words.n > 0 ? "; " : "", SLICE_ARG(what),
            shown[0] ? " " : "", shown, why) != 0)
        return;
}

void extra_give(struct extra *x, const struct named *has, struct slice what, struct slice value,
    const char *shown)
{
    if (!x->giving)
        x->giving = mem_zalloc(x->old.n * sizeof(*x->giving));
    struct giving *g = &x->giving[x->n_giving++];
    *g = (struct giving){.of = has};
    BUG_ON(fmt_into(g->shown, sizeof(g->shown), "%s", shown) != 0);
    x->kind->give(x->c->to, x->there, what, value, &g->t);
}

static void weigh_all(struct extra *x)
{
    if (x->old.is_cut)
        extra_lost(x, slice_str(x->kind->name), "", "some are larger, or more, than are carried");
    if (x->asked_there.result == END_NO) {
        extra_lost(x, slice_str(x->kind->name), "", x->asked_there.err.text);
        return;
    }
    for (size_t i = 0; i < x->old.n; i++) {
        if (x->kind->concerns(x, &x->old.v[i]))
            x->kind->weigh(x, &x->old.v[i]);
    }
}

static bool has_any(const struct extra *x)
{
    for (size_t i = 0; i < x->old.n; i++) {
        if (x->kind->concerns(x, &x->old.v[i]))
            return true;
    }
    return false;
}

static int ask_all(struct copy *c, struct extra *v, size_t n, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < n; i++)
        v[i].kind->ask(c->from, v[i].from, &v[i].old, &v[i].asked);
    result = end_drain(c->from, err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        if (v[i].asked.result != END_OK)
            extra_lost(&v[i], slice_str(v[i].kind->name), "", v[i].asked.err.text);
        else if (v[i].is_kept && has_any(&v[i]))
            v[i].kind->ask(c->to, v[i].there, &v[i].new, &v[i].asked_there);
    }
    return result == 0 ? end_drain(c->to, err) : -1;
}

static int give_all(struct copy *c, struct extra *v, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i].asked.result == END_OK)
            weigh_all(&v[i]);
    }
    if (end_drain(c->to, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n_giving; k++) {
            const struct giving *g = &v[i].giving[k];
            if (g->t.result != END_OK)
                extra_lost(&v[i], g->of->name, g->shown, g->t.err.text);
        }
    }
    return 0;
}

/* Of one folder, and what is told by its name. */
static int tell(struct copy *c, struct extra *v, size_t n, struct err *err)
{
    struct extra *x = &v[0];
    for (size_t i = 1; i < n; i++) {
        x->n_lost += v[i].n_lost;
        if (v[i].n_lost > 0 && buf_addf(&x->words, "%sof the whole mailbox: %s",
                                   x->words.n > 0 ? "; " : "", buf_cstr(&v[i].words)) != 0)
            break;
    }
    const struct item_key key = {x->told_of->name, 0, x->kind->code};
    if (x->n_lost == 0)
        return copy_tell_mended(c, &key, err);
    (void)copy_tell(
        c, &(struct copy_finding){
               .code = key.code, .folder = key.folder, .n = x->n_lost, .why = buf_cstr(&x->words)});
    return 0;
}

/* One that says nothing of any folder is named once. */
static bool is_all_refused(const struct extra *v, size_t n)
{
    size_t refused = 0;
    for (size_t i = 0; i < n; i++)
        refused += v[i].asked.result == END_NO;
    return n > 1 && refused == n;
}

static int do_some(struct copy *c, struct extra *v, size_t n, bool *is_over_out, struct err *err)
{
    if (ask_all(c, v, n, err) != 0)
        return -1;
    *is_over_out = is_all_refused(v, n);
    int result = *is_over_out ? tell(c, v, 1, err) : give_all(c, v, n, err);
    for (size_t i = 0, same; result == 0 && !*is_over_out && i < n; i += same) {
        for (same = 1; i + same < n && v[i + same].told_of == v[i].told_of;)
            same++;
        result = tell(c, &v[i], same, err);
    }
    return result;
}

static void add(struct extra *x, struct copy *c, const struct extra_kind *kind,
    const struct folder *f, struct slice from, struct slice there)
{
    const unsigned can = from.n > 0 ? kind->can : kind->can_all;
    *x = (struct extra){.c = c,
        .kind = kind,
        .told_of = f,
        .from = from,
        .there = slice_make(slice_dup(there), there.n),
        .is_kept = (c->to->ops->can(c->to) & can) != 0};
    buf_init(&x->words, WORDS_MAX);
}

static void fini(struct extra *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        named_list_fini(&v[i].old);
        named_list_fini(&v[i].new);
        free((void *)(uintptr_t)v[i].there.p);
        free(v[i].giving);
        buf_fini(&v[i].words);
    }
}

/* What is to be asked of one folder. */
static int add_folder(struct copy *c, const struct extra_kind *kind, const struct folder *f,
    struct extra *v, size_t *n, struct err *err)
{
    struct journal_folder record = {0};
    const unsigned can = c->from->ops->can(c->from);
    bool found = false;
    int result = journal_folder_get(c->journal, f->name, &record, &found, err);
    const bool is_there = result == 0 && found && record.target.uidvalidity != 0;
    if (is_there && can & kind->can)
        add(&v[(*n)++], c, kind, f, f->name, record.target.name);
    if (is_there && can & kind->can_all && folder_same_name(f->name, SLICE_LIT("INBOX")))
        add(&v[(*n)++], c, kind, f, SLICE_NONE, SLICE_NONE);
    journal_folder_fini(&record);
    return result;
}

int copy_extras(struct copy *c, struct pass *p, const struct extra_kind *kind, struct err *err)
{
    struct extra *v = mem_zalloc((COPY_FOLDERS_AT_ONCE + 1) * sizeof(*v));
    bool is_over = !(c->from->ops->can(c->from) & (kind->can | kind->can_all));
    int result = 0;
    for (size_t i = 0; result == 0 && !is_over && i < p->from->n;) {
        size_t n = 0;
        result = copy_check_cancelled(c, err);
        for (; result == 0 && i < p->from->n && n < COPY_FOLDERS_AT_ONCE; i++) {
            const struct folder *f = &p->from->v[i];
            if (!(f->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL)) && p->map->names[i].p)
                result = add_folder(c, kind, f, v, &n, err);
        }
        if (result == 0 && n > 0)
            result = do_some(c, v, n, &is_over, err);
        fini(v, n);
    }
    free(v);
    return result;
}

/* --- Annotations -------------------------------------------------------------------------------
 */

bool metadata_is_users(struct slice entry, bool is_all)
{
    /* The use of a folder is asked for when it is made. */
    static const char *const servers[] = {"/private/specialuse", "/private/vendor/cmu/",
        "/shared/vendor/cmu/", "/private/vendor/vendor.dovecot/", "/shared/vendor/vendor.dovecot/"};
    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
        if (slice_starts_nocase(entry, slice_str(servers[i])))
            return false;
    }
    return !is_all || slice_starts_nocase(entry, SLICE_LIT("/private/"));
}

static const struct named *find(const struct named_list *l, struct slice entry)
{
    for (size_t i = 0; i < l->n; i++) {
        if (slice_eq_nocase(l->v[i].name, entry))
            return &l->v[i];
    }
    return NULL;
}

static bool is_users(const struct extra *x, const struct named *has)
{
    return metadata_is_users(has->name, x->from.n == 0);
}

static void weigh_annotation(struct extra *x, const struct named *has)
{
    const struct named *there = find(&x->new, has->name);
    if (there && slice_eq(there->value, has->value))
        return;
    if (!x->is_kept)
        extra_lost(x, has->name, "", "the target has no annotations (METADATA)");
    else if (there)
        extra_lost(x, has->name, "", "the target has another value, which stays");
    else if (x->new.is_cut)
        extra_lost(x, has->name, "", "the target has more than it can tell, perhaps this one too");
    else
        extra_give(x, has, has->name, has->value, "");
}

static void ask_metadata(
    struct end *e, struct slice name, struct named_list *out, struct end_ticket *t)
{
    e->ops->metadata(e, name, out, t);
}

static void give_metadata(
    struct end *e, struct slice name, struct slice entry, struct slice value, struct end_ticket *t)
{
    e->ops->set_metadata(e, name, entry, value, t);
}

int copy_metadata(struct copy *c, struct pass *p, bool has_new, struct err *err)
{
    static const struct extra_kind kind = {END_CAN_METADATA, END_CAN_METADATA_ALL, ITEM_METADATA,
        "annotations", ask_metadata, give_metadata, is_users, weigh_annotation};
    if (c->options.no_metadata || (c->has_metadata && !has_new))
        return 0;
    int result = copy_extras(c, p, &kind, err);
    c->has_metadata = c->has_metadata || result == 0;
    return result;
}
