/* SPDX-License-Identifier: ISC */
/*
 * imap_open: an open() that is under way, for the three files that it has: what is asked
 * (imap_open.c), what comes (imap_told.c), and whether that is all (imap_whole.c).
 */
#ifndef IMAPSYNC_ENDS_IMAP_OPEN_H
#define IMAPSYNC_ENDS_IMAP_OPEN_H

#include "base/mail/uid_set.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/imap_token.h"
#include "imapsync/imap/outcome.h"

enum open_step {
    OPEN_STEP_OPEN = IMAP_STEP_OWN,
    OPEN_STEP_LIST,  /* all, or what has changed */
    OPEN_STEP_NEW,   /* what the token does not know */
    OPEN_STEP_PART,  /* all, by position */
    OPEN_STEP_UIDS,  /* which ones there are */
    OPEN_STEP_WHOLE, /* those of which only a part was told */
    OPEN_STEP_DATES, /* those that have no date but in their header */
};

/* How often it was opened. */
enum open_turn {
    OPEN_TURN_FIRST,
    OPEN_TURN_AGAIN,  /* its UIDVALIDITY was not the expected one */
    OPEN_TURN_SELECT, /* nor the same at the second look */
};

enum open_way { OPEN_WAY_LIST, OPEN_WAY_FLAGS, OPEN_WAY_CONDSTORE, OPEN_WAY_QRESYNC };

struct open_request {
    struct imap_request r;
    struct end_changes *out;
    enum open_turn turn;
    enum open_way way;
    enum open_step next;
    struct imap_token token;
    uint32_t expected, first_uidvalidity, from;
    struct uid_set known;
    unsigned want;
    bool is_for_writing, is_only_opened;
    bool may_be_brief; /* of a listing the UIDs are enough */
    bool is_open;      /* EXAMINE was answered */
    bool is_ours;      /* by QRESYNC: what comes before the answer is about this folder */
    bool is_deaf;      /* by QRESYNC, and nobody knows what was about which folder */
    bool was_refused;  /* a listing was answered by NO */
    bool was_void;     /* the token */
    bool went_back;    /* its UIDNEXT is below the token's, under the same UIDVALIDITY */
    bool was_cut;      /* the server has answered for a part of the messages only */
    bool has_uids;     /* OPEN_STEP_UIDS was done */
    bool has_gap;      /* of a change it was not told what it is */
    uint64_t portion;  /* messages that the server takes in one command; 0: it tells no number */
    uint64_t by_parts; /* of so many each the last listing by position was; 0: there was none */
    uint64_t part;     /* next position of it */
    uint64_t heard;    /* first position of the part whose answer is the next one */
    size_t n_heard;    /* lines about positions in it */
    uint32_t *partial; /* owned, ascending: of OPEN_STEP_WHOLE, then DATES; NULL: not yet */
    size_t n_partial, partial_sent;
    bool has_asked_dates;
    uint32_t exists;        /* when it was opened, less those that went since */
    bool is_counted;        /* the server has said how many there are */
    uint32_t most_exists;   /* that it has ever said since */
    uint64_t n_gone;        /* UIDs below the token's UIDNEXT that VANISHED has named */
    struct uid_set present; /* that the server has, by OPEN_STEP_UIDS */
    size_t n_present;
    struct imap_outcome refusal;
};

/* Nothing has been told yet. */
void imap_told_clear(struct open_request *q);
bool imap_told(struct imap_request *r, const struct imap_response *resp);

/* Behind the last answer: asks for what is missing, or concludes. */
void imap_whole_finish(struct open_request *q);
/* Everything from the start, as EXAMINE or SELECT. */
void imap_open_again(struct open_request *q, enum open_turn turn);
/* All is listed, and the UIDs are enough. */
bool imap_open_is_brief(const struct open_request *q);
/* More messages than the server takes in one command. */
bool imap_open_is_large(const struct open_request *q);

#endif
