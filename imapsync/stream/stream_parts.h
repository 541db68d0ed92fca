/* SPDX-License-Identifier: ISC */
/*
 * stream_parts: what the files of the stream share among themselves.
 *
 *   stream.c          one pair of ends: what batches.h says is to be done, in its order
 *   stream_all.c      the job: folders to pairs, and all pairs beside each other
 *   stream_more.c     further pairs: how they join
 *   stream_ends.c     the octets, from the source's reads into the target's appends
 *   stream_journal.c  intents, what was sent, results
 */
#ifndef IMAPSYNC_STREAM_STREAM_PARTS_H
#define IMAPSYNC_STREAM_STREAM_PARTS_H

#include "imapsync/stream/batches.h"
#include "imapsync/stream/settle.h"
#include "imapsync/stream/stream.h"

struct stream;
struct stream_all;

/* One read that is on its way. */
struct window {
    struct window *next;
    struct stream *stream;
    uint32_t number, folder;
    uint64_t intent;
    struct end_ticket opening, ticket;
    struct keywords none;
    struct end_changes numbers;
    struct intent_sent *sent; /* owned: what is on its way */
    size_t n_sent;
    bool is_noted; /* all of them are in the journal */
};

struct append {
    struct append *next;
    struct stream *stream;
    uint32_t number, folder;
    struct end_ticket ticket;
    struct end_uids uids;
};

/* What goes over one pair of ends.  The folders' numbers of its machine, of windows and appends,
 * are places in `mine`. */
struct stream {
    struct stream_job *job;
    struct stream_all *all;
    struct batches *batches;
    struct end *source, *target;
    struct window *windows;
    struct append *appends, *open;
    struct sha256 *sha;
    struct canon_reader *canon;
    uint64_t committed_ms;
    uint32_t *mine; /* which of the job's folders it has taken; owned */
    size_t n_mine;
    size_t fed, fed_uids; /* of these, and messages of the next one, that the batches have */
    size_t n_open;        /* messages without their result */
    const struct stream_folder *opened; /* on the source */
    bool is_fed, is_settling, is_writing, is_cancelled;
    bool waits;     /* for its ends; all that was told is in the journal */
    bool is_over;   /* everything has its result, */
    struct err err; /* and why not all was tried; class NONE: it was */
    bool is_lost;
    enum batches_side lost;
    struct settle settle;
    uint32_t *suspects; /* UIDs of the folder that is being fed; owned */
    size_t n_suspects;
};

static inline struct stream_folder *stream_folder_of(struct stream *s, uint32_t folder)
{
    return &s->job->folders[s->mine[folder]];
}

/* A further pair.  Before it joins each side is asked for one of the folders. */
struct stream_joiner {
    struct end *source, *target; /* owned; NULL: it has gone */
    bool is_asked, has_joined;
    struct end_ticket ticket, target_ticket;
    struct folder here, there;
    uint32_t source_validity, target_validity; /* that it has to have */
};

struct stream_all {
    struct stream_job *job;
    struct stream *v[1 + STREAM_MORE_MAX]; /* owned; the first has the job's own ends */
    size_t n;
    size_t next; /* of the job's folders: those before it are taken */
    struct stream_joiner joiners[STREAM_MORE_MAX];
    size_t n_joiners;
};

/* --- One pair (stream.c) --- */

struct stream *stream_new(struct stream_all *all, struct end *source, struct end *target);
/* Tells the job's folders, and its suspects, what came of them. */
void stream_discard(struct stream *s);
/* Until it waits, or is over.  -1: an end is lost, or the journal. */
int stream_go(struct stream *s, struct err *err) ATTR_WUR;
/* Loses its ends; is_to_blame: one has broken by itself.  Everything gets its result. */
void stream_lose(struct stream *s, bool is_to_blame, const struct err *why);

/* --- Folders to pairs (stream_all.c) --- */

/* false: not now; *is_last_out: and never again. */
bool stream_take_folder(struct stream *s, bool *is_last_out);

/* --- Further pairs (stream_more.c) --- */

/* As many as the job has work for. */
void stream_more_begin(struct stream_all *all);
/* Whether one may still join. */
bool stream_more_comes(const struct stream_all *all);
/* Those who are open join. */
void stream_more_join(struct stream_all *all);
/* Those who wait, into ends, which has room for them. */
size_t stream_more_ends(const struct stream_all *all, struct end **ends);
/* false: it is none of theirs. */
bool stream_more_is_gone(struct stream_all *all, const struct end *broken, const struct err *why);
/* Of those that have joined, too. */
void stream_more_end(struct stream_all *all);

/* --- The octets (stream_ends.c) --- */

/* Whether it has something that a target may refuse it for: keywords, or a date out of the
 * ordinary. */
bool stream_has_extras(const struct listed *m);
bool stream_has_keywords(const struct listed *m);
bool stream_has_other_date(const struct listed *m); /* out of the ordinary */
/* Such a date, or one that is still to come: Dovecot stores it as the one of today, and says OK. */
bool stream_has_odd_date(const struct listed *m);
/* The folder that it is in may not be the one that is open. */
void stream_read(struct stream *s, const struct batches_todo *todo);
void stream_forget_append(struct append *a);

/* --- The journal (stream_journal.c) --- */

struct window *stream_window(struct stream *s, uint32_t number);
void stream_forget_window(struct stream *s, struct window *w);
/* What was told since the last one is one transaction. */
int stream_written(struct stream *s, struct err *err) ATTR_WUR;
void stream_put_sent(struct stream *s, const struct batches_todo *todo);
void stream_put_result(struct stream *s, const struct batches_result *r);
void stream_put_intent(struct stream *s, const struct batches_todo *todo);
void stream_drop_intent(struct stream *s, const struct batches_todo *todo);

#endif
