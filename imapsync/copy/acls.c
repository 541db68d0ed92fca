/* SPDX-License-Identifier: ISC */
/* acls: see acls.h. */
#include "imapsync/copy/acls.h"

#include <sysexits.h>

#include "base/os/io.h"
#include "imapsync/copy/extras.h"
#include "imapsync/ends/acl.h"

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
                "line %u: a line is OLD and NEW, with a blank between", n);
    }
    return 0;
}

int acl_names_read(const char *path, struct buf *text, struct acl_names *out, struct err *err)
{
    if (io_read_file(path, ACL_FILE_MAX, text, err) != 0)
        return -1;
    *out = (struct acl_names){buf_slice(text), true};
    return acl_names_check(out, err) == 0 ? 0 : err_wrap(err, "%s", path);
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

/* The user's own are the business of either server. */
static bool is_anothers(const struct extra *x, const struct named *has)
{
    return !slice_eq(has->name, slice_str(x->c->source->user)) &&
           !slice_eq(has->name, SLICE_LIT("owner"));
}

static void give(struct extra *x, const struct named *has, struct slice who)
{
    const struct copy *c = x->c;
    const struct named *there = named_list_find(&x->new, who);
    struct acl_rights rights;
    acl_translate(has->value, !(c->from->ops->can(c->from) & END_CAN_NEW_RIGHTS),
        !(c->to->ops->can(c->to) & END_CAN_NEW_RIGHTS), &rights);
    if (rights.lost[0])
        extra_lost(x, has->name, rights.lost, "the target has no such right alone");
    if (rights.given[0] && !(there && acl_is_same(there->value, rights.given)))
        extra_give(x, has, who, slice_str(rights.given), rights.given);
}

static void weigh(struct extra *x, const struct named *has)
{
    struct buf who;
    char letters[ACL_LETTERS];
    buf_init(&who, 1000);
    if (acl_names_find(&x->c->options.acls, has->name, &who)) {
        give(x, has, buf_slice(&who));
    } else {
        if (fmt_into(letters, sizeof(letters), "%.*s", SLICE_ARG(has->value)) != 0)
            letters[0] = '\0';
        extra_lost(x, has->name, letters, "the file of names has no line for it");
    }
    buf_fini(&who);
}

static void ask(struct end *e, struct slice name, struct named_list *out, struct end_ticket *t)
{
    e->ops->acl(e, name, out, t);
}

static void set(
    struct end *e, struct slice name, struct slice who, struct slice rights, struct end_ticket *t)
{
    e->ops->set_acl(e, name, who, rights, t);
}

int copy_acls(struct copy *c, struct pass *p, struct err *err)
{
    static const struct extra_kind kind = {
        END_CAN_ACL, 0, ITEM_ACL, "rights of others", ask, set, is_anothers, weigh};
    /* Who comes back has there what he had. */
    if (!c->options.acls.is_wanted || journal_has_turned(c->journal))
        return 0;
    if (c->from->ops->can(c->from) & c->to->ops->can(c->to) & END_CAN_ACL)
        return copy_extras(c, p, &kind, err);
    (void)copy_tell(c, &(struct copy_finding){.code = ITEM_ACL,
                           .folder = SLICE_LIT("(folders)"),
                           .why = "one of the sides has no rights of others (ACL)"});
    return 0;
}
