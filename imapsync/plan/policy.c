/* SPDX-License-Identifier: ISC */
/*
 * policy: the two tables, and the names of what stands in them.
 *
 * A deletion is followed only where the source's user works: behind a flip nothing on the target
 * goes away because of the source.  \Deleted travels only before a flip: behind it the next EXPUNGE
 * of any client would make a deletion out of it that nobody on the target wanted.
 */
#include "imapsync/plan/policy.h"

#include "base/core/err.h"

static const struct plan_policy policies[] = {
    [PLAN_MIRROR] = {.name = "mirror",
        .deletions = PLAN_DELETIONS_REMOVE,
        .flags = PLAN_FLAGS_MIRROR,
        .late = PLAN_LATE_ALL,
        .has_deleted = true,
        .follows_moves = true,
        .makes_all = true,
        .retries_refused = true,
        .repeats_gone = true},
    [PLAN_FIRST_SWEEP] = {.name = "first-sweep",
        .deletions = PLAN_DELETIONS_STAY,
        .flags = PLAN_FLAGS_UNTOUCHED,
        .late = PLAN_LATE_UNSEEN,
        .looks_at_all = true,
        .retries_refused = true,
        .is_behind_flip = true},
    [PLAN_AFTER_FLIP] = {.name = "after-flip",
        .deletions = PLAN_DELETIONS_STAY,
        .flags = PLAN_FLAGS_ADD,
        .late = PLAN_LATE_UNSEEN,
        .retries_refused = true,
        .is_behind_flip = true},
    [PLAN_BACKFILL] = {.name = "backfill",
        .deletions = PLAN_DELETIONS_STAY,
        .flags = PLAN_FLAGS_NONE,
        .late = PLAN_LATE_UNSEEN,
        .makes_all = true,
        .is_behind_flip = true},
    [PLAN_ARCHIVE] = {.name = "archive",
        .deletions = PLAN_DELETIONS_STAY,
        .flags = PLAN_FLAGS_ADD,
        .late = PLAN_LATE_ALL,
        .follows_moves = true,
        .retries_refused = true},
    [PLAN_REVERSE] = {.name = "reverse",
        .deletions = PLAN_DELETIONS_TRASH,
        .flags = PLAN_FLAGS_MIRROR,
        .late = PLAN_LATE_MARK,
        .follows_moves = true,
        .makes_all = true,
        .retries_refused = true,
        .repeats_gone = true},
};
_Static_assert(sizeof(policies) / sizeof(policies[0]) == PLAN_POLICIES, "a row for each policy");

#define MIRROR (1u << PLAN_MIRROR)
#define FIRST (1u << PLAN_FIRST_SWEEP)
#define AFTER (1u << PLAN_AFTER_FLIP)
#define BACKFILL (1u << PLAN_BACKFILL)
#define ARCHIVE (1u << PLAN_ARCHIVE)
#define REVERSE (1u << PLAN_REVERSE)
#define FOLLOWING (MIRROR | ARCHIVE | REVERSE)
#define BEHIND (FIRST | AFTER | BACKFILL)
#define ALL (FOLLOWING | BEHIND)

