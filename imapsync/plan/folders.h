/* SPDX-License-Identifier: ISC */
/*
 * folders: which folder of the target stands for which of the source: a pure function of the two
 * lists, of the names that the journal keeps, and of whose mailbox it is.
 */
#ifndef IMAPSYNC_PLAN_FOLDERS_H
#define IMAPSYNC_PLAN_FOLDERS_H

#include "base/core/buf.h"
#include "imapsync/plan/folder_rules.h"
#include "imapsync/ends/mailbox.h"

/* All of it is borrowed. */
struct folder_mapping {
    const struct folder_list *source, *target;
    const struct slice *kept; /* by position in source: a name that it has been given before; empty:
                                 none.  NULL: none at all */
    /* The same, where no kept one is equal; names NULL: none at all. */
    const struct folder_map *given;
    const char *salt;                 /* tells this mailbox from others, for ever */
    const struct folder_rules *rules; /* NULL: none */
};

/* Why a folder has the name that it gets. */
enum folder_origin {
    FOLDER_ORIGIN_NONE,     /* it gets none */
    FOLDER_ORIGIN_KEPT,     /* it was given before */
    FOLDER_ORIGIN_SAID,     /* --map */
    FOLDER_ORIGIN_SPECIAL,  /* the target's folder of the same use */
    FOLDER_ORIGIN_BELOW,    /* one above it has another name */
    FOLDER_ORIGIN_PLAIN,    /* its own */
    FOLDER_ORIGIN_LIKE,     /* its own, with digits: another folder has that */
    FOLDER_ORIGIN_FALLBACK, /* one that any server takes */
    FOLDER_ORIGINS,
};

const char *folder_origin_name(enum folder_origin origin); /* "special": for JSON */
const char *folder_origin_text(enum folder_origin origin); /* for people */

/* Target names for all folders of the source, in the same order; NULL pointers for those that are
 * not copied (foreign, left out by a rule).  Distinct folders always get distinct names.
 * Owned by the map. */
struct folder_map {
    struct slice *names;
    unsigned char *origins; /* of enum folder_origin */
    size_t n;
};
void folder_map_make(const struct folder_mapping *in, struct folder_map *out);
void folder_map_fini(struct folder_map *m);
/* Whether it gets a name at all; one without messages (FOLDER_NOSELECT) may, for those below it. */
bool folder_is_mapped(
    const struct folder_list *source, const struct folder *f, const struct folder_rules *rules);

/* Names for a folder whose own name the target does not take, one after the other as it refuses
 * them: where it was to be, and at the top.  Each is a function of the folder alone (its name, its
 * MAILBOXID or else its UIDVALIDITY, the salt), so a journal that is lost finds it again. */
#define FOLDER_FALLBACKS 2
void folder_fallback(const struct folder *f, struct slice wanted, const struct folder_list *target,
    const char *salt, unsigned step, struct buf *out);

/* What it would be called if there were no other folder, added to out. */
void folder_add_plain(const struct folder_mapping *in, const struct folder *f, struct buf *out);
/* The levels of a name from one delimiter to another (-1: none), added to out. */
void folder_add_levels(struct slice rest, int from, int to, struct buf *out);
/* A name for people: decoded when it can be, printable. */
void folder_text(struct slice name, struct buf *out);

#endif
