/* SPDX-License-Identifier: ISC */
/* mailbox: the folders of one user as an end lists them; name.h says which names are one. */
#ifndef IMAPSYNC_ENDS_MAILBOX_H
#define IMAPSYNC_ENDS_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "imapsync/ends/name.h"

enum folder_attr {
    FOLDER_NOSELECT = 1, /* or \NonExistent: a name that only has folders below it */
    FOLDER_SUBSCRIBED = 2,
    FOLDER_NOINFERIORS = 4,
    FOLDER_VIRTUAL = 8,  /* \All, \Flagged, \Important: shows messages that live elsewhere */
    FOLDER_ALL = 16,     /* of these the one that shows everything */
    FOLDER_NO_MAIL = 32, /* a calendar, contacts, tasks, as messages */
};

enum folder_use {
    FOLDER_USE_NONE,
    FOLDER_USE_ARCHIVE,
    FOLDER_USE_DRAFTS,
    FOLDER_USE_JUNK,
    FOLDER_USE_SENT,
    FOLDER_USE_TRASH,
};

enum folder_number {
    FOLDER_HAS_MESSAGES = 1,
    FOLDER_HAS_UIDNEXT = 2,
    FOLDER_HAS_UIDVALIDITY = 4,
    FOLDER_HAS_MODSEQ = 8,
    FOLDER_HAS_OCTETS = 16,
};

struct folder {
    struct slice name; /* owned by the list */
    /* MAILBOXID (RFC 8474): the same whatever the folder's name is; owned by the list.  Empty: not
     * told, or of a folder that is in no list. */
    struct slice id;
    int delimiter;  /* -1: none */
    unsigned attrs; /* of enum folder_attr */
    enum folder_use use;
    unsigned has; /* of enum folder_number; 0: it has no status, or none that can be read */
    uint32_t uidvalidity, uidnext, messages;
    uint64_t modseq; /* HIGHESTMODSEQ; 0: the folder has none */
    uint64_t octets; /* of all its messages: end.wants_octets */
};

#define FOLDER_PREFIXES_MAX 16

struct folder_list {
    struct folder *v;
    size_t n, cap, octets; /* octets: of all names */
    uint32_t *slots;       /* hash table of positions in v, plus one; 0: free */
    size_t n_slots;
    int delimiter;         /* of the personal namespace */
    struct slice personal; /* its prefix: "" or "INBOX."; owned */
    struct slice shown;    /* of another personal namespace, of what Dovecot calls virtual; owned */
    struct slice foreign[FOLDER_PREFIXES_MAX]; /* of other users' and shared folders; owned */
    size_t n_foreign;
    size_t ignored; /* names over a limit, which are reported and left out */
    size_t unread;  /* what was told of folders and could not be read */
    /* For that or another reason there may be more than these, or others: what is not listed need
     * not be gone. */
    bool is_unsure;
};

void folder_set_id(struct folder *f, struct slice id); /* of a list; a copy */

void folder_list_init(struct folder_list *l);
void folder_list_fini(struct folder_list *l);
/* One folder; if it is there already it only gets the attributes and the use.  -1: too many, or too
 * much. */
int folder_list_add(struct folder_list *l, struct slice name, int delimiter, unsigned attrs,
    enum folder_use use, struct err *err) ATTR_WUR;
/* Borrowed until the next one is added. */
struct folder *folder_list_find(const struct folder_list *l, struct slice name);
/* Whether the folder belongs to the user: not below a foreign prefix. */
bool folder_is_own(const struct folder_list *l, const struct folder *f);

#endif
