/* SPDX-License-Identifier: ISC */
/*
 * copy: a pass over the folders of a mailbox.
 *
 *   list both sides -> map names -> for each folder (copy_jobs.c): make it, skip it when its status
 *   says that nothing changed, else ask what has changed since the last pass, resolve what is open,
 * plan, stream, change flags, delete, and remember the token of this look
 *
 * Errors of one message or one folder are exceptions: reported, counted, the rest goes on, and the
 * folder's token stays where it was, so that the next pass looks again.  Errors of a connection, of
 * the user as a whole (quota) or of the journal end the pass.
 *
 * A journal that was lost before the flip is made again by content.  Behind the flip the target is
 * its user's, and what he has deleted is not to come back: see past.h.
 */
#include "imapsync/copy/copy.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/turn.h"
#include "imapsync/ends/limits.h"

int copy_new(const struct end_maker *source, const struct end_maker *target, const char *dir,
    const struct copy_options *options, const struct copy_events *events, void *arg,
    struct copy **out, struct err *err)
{
    struct copy *c = mem_zalloc(sizeof(*c));
    c->source = source;
    c->target = target;
    suspects_init(&c->suspects);
    c->options = *options;
    if (c->options.portion == 0)
        c->options.portion = COPY_MESSAGES_AT_ONCE;
    if (c->options.connection_messages == 0)
        c->options.connection_messages = COPY_CONNECTION_MESSAGES;
    c->n_more = options->connections > 1 ? options->connections - 1 : 0;
    c->events = events;
    c->arg = arg;
    if (options->is_dry) {
        dry_maker_init(&c->dry, target);
        c->target = &c->dry.maker;
    }
    int result = options->is_dry
                     ? journal_open_throw_away(dir, source->name, target->name, &c->journal, err)
                     : journal_open(dir, source->name, target->name, &c->journal, err);
    if (result != 0)
        copy_free(&c);
    else
        *out = c;
    return result;
}

void copy_free(struct copy **c)
{
    if (!*c)
        return;
    copy_disconnect(*c);
    journal_close(&(*c)->journal);
    suspects_fini(&(*c)->suspects);
    aside_fini(&(*c)->aside_from);
    aside_fini(&(*c)->aside_to);
    tell_fini(&(*c)->tell);
    filtered_fini(&(*c)->filtered);
    free(*c);
    *c = NULL;
}

void copy_disconnect(struct copy *c)
{
    struct end *both[] = {c->from, c->to};
    end_close_all(both, 2);
    c->from = c->to = NULL;
}

void copy_note_loss(struct copy *c, bool is_comparison)
{
    if (c->from)
        c->n_aside += aside_note(&c->aside_from, c->from, is_comparison);
    if (c->to)
        c->n_aside += aside_note(&c->aside_to, c->to, is_comparison);
}

const char *copy_silent_server(const struct copy *c)
{
    return c->silent ? c->silent->label : NULL;
}

bool copy_is_broken(const struct copy *c)
{
    return (c->from && c->from->ops->is_broken(c->from)) || (c->to && c->to->ops->is_broken(c->to));
}

int copy_connect(struct copy *c, struct err *err)
{
    c->silent = NULL;
    if (journal_ready(c->journal, err) != 0)
        return -1;
    if (copy_is_broken(c))
        copy_disconnect(c);
    if (c->from)
        return 0;
    struct end *both[2];
    const struct end_maker *makers[] = {c->source, c->target};
    if (end_open_all(makers, 2, c->options.limits, both, &c->silent, err) != 0)
        return -1;
    c->from = both[0];
    c->to = both[1];
    end_beside(c->from, c->to);
    c->from->aside = &c->aside_from;
    c->to->aside = &c->aside_to;
    c->from->wants_octets = c->to->wants_octets = c->options.wants_octets;
    c->is_claimed = false;
    return 0;
}

bool copy_is_cancelled(const struct copy *c)
{
    return c->events->is_cancelled && c->events->is_cancelled(c->arg);
}

