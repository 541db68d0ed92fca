/* SPDX-License-Identifier: ISC */
/*
 * listing: what a server says is in a folder: UIDs with flags and dates, sorted, in one flat array,
 * so that 100,000 messages take 5 MB.
 */
#ifndef IMAPSYNC_COPY_LISTING_H
#define IMAPSYNC_COPY_LISTING_H

#include "base/core/err.h"
#include "imapsync/copy/flags.h"
#include "imapsync/imap/conn.h"

struct listed {
    uint32_t uid;
    int16_t zone_min; /* of the date, minutes east of UTC */
    bool has_date;
    uint32_t size;  /* RFC822.SIZE when asked for; UINT32_MAX for larger ones */
    int64_t date_s; /* INTERNALDATE */
    struct flags flags;
};

struct listing {
    struct listed *v;
    size_t n, cap;
    struct keywords *keywords; /* borrowed, extended */
    size_t flags_lost;
    uint32_t uidvalidity, uidnext, exists;
    uint64_t highestmodseq;           /* 0: the folder has none */
    uint32_t opened_with, n_expunged; /* messages when it was opened, and gone since */
    bool is_disordered;               /* UIDs came in another order than ascending */
    bool is_overfull;
};

void listing_init(struct listing *l, struct keywords *keywords);
void listing_fini(struct listing *l);
void listing_add(struct listing *l, const struct imap_fetch_data *f);
/* Sorts, and takes repeated UIDs once.  -1: more than IMAP_MESSAGES_MAX. */
int listing_finish(struct listing *l, struct err *err) ATTR_WUR;
/* Whether every message was listed that the server has counted; of a listing from 1 on. */
bool listing_is_whole(const struct listing *l);
const struct listed *listing_find(const struct listing *l, uint32_t uid);

/* EXAMINE, and the messages from UID `from` on with the given FETCH items ("FLAGS INTERNALDATE");
 * in one round trip.  A folder that cannot be opened is an error with scope FOLDER. */
int listing_fetch(struct imap_conn *c, struct slice folder, uint32_t from, const char *items,
    struct listing *out, struct err *err) ATTR_WUR;

/* INTERNALDATE in both directions. false: not a date. */
bool listing_parse_date(struct slice text, int64_t *s_out, int16_t *zone_min_out);
int listing_format_date(int64_t s, int16_t zone_min, struct buf *out) ATTR_WUR;

#endif
