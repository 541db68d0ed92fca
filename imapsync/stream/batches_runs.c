/* SPDX-License-Identifier: ISC */
/*
 * batches_runs: what waits, and how windows are cut from it.
 *
 * Suspects go first, and nothing else is on its way with them: if the connection dies again, it was
 * them.  Then what comes again, then what is new, then suspects that could only be set aside if
 * something else had been copied since the last one was.
 *
 * A window is only begun when the target has room for all of it by count, so that what comes is
 * seldom left out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/stream/batches_parts.h"

void run_list_init(struct run_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

void run_free(struct run *r)
{
    free(r->v);
    free(r);
}

void run_list_fini(struct run_list *l)
{
    while (l->first) {
        struct run *next = l->first->next;
        run_free(l->first);
        l->first = next;
    }
    l->end = &l->first;
}

static struct run *run_new(uint32_t folder, size_t cap)
{
    struct run *r = mem_zalloc(sizeof(*r));
    r->folder = folder;
    r->cap = cap;
    r->v = mem_realloc_array(NULL, cap, sizeof(*r->v));
    return r;
}

static void append_run(struct run_list *l, struct run *r)
{
    *l->end = r;
    l->end = &r->next;
}

static void prepend_run(struct run_list *l, struct run *r)
{
    if (!l->first)
        l->end = &r->next;
    r->next = l->first;
    l->first = r;
}

static struct run *take_first(struct run_list *l)
{
    struct run *r = l->first;
    l->first = r->next;
    if (!l->first)
        l->end = &l->first;
    return r;
}

void batches_add(struct batches *b, const struct batches_message *m)
{
    BUG_ON(b->is_closed || m->folder >= b->n_folders);
    struct run *last = NULL;
    if (b->runs.first)
        last = (struct run *)((char *)b->runs.end - offsetof(struct run, next));
    /* What was put back stays as it was: it may be waiting alone. */
    if (!last || last->folder != m->folder || last->is_plain || last->cap < 2) {
        last = run_new(m->folder, 16);
        append_run(&b->runs, last);
    }
    if (last->n == last->cap) {
        last->cap *= 2;
        last->v = mem_realloc_array(last->v, last->cap, sizeof(*last->v));
    }
    last->v[last->n++] = (struct item){m->uid, m->size, m->has_extras};
    b->n_waiting++;
    b->has_news = true;
}

void batches_add_suspects(struct batches *b, const struct batches_suspects *s)
{
    BUG_ON(s->n == 0 || s->n > BATCHES_WINDOW_MAX || s->v[0].folder >= b->n_folders);
    struct run *r = run_new(s->v[0].folder, s->n);
    r->strikes = s->strikes > 0 ? s->strikes : 1;
    r->is_unsent = s->is_unsent;
    for (size_t i = 0; i < s->n; i++)
        r->v[r->n++] = (struct item){s->v[i].uid, s->v[i].size, s->v[i].has_extras};
    r->is_found = s->is_found;
    append_run(&b->suspects, r);
    b->n_waiting += s->n;
    b->has_news = true;
}

/* --- Coming again --------------------------------------------------------------------------- */

static struct run *run_of(struct batches *b, const struct window *w, const uint16_t *at, size_t n)
{
    struct run *r = run_new(w->folder, n);
    for (size_t i = 0; i < n; i++)
        r->v[r->n++] = w->items[at[i]];
    r->is_plain = w->is_plain;
    r->is_unsent = w->is_unsent;
    b->n_waiting += n;
    b->has_news = true;
    return r;
}

void batches_come_again(
    struct batches *b, const struct window *w, const uint16_t *at, size_t n, bool is_plain)
{
    if (n == 0)
        return;
    struct run *r = run_of(b, w, at, n);
    r->is_plain = is_plain;
    prepend_run(&b->runs, r);
}

void batches_halve(struct batches *b, const struct window *w, const uint16_t *at, size_t n)
{
    batches_come_again(b, w, at + n / 2, n - n / 2, w->is_plain);
    batches_come_again(b, w, at, n / 2, w->is_plain);
}