int copy_check_cancelled(const struct copy *c, struct err *err)
{
    return copy_is_cancelled(c) ? err_set(err, ERR_TEMP, EX_TEMPFAIL, "stopped on request") : 0;
}

bool copy_tell_folder(struct copy *c, enum item_code code, struct slice folder, const char *why)
{
    return copy_tell(c, &(struct copy_finding){.code = code, .folder = folder, .why = why});
}

void copy_folder_failed(
    struct copy *c, struct pass *p, enum item_code code, struct slice folder, const char *why)
{
    p->has_failed = true;
    if (!copy_tell_folder(c, code, folder, why))
        p->counts->folders_failed++;
}

void copy_back_off(struct copy *c, bool backs_off)
{
    c->backs_off = backs_off;
}

bool copy_is_exception(const struct copy *c, const struct err *err)
{
    return err->scope == ERR_SCOPE_FOLDER && c->from && c->to && !copy_is_broken(c);
}

int copy_list_both(
    struct copy *c, struct folder_list *from, struct folder_list *there, struct err *err)
{
    struct end *both[] = {c->from, c->to};
    struct end_ticket ask[2] = {0};
    folder_list_init(from);
    folder_list_init(there);
    c->from->ops->folders(c->from, from, &ask[0]);
    c->to->ops->folders(c->to, there, &ask[1]);
    while (ask[0].result == END_PENDING || ask[1].result == END_PENDING) {
        if (end_pump(both, 2, err) != 0)
            return -1;
    }
    if (end_check(c->from, &ask[0], "cannot list the folders", err) != 0)
        return -1;
    return end_check(c->to, &ask[1], "cannot list the folders", err);
}

/* The farewell leaves with the question, and costs no round trip of its own. */
static int list_and_leave(
    struct copy *c, struct folder_list lists[2], struct end_ticket ask[2], struct err *err)
{
    struct end *both[] = {c->from, c->to};
    for (size_t side = 0; side < 2; side++) {
        both[side]->ops->folders(both[side], &lists[side], &ask[side]);
        both[side]->ops->leave(both[side]);
    }
    for (;;) {
        struct end *waiting[2];
        size_t n = 0;
        for (size_t side = 0; side < 2; side++) {
            if (!both[side]->ops->is_broken(both[side]) && !both[side]->ops->is_idle(both[side]))
                waiting[n++] = both[side];
        }
        if (n == 0)
            break;
        if (end_pump(waiting, n, err) != 0)
            return -1;
    }
    if (end_check(both[0], &ask[0], "cannot list the folders", err) != 0)
        return -1;
    return end_check(both[1], &ask[1], "cannot list the folders", err);
}

int copy_count(struct copy *c, void (*each)(void *arg, bool is_target, const struct folder *f),
    void *arg, struct err *err)
{
    struct folder_list lists[2];
    struct end_ticket ask[2] = {0};
    for (size_t side = 0; side < 2; side++)
        folder_list_init(&lists[side]);
    int result = copy_connect(c, err);
    if (result == 0)
        result = list_and_leave(c, lists, ask, err);
    copy_disconnect(c);
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; result == 0 && i < lists[side].n; i++)
            each(arg, side == 1, &lists[side].v[i]);
        folder_list_fini(&lists[side]);
    }
    return result;
}

/* It has been through all folders. */
static int end_of_pass(struct copy *c, const struct pass *p, struct err *err)
{
    if (journal_complete(c->journal, err) != 0)
        return -1;
    if (p->is_unseen || p->open.n > 0 || plan_policy(p->policy)->is_behind_flip)
        return 0;
    return journal_through(c->journal, err);
}

static void tell_ignored(struct copy *c, struct pass *p, size_t n)
{
    p->has_failed = true;
    if (!copy_tell(c, &(struct copy_finding){.code = ITEM_NAME,
                          .folder = SLICE_LIT("(folders)"),
                          .n = n,
                          .why = "names that are too long or too deep"}))
        p->counts->folders_failed += n;
}

