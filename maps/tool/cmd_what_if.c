/* SPDX-License-Identifier: ISC */
/*
 * cmd_what_if: what would change for the mail of yesterday.
 *
 * The same decision that relay, milter and socket map make, for each address that a log names, once
 * over the map as it is and once over the map as it would be: with another default for unknown
 * addresses, or behind an import.  Nothing is changed.
 */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "maps/snapshot.h"
#include "maps/tool/arrivals.h"
#include "maps/tool/learnt.h"
#include "maps/tool/overlay.h"

#define FILES_MAX 1000
#define ANSWER_MAX 512

struct what_if {
    struct tool *t;
    struct conf then; /* as the configuration, with domains of its own */
    struct route_view view;
    struct overlay overlay; /* behind the import */
    bool has_import;
    struct arena *mem;
    size_t n_different;
    json_t *list;        /* with --json */
    struct table *table; /* without */
};

/* --- Options ---------------------------------------------------------------------------------- */

/* "reject" or a server, for all domains, or "DOMAIN=..." for one. */
static int change_default(struct what_if *w, const char *text, struct err *err)
{
    struct slice server = slice_str(text), domain = SLICE_NONE;
    int index = CONF_SERVER_NONE;
    bool is_found = false;

    if (slice_find(server, '=') >= 0 && !slice_split(&server, '=', &domain))
        BUG("there is one");
    if (!slice_eq(server, SLICE_LIT("reject"))) {
        index = conf_server_index(w->t->conf, server);
        if (index == CONF_SERVER_NONE || !conf_server_takes_mail(&w->t->conf->servers[index]))
            return err_set(err, ERR_PERM, EX_USAGE,
                "--default is reject, or a server that takes mail, not \"%.*s\"",
                SLICE_ARG(server));
    }
    for (size_t i = 0; i < w->then.n_domains; i++) {
        if (domain.p && !slice_eq(domain, slice_str(w->then.domains[i].name)))
            continue;
        w->then.domains[i].default_server = index;
        is_found = true;
    }
    return is_found ? 0
                    : err_set(err, ERR_PERM, EX_USAGE,
                          "the domain %.*s is not in the configuration", SLICE_ARG(domain));
}

static int read_import(struct what_if *w, struct err *err)
{
    const char *path = NULL, *route = NULL;

    w->overlay.rules.reroute = tool_flag(w->t, "--reroute");
    if (tool_option(w->t, "--import", &path, err) != 0 ||
        tool_option(w->t, "--route", &route, err) != 0)
        return -1;
    if (route && conf_server_index(w->t->conf, slice_str(route)) == CONF_SERVER_NONE)
        return err_set(
            err, ERR_PERM, EX_USAGE, "there is no server \"%s\" in the configuration", route);
    w->overlay.rules.default_route = slice_str(route);
    w->has_import = path != NULL;
    return path ? overlay_read(&w->overlay, path, err) : 0;
}

static int read_changes(struct what_if *w, struct err *err)
{
    bool is_any;

    if (read_import(w, err) != 0)
        return -1;
    is_any = w->has_import;

    for (;;) {
        const char *text = NULL;
        if (tool_option(w->t, "--default", &text, err) != 0)
            return -1;
        if (!text)
            break;
        is_any = true;
        if (change_default(w, text, err) != 0)
            return -1;
    }
    if (!is_any)
        return err_set(
            err, ERR_PERM, EX_USAGE, "what would be otherwise? --default or --import say it");
    return tool_words(w->t, 0, FILES_MAX, err);
}

/* --- Comparing -------------------------------------------------------------------------------- */