static void suspect_run(
    struct batches *b, const struct window *w, const uint16_t *at, size_t n, unsigned strikes)
{
    struct run *r = run_of(b, w, at, n);
    r->strikes = strikes;
    prepend_run(&b->suspects, r);
}

void batches_suspect(
    struct batches *b, struct window *w, const uint16_t *at, size_t n, const struct err *err)
{
    unsigned strikes = w->strikes + 1;
    if (n == 0)
        return;
    if (w->is_last && b->credit == 0)
        batches_stop(b, err);
    if (w->strikes > 0 && n == w->n && n > 1) {
        suspect_run(b, w, at + n / 2, n - n / 2, strikes);
        suspect_run(b, w, at, n / 2, strikes);
    } else {
        suspect_run(b, w, at, n, strikes);
        b->suspects.first->is_found = n == 1 && w->n == 1 && w->strikes > 0;
    }
    for (size_t i = 0; i < n; i++)
        w->states[at[i]] = ITEM_DONE;
}

/* --- Not tried -------------------------------------------------------------------------------- */

static void drop(struct batches *b, struct run *r)
{
    const struct folder_state *f = &b->folders[r->folder];
    const char *why = b->is_stopped ? b->err.text : f->is_refused ? f->err->text : "not tried";
    for (size_t i = r->at; i < r->n; i++) {
        struct batches_result left = {.outcome = BATCHES_OPEN,
            .folder = r->folder,
            .uid = r->v[i].uid,
            .is_plain = r->is_plain};
        batches_tell(b, left, why);
    }
    b->n_waiting -= r->n - r->at;
}

static void leave(struct batches *b, struct run *r)
{
    struct run **end = &b->told;
    while (*end)
        end = &(*end)->next;
    *end = r;
}

void batches_leave_suspects(struct batches *b, const struct window *w, const uint16_t *at, size_t n)
{
    bool is_whole = w->strikes > 0 && n == w->n;
    size_t first = is_whole && n > 1 ? n / 2 : n;
    for (size_t from = 0; from < n; from += first, first = n - from) {
        struct run *r = run_of(b, w, at + from, first);
        b->n_waiting -= first;
        r->strikes = w->strikes + 1;
        r->is_found = is_whole && n == 1;
        leave(b, r);
    }
}

static void drop_some(struct batches *b, struct run_list *l)
{
    struct run_list kept;
    run_list_init(&kept);
    while (l->first) {
        struct run *r = take_first(l);
        r->next = NULL;
        if (!batches_is_ending(b) && !b->folders[r->folder].is_refused) {
            append_run(&kept, r);
            continue;
        }
        drop(b, r);
        if (r->strikes > 0)
            leave(b, r);
        else
            run_free(r);
    }
    if (kept.first) {
        l->first = kept.first;
        l->end = kept.end;
    }
}

void batches_drop_runs(struct batches *b)
{
    if (!b->has_news)
        return;
    b->has_news = false;
    drop_some(b, &b->suspects);
    drop_some(b, &b->runs);
    drop_some(b, &b->doubtful);
}

bool batches_suspects(struct batches *b, struct batches_suspects *out)
{
    struct run *r = b->told;
    if (!r)
        return false;
    b->told = r->next;
    out->n = 0;
    out->strikes = r->strikes;
    out->is_found = r->is_found;
    out->is_unsent = r->is_unsent;
    for (size_t i = r->at; i < r->n; i++)
        out->v[out->n++] =
            (struct batches_message){r->folder, r->v[i].uid, r->v[i].size, r->v[i].has_extras};
    run_free(r);
    return true;
}

