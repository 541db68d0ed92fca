/* SPDX-License-Identifier: ISC */
/*
 * marks: what a flip must know for ever about one user, so that nothing comes back behind it,
 * whatever becomes of the journal, of UIDVALIDITYs and of folders on old.  Pure: values, their
 * octets, and the decision; marks_store.h keeps them.
 *
 *   mark      of each folder of old: the highest UID that the verified comparison has listed, under
 *             which UIDVALIDITY.  It listed every message there was, so what stands below was
 *             looked at; never a number that a STATUS has told
 *   owed      the UIDs below the mark that had not been copied then
 *   places    the UIDs above the mark, and those of folders without one, that have a pair since
 *   counts    of each content how many messages there ever were on old
 *
 * Behind the flip a message of old is late, and is copied, when it is
 *
 *   - owed; or
 *   - in no known place, and the pass meets more messages with this content in such places than
 *     there ever were on old.
 *
 * Everything else was there before: copied, renamed, restored or numbered anew, and what new's user
 * has made of it is his affair.
 *
 * marks_learn() is told of each pair before the journal has it (journal_watch()).  So a message
 * that is in no known place has certainly no pair, nor had one in a journal that was lost; and one
 * that is, has been taken by new, even where the journal's commit never came.
 */
#ifndef IMAPSYNC_MOVE_MARKS_H
#define IMAPSYNC_MOVE_MARKS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "imapsync/move/marks_counts.h"
#include "imapsync/move/marks_uids.h"

#define MARKS_FOLDERS_MAX (200u << 10)
#define MARKS_SIZE_MAX (256u << 20) /* of the folders' encoded form, and of one change */
#define MARKS_KEY_SIZE 8            /* octets of a SHA-256 that are kept */

struct marks_folder {
    struct slice name; /* on the wire; owned */
    uint32_t uidvalidity;
    uint32_t uid;   /* the mark; without one: the highest when it was first looked at */
    bool has_mark;  /* it was compared before the flip */
    uint32_t *owed; /* ascending; owned */
    size_t n_owed;
    struct marks_uids places;
};

/* A zeroed one is empty. */
struct marks {
    struct marks_folder *folders; /* by name */
    size_t n_folders, room;
    struct marks_counts counts;
    bool is_anew; /* what was there before the flip is lost, and not all has been told yet */
    /* How often a content that counts does not have was there; NULL: never. */
    int (*stored)(void *arg, uint64_t key, uint32_t *ever_out, struct err *err);
    void *arg;
    struct buf changes;                /* not stored yet; take with marks_changes() */
    const unsigned char *changes_name; /* the folder that their last entries are about */
    uint32_t changes_uidvalidity;
};

void marks_fini(struct marks *m);

/* The head of a digest: whoever can make two messages with the same one can keep the second of them
 * from coming late, which are both his own. */
uint64_t marks_key(const unsigned char *digest);

/* --- The flip --------------------------------------------------------------------------------- */

/* One more message with this content was copied, before the flip. */
int marks_count_one(struct marks *m, const unsigned char *digest, struct err *err) ATTR_WUR;
/* A folder of the next flip, to be put together in marks of their own; names and owed are copied.
 * -1: too many. */
int marks_folder_add(struct marks *m, struct slice name, uint32_t uidvalidity, uint32_t uid,
    const uint32_t *owed, size_t n_owed) ATTR_WUR;
/* Takes them over, in place of those of an earlier flip. */
void marks_flip(struct marks *m, struct marks *next);

/* --- Behind it -------------------------------------------------------------------------------- */

enum marks_place {
    MARKS_BEFORE,     /* it was looked at */
    MARKS_OWED,       /* before the flip, and has not been copied yet */
    MARKS_BY_CONTENT, /* its content has to tell: marks_meet() */
};

enum marks_place marks_place(
    const struct marks *m, struct slice folder, uint32_t uidvalidity, uint32_t uid);
void marks_pass(struct marks *m); /* begins: nothing was met in it */
/* The pass meets so many messages with this content in places that are not known; *ever_out: how
 * many there ever were. */
int marks_meet(struct marks *m, const unsigned char *digest, size_t now, size_t *ever_out,
    struct err *err) ATTR_WUR;

/* A folder that a pass looks at. */
struct marks_look {
    struct slice name;
    uint32_t uidvalidity, highest;
    bool is_restored; /* what is known of it by UID is void */
};
/* The folder was restored: its mark, and what is known of places, go.  -1: too many. */
int marks_restored(struct marks *m, const struct marks_look *at) ATTR_WUR;
/* The message gets a pair; digest NULL: its content is not known; is_new: nor was it before. */
int marks_learn(struct marks *m, const struct marks_look *at, uint32_t uid,
    const unsigned char *digest, bool is_new, struct err *err) ATTR_WUR;

/* --- Octets ----------------------------------------------------------------------------------- */

/* What has changed since marks_changes_done(), for marks_apply(). */
struct slice marks_changes(const struct marks *m);
void marks_changes_done(struct marks *m);
/* All folders in the same form. */
void marks_pack_folders(const struct marks *m, struct buf *out);
/* A folder's mark, for those who read one: its n owed UIDs, ascending and none above uid, are taken
 * off s.  false: it makes no sense, or the folder has one already. */
bool marks_take_mark(struct slice *s, struct marks *m, struct slice name, uint32_t uidvalidity,
    uint32_t uid, uint32_t n);
/* Makes these changes once more.  false: they make no sense; m is what it is then. */
bool marks_apply(struct marks *m, struct slice changes) ATTR_WUR;

/* For the files that these functions are in. */
struct marks_folder *marks_find(const struct marks *m, struct slice name);
/* The folder as it is now: made when it is new, emptied when it was numbered anew.  NULL: too many.
 */
struct marks_folder *marks_folder_now(struct marks *m, const struct marks_look *at);
void marks_take_place(struct marks_folder *f, uint32_t uid);
void marks_drop_folders(struct marks *m);
void marks_note_place(struct marks *m, const struct marks_folder *f, uint32_t uid);
void marks_note_restored(struct marks *m, const struct marks_folder *f);
void marks_note_count(struct marks *m, const struct marks_count *c);
void marks_note_flip(struct marks *m);

#endif
