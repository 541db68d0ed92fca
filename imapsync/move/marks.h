/* SPDX-License-Identifier: ISC */
/*
 * marks: what a flip must know for ever about one user, so that nothing comes back behind it,
 * whatever becomes of the journal, of UIDVALIDITYs and of folders on old.  Pure: values, their one
 * form in octets, and the decision; marks_store.h keeps them.
 *
 *   marks     of each folder, for both ends: the highest UID that the verified comparison has
 *             listed, under which UIDVALIDITY.  It listed every message there was, so what stands
 *             below was looked at; never a number that a STATUS has told
 *   owed      the UIDs below the mark that had not been copied then
 *   digests   of every message that was ever seen on old, and how many of it at a time
 *
 * Behind the flip a message of old is late, and is copied, when it is
 *
 *   - owed; or
 *   - above its folder's mark, in a folder without one, or under another UIDVALIDITY, and the pass
 *     meets more messages with this content in such places than there ever were on old.
 *
 * Everything else was there before: copied, renamed, restored or numbered anew, and what new's user
 * has made of it is his affair.
 */
#ifndef IMAPSYNC_MOVE_MARKS_H
#define IMAPSYNC_MOVE_MARKS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"
#include "base/os/hmac.h"

#define MARKS_VERSION 1
#define MARKS_DIGEST 16 /* octets of a SHA-256 that are kept */
#define MARKS_DIGESTS_MAX (4u << 20)
#define MARKS_FOLDERS_MAX (200u << 10)
#define MARKS_SIZE_MAX (256u << 20) /* of the encoded form */

struct marks_end {
    struct slice name; /* on the wire; owned */
    uint32_t uidvalidity, uid;
};

struct marks_folder {
    struct marks_end source, target;
    uint32_t *owed; /* ascending; owned */
    size_t n_owed;
};

struct marks_digest {
    unsigned char digest[MARKS_DIGEST];
    uint32_t ever; /* most at a time */
    uint32_t now;  /* counted: of an inventory, or by marks_is_late() in this pass */
};

/* A zeroed one is empty. */
struct marks {
    struct marks_folder *folders; /* by the source's name, once sorted */
    size_t n_folders;
    struct marks_digest *digests;     /* sorted, but for those behind n_sorted */
    size_t n_digests, n_sorted, room; /* of digests */
    bool has_flipped;                 /* folders are those of a flip */
};

void marks_fini(struct marks *m);

/* --- Up to the flip --------------------------------------------------------------------------- */

/* All messages that are on old now, one call for each, between begin and end: of each content the
 * most that there ever were is kept.  -1: too many. */
void marks_inventory_begin(struct marks *m);
int marks_inventory_add(struct marks *m, const unsigned char digest[SHA256_SIZE]) ATTR_WUR;
void marks_inventory_end(struct marks *m);
/* The folders of a flip, in place of those of an earlier one.  Names and owed are copied. */
void marks_folders_begin(struct marks *m);
int marks_folder_add(struct marks *m, const struct marks_folder *f) ATTR_WUR;
void marks_folders_end(struct marks *m);

/* --- Behind it ----------------------------------------------------------------------------------
 */

enum marks_place {
    MARKS_BEFORE,     /* it was looked at before the flip */
    MARKS_OWED,       /* and has not been copied yet */
    MARKS_BY_CONTENT, /* marks_is_late() has to tell */
};

enum marks_place marks_place(
    const struct marks *m, struct slice folder, uint32_t uidvalidity, uint32_t uid);
/* A pass begins: counts from 0 what it meets. */
void marks_pass(struct marks *m);
/* Counts one more message of this content that stands in no known place. */
bool marks_is_late(struct marks *m, const unsigned char digest[SHA256_SIZE]);
/* It was copied: from now on it has been on old, and is not owed any more.  -1: too many. */
int marks_came(struct marks *m, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    const unsigned char digest[SHA256_SIZE]) ATTR_WUR;

/* --- Octets
 * ---------------------------------------------------------------------------------------
 */

/* Emptied first, with room for all of it. */
void marks_pack(struct marks *m, struct buf *out);
/* -1: these are no marks, or damaged ones; out is empty then. */
int marks_unpack(struct slice s, struct marks *out) ATTR_WUR;

#endif
