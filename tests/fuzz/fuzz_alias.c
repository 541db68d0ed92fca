/* SPDX-License-Identifier: ISC */
/*
 * Graphs of aliases as the map lets them grow.  Each line changes one address, in a real store
 * whose transaction is aborted:
 *
 *     NAME                 a mailbox
 *     NAME -               none any more
 *     NAME TO,TO           an alias; a name without "@" is one of example.org
 *
 * Whatever comes in which order: no alias leads back to itself, the index of those who follow an
 * address is what the entries say, and a decision for each of them comes to an end within the
 * limits of a look-up.
 */
#include <stdint.h>
#include <string.h>
#include "tests/fuzz/small_map.h"

#define LINES_MAX 40
#define KEYS_MAX (2 * LINES_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct control_session session = {.who = "fuzz", .may_write = true};

/* --- The changes --------------------------------------------------------------------------- */

static json_t *name_of(struct slice text)
{
    char name[300];
    const char *domain = slice_find(text, '@') < 0 ? "@example.org" : "";
    return fmt_into(name, sizeof name, "%.*s%s", SLICE_ARG(text), domain) == 0 ? json_string(name)
                                                                               : NULL;
}

static json_t *names_of(struct slice text)
{
    json_t *all = json_array();
    struct slice one;

    while (slice_split(&text, ',', &one)) {
        json_t *name = name_of(one);
        if (name)
            json_array_append_new(all, name);
    }
    return all;
}

static void change(struct store_txn *txn, struct slice line)
{
    struct slice rest = line, name;
    struct err err = ERR_INIT;
    json_t *request, *reply = NULL;

    if (!slice_split(&rest, ' ', &name))
        return;
    json_t *key = name_of(name);
    if (!key)
        return;
    if (rest.n == 0)
        request = json_pack(
            "{ss so s{ss ss}}", "op", "set", "key", key, "set", "kind", "mailbox", "route", "old");
    else if (slice_eq(rest, SLICE_LIT("-")))
        request = json_pack("{ss so}", "op", "del", "key", key);
    else
        request = json_pack("{ss so s{ss ss so}}", "op", "set", "key", key, "set", "kind", "alias",
            "route", "", "to", names_of(rest));
    if (!request || control_run(&small_map, &session, txn, request, &reply, &err) != 0)
        abort();
    json_decref(request);
    json_decref(reply);
}

/* --- What has come of it -------------------------------------------------------------------- */

struct node {
    char key[ROUTE_KEY_MAX + 1], targets[ROUTE_RECORD_MAX];
    enum { NEW, OPEN, DONE } mark;
};

struct graph {
    struct node v[KEYS_MAX];
    size_t n;
};

static int add_node(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    struct graph *g = arg;
    (void)err;
    if (e->is_tombstone || g->n == KEYS_MAX)
        return 0;
    struct node *n = &g->v[g->n++];
    if (fmt_into(n->key, sizeof n->key, "%.*s", SLICE_ARG(key)) != 0 ||
        fmt_into(n->targets, sizeof n->targets, "%.*s", SLICE_ARG(e->targets)) != 0)
        abort();
    n->mark = NEW;
    return 0;
}

static struct node *find(struct graph *g, struct slice key)
{
    for (size_t i = 0; i < g->n; i++)
        if (slice_eq(slice_str(g->v[i].key), key))
            return &g->v[i];
    return NULL;
}

/* Depth first; a node that is open is one that leads here. */
static void visit(struct graph *g, struct node *n)
{
    struct slice rest = slice_str(n->targets), target;

    if (n->mark == OPEN)
        abort();
    if (n->mark == DONE)
        return;
    n->mark = OPEN;
    while (route_list_next(&rest, &target)) {
        struct node *to = find(g, target);
        /* An alias that has itself among its targets keeps a copy. */
        if (to && to != n)
            visit(g, to);
    }
    n->mark = DONE;
}

static bool has_target(const struct node *n, struct slice target)
{
    struct slice rest = slice_str(n->targets), one;
    while (route_list_next(&rest, &one))
        if (slice_eq(one, target))
            return true;
    return false;
}

struct followers {
    struct graph *g;
    struct slice target;
    size_t n;
};

static int see_follower(void *arg, struct slice key, struct err *err)
{
    struct followers *f = arg;
    const struct node *n = find(f->g, key);
    (void)err;
    if (!n || !has_target(n, f->target))
        abort();
    f->n++;
    return 0;
}

static void check_followers(struct graph *g, struct store_txn *txn, struct slice target)
{
    struct followers f = {.g = g, .target = target};
    struct err err = ERR_INIT;
    size_t want = 0;

    for (size_t i = 0; i < g->n; i++)
        want += has_target(&g->v[i], target);
    if (store_followers(small_map.store, txn, target, see_follower, &f, &err) != 0 || f.n != want)
        abort();
}

static enum route_answer get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *e)
{
    const struct node *n = find(arg, key);
    (void)store;
    route_entry_clear(e);
    if (!n)
        return ROUTE_NOT_FOUND;
    e->epoch = 1;
    e->targets = slice_str(n->targets);
    e->kind = e->targets.n ? ROUTE_KIND_ALIAS : ROUTE_KIND_MAILBOX;
    e->route = e->targets.n ? SLICE_NONE : SLICE_LIT("old");
    return ROUTE_FOUND;
}

static void check_decision(struct graph *g, const struct node *n)
{
    const struct route_view view = {.get = get, .arg = g};
    const struct decide_request request = {
        .rcpt = slice_str(n->key), .source_server = CONF_SERVER_NONE, .now_s = 1000};
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;

    decide(&small_map_conf, &view, &request, mem, &d, NULL);
    BUG_ON(d.is_endless || d.n_deliveries > DECIDE_DELIVERIES_MAX || d.n_keys > DECIDE_KEYS_MAX);
    arena_free(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), line, target;
    struct store_txn *txn = small_map_begin();
    struct graph *g = calloc(1, sizeof *g);
    struct err err = ERR_INIT;

    if (!g)
        abort();
    for (int i = 0; i < LINES_MAX && size > 0 && slice_split(&rest, '\n', &line); i++)
        change(txn, line);
    if (store_scan(small_map.store, txn, SLICE_LIT(""), add_node, g, &err) != 0)
        abort();
    for (size_t i = 0; i < g->n; i++) {
        struct slice targets = slice_str(g->v[i].targets);
        visit(g, &g->v[i]);
        check_decision(g, &g->v[i]);
        check_followers(g, txn, slice_str(g->v[i].key));
        while (route_list_next(&targets, &target))
            check_followers(g, txn, target);
    }
    free(g);
    store_abort(&txn);
    return 0;
}
