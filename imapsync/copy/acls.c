/* SPDX-License-Identifier: ISC */
/* acls: see acls.h.  The user's own rights are the business of either server. */
#include "imapsync/copy/acls.h"

#include <sysexits.h>

#include "imapsync/copy/copy_parts.h"
#include "imapsync/ends/acl.h"

#define WORDS_MAX 400 /* of an item */

/* --- Names ---------------------------------------------------------------------------------------
 */

/* 1: a line with two names; 0: one that says nothing; -1: neither. */
static int split_line(struct slice line, struct slice *old_out, struct slice *new_out)
{
    line = slice_trim(line);
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line = slice_trim(slice_sub(line, 0, line.n - 1));
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    ptrdiff_t blank = slice_find(line, ' '), tab = slice_find(line, '\t');
    if (blank < 0 || (tab >= 0 && tab < blank))
        blank = tab;
    if (blank < 0)
        return -1;
    *old_out = slice_sub(line, 0, (size_t)blank);
    *new_out = slice_trim(slice_from(line, (size_t)blank));
    return slice_find(*new_out, ' ') < 0 && slice_find(*new_out, '\t') < 0 ? 1 : -1;
}

int acl_names_check(const struct acl_names *names, struct err *err)
{
    struct slice rest = names->text, line, old, new;
    for (unsigned n = 1; slice_split(&rest, '\n', &line); n++) {
        if (split_line(line, &old, &new) < 0)
            return err_set(err, ERR_PERM, EX_DATAERR,
                "line %u of the file of names: a line is OLD and NEW, with a blank between", n);
    }
    return 0;
}

bool acl_names_find(const struct acl_names *names, struct slice old, struct buf *out)
{
    struct slice rest = names->text, line, from, to;
    const bool is_negative = old.n > 1 && old.p[0] == '-';
    const struct slice who = is_negative ? slice_from(old, 1) : old;
    bool is_found = false;
    buf_clear(out);
    while (!is_found && slice_split(&rest, '\n', &line))
        is_found = split_line(line, &from, &to) == 1 && slice_eq(from, who);
    if (!is_found && slice_eq(who, SLICE_LIT("anyone"))) {
        is_found = true;
        to = who;
    }
    return is_found && (!is_negative || buf_add_byte(out, '-') == 0) && buf_add(out, to) == 0;
}

/* --- One folder ----------------------------------------------------------------------------------
 */

struct giving {
    struct copy *c;
    const struct folder *f;
    struct slice there; /* its name on the target */
    struct acl_list old, new;
    struct buf words; /* what cannot be given */
    uint64_t n_lost;
};

static void not_given(struct giving *g, struct slice who, struct slice rights, const char *why)
{
    g->n_lost++;
    /* What does not fit is counted. */
    if (buf_addf(&g->words, "%s%.*s %.*s: %s", g->words.n > 0 ? "; " : "", SLICE_ARG(who),
            SLICE_ARG(rights), why) != 0)
        return;
}

static const struct acl_entry *find(const struct acl_list *l, struct slice identifier)
{
    for (size_t i = 0; i < l->n; i++) {
        if (slice_eq(l->v[i].identifier, identifier))
            return &l->v[i];
    }
    return NULL;
}

static int give(struct giving *g, const struct acl_entry *e, struct slice who, struct err *err)
{
    struct copy *c = g->c;
    struct acl_rights rights;
    struct end_ticket t = {0};
    acl_translate(e->rights, !(c->from->ops->can(c->from) & END_CAN_NEW_RIGHTS),
        !(c->to->ops->can(c->to) & END_CAN_NEW_RIGHTS), &rights);
    if (rights.lost[0])
        not_given(g, e->identifier, slice_str(rights.lost), "the target has no such right alone");
    const struct acl_entry *has = find(&g->new, who);
    if (rights.given[0] == '\0' || (has && acl_is_same(has->rights, rights.given)))
        return 0;
    c->to->ops->set_acl(c->to, g->there, who, slice_str(rights.given), &t);
    if (end_wait(c->to, &t, err) != 0)
        return -1;
    if (t.result != END_OK)
        not_given(g, e->identifier, slice_str(rights.given), t.err.text);
    return 0;
}

static int ask(struct giving *g, bool *is_told_out, struct err *err)
{
    struct copy *c = g->c;
    struct end_ticket from = {0}, to = {0};
    c->from->ops->acl(c->from, g->f->name, &g->old, &from);
    c->to->ops->acl(c->to, g->there, &g->new, &to);
    int here = end_wait(c->from, &from, err), there = end_wait(c->to, &to, err);
    *is_told_out = from.result == END_OK;
    if (here == 0 && from.result != END_OK)
        not_given(g, SLICE_LIT("rights"), SLICE_LIT("of others"), from.err.text);
    return here == 0 ? there : -1;
}

static int give_all(struct giving *g, struct err *err)
{
    struct buf who;
    bool is_told = false;
    int result = ask(g, &is_told, err);
    buf_init(&who, 1000);
    for (size_t i = 0; result == 0 && is_told && i < g->old.n; i++) {
        const struct acl_entry *e = &g->old.v[i];
        if (slice_eq(e->identifier, slice_str(g->c->source->user)) ||
            slice_eq(e->identifier, SLICE_LIT("owner")))
            continue;
        if (acl_names_find(&g->c->options.acls, e->identifier, &who))
            result = give(g, e, buf_slice(&who), err);
        else
            not_given(g, e->identifier, e->rights, "the file of names has no line for it");
    }
    buf_fini(&who);
    return result;
}

static int do_folder(struct copy *c, const struct folder *f, struct slice there, struct err *err)
{
    struct giving g = {.c = c, .f = f, .there = there};
    buf_init(&g.words, WORDS_MAX);
    int result = give_all(&g, err);
    if (result == 0 && g.n_lost > 0)
        (void)copy_tell(
            c, &(struct copy_finding){
                   .code = ITEM_ACL, .folder = f->name, .n = g.n_lost, .why = buf_cstr(&g.words)});
    buf_fini(&g.words);
    acl_list_fini(&g.old);
    acl_list_fini(&g.new);
    return result;
}

int copy_acls(struct copy *c, struct pass *p, struct err *err)
{
    int result = 0;
    const bool can = c->from->ops->can(c->from) & c->to->ops->can(c->to) & END_CAN_ACL;
    if (!c->options.acls.is_wanted)
        return 0;
    if (!can)
        (void)copy_tell(c, &(struct copy_finding){.code = ITEM_ACL,
                               .folder = SLICE_LIT("(folders)"),
                               .why = "one of the sides has no rights of others (ACL)"});
    for (size_t i = 0; can && result == 0 && i < p->from->n; i++) {
        const struct folder *f = &p->from->v[i];
        struct journal_folder record = {0};
        bool found = false;
        if (f->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL) || !p->map->names[i].p)
            continue;
        result = copy_check_cancelled(c, err);
        if (result == 0)
            result = journal_folder_get(c->journal, f->name, &record, &found, err);
        if (result == 0 && found && record.target.uidvalidity != 0)
            result = do_folder(c, f, record.target.name, err);
        journal_folder_fini(&record);
    }
    return result;
}
