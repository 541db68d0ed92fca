/* SPDX-License-Identifier: ISC */
/*
 * batches: what is to be copied, over many folders, cut into reads and appends; what came of each
 * message; and what the journal has to be told, in which order.  A pure machine: no end, no
 * journal, no clock.
 *
 *     struct batches *b = batches_new(&limits);
 *     batches_folder(b, folder);                  once for each, then its messages
 *     batches_add(b, &message); ... batches_close(b);      more while batches_wants(b)
 *     for (;;) {
 *         batches_next(b, &todo);                 do it, until it says WAIT: then wait for the ends
 *         ... batches_body(), batches_appended(), ... as they are told
 *     }
 *
 * A window is one read and one intent: messages of one folder.  Its bodies go into appends as they
 * come.  A window is over when its read and its appends are answered and what the answers leave
 * open is settled; each of its messages has its result then, or comes again in another window.
 *
 *   window    INTENDED -read handed out-> READING -answered-> READ -appends answered, settled->
 * over append    OPEN -ended-> SENT -answered OK-> STORED -answered NO, or lost-> UNSETTLED
 * -settled-> stored | not there
 *
 * Rules that it keeps:
 *   - Results are handed out before the removal of the intent that covers them, and both before
 *     anything is asked of an end.  So what the adapter was handed since the last READ or SETTLE is
 *     one transaction, committed before it goes on with them.
 *   - What was sent is known by digest and size from then on (NOTE), not from its answer on.
 *   - An OK is final.  A message is sent again only when a settlement has said that it is not
 *     there.  What cannot be settled is OPEN, its intent stays, and it is not sent again.
 *   - Whatever is not an OK is settled before anything is concluded from it: servers store and then
 *     say NO, and not every MULTIAPPEND is atomic.  While there is something to be settled nothing
 *     more is asked for, and into its folder nothing is sent; what comes all the same is left out
 *     and asked for again.
 *   - What was refused together comes back in halves until the culprit stands alone.  One message
 *     that was refused is tried once more without keywords and odd date, where it has any; then it
 *     is refused.
 *   - A refusal that is about the folder ends that folder, one that is temporary or about the user
 *     ends the job, in order: what is on its way is answered first.  One that is only said to be
 *     (err.is_wide: servers answer [SERVERBUG] or [OVERQUOTA] to one message that they do not
 *     like) costs the message, until BATCHES_WIDE_MAX messages of the folder, and where it is about
 *     the server as many folders, were refused in a row.
 *   - A lost connection ends the job.  What may have killed it is handed to the next one
 *     (batches_suspects(), suspects.h), where it goes first, and alone on its way: once as it
 *     was, then in halves; one that stands alone and kills twice is set aside.  Each loss
 *     makes that smaller, so jobs come to an end however often their connections die.  Of two
 *     that are set aside one has to be outweighed by a message that was copied: a server on which
 *     everything dies is not the fault of its messages.
 *   - No limit is exceeded, except by a single message, which has to go somewhere.
 */
#ifndef IMAPSYNC_STREAM_BATCHES_H
#define IMAPSYNC_STREAM_BATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/err.h"
#include "base/os/hmac.h"
#include "imapsync/journal/canon.h"
#include "imapsync/journal/item_codes.h"

struct batches;

/* Messages of one read, and of one intent, which is one record of the journal.  Each MULTIAPPEND
 * costs a server work that grows with what the folder has already, 0.8 us a message in Dovecot:
 * into a Maildir of 115,000 small ones each takes 740 us when there are 500 in one, 570 with 1,000,
 * 460 with 2,000 and 400 with 4,000.
 */
#define BATCHES_WINDOW_MAX 2000

/* Messages of a folder, and folders, that are refused in a row before a wide refusal is believed.
 */
#define BATCHES_WIDE_MAX 3

/* Messages that are set aside, one after the other, while nothing else is copied. */
#define BATCHES_CREDIT_MAX 8

struct batches_limits {
    size_t read_max;        /* messages of one read; at most BATCHES_WINDOW_MAX */
    uint64_t read_octets;   /* as the source tells them */
    size_t reads_max;       /* on their way */
    size_t append_max;      /* messages of one append; 1: the target takes them one by one */
    uint64_t append_octets; /* an append that has as many is ended */
    size_t appends_max;     /* begun and not answered; more are left out */
    size_t sent_max;        /* messages of appends that are not answered: where a literal has to
                               wait for its "+", so many wait at most.  What is asked for counts
                               with them, and is no more than two reads and a half */
    uint64_t size_max;      /* a larger message is refused without being sent; 0: none */
    size_t read_few; /* messages of one read while those that have come are large, or none has
                        come; of small ones it has as many as make read_octets.  0: read_max */
};

struct batches_message {
    uint32_t folder; /* the caller's own number, small: there is an array of them */
    uint32_t uid;
    uint32_t size;   /* as the source tells it, 0: not told; only cuts reads */
    bool has_extras; /* keywords, or a date, that a target may refuse a message for */
};

/* What may have killed a connection, of one folder. */
struct batches_suspects {
    size_t n;
    unsigned strikes; /* connections that died of it, or of what it is a part of */
    bool is_unsent;   /* none of them has come from the source */
    bool is_found;    /* it has killed alone: unless it has arrived all the same, it is set aside */
    struct batches_message v[BATCHES_WINDOW_MAX];
};

struct batches *batches_new(const struct batches_limits *limits);
void batches_free(struct batches **b);

/* --- What is to be copied ------------------------------------------------------------------ */

/* since: the target's UIDNEXT before anything was sent; 0: it has told none (Courier, of a folder
 * that was never opened). */
