/* SPDX-License-Identifier: ISC */
/* copy_parts: what the files of the copy share among themselves. */
#ifndef IMAPSYNC_COPY_COPY_PARTS_H
#define IMAPSYNC_COPY_COPY_PARTS_H

#include "imapsync/copy/amounts.h"
#include "imapsync/apply/apply.h"
#include "imapsync/copy/copy.h"
#include "imapsync/copy/filtered.h"
#include "imapsync/plan/past.h"
#include "imapsync/stream/suspects.h"
#include "imapsync/copy/tell.h"
#include "imapsync/ends/aside.h"
#include "imapsync/ends/dry_end.h"

struct copy {
    const struct end_maker *source, *target;
    struct copy_options options;
    const struct copy_events *events;
    void *arg;
    struct journal *journal;
    struct dry_maker dry; /* in front of the target, where nothing is to be changed */
    struct end *from, *to;
    const struct end_maker *silent;
    const struct past *past; /* behind a flip; NULL: nobody knows */
    bool has_told_lost, has_metadata;
    uint64_t n_lost; /* folders that the source does not list any more, of the last look */
    struct amounts_weighed weighed;
    struct suspects suspects;
    size_t n_more;                     /* further connections that are tried */
    struct aside aside_from, aside_to; /* folders at which connections were lost */
    unsigned n_aside;                  /* how often one of them was put aside */
    struct tell tell;
    struct filtered filtered; /* of the last pass */
    bool backs_off;
    bool is_sampled;
    uint8_t unchecked[8]; /* of a first pass, by system flag: copies still to be looked at */
    bool is_claimed;      /* both ends as they are open now, by their claims */
    bool is_told_apart;   /* its ends, from each other and from the administrator's: whose.h */
    bool has_died;        /* the connection of this pass, while contents were read for a plan: */
    unsigned n_died;      /* so many passes: copy_reads() */
};

/* Folders that are asked about at once, and messages of theirs; a folder that has more is looked at
 * in portions (options.portion). */
#define COPY_FOLDERS_AT_ONCE 128
#define COPY_MESSAGES_AT_ONCE 20000
/* New messages for which a further connection is begun, unless options say another number. */
#define COPY_CONNECTION_MESSAGES 200
/* Folders that the journal knows nothing of, and that are planned in one go. */
#define COPY_NEW_AT_ONCE 1000

/* Whether contents are read for a plan.  One connection may be lost by chance; what the next one
 * dies of as well is only read to be copied, where it is found out which message it is. */
static inline bool copy_reads(const struct copy *c)
{
    return c->n_died < 2;
}

/* What has to be known of a message that may be copied, besides its flags and its date. */
static inline unsigned copy_wants(const struct copy *c)
{
    return filter_wants(&c->options.filter) | (c->options.is_dry ? END_WANT_SIZES : 0);
}

/* What the connections have died of, before they are closed. */
void copy_note_loss(struct copy *c, bool is_comparison);

/* For struct copy_folder. */
static inline int64_t copy_octets_of(const struct folder *f)
{
    return f && f->has & FOLDER_HAS_OCTETS ? (int64_t)f->octets : -1;
}

static inline void copy_looked(const struct copy *c, const struct copy_looked *l)
{
    if (c->events->looked)
        c->events->looked(c->arg, l);
}

struct work;   /* folder_parts.h */
struct making; /* copy_make.c */
struct twins;  /* copy_target.c */
struct works;  /* folder_parts.h */

struct pass {
    enum plan_policy_id policy;
    bool has_known;         /* the journal knows some of the folders */
    bool is_fresh;          /* the roles were exchanged, and no pass was through since: turn.h */
    bool is_owed_hidden;    /* a folder that the target was restored in could not be looked at */
    bool has_failed;        /* some folder as a whole, even if that was accepted */
    bool is_unseen;         /* some of the target was not looked at, so it stays fresh */
    bool finds_alone;       /* pairs that stand alone on the target take part */
    bool is_all;            /* every folder that the source lists is known or looked at */
    size_t n_unchanged;     /* messages of folders that are not looked at */
    bool is_source_doubted; /* it shows nothing at all, and nobody has said that this is right */
    struct amounts amounts;
    struct copy_counts *counts;
    const struct folder_list *from;
    const struct folder_map *map;
    struct apply_open open;    /* folders that must not be planned */
    const struct work *opened; /* whose folder the source has open */
    size_t n_window;           /* folders that are planned together */
    struct works *works;       /* these */
    /* Folders that have changed in this pass: ids of the journal, ascending; owned. */
    uint32_t *changed;
    size_t n_changed;
    bool learns; /* behind all copies: what folders that show those of others have is found out */
    /* Folders of the journal that the source does not list any more; owned. */
    struct journal_folder *lost;
    size_t n_lost;
    struct folder_list
        *there;            /* of the target: those before the pass, and those it made at first */
    struct making *making; /* these, as long as they are on their way; owned; NULL: none */
    struct twins *twins;   /* once a name was refused; owned; NULL: not yet */
};

