/* SPDX-License-Identifier: ISC */
/*
 * shown: folders that show messages of others (\All, \Flagged, \Important).  Of what such a folder
 * lists, only messages that no other folder of the source has belong to it: where mail is archived
 * by taking it out of all folders, as Gmail does it, \All is the only place where it is.  Without
 * the others it is a folder like any other, whose messages are copied, moved and deleted.
 *
 *     shown_begin(&s, c, from, f, err);
 *     shown_sift(&s, &listing, err);            UIDs alone; those that are elsewhere go
 *     shown_end(&s);
 *
 * Whether a message is elsewhere its content says: some message of another folder has it.  So of
 * equal ones that are only there one is a message too many, and is left where another folder has
 * one.  The journal remembers the digest of each message that was looked at (journal_shown_put);
 * of a new one it is found out (shown_learn.c) by EMAILID, or by its size and header, of which of
 * the copied ones it is one, and only by reading it where neither tells.
 *
 * Of several such folders \All comes first, and what it has is elsewhere for the others.
 *
 * A pass looks twice.  In the plan of all folders (copy_jobs.c) it takes part with what is known of
 * it, so that a message that gets a label is moved, and one that loses its last one too; behind the
 * copies, when the contents of all others are known, what is new in it is judged.
 *
 * Known weakness: where a message gets another UID in such a folder when it loses its last label,
 * as in Dovecot's virtual folders and not in Gmail, it is deleted and copied instead of moved.
 */
#ifndef IMAPSYNC_COPY_SHOWN_H
#define IMAPSYNC_COPY_SHOWN_H

#include "base/mail/uid_set.h"
#include "imapsync/copy/copy_parts.h"

struct work;
struct works;

/* A folder whose messages are not in `shown`. */
struct shown_place {
    uint32_t id;             /* the journal's */
    bool has_changed;        /* in this pass */
    const struct work *work; /* in whose plan it is; NULL: none */
    const struct folder *folder;
    uint32_t uidvalidity;
};

struct shown {
    struct copy *c;
    const struct folder *f;
    uint32_t id; /* the journal's; 0: it has none */
    struct keywords keywords;
    struct shown_place *places; /* owned; by id */
    size_t n_places;
    /* Contents that are elsewhere, though the journal does not know it yet; owned, sorted. */
    unsigned char (*news)[SHA256_SIZE];
    size_t n_news;
    bool learns;            /* what is not known is found out; else it is left out */
    uint64_t n_unread;      /* out: that could not be, and were left out */
    struct uid_set unknown; /* of the listing */
    struct uid_set refused; /* of these, those that the source does not let be read */
};

/* Whether it is one of those that this is about, and is not left out by a rule. */
bool shown_is(const struct copy *c, const struct folder_list *from, const struct folder *f);
/* The places in `from` of all of them, \All first; owned by the caller. */
uint32_t *shown_all(const struct copy *c, const struct folder_list *from, size_t *n_out);
/* changed: ids, ascending, of folders that have changed in this pass. */
int shown_begin(struct shown *s, struct copy *c, const struct folder_list *from,
    const struct folder *f, const uint32_t *changed, size_t n_changed, struct err *err) ATTR_WUR;
int shown_sift(struct shown *s, struct end_changes *listing, struct err *err) ATTR_WUR;
void shown_end(struct shown *s);

/* Reads what is new in the other folders of a plan and may be what `w` has copied: it has got a
 * label. */
int shown_find_news(
    struct shown *s, struct works *all, const struct work *w, struct err *err) ATTR_WUR;

/* Writes into the journal what is found out of s->unknown (shown_learn.c). */
int shown_learn(struct shown *s, uint32_t uidvalidity, struct err *err) ATTR_WUR;
/* Whether a pair has this message of this folder of the source, and then its content. */
int shown_content(struct shown *s, uint32_t folder, uint32_t uid, struct content *out,
    bool *found_out, struct err *err) ATTR_WUR;

#endif
