/* SPDX-License-Identifier: ISC */
/*
 * batches: the machine as a whole: what there is to do next, and what became of each message.  What
 * waits is in batches_runs.c, what the ends say in batches_answers.c and batches_lost.c.
 *
 * Inputs change the state and put results into one queue; batches_next() hands out the queue first,
 * then looks what can be begun.  So nothing is ever begun while the journal has something to hear.
 *
 * Known weaknesses: a connection that dies again and again by chance while one message stands under
 * suspicion makes it look guilty; it is set aside, told, and tried again with the next pass.
 */
#include "imapsync/stream/batches.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/stream/batches_parts.h"

struct batches *batches_new(const struct batches_limits *limits)
{
    struct batches *b = mem_zalloc(sizeof(*b));
    BUG_ON(limits->read_max == 0 || limits->read_max > BATCHES_WINDOW_MAX ||
           limits->append_max == 0 || limits->append_max > BATCHES_WINDOW_MAX ||
           limits->reads_max == 0 || limits->appends_max == 0 || limits->sent_max == 0);
    b->limits = *limits;
    b->credit = 1;
    run_list_init(&b->suspects);
    run_list_init(&b->runs);
    run_list_init(&b->doubtful);
    b->notes_end = &b->notes;
    b->uids = mem_realloc_array(NULL, BATCHES_WINDOW_MAX, sizeof(*b->uids));
    return b;
}

static void free_note(struct note **n)
{
    if (*n)
        free((*n)->why);
    free(*n);
    *n = NULL;
}

void batches_free(struct batches **at)
{
    struct batches *b = *at;
    if (!b)
        return;
    while (b->appends)
        batches_append_free(b, b->appends);
    while (b->windows) {
        struct window *next = b->windows->next;
        batches_window_free(b->windows);
        b->windows = next;
    }
    while (b->notes) {
        struct note *next = b->notes->next;
        free_note(&b->notes);
        b->notes = next;
    }
    while (b->told) {
        struct run *next = b->told->next;
        run_free(b->told);
        b->told = next;
    }
    free_note(&b->handed_out);
    run_list_fini(&b->suspects);
    run_list_fini(&b->runs);
    run_list_fini(&b->doubtful);
    for (size_t i = 0; i < b->n_folders; i++)
        free(b->folders[i].err);
    free(b->folders);
    free(b->asked);
    free(b->uids);
    free(b);
    *at = NULL;
}

void batches_folder(struct batches *b, uint32_t folder, uint32_t since)
{
    if (folder >= b->n_folders) {
        b->folders = mem_realloc_array(b->folders, (size_t)folder + 1, sizeof(*b->folders));
        memset(b->folders + b->n_folders, 0, (folder + 1 - b->n_folders) * sizeof(*b->folders));
        b->n_folders = (size_t)folder + 1;
    }
    b->folders[folder].since = since;
}

uint32_t batches_since(const struct batches *b, uint32_t folder)
{
    return b->folders[folder].since;
}

/* Doubtful ones wait for the end, so however many they are there is room for others. */
bool batches_wants(const struct batches *b)
{
    size_t doubtful = 0;
    for (const struct run *r = b->doubtful.first; r; r = r->next)
        doubtful += r->n - r->at;
    return !b->is_closed && !batches_is_ending(b) &&
           b->n_waiting - doubtful < 2 * b->limits.read_max;
}

void batches_close(struct batches *b)
{
    b->is_closed = true;
}

void batches_cancel(struct batches *b)
{
    b->is_cancelled = b->has_news = true;
}

size_t batches_credit(const struct batches *b)
{
    return b->credit;
}

void batches_give_credit(struct batches *b, size_t credit)
{
    b->credit = credit < BATCHES_CREDIT_MAX ? credit : BATCHES_CREDIT_MAX;
}

const struct err *batches_folder_err(const struct batches *b, uint32_t folder)
{
    return b->folders[folder].is_refused ? b->folders[folder].err : NULL;
}

/* --- Ends before the end -------------------------------------------------------------------- */