static void answer(const struct what_if *w, const struct conf *conf, const struct route_view *view,
    const char *key, char out[ANSWER_MAX])
{
    const struct decide_request request = {
        .rcpt = slice_str(key), .source_server = CONF_SERVER_NONE, .now_s = clock_wall_s()};
    struct decision d;
    int rc;

    arena_reset(w->mem);
    decide(conf, view, &request, w->mem, &d, NULL);
    if (d.kind == DECIDE_DELIVER)
        rc = fmt_into(out, ANSWER_MAX, "%s as %s", conf->servers[decision_server(&d)].name,
            d.deliveries[0].address);
    else
        rc = fmt_into(out, ANSWER_MAX, "%d %s %s", d.code, d.enhanced, d.text);
    if (rc != 0)
        out[0] = '\0';
}

static void compare(struct what_if *w, const struct arrival *a)
{
    static const char *const KNOWN[] = {
        [MAIL_LOG_UNKNOWN] = "?", [MAIL_LOG_TAKEN] = "yes", [MAIL_LOG_REFUSED] = "no"};
    const struct route_view changed = overlay_view(&w->overlay, w->view);
    char now[ANSWER_MAX], then[ANSWER_MAX], seen[24];

    answer(w, w->t->conf, &w->view, a->key, now);
    answer(w, &w->then, &changed, a->key, then);
    if (strcmp(now, then) == 0)
        return;
    w->n_different++;
    if (w->t->json) {
        json_array_append_new(
            w->list, json_pack("{ss sI ss ss ss}", "key", a->key, "seen", (json_int_t)a->count,
                         "known", KNOWN[a->known], "now", now, "then", then));
        return;
    }
    if (fmt_into(seen, sizeof seen, "%" PRIu64, a->count) != 0)
        BUG("a number fits");
    table_row(w->table, (const char *const[]){a->key, seen, KNOWN[a->known], now, then});
}

static int replay(struct what_if *w, struct arrivals *all, struct err *err)
{
    struct snapshot *snapshot = snapshot_new(w->t->conf->run);

    w->view = snapshot_view(snapshot);
    w->mem = arena_new(DECIDE_MEM_MAX);
    if (all->n)
        arrivals_sort(all);
    for (size_t i = 0; i < all->n; i++)
        compare(w, &all->v[i]);
    const char *trouble = snapshot_trouble(snapshot);
    int rc = trouble[0]
                 ? err_set(err, ERR_TEMP, EX_TEMPFAIL, "the snapshot cannot be used: %s", trouble)
                 : 0;
    snapshot_free(&snapshot);
    arena_free(&w->mem);
    return rc;
}

static int print_result(struct what_if *w, const struct arrivals *all, struct err *err)
{
    if (w->t->json) {
        tool_print_json(w->list);
    } else {
        if (w->n_different)
            table_flush(w->table, stdout);
        printf("%zu of %zu addresses would get another answer\n", w->n_different, all->n);
    }
    return tool_flush(err);
}

int cmd_what_if(struct tool *t, struct err *err)
{
    struct what_if w = {.t = t, .then = *t->conf};
    struct arrivals all = {0};
    uint64_t missed;

    w.then.domains = mem_realloc_array(NULL, t->conf->n_domains + 1, sizeof *w.then.domains);
    memcpy(w.then.domains, t->conf->domains, t->conf->n_domains * sizeof *w.then.domains);
    overlay_init(&w.overlay, t);
    w.list = json_array();
    w.table = table_new("ADDRESS|SEEN>|KNOWN|NOW|THEN");
    int rc = read_changes(&w, err);
    if (rc == 0 && t->argc == 0)
        rc = learnt_read(t, &all, &missed, err);
    for (int i = 0; i < t->argc && rc == 0; i++)
        rc = arrivals_read(&all, t->conf, t->argv[i], err);
    if (rc == 0)
        rc = replay(&w, &all, err);
    if (rc == 0)
        rc = print_result(&w, &all, err);
    if (rc == 0 && w.n_different)
        rc = TOOL_DIFFERENT;
    overlay_fini(&w.overlay);
    table_free(&w.table);
    json_decref(w.list);
    free(w.then.domains);
    arrivals_fini(&all);
    return rc;
}