void batches_folder(struct batches *b, uint32_t folder, uint32_t since);
/* And behind what was stored, as far as it has told. */
uint32_t batches_since(const struct batches *b, uint32_t folder);
/* In the order in which they are to go; a UID of a folder once. */
void batches_add(struct batches *b, const struct batches_message *m);
/* Messages that are under suspicion since an earlier connection; they go first. */
void batches_add_suspects(struct batches *b, const struct batches_suspects *v);
/* How many messages may be set aside: one more than were copied, by this job and those before it,
 * which hand it on.  At most BATCHES_CREDIT_MAX; 1 at the beginning. */
size_t batches_credit(const struct batches *b);
void batches_give_credit(struct batches *b, size_t credit);
/* Whether less is waiting than two windows: time for more. */
bool batches_wants(const struct batches *b);
/* No more will be added. */
void batches_close(struct batches *b);
/* Nothing else is begun; what has not been asked for stays OPEN. */
void batches_cancel(struct batches *b);

/* --- What to do next ------------------------------------------------------------------------- */

enum batches_do {
    BATCHES_WAIT,   /* for the ends */
    BATCHES_RESULT, /* journal: `result` */
    BATCHES_FORGET, /* journal: the intent of `window` is over */
    BATCHES_NOTE,   /* journal: `sent` of `window` are on their way */
    BATCHES_INTEND, /* journal: an intent of `window`, with `uids` */
    BATCHES_READ,   /* read `uids` of `folder` */
    BATCHES_SETTLE, /* which of `sent` are on the target?  then batches_settled() */
    BATCHES_OVER,   /* everything has its result; `err` says why if not all was tried */
};

enum batches_outcome {
    BATCHES_STORED,  /* on the target, tgt_uid known */
    BATCHES_SENT,    /* the target has said OK and told no UID */
    BATCHES_REFUSED, /* by the target, or by the source, which does not give it */
    BATCHES_MISSING, /* OK and no body: expunged meanwhile, or listed without being there */
    BATCHES_ASIDE,   /* kills its connection */
    BATCHES_OPEN,    /* not tried, or nobody knows; an intent covers it where it was sent */
};

/* A message that was sent, as it was sent. */
struct batches_sent {
    uint32_t uid;
    uint64_t size; /* of the literal */
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
};

struct batches_result {
    enum batches_outcome outcome;
    uint32_t folder, uid;
    uint32_t tgt_uid, since; /* STORED; and SENT: what was stored has at least this UID */
    bool is_doubtful;        /* STORED: the target has told other UIDs than those that come next */
    bool is_plain;           /* it went without keywords and odd date */
    struct batches_sent sent;
    enum item_code code; /* REFUSED, ASIDE, OPEN: why; */
    const char *why;     /* the words are borrowed until the next call */
};

/* Borrowed until the next call that is not a const one. */
struct batches_todo {
    enum batches_do what;
    uint32_t folder;
    uint32_t window; /* a number that no other window of this job has */
    const uint32_t *uids;
    const struct batches_sent *sent;
    size_t n;       /* of uids or sent */
    uint32_t since; /* SETTLE, INTEND: what arrived has at least this UID */
    struct batches_result result;
    const struct err *err; /* OVER; NULL: all was tried */
};

void batches_next(struct batches *b, struct batches_todo *out);
/* Why the rest of the folder was not tried; NULL: it was.  Borrowed. */
const struct err *batches_folder_err(const struct batches *b, uint32_t folder);

/* --- What the source says ------------------------------------------------------------------ */

struct batches_verdict {
    bool is_taken; /* else its octets are left out */
    bool begins;   /* begin an append for `folder` first, which is to be known as `append` */
    bool is_plain; /* describe it without keywords and odd date */
    uint32_t folder, append;
};

/* Before a body.  true: end the open append, and only then ask the target whether it has room. */
bool batches_body_next(struct batches *b, uint32_t window, uint64_t size);
/* A body begins.  has_room: the target can take it now, in an append of its own if none is open. */
struct batches_verdict batches_body(
    struct batches *b, uint32_t window, uint32_t uid, uint64_t size, bool has_room);
/* The body that was taken has come.  true: end the open append. */
bool batches_body_end(
    struct batches *b, const unsigned char digest[SHA256_SIZE], const struct canon *canon);
/* The read is answered; err NULL: with OK.  true: end the open append. */
bool batches_read_over(struct batches *b, uint32_t window, const struct err *err);
/* Whether the source is better paused: the target has enough to do. */
bool batches_is_full(const struct batches *b);

/* --- What the target says ------------------------------------------------------------------- */

/* An append is answered, perhaps while it is still open; err NULL: with OK, and with n UIDs where
 * they were told (another number than there are messages says nothing). */
void batches_appended(
    struct batches *b, uint32_t append, const uint32_t *tgt_uids, size_t n, const struct err *err);

/* The answer to SETTLE: for each of todo.sent, in that order, its UID on the target, 0: it is not
 * there, UINT32_MAX: nobody can tell.  tgt_uids NULL: it could not be found out, because of err. */
void batches_settled(struct batches *b, const uint32_t *tgt_uids, const struct err *err);

/* --- Lost connections ------------------------------------------------------------------------- */

enum batches_side {
    BATCHES_SOURCE,
    BATCHES_TARGET,
    BATCHES_NEITHER, /* we closed them: nothing of what was on its way is to blame */
};

/* That side's; the other one is closed too, and nothing that was on its way will be answered:
 * results are handed out, then OVER.  Once. */
void batches_lost(struct batches *b, enum batches_side side, const struct err *err);
/* Behind it, and for the next job: the next group of suspects; false: no more. */
bool batches_suspects(struct batches *b, struct batches_suspects *out);

#endif
