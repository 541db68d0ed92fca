/* SPDX-License-Identifier: ISC */
/*
 * changes: what open() tells about a folder, the same whichever way the end found it out: by
 * QRESYNC, by CONDSTORE, by reading all flags, or by reading a directory.
 *
 *   messages   each message that is new or may have changed since the token; without a token, or
 *              with one that was void, every message.  Each with all that was asked for, but of
 *              those that the token knows perhaps only the flags, and of all behind a void one no
 *              sizes.  A message of which the server
 *              has told less, such as flags of one that came meanwhile, is asked for once more or
 *              not told at all: the next token tells it.  Only where a server has no date for a
 *              message that has been there all along it comes with that of its header, or without
 *   vanished   of `known`: those that are not there any more.  Only when is_sure: an end whose
 *              listing is shorter than its own count has asked again, and is no witness
 *   token      to be handed in the next time.  It may only be kept when everything that these
 *              changes ask for was done, or stands in the journal
 */
#ifndef IMAPSYNC_ENDS_CHANGES_H
#define IMAPSYNC_ENDS_CHANGES_H

#include "base/core/buf.h"
#include "base/mail/uid_set.h"
#include "imapsync/ends/flags.h"

#define END_TOKEN_MAX 256 /* octets */

/* What is asked for of each message. */
enum end_want {
    END_WANT_FLAGS = 1,
    END_WANT_DATES = 2,
    END_WANT_SIZES = 4, /* as the server tells them: only good for ordering candidates */
    END_WANT_IDS = 8,   /* EMAILIDs, where the end can */
};

/* One message.  40 octets: there may be half a million. */
struct listed {
    int64_t date_s; /* INTERNALDATE */
    uint32_t uid;
    uint32_t size; /* when asked for; UINT32_MAX for larger ones */
    struct flags flags;
    int16_t zone_min; /* of the date, minutes east of UTC */
    bool has_date : 1, has_flags : 1, has_size : 1;
    bool has_arrival : 1; /* its date is that of its header (arrival.h): there is no better one */
};

struct end_changes {
    struct listed *v; /* by UID, each once */
    size_t n, cap;
    bool is_disordered;  /* while it is being made */
    struct uid_set uids; /* of every message, where only these were to be told */
    size_t n_uids;
    bool is_brief;      /* they were, and v is empty */
    uint32_t *vanished; /* ascending */
    size_t n_vanished, cap_vanished;
    bool is_whole; /* v, or uids, has every message of the folder */
    bool is_sure;  /* else there may be more messages than these, and nothing is known to be gone */
    bool has_unread; /* it is not, since something was told that could not be read */
    uint32_t uidvalidity, uidnext,
        exists;                /* 0: the end does not tell; uidvalidity it always does */
    uint64_t modseq;           /* for end_flags.unchanged_since; 0: none */
    unsigned storable;         /* system flags that last (of enum flag_system); 0: only read */
    bool takes_keywords;       /* new ones as well */
    struct buf kept_words;     /* keywords that last where no new ones do */
    size_t flags_lost;         /* keywords that are none, or over a limit: */
    struct buf lost_words;     /* some of them, each once */
    struct buf token;          /* empty: the end has none for this folder */
    struct buf folder_id;      /* MAILBOXID; empty: not told */
    struct keywords *keywords; /* borrowed, extended */
    struct id_table *ids;      /* of end_changes_id(); NULL: none was told */
};

void end_changes_init(struct end_changes *c, struct keywords *keywords);
void end_changes_fini(struct end_changes *c);
const struct listed *end_changes_find(const struct end_changes *c, uint32_t uid);
/* Whether it is listed, in v or in uids. */
bool end_changes_have(const struct end_changes *c, uint32_t uid);
/* For those who write an end.  One more word about a message, in any order; false: more than
 * MESSAGES_MAX.  Behind the last one finish() sorts; of several words about a message each counts
 * for what it tells, the last one for what several tell. */
bool end_changes_add(struct end_changes *c, const struct listed *m) ATTR_WUR;
void end_changes_finish(struct end_changes *c);
/* The same for what is told briefly: each of the range. */
bool end_changes_add_uids(struct end_changes *c, struct uid_range range) ATTR_WUR;
/* Which of enum end_want, FLAGS, DATES and SIZES, are wanted and not told. */
unsigned end_listed_lacks(const struct listed *m, unsigned want);
/* The flags of a message as words, into the bits of `keywords`; those that have none count as lost.
 */
void end_changes_take_flags(struct end_changes *c, struct slice words, struct flags *out);
/* What lasts in this folder, of the system flags and of all keywords that have a bit. */
struct flags end_changes_storable(const struct end_changes *c);
/* The EMAILID of a message, among its words. */
void end_changes_add_id(struct end_changes *c, uint32_t uid, struct slice id);
/* Messages, UIDs, IDs and vanished ones are forgotten. */
void end_changes_clear(struct end_changes *c);
/* Tells the vanished from a whole and sure listing. */
void end_changes_miss(struct end_changes *c, const struct uid_set *known);
/* One more of them. */
void end_changes_add_vanished(struct end_changes *c, uint32_t uid);
/* The EMAILID of v[i] (RFC 8474): the same wherever the message is moved.  Empty: none was told.
 * Borrowed from the changes, once these are there. */
struct slice end_changes_id(const struct end_changes *c, size_t i);

#endif
