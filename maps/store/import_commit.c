/* SPDX-License-Identifier: ISC */
/*
 * import_commit: what was staged becomes true at once.  A commit runs in turns, each in a
 * transaction of its own, with others' requests between them:
 *
 *     wait       while another import is switched and not folded yet
 *     count      all entries of the map, where the guard or a dry run has to know them
 *     check      where aliases lead, if there are any
 *     lost       rows whose entries were changed meanwhile are taken back and listed
 *     prepare    the snapshot that shows it, where there are many changes
 *     switch     in the turn in which nothing is lost any more; few changes are folded in it
 *
 * With "replace" the import is the whole truth of its source for the domains that occur in it:
 * entries of that source in those domains that it does not name retire.  "@domain" keys are only
 * touched when named.  A file cut short on its way here, or a wrong one, must not empty a server:
 * more than drop_percent of what leaves one, by retirement or by another route, is refused.
 */
#include "maps/store/import_priv.h"

#include <inttypes.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "maps/store/sources.h"

/* --- The guard and the report ----------------------------------------------------------------- */

static enum control_outcome check_tallies(struct control_call *call, struct control_import *import)
{
    const struct conf *conf = call->c->conf;

    for (size_t i = 0; i <= conf->n_servers; i++) {
        const struct import_tally *t = &import->servers[i];
        if (!import_is_too_much(
                t->left + t->retired, t->now, import->drop_percent, import->drop_count))
            continue;
        return (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
            "the import would take %" PRIu64 " of %" PRIu64 " addresses from %s (%" PRIu64
            " are not in it, %" PRIu64 " get another route), more than %" PRIu64
            " percent: is it the whole file? --max-drop allows it",
            t->left + t->retired, t->now, i < conf->n_servers ? conf->servers[i].name : "no server",
            t->retired, t->left, import->drop_percent);
    }
    return CONTROL_DONE;
}

static void report_servers(struct control_call *call, struct control_import *import)
{
    const struct conf *conf = call->c->conf;
    json_t *list = json_array();

    for (size_t i = 0; i <= conf->n_servers; i++) {
        const struct import_tally *t = &import->servers[i];
        if (t->now + t->added + t->arrived + t->left + t->retired == 0)
            continue;
        json_t *server = json_object();
        control_set(server, "server", slice_str(i < conf->n_servers ? conf->servers[i].name : ""));
        if (import->is_counted)
            control_set_u64(server, "now", t->now);
        control_set_u64(server, "added", t->added);
        control_set_u64(server, "arrive", t->arrived);
        control_set_u64(server, "leave", t->left);
        control_set_u64(server, "retire", t->retired);
        if (import->is_counted)
            control_set_u64(server, "then", t->now + t->added + t->arrived - t->left);
        json_array_append_new(list, server);
    }
    json_object_set_new(call->reply, "servers", list);
}

static void report(struct control_call *call, struct control_import *import)
{
    json_t *kept = json_object(), *reply = call->reply;

    change_report(call, &import->counts);
    control_set_u64(reply, "retiring", import->retired);
    control_set_u64(kept, "route", import->kept[IMPORT_KEPT_ROUTE]);
    control_set_u64(kept, "moved", import->kept[IMPORT_KEPT_MOVED]);
    control_set_u64(kept, "held", import->kept[IMPORT_KEPT_HELD] + import->held);
    control_set_u64(kept, "meanwhile", import->meanwhile);
    json_object_set_new(reply, "kept", kept);
    json_object_set(reply, "conflicts", import->conflicts);
    report_servers(call, import);
    json_object_set_new(reply, "dry_run", json_boolean(import->dry_run));
    if (import->retired && !import->dry_run)
        log_warn("import_retires", log_slice("source", import->rules.source),
            log_u64("addresses", import->retired));
}

/* Also where the map says all of it already: that the file was read is what its age is about. */
static enum control_outcome note_source(struct control_call *call, struct control_import *import)
{
    const struct source source = {.name = import->rules.source,
        .who = call->cause.who,
        .when_s = call->cause.when_s,
        .rows = import->n};

    if (source.name.n == 0)
        return CONTROL_DONE;
    return sources_put(call->txn, &source, call->err) == 0 ? CONTROL_DONE : CONTROL_FAILED;
}

/* --- Turns ---------------------------------------------------------------------------------- */

static size_t piece(const struct control *c)
{
    return c->import_piece ? c->import_piece : CONTROL_IMPORT_PIECE;
}