/* Those that have killed alone.  Without credit they wait until all others have been tried. */
void batches_set_aside(struct batches *b)
{
    struct run_list kept;
    run_list_init(&kept);
    while (b->suspects.first) {
        struct run *r = take_first(&b->suspects);
        r->next = NULL;
        if (!r->is_found) {
            append_run(&kept, r);
        } else if (b->credit == 0) {
            append_run(&b->doubtful, r);
        } else {
            struct batches_result set = {.outcome = BATCHES_ASIDE,
                .code = ITEM_ASIDE,
                .folder = r->folder,
                .uid = r->v[r->at].uid};
            batches_tell(b, set, "the connection is lost whenever this message is copied");
            b->n_waiting--;
            run_free(r);
        }
    }
    if (kept.first) {
        b->suspects.first = kept.first;
        b->suspects.end = kept.end;
    }
}

/* --- Windows ------------------------------------------------------------------------------------
 */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What is asked for and what is sent count against the same limits, and a window takes at least one
 * append. */
static bool has_place(const struct batches *b, size_t n)
{
    size_t n_appends, sent = batches_unanswered(b, &n_appends), asked = 0, reads = 0;
    for (const struct window *w = b->windows; w; w = w->next) {
        if (w->state == WINDOW_READ)
            continue;
        reads++;
        n_appends += b->limits.append_max > 1 && !(b->open && b->open->window == w);
        for (size_t i = 0; i < w->n; i++)
            asked += w->states[i] == ITEM_ASKED;
    }
    size_t most = min_size(b->limits.sent_max, 2 * n + n / 2);
    if (reads >= b->limits.reads_max || sent + asked + n > most)
        return false;
    n_appends += b->limits.append_max > 1 ? 1 : asked + n;
    return n_appends <= b->limits.appends_max;
}

/* Sizes are seldom told before the bodies, so those that have come tell. */
static size_t read_size(const struct batches *b)
{
    const struct batches_limits *l = &b->limits;
    if (l->read_few == 0 || l->read_few >= l->read_max)
        return l->read_max;
    uint64_t usual = b->n_bodies > 0 ? b->octets_of_bodies / b->n_bodies + 1 : l->read_octets;
    uint64_t fit = l->read_octets / usual;
    return fit < l->read_few ? l->read_few : fit < l->read_max ? (size_t)fit : l->read_max;
}

static size_t window_size(const struct batches *b)
{
    size_t n = min_size(read_size(b), b->limits.sent_max);
    return b->limits.append_max > 1 ? n : min_size(n, b->limits.appends_max);
}

void batches_window_free(struct window *w)
{
    free(w->items);
    free(w->states);
    free(w);
}

static bool may_cut(const struct batches *b)
{
    if (batches_is_ending(b) || batches_has_unsettled(b))
        return false;
    if (b->suspects.first || !b->runs.first)
        return !b->windows && (b->suspects.first || (b->doubtful.first && b->is_closed));
    for (const struct window *w = b->windows; w; w = w->next) {
        if (w->strikes > 0)
            return false;
    }
    return has_place(b, window_size(b));
}

bool batches_cut(struct batches *b)
{
    if (!may_cut(b))
        return false;
    struct run_list *l = b->suspects.first ? &b->suspects : b->runs.first ? &b->runs : &b->doubtful;
    struct run *r = l->first;
    struct window *w = mem_zalloc(sizeof(*w)), **end = &b->windows;
    size_t max = min_size(window_size(b), r->n - r->at);
    uint64_t octets = 0;
    w->items = mem_realloc_array(NULL, max, sizeof(*w->items));
    w->states = mem_zalloc(max);
    w->number = ++b->last_window;
    w->folder = r->folder;
    w->is_plain = r->is_plain;
    w->strikes = r->strikes;
    w->is_last = l == &b->doubtful;
    while (r->at < r->n && w->n < max) {
        octets += r->v[r->at].size;
        if (w->n > 0 && octets > b->limits.read_octets)
            break;
        w->items[w->n++] = r->v[r->at++];
    }
    b->n_waiting -= w->n;
    if (r->at == r->n)
        run_free(take_first(l));
    while (*end)
        end = &(*end)->next;
    *end = w;
    return true;
}