static const struct plan_rule rules[] = {
    {PLAN_NAME, PLAN_W_MAILBOXID, ALL},
    {PLAN_NAME, PLAN_W_PARENT, FOLLOWING},
    {PLAN_RENAME, PLAN_W_MAILBOXID, FOLLOWING},
    {PLAN_MAKE, PLAN_W_LISTED, MIRROR | BACKFILL | REVERSE},
    {PLAN_RENUMBER, PLAN_W_EMAILID, FOLLOWING},
    {PLAN_RENUMBER, PLAN_W_DIGEST, FOLLOWING},
    {PLAN_NOTE, PLAN_W_AGREED, ALL & ~BACKFILL},
    {PLAN_NOTE, PLAN_W_TOUCHED, ALL},
    {PLAN_GONE, PLAN_W_LOST, ALL},
    {PLAN_GONE, PLAN_W_IN_TRASH, REVERSE},
    {PLAN_GONE, PLAN_W_TARGET_LOST, BEHIND},
    {PLAN_GONE, PLAN_W_BELOW_MARK, BEHIND | REVERSE},
    {PLAN_GONE, PLAN_W_KNOWN, BEHIND},
    {PLAN_GONE, PLAN_W_SEEN, BEHIND},
    {PLAN_GONE, PLAN_W_UNKNOWN, BEHIND},
    {PLAN_GONE, PLAN_W_RESTORED, BEHIND},
    {PLAN_AWAY, PLAN_W_TARGET_LOST, FOLLOWING},
    {PLAN_AWAY, PLAN_W_TARGET_MOVED, FOLLOWING},
    {PLAN_FORGET, PLAN_W_BOTH_LOST, ALL},
    {PLAN_FORGET, PLAN_W_NEVER_SENT, ALL},
    {PLAN_FORGET, PLAN_W_SHARED, ALL},
    {PLAN_FORGET, PLAN_W_TOUCHED, MIRROR | REVERSE},
    {PLAN_FORGET, PLAN_W_IN_TRASH, REVERSE},
    {PLAN_COPY, PLAN_W_NEW, MIRROR | ARCHIVE},
    {PLAN_COPY, PLAN_W_RETRY, ALL & ~BACKFILL},
    {PLAN_COPY, PLAN_W_AGAIN, MIRROR | REVERSE},
    {PLAN_COPY, PLAN_W_RESTORED, ALL},
    {PLAN_COPY, PLAN_W_OWED, BEHIND | REVERSE},
    {PLAN_COPY, PLAN_W_LATE, BEHIND | REVERSE},
    {PLAN_FLAGS, PLAN_W_FLAGS, ALL & ~BACKFILL},
    {PLAN_MOVE, PLAN_W_EMAILID, FOLLOWING},
    {PLAN_MOVE, PLAN_W_DIGEST, FOLLOWING},
    {PLAN_TRASH, PLAN_W_LOST, REVERSE},
    {PLAN_REMOVE, PLAN_W_LOST, MIRROR},
};

static const char *const kinds[] = {
    [PLAN_NAME] = "name",
    [PLAN_RENAME] = "rename",
    [PLAN_MAKE] = "make",
    [PLAN_RENUMBER] = "renumber",
    [PLAN_NOTE] = "note",
    [PLAN_GONE] = "gone",
    [PLAN_AWAY] = "away",
    [PLAN_FORGET] = "forget",
    [PLAN_COPY] = "copy",
    [PLAN_FLAGS] = "flags",
    [PLAN_MOVE] = "move",
    [PLAN_TRASH] = "trash",
    [PLAN_REMOVE] = "remove",
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == PLAN_KINDS, "a name for each kind");

struct words {
    const char *name, *text;
};

static const struct words witnesses[] = {
    [PLAN_W_NEW] = {"new", "the source has it, and the journal does not know it"},
    [PLAN_W_RETRY] = {"retry", "the source has it, and the target has refused it"},
    [PLAN_W_AGAIN] = {"again", "its user works on the source again, and there it is"},
    [PLAN_W_RESTORED] = {"restored", "the target was restored from before it came there"},
    [PLAN_W_OWED] = {"owed", "it was on the source at the flip, and had not been copied"},
    [PLAN_W_LATE] = {"late", "the source has it, and it came behind the flip"},
    [PLAN_W_FLAGS] = {"flags", "the source's flags are not those that both had"},
    [PLAN_W_LOST] = {"lost", "the source has told that it is not there any more"},
    [PLAN_W_EMAILID] = {"emailid", "lost in one place, new in another, the same EMAILID"},
    [PLAN_W_DIGEST] = {"digest", "lost in one place, new in another, the same content"},
    [PLAN_W_MAILBOXID] = {"mailboxid", "the folder with this MAILBOXID has another name"},
    [PLAN_W_PARENT] = {"parent", "the folder above it was renamed, and it with it"},
    [PLAN_W_LISTED] = {"listed", "the source lists the folder, and the target does not"},
    [PLAN_W_BELOW_MARK] = {"below-mark", "it was there, and known, at the flip"},
    [PLAN_W_KNOWN] = {"known", "it has had a pair since the flip, whatever became of that"},
    [PLAN_W_SEEN] = {"seen", "the source had its content before, as often as now"},
    [PLAN_W_UNKNOWN] = {"unknown", "what the source had before nobody knows: E-LATE-UNKNOWN"},
    [PLAN_W_TARGET_LOST] = {"target-lost", "the target has told that it is not there any more"},
    [PLAN_W_TARGET_MOVED] = {"target-moved", "lost in one place of the target, new in another"},
    [PLAN_W_TOUCHED] = {"touched", "the target's user has changed its flags"},
    [PLAN_W_AGREED] = {"agreed", "the target has what the source has changed, or cannot have it"},
    [PLAN_W_BOTH_LOST] = {"both-lost", "neither side has it"},
    [PLAN_W_NEVER_SENT] = {"never-sent", "the source has lost it, and the target never had it"},
    [PLAN_W_SHARED] = {"shared", "another message has the same copy, and stays"},
    [PLAN_W_IN_TRASH] = {"in-trash", "the source has lost it, and the copy is in Trash already"},
};
_Static_assert(
    sizeof(witnesses) / sizeof(witnesses[0]) == PLAN_WITNESSES, "words for each witness");

