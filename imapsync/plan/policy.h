/* SPDX-License-Identifier: ISC */
/*
 * policy: what a pass may do to the target, as rows of a table, and the list of every operation
 * with the witnesses that allow it.  docs/operations.md shows both to people; a test compares.
 *
 *   mirror       before the flip: the user works on the source, and the target follows
 *   first-sweep  the first look at the source behind a flip: the target is its user's now
 *   after-flip   every later one
 *   backfill     a flip that came before the copy: what was on the source then, each message once
 *   archive      everything that was ever on the source
 *   reverse      the way back: the source is where the user has worked since the flip
 */
#ifndef IMAPSYNC_PLAN_POLICY_H
#define IMAPSYNC_PLAN_POLICY_H

#include <stdbool.h>
#include <stddef.h>

enum plan_policy_id {
    PLAN_MIRROR,
    PLAN_FIRST_SWEEP,
    PLAN_AFTER_FLIP,
    PLAN_BACKFILL,
    PLAN_ARCHIVE,
    PLAN_REVERSE,
    PLAN_POLICIES,
};

/* What becomes of our copy of a message that the source has lost. */
enum plan_deletions {
    PLAN_DELETIONS_STAY,   /* it stays; the journal remembers what was lost */
    PLAN_DELETIONS_TRASH,  /* it is moved to the target's Trash, never expunged */
    PLAN_DELETIONS_REMOVE, /* it is removed, for ever */
};

/* Which of the source's changes to flags are made on the target.  What the target's user has done
 * to other flags stays under each of them. */
enum plan_flags_rule {
    PLAN_FLAGS_NONE,
    PLAN_FLAGS_ADD,       /* added ones */
    PLAN_FLAGS_UNTOUCHED, /* and removed ones where the target's user has changed nothing */
    PLAN_FLAGS_MIRROR,    /* added and removed ones */
};

/* Which messages without a pair are copied. */
enum plan_late {
    PLAN_LATE_ALL,    /* each one: the source's user works there */
    PLAN_LATE_MARK,   /* those above the folder's mark, and those that are owed */
    PLAN_LATE_UNSEEN, /* and of these only what unknown places have more often than there ever were
                       */
};

struct plan_policy {
    const char *name;
    enum plan_deletions deletions;
    enum plan_flags_rule flags;
    enum plan_late late;
    bool has_deleted;     /* \Deleted travels */
    bool follows_moves;   /* and renames of folders; else a move on the source changes nothing */
    bool makes_all;       /* folders without messages as well */
    bool looks_at_all;    /* at every folder, whatever its numbers say */
    bool retries_refused; /* what the target has refused is tried again when it is due */
    bool repeats_gone; /* what was copied, and went away on the target behind a flip, comes again */
    bool is_behind_flip; /* what is gone on the target was removed by its user, who may */
};

/* In the order in which they are done: nothing is removed before what replaces it is there, and
 * flags are set under the UID that the message still has. */
enum plan_kind {
    /* Of folders. */
    PLAN_NAME,   /* the journal only: the folder has another name on one side */
    PLAN_RENAME, /* on the target */
    PLAN_MAKE,   /* on the target */
    /* The journal only. */
    PLAN_RENUMBER, /* the message has another UID, or another folder, on the source */
    PLAN_NOTE,     /* both sides have other flags in common, or the target's user has touched it */
    PLAN_GONE,     /* one side has lost it, for good: it never comes again behind a flip */
    PLAN_AWAY,     /* the target has lost it before the flip: it does not come again by itself */
    PLAN_FORGET,   /* the pair has no meaning any more */
    /* Changes of the target. */
    PLAN_COPY,
    PLAN_FLAGS,
    PLAN_MOVE,
    PLAN_TRASH,
    PLAN_REMOVE,
    PLAN_KINDS,
};

