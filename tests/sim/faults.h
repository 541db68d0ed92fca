/* SPDX-License-Identifier: ISC */
/*
 * faults: errors that somebody could make in the engine, planted one at a time at its borders: in
 * what it asks of an end or makes of its answers (model_end.c), and in what it writes into the
 * journal or reads from there (faults.c, mem_bdb.c, by the linker's --wrap).  The product's code
 * knows nothing of them.  The simulation is worth as many of them as it finds.
 */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include <stdbool.h>

#define FAULTS(X)                                                                                  \
    X(NONE, "none")                                                                                \
    X(INTENT_NOT_WRITTEN, "an append is sent without an intent")                                   \
    X(INTENT_HALF, "an intent names only half of its messages")                                    \
    X(INTENT_UIDNEXT, "an intent expects its copies behind where they are")                        \
    X(INTENT_NO_FLAGS, "flags are changed without an intent")                                      \
    X(MODIFIED_IGNORED, "what somebody has changed meanwhile counts as done")                      \
    X(INTENT_NO_REMOVAL, "a removal is begun without an intent")                                   \
    X(INTENTS_FORGOTTEN, "open intents are closed without a look at the target")                   \
    X(COMMIT_LOST, "every third commit is not durable")                                            \
    X(COMMIT_TORN, "a kill leaves half of a transaction")                                          \
    X(COMMIT_SPLIT, "a kill leaves the other half of a transaction")                               \
    X(PAIR_DROPPED, "every fifth pair is not written")                                             \
    X(PAIR_WRONG, "a pair names the message behind the copy")                                      \
    X(PAIR_NO_FLAGS, "a pair is written without its flags")                                        \
    X(PAIR_OLD_FLAGS, "a change of flags is not remembered")                                       \
    X(SENT_AS_REFUSED, "an OK without UIDs is taken for a refusal")                                \
    X(GONE_FORGOTTEN, "pairs that are gone are not read")                                          \
    X(KNOWN_FORGOTTEN, "messages that have a pair count as new")                                   \
    X(LATE_ALL, "behind the flip everything in a renumbered folder is late mail")                  \
    X(CAME_FORGOTTEN, "what came late is not added to the marks")                                  \
    X(NEVER_BLIND, "a new journal behind the flip counts as complete")                             \
    X(UIDVALIDITY_IGNORED, "a new UIDVALIDITY is not seen")                                        \
    X(RESTORED_UNSEEN, "a folder that was restored is not seen")                                   \
    X(RESTORED_AS_REMOVED, "what a restored target has lost counts as removed there")              \
    X(TOKEN_EARLY, "a token passes changes that were not made")                                    \
    X(MOVE_ELSEWHERE, "a move goes to another folder")                                             \
    X(MOVE_NEIGHBOUR, "a move takes the next message too")                                         \
    X(MOVE_STAYS, "a move leaves the message where it was")                                        \
    X(MOVE_NO_FLAGS, "a move forgets flags")                                                       \
    X(RENAME_FORGOTTEN, "a folder that was renamed is not")                                        \
    X(RENAME_ELSEWHERE, "a folder gets another name than it was to get")                           \
    X(REMOVE_NEIGHBOUR, "a removal names the next message too")                                    \
    X(REMOVE_TOUCHED, "what a user of the target has marked is removed")                           \
    X(REMOVE_BEHIND_FLIP, "deletions are followed behind the flip")                                \
    X(ARCHIVE_REMOVES, "an archive follows deletions")                                             \
    X(BACKFILL_FLAGS, "a backfill carries flags")                                                  \
    X(SWEEP_TAKES_FLAGS, "every sweep takes flags away as the first one may")                      \
    X(SWEEP_DELETED, "a sweep marks messages as deleted")                                          \
    X(BACK_COPIES, "the way back does not look for what is there")                                 \
    X(BACK_REMOVES, "the way back removes for ever")                                               \
    X(BACK_NO_FLAGS, "the way back forgets flags")                                                 \
    X(BACK_TRASH_TWICE, "what the way back puts into Trash is there twice")                        \
    X(BACK_STAYS, "the way back leaves what was removed on new")                                   \
    X(TURN_NOT_FRESH, "behind an exchange of the sides tokens count")                              \
    X(MARKS_OF_OLD, "the flip of the way back keeps the marks of the way there")                   \
    X(FLAGS_SET, "flags are set instead of added")                                                 \
    X(FLAGS_INVERTED, "flags to be taken away are added")                                          \
    X(APPEND_NO_DATE, "a message is stored without its date")                                      \
    X(APPEND_NO_FLAGS, "a message is stored without its flags")                                    \
    X(APPEND_TWICE, "an append is sent twice")                                                     \
    X(APPEND_CUT, "a message is stored without its last octets")                                   \
    X(APPEND_ELSEWHERE, "a message is stored in another folder")                                   \
    X(UIDS_SHUFFLED, "the UIDs of a batch are taken in the wrong order")                           \
    X(LISTING_SHORT, "a short listing counts as a whole one")                                      \
    X(FOLDER_SKIPPED, "the last folder is not looked at")                                          \
    X(NO_AS_OK, "a refusal is taken for success")                                                  \
    X(BODY_SWAPPED, "a body is taken for that of another message")

#define FAULT_ENUM(name, text) FAULT_##name,
enum fault { FAULTS(FAULT_ENUM) FAULTS_END };
#undef FAULT_ENUM

extern enum fault fault_planted;

static inline bool fault_is(enum fault f)
{
    return __builtin_expect(fault_planted == f, 0);
}

const char *fault_name(enum fault f);
const char *fault_text(enum fault f);
void faults_reset(void); /* at the start of a history: its counters */

#endif
