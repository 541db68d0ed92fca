/* SPDX-License-Identifier: ISC */
/*
 * cmd_unmapped: which addresses get mail and have no entry.
 *
 * A map is learnt while its domain has a default server: whom nobody has listed is noted by the
 * programs that route mail, and shows up in the logs, of ours or of the mail server, with what his
 * server said to it.  Only then is it safe to refuse all others.
 */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "maps/format/csv.h"
#include "base/core/num.h"
#include "maps/snapshot.h"
#include "maps/tool/arrivals.h"
#include "maps/tool/ask.h"
#include "maps/tool/learnt.h"

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
        else if (!is_mapped(&d)) {
            rc = arrivals_add(
                out, decision_key(&d, d.user), a->count, a->known, slice_str(a->when), err);
            if (a->first)
                arrivals_tell(out, decision_key(&d, d.user), a->first, a->by);
        }
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
    for (size_t i = 0; i < a->n; i++) {
        const struct arrival *v = &a->v[i];
        if (is_known_only && v->known != MAIL_LOG_TAKEN)
            continue;
        json_t *row = json_pack("{ss sI ss ss}", "key", v->key, "seen", (json_int_t)v->count,
            "last", v->when, "known", KNOWN[v->known]);
        if (v->first) {
            json_object_set_new(row, "first", json_string(v->first));
            json_object_set_new(row, "by", json_string(v->by));
        }
        json_array_append_new(list, row);
    }
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

static int read_all(struct tool *t, struct arrivals *all, struct err *err)
{
    uint64_t missed = 0;
    int rc = 0;

    if (t->argc == 0)
        rc = learnt_read(t, all, &missed, err);
    for (int i = 0; i < t->argc && rc == 0; i++)
        rc = arrivals_read(all, t->conf, t->argv[i], err);
    if (rc == 0 && missed > 0)
        fprintf(stderr, "maptool: %" PRIu64 " times somebody was named and could not be noted\n",
            missed);
    return rc;
}

/* --ask and --rate. */
struct question {
    const struct conf_server *server; /* NULL: nobody is asked */
    uint64_t rate;
};

static int read_question(struct tool *t, struct question *q, struct err *err)
{
    const char *name = NULL, *rate = NULL;

    q->rate = ASK_RATE_DEFAULT;
    if (tool_option(t, "--ask", &name, err) != 0 || tool_option(t, "--rate", &rate, err) != 0)
        return -1;
    if (rate && num_u64(slice_str(rate), 1, ASK_RATE_MAX, &q->rate) != 0)
        return err_set(
            err, ERR_PERM, EX_USAGE, "--rate is 1 to %d addresses a second", ASK_RATE_MAX);
    if (!name)
        return 0;
    int i = conf_server_index(t->conf, slice_str(name));
    if (i == CONF_SERVER_NONE || !conf_server_takes_mail(&t->conf->servers[i]))
        return err_set(err, ERR_PERM, EX_USAGE,
            "there is no server \"%s\" with smtp in the configuration", name);
    q->server = &t->conf->servers[i];
    return 0;
}

int cmd_unmapped(struct tool *t, struct err *err)
{
    bool is_csv = tool_flag(t, "--csv"), is_known_only = tool_flag(t, "--known");
    struct arrivals all = {0}, unmapped = {0};
    struct question question = {0};
    int rc = read_question(t, &question, err);

    if (rc == 0)
        rc = tool_words(t, 0, FILES_MAX, err);
    if (rc == 0)
        rc = read_all(t, &all, err);
    if (rc == 0) {
        struct snapshot *snapshot = snapshot_new(t->conf->run);
        rc = find_unmapped(t, &all, &unmapped, snapshot, err);
        snapshot_free(&snapshot);
    }
    if (rc == 0 && unmapped.n) {
        arrivals_sort(&unmapped);
        if (question.server)
            rc = ask_server(t->conf, question.server, question.rate, &unmapped, err);
    }
    if (rc == 0)
        rc = is_csv    ? print_csv(&unmapped, is_known_only, err)
             : t->json ? print_json(&unmapped, is_known_only, err)
                       : print_table(&unmapped, is_known_only, err);
    if (rc == 0 && unmapped.n)
        rc = TOOL_DIFFERENT;
    arrivals_fini(&all);
    arrivals_fini(&unmapped);
    return rc;
}
