/* SPDX-License-Identifier: ISC */
/*
 * folders: the folders of a mailbox, and which folder of the target stands for which of the source.
 * Names are bytes as on the wire (modified UTF-7).
 */
#ifndef IMAPSYNC_COPY_FOLDERS_H
#define IMAPSYNC_COPY_FOLDERS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "imapsync/imap/response.h"

enum folder_attr {
    FOLDER_NOSELECT = 1, /* or \NonExistent: a name that only has folders below it */
    FOLDER_SUBSCRIBED = 2,
    FOLDER_NOINFERIORS = 4,
    FOLDER_VIRTUAL = 8, /* \All, \Flagged: shows messages that live elsewhere */
};

enum folder_use {
    FOLDER_USE_NONE,
    FOLDER_USE_ARCHIVE,
    FOLDER_USE_DRAFTS,
    FOLDER_USE_JUNK,
    FOLDER_USE_SENT,
    FOLDER_USE_TRASH,
};

struct folder {
    struct slice name; /* owned by the list */
    int delimiter;     /* -1: none */
    unsigned attrs;    /* of enum folder_attr */
    enum folder_use use;
    unsigned has_status; /* of enum imap_status_item */
    uint32_t uidvalidity, uidnext, messages;
    uint64_t highestmodseq;
};

#define FOLDER_PREFIXES_MAX 16

struct folder_list {
    struct folder *v;
    size_t n, cap;
    uint32_t *slots; /* hash table of positions in v, plus one; 0: free */
    size_t n_slots;
    int delimiter;                             /* of the personal namespace */
    struct slice personal;                     /* its prefix: "" or "INBOX." */
    struct slice foreign[FOLDER_PREFIXES_MAX]; /* prefixes of other users' and shared folders */
    size_t n_foreign;
    size_t ignored; /* names over a limit, which are reported and left out */
};

void folder_list_init(struct folder_list *l);
void folder_list_fini(struct folder_list *l);
/* Takes a LIST response in; the second one about a name only adds attributes. */
int folder_list_add(
    struct folder_list *l, const struct imap_mailbox_data *m, struct err *err) ATTR_WUR;
struct folder *folder_list_find(const struct folder_list *l, struct slice name);
/* Whether the folder belongs to the user: not below a foreign prefix. */
bool folder_is_own(const struct folder_list *l, const struct folder *f);
const char *folder_use_name(enum folder_use use); /* "\\Sent", NULL for NONE */

/* Target names for all folders of the source, in the same order; NULL pointers for those that are
 * not copied (foreign, virtual).  Distinct folders always get distinct names.  Owned by the map. */
struct folder_map {
    struct slice *names;
    bool *is_kept; /* names that were given before and stay */
    size_t n;
};
void folder_map_make(
    const struct folder_list *source, const struct folder_list *target, struct folder_map *out);
/* The name of a folder from an earlier run; then, with all of them, folder_map_settle(). */
void folder_map_keep(struct folder_map *m, size_t i, struct slice name);
void folder_map_settle(struct folder_map *m);
void folder_map_fini(struct folder_map *m);

/* The same name with "_" for every character that some server refuses, and with a number where
 * another folder of the map or of the target has that name; false when there is no such character.
 * out is empty before. */
bool folder_safe_name(struct slice name, const struct folder_map *map,
    const struct folder_list *target, struct buf *out);

/* A name for people: decoded when it can be, printable. */
void folder_text(struct slice name, struct buf *out);

#endif
