/* SPDX-License-Identifier: ISC */
/*
 * report: what the passes and comparisons of one mailbox have found out, as one value; what each of
 * its numbers weighs; and its one shape in JSON.
 *
 *     report_begin(&r);                       before each pass and each comparison
 *     ... report_item(&r, &exception) ...
 *     report_pass(&r, &counts);
 *     if (report_judge(&r, REPORT_MOVE, NULL, &err) == REPORT_LOSS) ...
 *
 * Some numbers are sums over all passes (copied), some are what the last pass has left open
 * (failed, withheld): which is which stands in the table of report.c.
 */
#ifndef IMAPSYNC_COPY_REPORT_H
#define IMAPSYNC_COPY_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "imapsync/journal/item_codes.h"

#define REPORT_EXIT_EXCEPTIONS 1 /* done, and somebody has to look at something */
#define REPORT_ITEMS_MAX 1000    /* kept; all are counted */

/* Of one pass. */
struct copy_counts {
    uint64_t folders, folders_failed, folders_unchanged;
    uint64_t folders_vanished;    /* copied once, and not listed by the source any more */
    uint64_t folders_left_out;    /* they have no mail, or a rule leaves them out */
    uint64_t folders_not_renamed; /* the target has refused it: their messages are moved instead */
    uint64_t folders_short;       /* the source has listed fewer messages than it counts */
    uint64_t messages_total;      /* that the source has, where it tells */
    uint64_t messages_copied, octets_copied;
    uint64_t messages_same;    /* were there already */
    uint64_t messages_adopted; /* found on the target by content */
    uint64_t messages_failed;
    uint64_t messages_reduced;  /* copied without their keywords, or with another date */
    uint64_t messages_left_out; /* of folders_left_out */
    uint64_t messages_filtered; /* not copied because of a filter, and not accepted */
    uint64_t flags_changed, messages_moved, messages_deleted, messages_kept;
    uint64_t messages_away; /* copied once, and removed on the target by its user */
    uint64_t keywords_lost;
    uint64_t lines_odd;    /* of a server, that could not be read, or not as a whole */
    uint64_t lines_unread; /* of those what may have been about folders or messages, and is lost */
    uint64_t deletions_withheld; /* messages: too many, or the target cannot remove single ones */
    uint64_t subscriptions_failed;
    /* In the journal when a pass was through, whether that pass has told them or not. */
    uint64_t items_loss, items_withheld, items_changed, items_accepted;
};

/* Of one comparison. */
struct copy_verdict {
    uint64_t messages;  /* of the source */
    uint64_t missing;   /* of the source, not on the target */
    uint64_t different; /* on the target with other content */
    uint64_t gone;      /* deleted on the target by its user, or by someone else */
    uint64_t extra;     /* on the target and not from us */
};

/* Something that was not carried over: uid 0: the folder itself. */
struct copy_exception {
    enum item_code code;
    const char *folder; /* for people */
    uint32_t uid;
    const char *why;
};

struct report_item {
    enum item_code code;
    char *folder, *why; /* clean: text.h */
    uint32_t uid;
};

struct report {
    struct copy_counts n;
    bool has_verdict;
    struct copy_verdict verdict;
    struct report_item *items; /* of the last pass or comparison */
    size_t n_items;
    uint64_t n_found;        /* with those that are not kept */
    struct report_item open; /* of the last pass: the heaviest that is open; folder NULL: none */
};

void report_fini(struct report *r); /* a zeroed report is an empty one */
/* A pass or a comparison begins: forgets items and verdict of the one before. */
void report_begin(struct report *r);
void report_item(struct report *r, const struct copy_exception *e);
/* Before report_pass(): an item that is open, whether it was told in this pass or before. */
void report_open(struct report *r, const struct copy_exception *e);
void report_pass(struct report *r, const struct copy_counts *n);
void report_verdict(struct report *r, const struct copy_verdict *v);
/* The counts of a pass that has broken off, before it is begun again: what only the last look
 * counts is counted anew. */
void report_repeat(struct copy_counts *n);

/* --- What it weighs --- */

enum report_weight {
    REPORT_SILENT,
    REPORT_TOLD,      /* everything is in order, and somebody may want to know */
    REPORT_EXCEPTION, /* done, but not exactly: an exit status, an open matter */
    REPORT_LOSS,      /* not done: no user is moved like that */
};

enum report_for {
    REPORT_COPY, /* whose target may have users of its own */
    REPORT_MOVE, /* whose target has to be what the source is */
};

/* The heaviest weight in it.  EXCEPTION and LOSS set err to what it is and what to do about it.
 * since: sums count from there; NULL: from the beginning. */
enum report_weight report_judge(
    const struct report *r, enum report_for who, const struct copy_counts *since, struct err *err);
/* What weighs `from` or more, as one sentence without an end; nothing when there is nothing. */
void report_text(const struct report *r, enum report_for who, enum report_weight from,
    const struct copy_counts *since, struct buf *out);

/* --- JSON --- */

/* {each number, "exceptions": [{code, class, folder, uid, error}], "exceptions_total", "verified":
 * {...}} */
json_t *report_json(const struct report *r, size_t items_max);
json_t *report_item_json(const struct report_item *item);
/* Absent numbers are 0. -1: it is not a report. */
int report_from_json(const json_t *json, struct report *out) ATTR_WUR;

#endif