enum batches_reach batches_reach(const struct err *err)
{
    if (err->is_wide)
        return REACH_MESSAGE;
    switch (err->scope) {
    case ERR_SCOPE_MESSAGE:
        return REACH_MESSAGE;
    case ERR_SCOPE_FOLDER:
        return REACH_FOLDER;
    case ERR_SCOPE_USER:
    case ERR_SCOPE_HOST:
        return REACH_JOB;
    case ERR_SCOPE_NONE:
        break;
    }
    return err->class == ERR_TEMP ? REACH_JOB : REACH_MESSAGE;
}

/* The first reason stays. */
void batches_refuse_folder(struct batches *b, uint32_t folder, const struct err *err)
{
    struct folder_state *f = &b->folders[folder];
    if (f->is_refused)
        return;
    f->is_refused = b->has_news = true;
    f->err = mem_zalloc(sizeof(*f->err));
    *f->err = *err;
}

void batches_stop(struct batches *b, const struct err *err)
{
    if (b->is_stopped)
        return;
    b->is_stopped = b->has_news = true;
    b->err = *err;
}

void batches_widen(struct batches *b, uint32_t folder, const struct err *err)
{
    struct err wide = *err;
    if (!err->is_wide || b->folders[folder].is_refused ||
        ++b->folders[folder].n_wide < BATCHES_WIDE_MAX)
        return;
    if (err->scope == ERR_SCOPE_USER) {
        batches_stop(b, err);
        return;
    }
    /* To be tried again with the next pass, and not in this one. */
    wide.class = ERR_PERM;
    err_scope_set(&wide, ERR_SCOPE_FOLDER);
    batches_refuse_folder(b, folder, &wide);
    if (err->scope == ERR_SCOPE_HOST && ++b->n_wide == BATCHES_WIDE_MAX)
        batches_stop(b, err);
}

bool batches_is_ending(const struct batches *b)
{
    return b->is_stopped || b->is_cancelled;
}

/* --- Results -------------------------------------------------------------------------------- */

static struct note *add_note(struct batches *b, enum batches_do what)
{
    struct note *n = mem_zalloc(sizeof(*n));
    n->what = what;
    *b->notes_end = n;
    b->notes_end = &n->next;
    return n;
}

void batches_tell(struct batches *b, struct batches_result r, const char *why)
{
    struct note *n = add_note(b, BATCHES_RESULT);
    n->result = r;
    n->why = mem_strdup(why);
    n->result.why = n->why;
    if (r.outcome == BATCHES_STORED || r.outcome == BATCHES_SENT) {
        batches_give_credit(b, b->credit + 1);
        b->n_wide = b->folders[r.folder].n_wide = 0;
    } else if (r.outcome == BATCHES_ASIDE) {
        b->credit--;
    }
}

void batches_tell_item(
    struct batches *b, const struct window *w, size_t at, struct batches_result r, const char *why)
{
    r.folder = w->folder;
    r.uid = w->items[at].uid;
    r.is_plain = w->is_plain;
    batches_tell(b, r, why);
}

/* What was asked for and has not come, n messages. */
static void not_come(struct batches *b, const struct window *w, const uint16_t *at, size_t n)
{
    bool is_alone = w->n == 1 && !b->folders[w->folder].is_refused && !b->is_stopped;
    for (size_t i = 0; i < n && !w->is_refused; i++)
        batches_tell_item(b, w, at[i], (struct batches_result){.outcome = BATCHES_MISSING}, NULL);
    if (n == 0 || !w->is_refused)
        return;
    if (is_alone) {
        batches_tell_item(b, w, at[0],
            (struct batches_result){.outcome = BATCHES_REFUSED, .code = ITEM_UNREADABLE},
            w->err.text);
        batches_widen(b, w->folder, &w->err);
    } else if (n == 1) {
        batches_come_again(b, w, at, n, w->is_plain);
    } else {
        batches_halve(b, w, at, n);
    }
}

