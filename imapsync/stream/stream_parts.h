/* SPDX-License-Identifier: ISC */
/*
 * stream_parts: what the files of the stream share among themselves.
 *
 *   stream.c          the job: what batches.h says is to be done, in its order
 *   stream_ends.c     the octets, from the source's reads into the target's appends
 *   stream_journal.c  intents, what was sent, results
 */
#ifndef IMAPSYNC_STREAM_STREAM_PARTS_H
#define IMAPSYNC_STREAM_STREAM_PARTS_H

#include "imapsync/stream/batches.h"
#include "imapsync/stream/settle.h"
#include "imapsync/stream/stream.h"

struct stream;

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

struct stream {
    struct stream_job *job;
    struct batches *batches;
    struct end *source, *target;
    struct window *windows;
    struct append *appends, *open;
    struct sha256 *sha;
    struct canon_reader *canon;
    uint64_t committed_ms;
    size_t fed, fed_uids; /* folders, and messages of the next one, that the batches have */
    const struct stream_folder *opened; /* on the source */
    bool is_fed, is_settling, is_writing, is_cancelled;
    bool is_lost;
    enum batches_side lost;
    struct settle settle;
    uint32_t *suspects; /* UIDs of the folder that is being fed; owned */
    size_t n_suspects;
};

static inline struct stream_folder *stream_folder_of(struct stream *s, uint32_t folder)
{
    return &s->job->folders[folder];
}

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
