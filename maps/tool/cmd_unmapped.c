/* SPDX-License-Identifier: ISC */
/*
 * cmd_unmapped: which addresses get mail and have no entry.
 *
 * A map is learnt while its domain has a default server: whom nobody has listed shows up in the
 * logs, of ours or of the mail server, with what his server said to it.  Only then is it safe to
 * refuse all others.
 */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "maps/format/csv.h"
#include "maps/snapshot.h"
#include "maps/tool/arrivals.h"

#define FILES_MAX 1000

static const char *const KNOWN[] = {
    [MAIL_LOG_UNKNOWN] = "?", [MAIL_LOG_TAKEN] = "yes", [MAIL_LOG_REFUSED] = "no"};

static bool is_mapped(const struct decision *d)
{
    return d->kind == DECIDE_NOT_OURS || d->by == DECIDE_BY_KEY || d->by == DECIDE_BY_BARE_KEY ||
           d->by == DECIDE_BY_LIST || d->n_keys == 0 || normalise_is_role(decision_key(d, d->user));
}

/* By the address without "+detail". */
static int find_unmapped(struct tool *t, const struct arrivals *all, struct arrivals *out,
    struct snapshot *snapshot, struct err *err)
{
    struct route_view view = snapshot_view(snapshot);
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;
    int rc = 0;

    for (size_t i = 0; i < all->n && rc == 0; i++) {
        const struct arrival *a = &all->v[i];
        struct decide_request request = {
            .rcpt = slice_str(a->key), .source_server = CONF_SERVER_NONE, .now_s = clock_wall_s()};
        arena_reset(mem);
        decide(t->conf, &view, &request, mem, &d, NULL);
        if (snapshot_trouble(snapshot)[0])
            rc = err_set(err, ERR_TEMP, EX_TEMPFAIL, "the snapshot cannot be used: %s",
                snapshot_trouble(snapshot));
        else if (!is_mapped(&d))
            rc = arrivals_add(
                out, decision_key(&d, d.user), a->count, a->known, slice_str(a->when), err);
    }
    arena_free(&mem);
    return rc;
}

static int print_csv(const struct arrivals *a, bool is_known_only, struct err *err)
{
    puts("key,seen,last,known");
    for (size_t i = 0; i < a->n; i++) {
        const struct arrival *v = &a->v[i];
        struct buf line;
        if (is_known_only && v->known != MAIL_LOG_TAKEN)
            continue;
        buf_init(&line, CSV_ROW_MAX);
        if (csv_write(&line, slice_str(v->key)) != 0 ||
            buf_addf(&line, ",%" PRIu64 ",", v->count) != 0 ||
            csv_write(&line, slice_str(v->when)) != 0 ||
            buf_addf(&line, ",%s", KNOWN[v->known]) != 0)
            buf_clear(&line);
        puts(buf_cstr(&line));
        buf_fini(&line);
    }
    return tool_flush(err);
}

static int print_json(const struct arrivals *a, bool is_known_only, struct err *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < a->n; i++)
        if (!is_known_only || a->v[i].known == MAIL_LOG_TAKEN)
            json_array_append_new(list,
                json_pack("{ss sI ss ss}", "key", a->v[i].key, "seen", (json_int_t)a->v[i].count,
                    "last", a->v[i].when, "known", KNOWN[a->v[i].known]));
    tool_print_json(list);
    json_decref(list);
    return tool_flush(err);
}

static int print_table(const struct arrivals *a, bool is_known_only, struct err *err)
{
    struct table *table = table_new("ADDRESS|SEEN>|LAST|KNOWN");
    for (size_t i = 0; i < a->n; i++) {
        char seen[24];
        if (is_known_only && a->v[i].known != MAIL_LOG_TAKEN)
            continue;
        if (fmt_into(seen, sizeof seen, "%" PRIu64, a->v[i].count) != 0)
            BUG("a number fits");
        table_row(
            table, (const char *const[]){a->v[i].key, seen, a->v[i].when, KNOWN[a->v[i].known]});
    }
    table_flush(table, stdout);
    table_free(&table);
    return tool_flush(err);
}

int cmd_unmapped(struct tool *t, struct err *err)
{
    bool is_csv = tool_flag(t, "--csv"), is_known_only = tool_flag(t, "--known");
    struct arrivals all = {0}, unmapped = {0};
    int rc = tool_words(t, 1, FILES_MAX, err);

    for (int i = 0; i < t->argc && rc == 0; i++)
        rc = arrivals_read(&all, t->conf, t->argv[i], err);
    if (rc == 0) {
        struct snapshot *snapshot = snapshot_new(t->conf->run);
        rc = find_unmapped(t, &all, &unmapped, snapshot, err);
        snapshot_free(&snapshot);
    }
    if (rc == 0) {
        if (unmapped.n)
            arrivals_sort(&unmapped);
        rc = is_csv    ? print_csv(&unmapped, is_known_only, err)
             : t->json ? print_json(&unmapped, is_known_only, err)
                       : print_table(&unmapped, is_known_only, err);
    }
    if (rc == 0 && unmapped.n)
        rc = TOOL_DIFFERENT;
    arrivals_fini(&all);
    arrivals_fini(&unmapped);
    return rc;
}