/* Which fact, on which side, allows an operation. */
enum plan_witness {
    /* Of the source. */
    PLAN_W_NEW,       /* the source has it, and the journal does not know it */
    PLAN_W_RETRY,     /* the source has it, and the target has refused it */
    PLAN_W_AGAIN,     /* the user works on the source again, and there it is */
    PLAN_W_RESTORED,  /* the target was restored from before it came there */
    PLAN_W_OWED,      /* it was on the source at the flip, and had not been copied */
    PLAN_W_LATE,      /* the source has it, and not from before the flip */
    PLAN_W_FLAGS,     /* the source's flags are not those that both had */
    PLAN_W_LOST,      /* the source has told that it is not there any more */
    PLAN_W_EMAILID,   /* lost in one place, new in another, with the same EMAILID */
    PLAN_W_DIGEST,    /* the same, with the same content */
    PLAN_W_MAILBOXID, /* the folder with this MAILBOXID has another name */
    PLAN_W_PARENT,    /* the folder above was renamed, and this one with it */
    PLAN_W_LISTED,    /* the source lists the folder, and the target does not have it */
    /* Why something is not late. */
    PLAN_W_BELOW_MARK, /* it was there, and known, when the user was flipped */
    PLAN_W_KNOWN,      /* it has had a pair since, whatever became of that */
    PLAN_W_SEEN,       /* as often as now its content was on the source before */
    PLAN_W_UNKNOWN,    /* what was there before is not known any more: item E-LATE-UNKNOWN */
    /* Of the target. */
    PLAN_W_TARGET_LOST,  /* it has told that it is not there any more */
    PLAN_W_TARGET_MOVED, /* the same, and there is a new one in another folder */
    PLAN_W_TOUCHED,      /* its user has changed its flags */
    /* Of several. */
    PLAN_W_AGREED,     /* the target has, or cannot store, what the source has changed */
    PLAN_W_BOTH_LOST,  /* neither side has it */
    PLAN_W_NEVER_SENT, /* the source has lost it, and it never came to the target */
    PLAN_W_SHARED,     /* another message has the same copy, and stays */
    PLAN_W_IN_TRASH,   /* the source has lost it, and the copy is in the target's Trash already */
    PLAN_WITNESSES,
};

/* Why an operation is withheld.  Each is counted and told, and stops a hold as a loss does. */
enum plan_reason {
    PLAN_R_NONE,
    PLAN_R_CEILING,     /* more deletions in the mailbox than may be in one pass */
    PLAN_R_EMPTIED,     /* nothing at all is left on the source */
    PLAN_R_DOUBTED,     /* the source shows no message, or no INBOX: E-EMPTY */
    PLAN_R_LOOK_AGAIN,  /* a folder is empty that was not: it has to be asked once more */
    PLAN_R_NOT_SURE,    /* a listing is shorter than the folder's own count */
    PLAN_R_FOLDER_LOST, /* the source does not list the folder any more */
    PLAN_R_CANNOT,      /* the target cannot remove single messages (no UIDPLUS), nor move them */
    PLAN_R_NO_UID,      /* the target has never told which message it is */
    PLAN_R_UNREADABLE,  /* its content would tell whether it is late, or moved: it cannot be read */
    PLAN_R_IN_DOUBT,    /* it may have been stored already for a folder that was not looked at */
    PLAN_R_HIDDEN,      /* it may be what the target has lost in a folder that is not known yet */
    PLAN_R_FILTERED,    /* somebody has said that such messages are not copied: E-FILTERED */
    PLAN_REASONS,
};

/* One row of the list of operations. */
struct plan_rule {
    enum plan_kind kind;
    enum plan_witness witness;
    unsigned policies; /* bits 1 << enum plan_policy_id */
};

const struct plan_policy *plan_policy(enum plan_policy_id id);
const struct plan_rule *plan_rules(size_t *n_out);
/* Whether it supposes that nothing which is new anywhere is the message that was lost. */
bool plan_is_by_absence(enum plan_witness witness);
/* Whether the list has it. */
bool plan_is_allowed(enum plan_policy_id id, enum plan_kind kind, enum plan_witness witness);

/* Names, as in docs/operations.md, in logs and in tests: "copy", "new", "ceiling". */
const char *plan_kind_name(enum plan_kind kind);
const char *plan_witness_name(enum plan_witness witness);
const char *plan_witness_text(enum plan_witness witness); /* a sentence for people */
const char *plan_reason_name(enum plan_reason reason);
const char *plan_reason_text(enum plan_reason reason);

#endif