/* There may be a folder that nobody knows of. */
static void tell_unread(struct copy *c, struct pass *p, size_t n)
{
    p->has_failed = true;
    if (!copy_tell(c, &(struct copy_finding){.code = ITEM_SHORT,
                          .folder = SLICE_LIT("(folders)"),
                          .n = n,
                          .why = "lines of the list of folders that cannot be read: see "
                                 "imap_line_odd in the log"}))
        p->counts->folders_failed += n;
}

static void count_odd(struct copy *c, struct copy_counts *counts)
{
    struct end *both[] = {c->from, c->to};
    for (size_t i = 0; i < 2; i++) {
        if (!both[i])
            continue;
        counts->lines_odd += both[i]->n_odd;
        counts->lines_unread += both[i]->n_unread;
        both[i]->n_odd = both[i]->n_unread = 0;
    }
}

int copy_pass(
    struct copy *c, enum plan_policy_id policy, struct copy_counts *counts, struct err *err)
{
    struct folder_list from = {0}, there = {0};
    struct folder_map map = {0};
    struct pass p = {
        .policy = policy, .counts = counts, .from = &from, .map = &map, .there = &there};
    filtered_fini(&c->filtered);
    if (copy_connect(c, err) != 0)
        return -1;
    if (plan_policy(policy)->is_behind_flip && c->past &&
        c->past->begin(c->past->arg, journal_is_complete(c->journal), err) != 0)
        return -1;
    int result = tell_begin(c, err);
    if (result == 0) {
        amounts_ask(c, &p);
        result = copy_list_both(c, &from, &there, err);
    }
    if (result == 0) {
        if (from.unread > 0)
            tell_unread(c, &p, from.unread);
        if (from.ignored > 0)
            tell_ignored(c, &p, from.ignored);
        result = amounts_look(c, &p, &from, err);
        if (result == 0 && journal_has_turned(c->journal))
            result = turn(c, &from, &p.open, err);
        p.is_fresh = journal_has_turned(c->journal) || journal_is_fresh(c->journal);
        p.finds_alone = !plan_policy(policy)->is_behind_flip &&
                        (journal_has_alone(c->journal) ||
                            plan_policy(policy)->deletions == PLAN_DELETIONS_TRASH);
        if (result == 0)
            result = copy_names(c, &p, &from, &map, err);
        if (result == 0)
            result = apply_settle(c->to, c->journal, &there, &p.open, err);
        if (result == 0)
            result = amounts_fit(c, &p, &from, err);
        if (result == 0)
            result = copy_all_folders(c, &p, &from, err);
        if (result == 0)
            result = amounts_compare(c, &p, &from, err);
        if (result == 0 && !p.has_failed)
            result = end_of_pass(c, &p, err);
        if (result == 0)
            result = tell_end(c, counts, err);
    }
    /* What was told is true, however the pass has ended. */
    struct err unwritten = ERR_INIT;
    if (result != 0 && tell_flush(c, &unwritten) != 0)
        log_warn("items", log_err(&unwritten));
    for (size_t i = 0; i < p.n_lost; i++)
        journal_folder_fini(&p.lost[i]);
    free(p.lost);
    /* However many readings were on their way when it was lost. */
    c->n_died += c->has_died;
    c->has_died = false;
    count_odd(c, counts);
    /* After an error a command may be half sent or an answer may still come. */
    if (result != 0) {
        copy_note_loss(c, false);
        copy_disconnect(c);
    }
    copy_make_fini(&p);
    copy_twins_fini(&p);
    apply_open_fini(&p.open);
    folder_map_fini(&map);
    folder_list_fini(&from);
    folder_list_fini(&there);
    return result;
}

void copy_behind_flip(struct copy *c, const struct past *past, const struct journal_watch *watch)
{
    c->past = past;
    journal_watch(c->journal, watch);
}

int copy_inventory(struct copy *c,
    int (*each)(void *arg, const unsigned char *head, struct err *err), void *arg, struct err *err)
{
    return journal_ready(c->journal, err) == 0 ? journal_digests(c->journal, each, arg, err) : -1;
}
