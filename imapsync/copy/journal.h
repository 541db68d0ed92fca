/* SPDX-License-Identifier: ISC */
/*
 * journal: what we know about one mailbox pair, durable: folders with their UIDVALIDITYs, UID
 * pairs with the flags last seen on the source, and the intents of batches whose result is not
 * known yet.  One Berkeley DB environment per pair, locked for as long as it is open.
 *
 * The order that makes a crash harmless: intent written -> messages sent -> result written, which
 * removes the intent in the same transaction.  An intent that is found at the start says that its
 * messages may or may not have arrived (resolve.h finds out).
 */
#ifndef IMAPSYNC_COPY_JOURNAL_H
#define IMAPSYNC_COPY_JOURNAL_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/os/hmac.h"
#include "imapsync/copy/flags.h"

struct journal;

enum pair_state {
    PAIR_COPIED = 1,
    PAIR_REFUSED = 2, /* the target did not take it: tgt_uid is 0 */
    PAIR_GONE = 3,    /* it went away with its folder, behind a flip: tgt_uid is 0 */
};

struct pair {
    uint32_t src_uid, tgt_uid;
    enum pair_state state;
    struct flags flags; /* as on the source when they were last carried over */
};

struct journal_folder {
    uint32_t id;
    struct slice source, target; /* names on the wire, owned */
    uint32_t src_uidvalidity, tgt_uidvalidity;
    /* The source's STATUS before the last pass that ended without an open question; src_uidnext 0:
     * there was none. */
    uint32_t src_uidnext, src_messages;
    uint64_t src_highestmodseq;
};

struct intent {
    uint64_t id;
    int64_t time_ms;
    uint32_t tgt_uidnext; /* of the target before the batch: what arrived has at least this UID */
    uint32_t *uids;       /* of the source, owned */
    size_t n;
};

/* dir is made when missing; source and target are URLs without passwords or other names that last:
 * a journal of another pair is refused. */
int journal_open(const char *dir, const char *source, const char *target, struct journal **out,
    struct err *err) ATTR_WUR;
void journal_close(struct journal **j);

/* --- Folders ----------------------------------------------------------------------- */

void journal_folder_fini(struct journal_folder *f);
/* By the source's name; *found_out false: no such folder yet. */
int journal_folder_get(struct journal *j, struct slice source, struct journal_folder *out,
    bool *found_out, struct err *err) ATTR_WUR;
/* Source names of all folders that were ever copied, in no order of meaning. */
int journal_folders_each(struct journal *j, void (*each)(void *arg, struct slice source), void *arg,
    struct err *err) ATTR_WUR;
/* id 0: a new folder, which gets its id. */
int journal_folder_put(struct journal *j, struct journal_folder *f, struct err *err) ATTR_WUR;
int journal_keywords_get(
    struct journal *j, uint32_t folder, struct keywords *out, struct err *err) ATTR_WUR;
int journal_keywords_put(
    struct journal *j, uint32_t folder, const struct keywords *k, struct err *err) ATTR_WUR;
/* Forgets pairs and intents of a folder (its UIDVALIDITY has changed); keeps the folder. */
int journal_folder_forget(struct journal *j, uint32_t folder, struct err *err) ATTR_WUR;
/* What was copied has been copied, but is not where it was put: COPIED becomes GONE. */
int journal_folder_detach(struct journal *j, uint32_t folder, struct err *err) ATTR_WUR;

/* --- Pairs -------------------------------------------------------------------------- */

/* All of a folder, by source UID; *out is the caller's to free. */
int journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err) ATTR_WUR;
int journal_digest(struct journal *j, uint32_t folder, uint32_t src_uid,
    unsigned char digest_out[SHA256_SIZE], bool *found_out, struct err *err) ATTR_WUR;

/* One durable change: begin, any number of puts, commit.  commit returns the first error. */
void journal_begin(struct journal *j);
void journal_pair_put(struct journal *j, uint32_t folder, const struct pair *p,
    const unsigned char digest[SHA256_SIZE]); /* NULL: keep the digest that is there */
void journal_pair_del(struct journal *j, uint32_t folder, uint32_t src_uid);
void journal_intent_put(struct journal *j, uint32_t folder, struct intent *i); /* sets id */
void journal_intent_del(struct journal *j, uint32_t folder, uint64_t id);
int journal_commit(struct journal *j, struct err *err) ATTR_WUR;

/* Open intents of a folder, oldest first; free with intents_free(). */
int journal_intents(struct journal *j, uint32_t folder, struct intent **out, size_t *n_out,
    struct err *err) ATTR_WUR;
void intents_free(struct intent *v, size_t n);

/* Any other small record of this mailbox, such as the state of its cut-over. */
int journal_note_get(struct journal *j, const char *name, struct buf *out, bool *found_out,
    struct err *err) ATTR_WUR;
int journal_note_put(
    struct journal *j, const char *name, struct slice value, struct err *err) ATTR_WUR;

#endif