static enum control_outcome go_on(struct control_call *call)
{
    call->c->must_continue = true;
    return CONTROL_DONE;
}

static enum control_outcome refuse_bad(struct control_call *call, struct control_import *import)
{
    json_t *late = import->late.list;
    const json_t *first = json_array_get(late, 0);

    *call->err = import->n_bad ? import->first_bad : import->late.first;
    if (!import->n_bad) {
        json_object_set(call->reply, "bad", late);
        json_object_set(call->reply, "row", json_object_get(first, "row"));
        if (json_object_get(first, "first_row"))
            json_object_set(call->reply, "first_row", json_object_get(first, "first_row"));
    }
    return CONTROL_REFUSED;
}

/* One import at a time goes on from here. */
static bool has_turn(struct control *c, const struct control_import *import)
{
    uint64_t number = stage_number(import->stage);

    if (c->importer != number && c->importer != 0 && stage_is_live(c->store, c->importer))
        return false;
    if (store_is_folding(c->store))
        return false;
    c->importer = number;
    return true;
}

/* In the transaction of the switch. */
static int fold_all(struct control_call *call)
{
    bool done = false;
    while (!done)
        if (store_fold(call->c->store, call->txn, CONTROL_IMPORT_PIECE, &done, call->err) != 0)
            return -1;
    return 0;
}

static enum control_outcome switch_few(struct control_call *call, struct control_import *import)
{
    if (store_switch(call->txn, import->stage, store_txn_generation(call->txn), &call->cause,
            call->err) != 0 ||
        fold_all(call) != 0)
        return CONTROL_FAILED;
    return CONTROL_DONE;
}

/* The generations are chosen before the snapshot is made, which has the epochs; others' changes
 * meanwhile get those below. */
static enum control_outcome switch_many(struct control_call *call, struct control_import *import)
{
    struct control *c = call->c;
    uint64_t now = store_txn_generation(call->txn);
    bool is_ready = true;

    if (!c->prepare)
        import->base = now;
    else if (import->base <= now)
        import->base = now + CONTROL_IMPORT_AHEAD;
    if (c->prepare && c->prepare(c->prepare_arg, call->txn, import->stage, import->base,
                          &call->cause, &is_ready, call->err) != 0)
        return CONTROL_FAILED;
    if (!is_ready)
        return go_on(call);
    if (store_switch(call->txn, import->stage, import->base, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    return CONTROL_DONE;
}

static enum control_outcome switch_over(struct control_call *call, struct control_import *import)
{
    if (stage_changes(import->stage) == 0)
        return CONTROL_DONE;
    return stage_changes(import->stage) <= piece(call->c) ? switch_few(call, import)
                                                          : switch_many(call, import);
}

static enum control_outcome turn(struct control_call *call, struct control_import *import)
{
    size_t n;

    if (import->n_bad || json_array_size(import->late.list) > 0)
        return refuse_bad(call, import);
    if (!has_turn(call->c, import))
        return go_on(call);
    if (import->is_counted && !import->was_counted) {
        if (import_count(call, import, 4 * piece(call->c)) != 0)
            return CONTROL_FAILED;
        if (!import->was_counted)
            return go_on(call);
    }
    if (import->n_leading > 0 && !import->was_checked) {
        if (import_check(call, import, piece(call->c)) != 0)
            return CONTROL_FAILED;
        return json_array_size(import->late.list) > 0 ? refuse_bad(call, import) : go_on(call);
    }
    if (import_lost(call, import, piece(call->c), &n) != 0)
        return CONTROL_FAILED;
    if (n == piece(call->c))
        return go_on(call);
    enum control_outcome outcome = check_tallies(call, import);
    if (outcome == CONTROL_DONE && !import->dry_run)
        outcome = switch_over(call, import);
    if (outcome == CONTROL_DONE && !call->c->must_continue && !import->dry_run)
        outcome = note_source(call, import);
    if (outcome == CONTROL_DONE && !call->c->must_continue)
        report(call, import);
    return outcome;
}

enum control_outcome control_import_commit(struct control_call *call)
{
    struct control *c = call->c;
    enum control_outcome outcome = import_need(call);

    if (outcome != CONTROL_DONE)
        return outcome;
    outcome = turn(call, call->session->import);
    if (outcome == CONTROL_DONE && c->must_continue)
        return outcome;
    if (c->importer == stage_number(call->session->import->stage))
        c->importer = 0;
    control_import_free(&call->session->import);
    return outcome;
}
