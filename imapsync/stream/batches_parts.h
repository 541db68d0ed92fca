/* SPDX-License-Identifier: ISC */
/* batches_parts: what the files of batches share among themselves. */
#ifndef IMAPSYNC_STREAM_BATCHES_PARTS_H
#define IMAPSYNC_STREAM_BATCHES_PARTS_H

#include "imapsync/stream/batches.h"

struct item {
    uint32_t uid, size;
    bool has_extras;
};

/* Messages of one folder that wait to be asked for. */
struct run {
    struct run *next;
    uint32_t folder;
    bool is_plain;
    unsigned strikes; /* connections that died of it or of what it is a part of; 0: no suspects */
    bool is_found;    /* has killed alone */
    bool is_unsent;   /* has killed the source */
    struct item *v;   /* from `at` on */
    size_t at, n, cap;
};

struct run_list {
    struct run *first, **end;
};

enum item_state {
    ITEM_ASKED,
    ITEM_TAKEN,   /* is in an append */
    ITEM_LATER,   /* was left out, comes again */
    ITEM_TOO_BIG, /* was left out, for ever */
    ITEM_DONE,    /* has its result, or waits in a run */
};

enum window_state {
    WINDOW_NEW,
    WINDOW_INTENDED,
    WINDOW_READING,
    WINDOW_READ,
};

struct window {
    struct window *next; /* oldest first */
    uint32_t number, folder;
    enum window_state state;
    bool is_plain;
    unsigned strikes;
    bool is_intended;
    bool is_unsent;    /* it has killed the source, with what has not come */
    bool is_last;      /* all others have been tried */
    bool keeps_intent; /* something was sent and nobody knows */
    bool is_refused;   /* the read, for the reason in err */
    struct err err;
    size_t n_appends; /* without their outcome */
    size_t came;      /* the place behind the last body */
    size_t n;
    struct item *items; /* owned */
    uint8_t *states;    /* owned; theirs */
};

struct append {
    struct append *next; /* oldest first, and so they are answered */
    uint32_t number;
    struct window *window;
    bool is_open, is_noted;
    bool is_answered;
    bool is_unsettled; /* it is over, and not with an OK */
    bool is_suspect;   /* the connection may have died of it */
    bool is_ok;
    struct err err; /* unless is_ok */
    uint32_t since; /* its messages have at least this UID */
    uint64_t octets;
    size_t n;
    uint32_t *tgt_uids; /* owned; NULL: not told */
    size_t cap;
    struct batches_sent *sent;       /* owned */
    uint16_t at[BATCHES_WINDOW_MAX]; /* of which item of the window */
};

/* For the journal; the text of result.why is owned. */
struct note {
    struct note *next;
    enum batches_do what;
    uint32_t window;
    struct batches_result result;
    char *why;
};

struct folder_state {
    uint32_t since;
    unsigned n_wide; /* refused in a row for a reason that is said to be wider */
    bool is_refused; /* for the reason in err */
    struct err *err; /* owned */
};

struct batches {
    struct batches_limits limits;
    struct folder_state *folders;
    size_t n_folders;
    struct run_list suspects, runs;
    struct run_list doubtful; /* suspects that have to wait for a proof: see credit */
    struct run *told;         /* suspects that this job leaves behind */
    size_t n_waiting;         /* messages in runs */
    struct window *windows;
    struct append *appends;
    struct append *open;
    bool is_in_body; /* of the last message of the open append */
    struct note *notes, **notes_end;
    struct note *handed_out;
    uint32_t last_window, last_append;
    bool is_closed, is_cancelled, is_stopped; /* stopped for the reason in err */
    bool has_news;                            /* runs may have to be given up */
    struct err err;
    unsigned n_wide; /* folders in a row that were refused like that */
    bool is_settling;
    uint32_t settling; /* folder */
    struct batches_sent *asked;
    size_t n_asked;
    uint32_t *uids;                      /* of the window that was handed out */
    size_t credit;                       /* how many messages may still be set aside */
    uint64_t n_bodies, octets_of_bodies; /* that have been taken */
};

/* --- batches.c: results -------------------------------------------------------------------- */

void batches_tell(struct batches *b, struct batches_result r, const char *why);
/* For the window's item; sets folder, UID and is_plain. */
void batches_tell_item(
    struct batches *b, const struct window *w, size_t at, struct batches_result r, const char *why);
/* What a refusal is about. */
enum batches_reach { REACH_MESSAGE, REACH_FOLDER, REACH_JOB };
enum batches_reach batches_reach(const struct err *err);
void batches_refuse_folder(struct batches *b, uint32_t folder, const struct err *err);
/* One message was refused, alone, for this reason. */
void batches_widen(struct batches *b, uint32_t folder, const struct err *err);
void batches_stop(struct batches *b, const struct err *err);
bool batches_is_ending(const struct batches *b);

/* --- batches_runs.c: what waits --------------------------------------------------------------- */

void run_list_init(struct run_list *l);
void run_list_fini(struct run_list *l);
void run_free(struct run *r);
/* Messages of a window come again, before all others. */
void batches_come_again(
    struct batches *b, const struct window *w, const uint16_t *at, size_t n, bool is_plain);
void batches_halve(struct batches *b, const struct window *w, const uint16_t *at, size_t n);
/* They may have killed their connection. */
void batches_suspect(
    struct batches *b, struct window *w, const uint16_t *at, size_t n, const struct err *err);
/* The same behind the end of the job, for batches_suspects(). */
void batches_leave_suspects(
    struct batches *b, const struct window *w, const uint16_t *at, size_t n);
/* Gives a result to what waits and will not be tried. */
void batches_drop_runs(struct batches *b);
/* Gives its result to what has killed alone. */
void batches_set_aside(struct batches *b);
/* The next window, without its intent yet; false: not now. */
bool batches_cut(struct batches *b);
void batches_window_free(struct window *w);

/* --- batches_answers.c ---------------------------------------------------------------------- */

void batches_append_over(struct batches *b, struct append *a);
void batches_append_free(struct batches *b, struct append *a);
size_t batches_unanswered(const struct batches *b, size_t *n_appends_out);
bool batches_has_unsettled(const struct batches *b);
bool batches_next_settlement(struct batches *b, struct batches_todo *out);
/* Nobody will find out any more. */
void batches_leave_open(struct batches *b, struct append *a, const char *why);

#endif