static const struct words reasons[] = {
    [PLAN_R_NONE] = {"none", "it is not withheld"},
    [PLAN_R_CEILING] = {"ceiling", "more deletions than may be in one pass over a mailbox"},
    [PLAN_R_EMPTIED] = {"emptied", "nothing at all is left on the source"},
    [PLAN_R_DOUBTED] = {"doubted", "the source shows no message, or no INBOX (E-EMPTY)"},
    [PLAN_R_LOOK_AGAIN] = {"look-again", "the folder is empty that was not: it is asked once more"},
    [PLAN_R_NOT_SURE] = {"not-sure", "the listing is shorter than the folder's own count"},
    [PLAN_R_FOLDER_LOST] = {"folder-lost", "the source does not list the folder any more"},
    [PLAN_R_CANNOT] = {"cannot",
        "the target cannot remove or move single messages (no UIDPLUS, no MOVE)"},
    [PLAN_R_NO_UID] = {"no-uid", "the target has never told which message it is"},
    [PLAN_R_UNREADABLE] = {"unreadable", "the content that would tell whether it is late, or was "
                                         "moved, is not to be had"},
    [PLAN_R_IN_DOUBT] = {"in-doubt", "it may have been stored already, for a folder that cannot be "
                                     "looked at now"},
    [PLAN_R_HIDDEN] = {"hidden", "it may be what the target has lost in a folder that was "
                                 "restored, of which not all is known yet"},
    [PLAN_R_FILTERED] = {"filtered", "a filter says that such messages are not copied"},
};
_Static_assert(sizeof(reasons) / sizeof(reasons[0]) == PLAN_REASONS, "words for each reason");

const struct plan_policy *plan_policy(enum plan_policy_id id)
{
    BUG_ON(id >= PLAN_POLICIES);
    return &policies[id];
}

const struct plan_rule *plan_rules(size_t *n_out)
{
    *n_out = sizeof(rules) / sizeof(rules[0]);
    return rules;
}

bool plan_is_by_absence(enum plan_witness witness)
{
    return witness == PLAN_W_LOST || witness == PLAN_W_TARGET_LOST || witness == PLAN_W_BOTH_LOST ||
           witness == PLAN_W_AGAIN;
}

bool plan_is_allowed(enum plan_policy_id id, enum plan_kind kind, enum plan_witness witness)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].kind == kind && rules[i].witness == witness)
            return rules[i].policies >> id & 1;
    }
    return false;
}

const char *plan_kind_name(enum plan_kind kind)
{
    return kinds[kind];
}

const char *plan_witness_name(enum plan_witness witness)
{
    return witnesses[witness].name;
}

const char *plan_witness_text(enum plan_witness witness)
{
    return witnesses[witness].text;
}

const char *plan_reason_name(enum plan_reason reason)
{
    return reasons[reason].name;
}

const char *plan_reason_text(enum plan_reason reason)
{
    return reasons[reason].text;
}
