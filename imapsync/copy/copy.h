/* SPDX-License-Identifier: ISC */
/*
 * copy: one mailbox into another, again and again: each pass carries over what is new.
 *
 *     copy_new(&source, &target, dir, &options, &events, arg, &c, err);
 *     while (...) copy_pass(c, PLAN_MIRROR, &counts, err);
 *     copy_free(&c);
 *
 * A pass that fails leaves the journal so that the next one goes on where it ended; connections
 * are opened again when needed.
 */
#ifndef IMAPSYNC_COPY_COPY_H
#define IMAPSYNC_COPY_COPY_H

#include "imapsync/plan/filter.h"
#include "imapsync/copy/acls.h"
#include "imapsync/plan/folders.h"
#include "imapsync/journal/journal.h"
#include "imapsync/plan/plan.h"
#include "imapsync/copy/report.h"
#include "imapsync/ends/end.h"

/* Whoever signs in for others may have a mailbox too, which a server that ignores for whom he does
 * gives him in place of theirs. */
struct copy_admin {
    const struct end_maker *own;   /* how his is opened; NULL: there is no such person */
    const struct end_maker *wrong; /* the same, with a password that is not his */
    const char *state;             /* state_dir.h's BASE, where what is found is kept for a day */
};

#define COPY_CONNECTIONS_MAX 8 /* of each side */

struct copy_options {
    struct copy_admin source_admin, target_admin;
    unsigned delete_percent; /* of the mailbox in one pass; 0: nothing is deleted */
    bool no_subscriptions, no_metadata;
    struct acl_names acls;
    struct folder_rules folders; /* borrowed for the life of the copy */
    uint64_t settle_ms; /* how long a batch may still turn up after its connection was lost */
    const struct wait_limits *limits; /* of every wait; NULL: none */
    /* Messages of one folder that are listed and planned at once, as far as can be; 0: a number
     * that keeps the memory small and the round trips few. */
    size_t portion;
    bool is_thorough; /* each pass asks for quotas (amounts.h), and not only the first copy */
    uint32_t accept;  /* 1 << enum item_code: these are accepted when they are told */
    struct filter filter;
    bool is_newest_first; /* in each folder, message by message */
    /* Of each side, for a copy of many folders; 0 and 1: one.  Further ones are begun for so many
     * messages each (0: a number for which it is worth a sign-in). */
    unsigned connections;
    size_t connection_messages;
    bool wants_octets; /* of folders, for who is told of them: see struct end */
    bool is_dry; /* everything is looked at and planned, and nothing done: events, counts and items
                    tell what would be.  The journal stays as it was */
};

/* What a pass has done in one folder, or, dry, would do. */
struct copy_folder {
    struct slice source, target; /* names on the wire; target empty: it is not copied */
    enum folder_origin origin;
    const char *left_out; /* why it is not copied; NULL: it is */
    bool is_made;         /* on the target, by this pass */
    bool is_lost;         /* the source does not list it any more */
    bool has_failed;
    uint32_t messages, messages_there;    /* of both sides before, as they count */
    int64_t all_octets, all_octets_there; /* of these messages; -1: not told */
    uint64_t copied, octets, adopted, filtered, failed, flags, moved, deleted, kept, withheld;
};

struct copy_looked {
    bool is_comparison;  /* else the looks of a pass */
    struct slice folder; /* on the wire */
    uint64_t done, total;
};

/* One that was copied. */
struct copy_message {
    struct slice folder; /* of the source, on the wire */
    uint32_t uid;
    uint64_t octets;
    bool has_date;
    int64_t date_s;
};

/* What a comparison has found of one folder. */
struct copy_compared {
    struct slice source, target;             /* names on the wire */
    uint64_t messages, different, gone;      /* messages: of the source, as far as they count */
    uint32_t source_uidvalidity, source_uid; /* the highest; 0: it is empty */
    const uint32_t *missing; /* ascending UIDs of the source that are not on the target */
    size_t n_missing;
};