/* The window is over. */
static void conclude(struct batches *b, struct window *w)
{
    uint16_t asked[BATCHES_WINDOW_MAX], later[BATCHES_WINDOW_MAX];
    size_t n_asked = 0, n_later = 0;
    for (size_t i = 0; i < w->n; i++) {
        switch ((enum item_state)w->states[i]) {
        case ITEM_ASKED:
            asked[n_asked++] = (uint16_t)i;
            break;
        case ITEM_LATER:
            later[n_later++] = (uint16_t)i;
            break;
        case ITEM_TOO_BIG:
            batches_tell_item(b, w, i,
                (struct batches_result){.outcome = BATCHES_REFUSED, .code = ITEM_SIZE},
                "target: larger than the server's limit");
            break;
        case ITEM_TAKEN:
            BUG("a message without an outcome");
        case ITEM_DONE:
            break;
        }
    }
    not_come(b, w, asked, n_asked);
    batches_come_again(b, w, later, n_later, w->is_plain);
    if (w->is_intended && !w->keeps_intent)
        add_note(b, BATCHES_FORGET)->window = w->number;
}

/* A window that was not asked for yet and will not be. */
static void take_back(struct batches *b, struct window *w)
{
    uint16_t at[BATCHES_WINDOW_MAX];
    if (w->state > WINDOW_INTENDED || (!batches_is_ending(b) && !b->folders[w->folder].is_refused))
        return;
    for (size_t i = 0; i < w->n; i++) {
        at[i] = (uint16_t)i;
        w->states[i] = ITEM_DONE;
    }
    batches_come_again(b, w, at, w->n, w->is_plain);
    w->state = WINDOW_READ;
}

static void sweep(struct batches *b)
{
    for (struct window **at = &b->windows; *at;) {
        struct window *w = *at;
        take_back(b, w);
        if (w->state != WINDOW_READ || w->n_appends > 0) {
            at = &w->next;
            continue;
        }
        conclude(b, w);
        *at = w->next;
        batches_window_free(w);
    }
    batches_drop_runs(b);
    batches_set_aside(b);
}

/* --- What to do next ------------------------------------------------------------------------ */

static bool next_from_queue(struct batches *b, struct batches_todo *out)
{
    struct note *n = b->notes;
    if (!n)
        return false;
    b->notes = n->next;
    if (!b->notes)
        b->notes_end = &b->notes;
    b->handed_out = n;
    *out = (struct batches_todo){
        .what = n->what, .folder = n->result.folder, .window = n->window, .result = n->result};
    return true;
}

static bool next_sent(struct batches *b, struct batches_todo *out)
{
    for (struct append *a = b->appends; a; a = a->next) {
        if (a->is_open || a->is_answered || a->is_noted)
            continue;
        a->is_noted = true;
        *out = (struct batches_todo){.what = BATCHES_NOTE,
            .folder = a->window->folder,
            .window = a->window->number,
            .sent = a->sent,
            .n = a->n};
        return true;
    }
    return false;
}

static bool next_window(struct batches *b, enum window_state from, struct batches_todo *out)
{
    struct window *w = b->windows;
    while (w && w->state != from)
        w = w->next;
    if (!w)
        return false;
    w->is_intended = true;
    w->state = from == WINDOW_NEW ? WINDOW_INTENDED : WINDOW_READING;
    for (size_t i = 0; i < w->n; i++)
        b->uids[i] = w->items[i].uid;
    *out = (struct batches_todo){.what = from == WINDOW_NEW ? BATCHES_INTEND : BATCHES_READ,
        .folder = w->folder,
        .window = w->number,
        .uids = b->uids,
        .n = w->n,
        .since = b->folders[w->folder].since};
    return true;
}

void batches_next(struct batches *b, struct batches_todo *out)
{
    free_note(&b->handed_out);
    sweep(b);
    if (next_from_queue(b, out))
        return;
    *out = (struct batches_todo){.what = BATCHES_WAIT};
    if (next_sent(b, out) || batches_next_settlement(b, out))
        return;
    while (batches_cut(b))
        ;
    if (next_window(b, WINDOW_NEW, out) || next_window(b, WINDOW_INTENDED, out))
        return;
    if (!b->windows && b->n_waiting == 0 && (b->is_closed || batches_is_ending(b)))
        *out = (struct batches_todo){.what = BATCHES_OVER, .err = b->is_stopped ? &b->err : NULL};
}
