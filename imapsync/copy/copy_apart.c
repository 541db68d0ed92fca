/* SPDX-License-Identifier: ISC */
/*
 * copy_apart: whether both ends of a copy lead where they should, as far as they can tell.  It is
 * asked once in the life of a journal: behind a pass that was whole it has been answered.
 */
#include <sys/stat.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/os/io.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/copy/whose.h"

#define FILE_MAX 4096
#define PATH_LENGTH_MAX 4096
#define LOOKS_MAX 2 /* connections that may be lost */
#define GOOD_FOR_S (24 * 3600)

/* --- The administrator's own mailbox -----------------------------------------------------------
 */

/* false: nothing is known, or not since yesterday. */
static bool remembered(const char *file, struct whose *out)
{
    struct stat st;
    struct buf text;
    struct err ignored = ERR_INIT;
    int64_t now_s = clock_wall_ms() / 1000;
    buf_init(&text, FILE_MAX);
    bool is_known = stat(file, &st) == 0 && st.st_mtime <= now_s &&
                    now_s - st.st_mtime < GOOD_FOR_S &&
                    io_read_file(file, FILE_MAX, &text, &ignored) == 0;
    json_t *json = is_known ? json_loadb((const char *)buf_slice(&text).p, text.n, 0, NULL) : NULL;
    is_known = json && whose_from_json(json, out) == 0;
    json_decref(json);
    buf_fini(&text);
    return is_known;
}

/* Without the file he is asked for once more. */
static void remember(const char *file, const struct whose *w)
{
    struct err err = ERR_INIT;
    json_t *json = whose_json(w);
    char *text = json_dumps(json, 0);
    BUG_ON(!text);
    if (io_write_file_durable(file, slice_str(text), 0600, &err) != 0)
        log_warn("administrator_not_remembered", log_err(&err));
    free(text);
    json_decref(json);
}

static void look_at_own(
    const struct copy_admin *a, const struct wait_limits *limits, const char *file)
{
    const struct end_maker *silent;
    struct end *e = NULL;
    struct whose own = {0};
    struct err err = ERR_INIT;
    int result = end_open_all(&a->own, 1, limits, &e, &silent, &err);
    bool is_answered = result == 0 || err.code == EX_NOPERM;
    if (result == 0) {
        is_answered = whose_look(e, &own, &err) == 0;
        end_close_all(&e, 1);
    }
    if (is_answered)
        remember(file, &own);
    else
        log_warn(
            "administrator_not_looked_at", log_str("administrator", a->own->user), log_err(&err));
}

/* Most have none: they are refused, which some servers make everybody wait for.  So each is asked
 * for once a day, and while nobody else is connected, as some count connections. */
static int know_own(struct copy *c, const struct copy_admin *a, struct whose *out, struct err *err)
{
    struct buf file;
    *out = (struct whose){0};
    if (!a->own)
        return 0;
    buf_init(&file, PATH_LENGTH_MAX);
    int result = state_dir(a->state, a->own->name, "administrator", &file, err);
    if (result == 0 && !remembered(buf_cstr(&file), out)) {
        copy_disconnect(c);
        look_at_own(a, c->options.limits, buf_cstr(&file));
        (void)remembered(buf_cstr(&file), out);
    }
    buf_fini(&file);
    return result;
}

/* A server that takes any password, such as a scripted one, gives everybody the same: that says
 * nothing of the administrator. */
static bool lets_everybody_in(const struct copy_admin *a, const struct wait_limits *limits)
{
    const struct end_maker *silent;
    struct end *e = NULL;
    struct err ignored = ERR_INIT;
    if (end_open_all(&a->wrong, 1, limits, &e, &silent, &ignored) != 0)
        return false;
    end_close_all(&e, 1);
    log_warn("everybody_let_in", log_str("server", a->own->label));
    return true;
}

/* *is_his_out: the end leads to the mailbox that the administrator has. */
static int check_admin(const struct copy_admin *a, const struct whose *own, struct end *e,
    bool *is_his_out, struct err *err)
{
    struct whose now;
    *is_his_out = false;
    if (!a->own || !whose_is_told(own))
        return 0;
    return whose_look(e, &now, err) == 0 ? whose_is(e, &now, own, is_his_out, err) : -1;
}

static int refuse_admin(
    struct copy *c, const struct copy_admin *a, const struct end_maker *m, struct err *err)
{
    copy_disconnect(c);
    if (lets_everybody_in(a, c->options.limits))
        return copy_connect(c, err);
    return err_set(err, ERR_PERM, EX_NOPERM,
        "%s: the mailbox of %s is that of %s, who signs in for others: the server does not let him "
        "act for them",
        m->label, m->user, a->own->user);
}

static int check_admins(struct copy *c, struct err *err)
{
    const struct copy_admin *a[2] = {&c->options.source_admin, &c->options.target_admin};
    const struct end_maker *m[2] = {c->source, c->target};
    for (size_t i = 0; i < 2; i++) {
        struct whose own;
        bool is_his;
        if (know_own(c, a[i], &own, err) != 0 || copy_connect(c, err) != 0 ||
            check_admin(a[i], &own, i == 0 ? c->from : c->to, &is_his, err) != 0 ||
            (is_his && refuse_admin(c, a[i], m[i], err) != 0))
            return -1;
    }
    return 0;
}

/* --- Both ----------------------------------------------------------------------------------------
 */

static int claim(struct copy *c, struct err *err)
{
    if (!c->events->claim)
        return 0;
    if (c->events->claim(c->arg, c->from, false, err) != 0 ||
        c->events->claim(c->arg, c->to, true, err) != 0)
        return -1;
    c->is_claimed = true;
    return 0;
}

static int check(struct copy *c, struct err *err)
{
    bool is_same;
    if (check_admins(c, err) != 0 || whose_same(c->from, c->to, &is_same, err) != 0)
        return -1;
    if (!is_same)
        return claim(c, err);
    return err_set(err, ERR_PERM, EX_USAGE,
        "%s and %s are the same mailbox, by whatever name: nothing was copied "
        "(if they are not, a message in either INBOX tells them apart)",
        c->source->label, c->target->label);
}

/* The messages that are read may be those that a server dies of.  Whose the mailbox is is not known
 * then, which is told, and the copy finds out what is wrong with them. */
static int look(struct copy *c, int (*what)(struct copy *c, struct err *err), struct err *err)
{
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        if (copy_connect(c, err) != 0)
            return -1;
        int result = what(c, err);
        bool is_lost = result != 0 && copy_is_broken(c);
        if (result != 0)
            copy_disconnect(c);
        if (!is_lost || copy_is_cancelled(c))
            return result;
        log_warn("mailbox_not_looked_at", log_err(err));
        err_clear(err);
    }
    return copy_connect(c, err);
}

int copy_claim(struct copy *c, struct err *err)
{
    return look(c, claim, err);
}

int copy_claim_again(struct copy *c, struct err *err)
{
    if (copy_connect(c, err) != 0)
        return -1;
    return c->is_claimed ? 0 : look(c, claim, err);
}

int copy_connect_apart(struct copy *c, struct err *err)
{
    if (copy_connect(c, err) != 0)
        return -1;
    if (!c->is_told_apart && !journal_is_complete(c->journal) && look(c, check, err) != 0)
        return -1;
    c->is_told_apart = true;
    return 0;
}