bool copy_is_broken(const struct copy *c);
bool copy_is_cancelled(const struct copy *c);
int copy_check_cancelled(const struct copy *c, struct err *err) ATTR_WUR;
/* Whether the next folder's turn can come after this error of one folder. */
bool copy_is_exception(const struct copy *c, const struct err *err);
/* As copy_tell(), of a folder. */
bool copy_tell_folder(struct copy *c, enum item_code code, struct slice folder, const char *why);
/* And counts. */
void copy_folder_failed(
    struct copy *c, struct pass *p, enum item_code code, struct slice folder, const char *why);
/* One folder that has changed: source and target are its status on either side, the record is kept
 * up to date and written.  A target with UIDVALIDITY 0 is not there and is made when there is
 * something to put into it. */
struct copy_job {
    bool is_lost; /* the source does not list it */
    /* The target's is on its way, or was when the job was made: target has no more than its name.
     */
    bool is_awaited;
    enum folder_origin origin; /* of the target's name */
    const struct folder *source;
    struct folder target;
    struct journal_folder record;
};
/* The whole of them.  What fails in one folder only is told. */
int copy_folders(
    struct copy *c, struct pass *p, struct copy_job *jobs, size_t n, struct err *err) ATTR_WUR;
/* Which folder is which: renames on the target what was renamed on the source, begins to make there
 * what was made,
 * leaves the target's names in the map, and finds what is lost. */
int copy_names(struct copy *c, struct pass *p, const struct folder_list *from,
    struct folder_map *map, struct err *err) ATTR_WUR;
/* What the target's user calls a folder of the journal now. */
struct slice copy_name_there(const struct folder_list *there, const struct journal_folder *f);
/* Whether it is not there (any more), and what has its name there is another one of the journal's.
 */
bool copy_is_anothers(const struct folder_list *there, const struct journal_folder *known,
    size_t n_known, const struct journal_folder *f);
/* Folders that the target is to get: added, then begun together.  finish() waits for the target and
 * puts those that are there into p->there; without any it does nothing. */
void copy_make_add(struct pass *p, struct slice name, enum folder_use use, bool is_subscribed);
int copy_make_begin(struct copy *c, struct pass *p, struct err *err) ATTR_WUR;
bool copy_is_making(const struct pass *p, struct slice name);
int copy_make_finish(struct copy *c, struct pass *p, struct err *err) ATTR_WUR;
void copy_make_fini(struct pass *p); /* when nothing of it is on its way */
/* Which of them went back (restored.h): of the journal's, `known` and what is lost. */
int copy_find_restored(struct copy *c, struct pass *p, const struct folder_list *from,
    struct journal_folder *known, size_t n_known, struct err *err) ATTR_WUR;
/* The folders of both sides, in one round trip. */
int copy_list_both(
    struct copy *c, struct folder_list *from, struct folder_list *there, struct err *err) ATTR_WUR;
/* What is not copied, because a rule says so or since it has no mail. */
void copy_tell_left_out(struct copy *c, struct pass *p, const struct folder_list *from);
/* All folders that may have changed, in as many plans as it takes. */
int copy_all_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err) ATTR_WUR;
/* As it is listed on the target; NULL: it is not, or has no messages ever. */
struct folder *copy_find_target(const struct pass *p, const struct journal_folder *record);
/* Makes the folder on the target when it is not there, under another name when it refuses that of
 * the record; *out is its STATUS. */
int copy_folder_on_target(struct copy *c, struct pass *p, const struct folder *f,
    struct journal_folder *record, struct folder *out, struct err *err) ATTR_WUR;
void copy_twins_fini(struct pass *p);

#endif