struct copy_events {
    void (*progress)(void *arg, const struct copy_counts *counts);
    void (*exception)(void *arg, const struct copy_exception *e);
    /* A pass was through, and items are open, told in it or before: the heaviest. NULL: nobody
     * asks.
     */
    void (*open)(void *arg, const struct copy_exception *e);
    /* Somebody wants it to end, now and for ever; the pass then fails with ERR_TEMP. NULL: never.
     */
    bool (*is_cancelled)(void *arg);
    /* Looks whether an end that was opened leads to the right mailbox.  NULL: whoever asks knows.
     */
    int (*claim)(void *arg, struct end *e, bool is_target, struct err *err);
    /* Of each message that was copied, before the progress that it makes.  NULL: nobody asks. */
    void (*message)(void *arg, const struct copy_message *m);
    /* Of each folder, when a pass is through with it.  NULL: nobody asks. */
    void (*folder)(void *arg, const struct copy_folder *f);
    /* A folder was renamed on the target, or, dry, would be.  NULL: nobody asks. */
    void (*renamed)(void *arg, struct slice from, struct slice to);
    /* While a pass looks at what there is, and while a comparison reads: so many messages of so
     * many.  NULL: nobody asks. */
    void (*looked)(void *arg, const struct copy_looked *l);
    /* A pass has broken off, and the next one begins from the first folder.  NULL: nobody asks. */
    void (*again)(void *arg);
    /* A comparison is through with a folder that both sides have listed.  NULL: nobody asks. */
    void (*compared)(void *arg, const struct copy_compared *folder);
};

struct copy;
struct past; /* past.h */

/* All is borrowed for the life of the copy but dir. */
int copy_new(const struct end_maker *source, const struct end_maker *target, const char *dir,
    const struct copy_options *options, const struct copy_events *events, void *arg,
    struct copy **out, struct err *err) ATTR_WUR;
void copy_free(struct copy **c); /* logs out */

/* One pass over all folders.  Adds to *counts.  0 even when single messages or folders could not be
 * carried over (messages_failed, folders_failed); -1 when the pass as a whole could not go on. */
int copy_pass(struct copy *c, enum plan_policy_id policy, struct copy_counts *counts,
    struct err *err) ATTR_WUR;
/* From then on what was refused is not tried with every pass, but when it is due (items.h). */
void copy_back_off(struct copy *c, bool backs_off);
/* Signs in on both sides and nothing else: are the credentials right? */
int copy_connect(struct copy *c, struct err *err) ATTR_WUR;
/* As copy_connect(), and before the first copy refuses two ends that lead to one mailbox, and one
 * that leads to the administrator's in place of its user's. */
int copy_connect_apart(struct copy *c, struct err *err) ATTR_WUR;
/* Asks the claims of both ends, whatever was found before. */
int copy_claim(struct copy *c, struct err *err) ATTR_WUR;
/* The same, unless both connections are those of the last time. */
int copy_claim_again(struct copy *c, struct err *err) ATTR_WUR;
/* The label of the end that did not answer when copy_connect(), or a pass, wanted to open a
 * connection to it; NULL: that is not why it failed, if it did. */
const char *copy_silent_server(const struct copy *c);
/* What both sides have by now: each folder that they list.  Both connections end with it. */
int copy_count(struct copy *c, void (*each)(void *arg, bool is_target, const struct folder *f),
    void *arg, struct err *err) ATTR_WUR;
/* Drops both connections; the next pass opens new ones. */
void copy_disconnect(struct copy *c);

/* Who says what is late mail in passes behind a flip, and who is told of each pair (journal.h);
 * borrowed.  Without one nothing is late. */
void copy_behind_flip(struct copy *c, const struct past *past, const struct journal_watch *watch);
/* The contents of all messages that the journal knows: journal_digests(). */
int copy_inventory(struct copy *c,
    int (*each)(void *arg, const unsigned char *head, struct err *err), void *arg,
    struct err *err) ATTR_WUR;

/* --- Verification ---------------------------------------------------------------------- */

/* Compares what the source lists with the journal and the target.  with_content: reads every
 * message of the target that was not found right before, and compares its SHA-256 with
 * the one that was copied. */
enum copy_scope {
    COPY_ALL,     /* lists every folder on both sides */
    COPY_ANEW,    /* and reads what was compared before once more */
    COPY_CHANGED, /* but those whose status is what it was when they were compared with content */
};

int copy_verify(struct copy *c, enum copy_scope scope, bool with_content, struct copy_verdict *out,
    struct err *err) ATTR_WUR;

#endif
