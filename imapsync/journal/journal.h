/* SPDX-License-Identifier: ISC */
/*
 * journal: what we know about one pair of mailboxes, durable: folders, pairs of messages with the
 * flags that both last had in common and the digest of their content, and intents, which say what
 * was begun and whose outcome is not known.
 *
 *     journal_open(dir, source, target, &j, err);
 *     journal_ready(j, err);                        at the start of each pass
 *     journal_begin(j); journal_pair_put(...); journal_commit(j, err);
 *     journal_close(&j);
 *
 * The order that makes a crash harmless: intent written -> messages sent -> result written, which
 * removes the intent in the same transaction.  What the receiver has said OK to is a pair from then
 * on, its UID known (STORED) or not (SENT), and is never sent again.
 *
 * A journal has no direction.  Who calls speaks of source and target; opened with both exchanged
 * the same journal answers for the way back, by the UIDs of the side that is now the source.
 *
 * A journal that is damaged is set aside (renamed, with the time) and begun anew, in journal_open()
 * and journal_ready(); until then its calls fail with scope USER.  So does a disk that is full, but
 * that journal stays.  A new one does not know what an earlier one knew: journal_is_complete().
 */
#ifndef IMAPSYNC_JOURNAL_JOURNAL_H
#define IMAPSYNC_JOURNAL_JOURNAL_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/mail/uid_set.h"
#include "imapsync/ends/flags.h"
#include "imapsync/journal/journal_record.h"

struct journal;

struct pair {
    uint32_t src_uid, tgt_uid; /* tgt_uid is 0 unless it is STORED */
    enum pair_state state : 8; /* small: a large folder has half a million of these */
    bool is_compared : 1;
    bool is_touched : 1; /* the target's user has changed its flags there */
    bool
        is_removed : 1; /* GONE: the side without a UID had it, and its user has removed it there */
    bool is_marked : 1; /* a removal was begun, and \Deleted may be its mark */
    struct flags flags; /* that both sides last had in common */
};

/* Of a message, as it was when it was sent or found. */
struct content {
    unsigned char digest[SHA256_SIZE];
    bool has_digest; /* a message that was refused before it was read has none */
    struct canon canon;
    uint32_t size;  /* of its literal */
    uint32_t since; /* of a SENT one: the target's UIDNEXT before; */
    uint32_t told;  /* and the UID that the target has told, which proves nothing; 0: none */
};

/* One side of a folder; all owned. */
struct journal_end {
    struct slice name;             /* on the wire */
    struct slice mailboxid;        /* RFC 8474; empty: not told */
    struct slice token;            /* as of the last pass that left no question open; empty: none */
    uint32_t uidvalidity;          /* 0: never opened, or not there */
    struct record_numbers numbers; /* the highest ones that it was ever listed with */
    bool is_restored; /* what the pairs name there is looked for by content: restored.h */
};

struct journal_folder {
    uint32_t id;
    struct journal_end source, target;
};

/* A message of an intent that is on its way, as it was sent. */
struct intent_sent {
    uint32_t uid;
    struct flags flags; /* of the source, when it was sent */
    struct content content;
};

struct intent {
    uint64_t id;
    uint32_t folder; /* whose it is: told, not asked */
    enum intent_kind kind;
    int64_t time_ms;
    uint32_t tgt_uidnext; /* of the target before the batch (MOVE: of the folder that it goes to):
                             what arrived has at least this UID */
    uint32_t *uids;       /* owned; of the source (APPEND) or of the target (all others) */
    size_t n;
    struct intent_sent *sent; /* owned; APPEND: those of uids that are known to be on their way */
    size_t n_sent;
    struct flags add, remove; /* FLAGS */
    uint32_t to;              /* MOVE: the folder that they go to */
    uint32_t *new_uids;       /* MOVE: n, owned: what their messages are on the source, in `to` */
};

/* dir is made when missing; source and target are URLs without passwords or other names that last:
 * a journal of another pair is refused.  One of an earlier version is migrated.  Busy: ERR_TEMP,
 * EX_TEMPFAIL. */
int journal_open(const char *dir, const char *source, const char *target, struct journal **out,
    struct err *err) ATTR_WUR;
/* A copy of it, in a folder of its own beside it, that is gone when it is closed: whatever is
 * written, the journal is as it was.  Another run may not have it while it is copied. */
int journal_open_throw_away(const char *dir, const char *source, const char *target,
    struct journal **out, struct err *err) ATTR_WUR;
/* One that is there, in the direction in which it was used last.  What is damaged is left as it is.
 */
int journal_open_there(const char *dir, struct journal **out, struct err *err) ATTR_WUR;
const char *journal_place(const struct journal *j);
const char *journal_source(const struct journal *j); /* names, as it was opened with */
const char *journal_target(const struct journal *j);
void journal_close(struct journal **j);
/* Opens it again if it has failed since. */
int journal_ready(struct journal *j, struct err *err) ATTR_WUR;
/* Whether a pass has gone through every folder since it was begun: what it does not know is new. */
bool journal_is_complete(const struct journal *j);
int journal_complete(struct journal *j, struct err *err) ATTR_WUR;

/* --- The way ----------------------------------------------------------------------- */

/* Whether source and target were the other way round when it was last used. */
bool journal_has_turned(const struct journal *j);
/* Whether it was ever turned. */
bool journal_has_both_ways(const struct journal *j);
/* Whether pairs may stand alone on the target: it was turned, or journal_expect_alone() said so. */
bool journal_has_alone(const struct journal *j);
int journal_expect_alone(struct journal *j, struct err *err) ATTR_WUR;
/* From then on it is used this way round. */
int journal_turn(struct journal *j, struct err *err) ATTR_WUR;
/* Whether no pass since then has been through all that there was to do (journal_through()). */
bool journal_is_fresh(const struct journal *j);
int journal_through(struct journal *j, struct err *err) ATTR_WUR;
/* Exchanges source and target for what is asked and written from here on, for who has to end what
 * was begun the other way round; nobody watches meanwhile.  Called twice, all is as before. */
void journal_exchange(struct journal *j);

/* --- Folders ----------------------------------------------------------------------- */

void journal_folder_fini(struct journal_folder *f);
/* Takes a copy. */
void journal_set(struct slice *owned, struct slice value);
/* By the source's name; *found_out false: no such folder yet. */
int journal_folder_get(struct journal *j, struct slice source, struct journal_folder *out,
    bool *found_out, struct err *err) ATTR_WUR;
int journal_folder_by_id(struct journal *j, uint32_t id, struct journal_folder *out,
    bool *found_out, struct err *err) ATTR_WUR;
/* All folders that were ever copied, in no order of meaning; borrowed for the call. */
int journal_folders_each(struct journal *j,
    void (*each)(void *arg, const struct journal_folder *folder), void *arg,
    struct err *err) ATTR_WUR;
/* id 0: a new folder, which gets its id.  Another name than before is a rename. */
int journal_folder_put(struct journal *j, struct journal_folder *f, struct err *err) ATTR_WUR;
/* Within a transaction: a folder that has an id, and the names that it had. */
void journal_folder_note(struct journal *j, const struct journal_folder *f);
/* The highest UID that a pair of the folder has on either side; 0: none. */
int journal_highest(struct journal *j, uint32_t folder, uint32_t *source_out, uint32_t *target_out,
    struct err *err) ATTR_WUR;
/* The id that the next new folder will have.  What is put under it before is there when it comes.
 */
uint32_t journal_folder_next(const struct journal *j);
/* f gets a new id, with the names that it has.  The old one has no name any more; is_over: it is to
 * be dropped, and if we do not come to that, the next opening does it. */
int journal_folder_succeed(
    struct journal *j, struct journal_folder *f, bool is_over, struct err *err) ATTR_WUR;
/* Whether its name on the source is another one's since, or nobody's: it is only kept for what it
 * was. */
int journal_folder_is_past(
    struct journal *j, const struct journal_folder *f, bool *out, struct err *err) ATTR_WUR;
/* All that is known under this id. */
int journal_folder_drop(struct journal *j, uint32_t folder, struct err *err) ATTR_WUR;
int journal_keywords_get(
    struct journal *j, uint32_t folder, struct keywords *out, struct err *err) ATTR_WUR;
int journal_keywords_put(
    struct journal *j, uint32_t folder, const struct keywords *k, struct err *err) ATTR_WUR;
/* What both sides were when a comparison found every message of the source, with its content, on
 * the target; it is forgotten with the pairs. */
struct journal_compared {
    struct record_seen source, target;
    uint32_t gone, extra;
};
int journal_compared_get(struct journal *j, uint32_t folder, struct journal_compared *out,
    bool *found_out, struct err *err) ATTR_WUR;
int journal_compared_put(
    struct journal *j, uint32_t folder, const struct journal_compared *c, struct err *err) ATTR_WUR;
/* Forgets pairs and intents of a folder (its UIDVALIDITY has changed); keeps the folder. */
int journal_folder_forget(struct journal *j, uint32_t folder, struct err *err) ATTR_WUR;
/* What was copied has been copied, but is not where it was put: STORED and SENT become GONE, or
 * LOST, and what stood alone on the target is forgotten, unless it is kept. */
int journal_folder_detach(struct journal *j, uint32_t folder, enum pair_state state,
    bool keeps_alone, struct err *err) ATTR_WUR;

/* --- Pairs -------------------------------------------------------------------------- */

/* How many pairs with a message on the source name this one of the target: more than one where it
 * is kept once.  *own_out: src_uid's pair names it; 0: the one that stands alone does. */
int journal_count_target(struct journal *j, uint32_t folder, uint32_t tgt_uid, uint32_t src_uid,
    bool *own_out, size_t *out, struct err *err) ATTR_WUR;
/* The pair of this message of the source, or with src_uid 0 the one that stands alone on the target
 * under tgt_uid. */
int journal_pair_get(struct journal *j, uint32_t folder, uint32_t src_uid, uint32_t tgt_uid,
    struct pair *out, bool *found_out, struct err *err) ATTR_WUR;
/* Whether a pair names this message of the target. */
int journal_has_target(
    struct journal *j, uint32_t folder, uint32_t tgt_uid, bool *out, struct err *err) ATTR_WUR;
/* Whether a pair does whose content is this one. */
int journal_has_copy(struct journal *j, uint32_t folder, uint32_t tgt_uid,
    const unsigned char digest[SHA256_SIZE], bool *out, struct err *err) ATTR_WUR;
/* Which messages of a folder have pairs: told without reading the pairs, a few octets for each
 * thousand of them that are neighbours. */
struct journal_known {
    struct uid_set source, target; /* that are named */
    struct uid_set odd;            /* of the source, without a UID on the target: not STORED */
    struct uid_set alone;          /* of the target, that stand alone there; not in `target` */
    unsigned states;               /* of those on the source, 1 << enum pair_state */
    size_t n_stored;
    bool has_twins; /* several pairs name the same message of a side */
};
int journal_known_get(
    struct journal *j, uint32_t folder, struct journal_known *out, struct err *err) ATTR_WUR;
void journal_known_fini(struct journal_known *k); /* also when get() has failed */
/* Adds the UIDs on the source of the pairs that name this message of the target. */
int journal_add_sources(struct journal *j, uint32_t folder, uint32_t tgt_uid, struct uid_set *to,
    struct err *err) ATTR_WUR;

/* What the messages of the source that have pairs weigh, and how many there are: one look at each
 * pair. */
int journal_weigh(struct journal *j, uint32_t folder, uint64_t *octets_out, uint64_t *n_out,
    struct err *err) ATTR_WUR;
/* All of a folder that have a UID on the source, by that UID; *out is the caller's to free. */
int journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err) ATTR_WUR;
/* The same in portions: a large folder has half a million.  Begins as {0}; 1: v has the next ones,
 * about max, all of one UID together; 0: there are no more.  What is changed behind v comes as it
 * then is. */
struct journal_walk {
    struct pair *v; /* owned; who takes it away leaves NULL */
    size_t n;
    uint32_t last;
    const struct uid_set *of; /* borrowed: only these UIDs of the source; NULL: all */
};
int journal_walk(struct journal *j, uint32_t folder, struct journal_walk *w, size_t max,
    struct err *err) ATTR_WUR;
void journal_walk_fini(struct journal_walk *w);
/* And those that stand alone on the target: they come first, by the target's UID. */
int journal_pairs_all(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err) ATTR_WUR;
/* These alone. */
int journal_alone(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err) ATTR_WUR;
int journal_content(struct journal *j, uint32_t folder, uint32_t src_uid, struct content *out,
    bool *found_out, struct err *err) ATTR_WUR;
/* Of the one that stands alone on the target under this UID. */
int journal_copy_content(struct journal *j, uint32_t folder, uint32_t tgt_uid, struct content *out,
    bool *found_out, struct err *err) ATTR_WUR;
/* Every pair of any folder with this content.  k equal messages are k calls. */
int journal_by_digest(struct journal *j, const unsigned char digest[SHA256_SIZE],
    void (*each)(void *arg, uint32_t folder, const struct pair *p), void *arg,
    struct err *err) ATTR_WUR;

/* What was only looked at: a message of a folder of the source that is not copied.  put() is part
 * of a change, as below. */
int journal_shown_get(struct journal *j, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    unsigned char digest[SHA256_SIZE], bool *found_out, struct err *err) ATTR_WUR;
void journal_shown_put(struct journal *j, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    const unsigned char digest[SHA256_SIZE]);

/* The first RECORD_DIGEST_KEY octets of the digest of every pair, ascending, equal ones as often as
 * they are there, until `each` returns -1. */
int journal_digests(struct journal *j,
    int (*each)(void *arg, const unsigned char *head, struct err *err), void *arg,
    struct err *err) ATTR_WUR;

/* One durable change: begin, any number of puts, commit.  commit returns the first error. */
void journal_begin(struct journal *j);
/* Replaces the pair of this source UID. */
void journal_pair_put(struct journal *j, uint32_t folder, const struct pair *p,
    const struct content *content); /* NULL: keep what is there, also that it was compared */
void journal_pair_del(struct journal *j, uint32_t folder, uint32_t src_uid);
/* The one that has this UID on the target and none on the source, if there is one. */
void journal_copy_del(struct journal *j, uint32_t folder, uint32_t tgt_uid);
void journal_intent_put(struct journal *j, uint32_t folder, struct intent *i); /* sets id */
/* Replaces what is known to be on its way of it. */
void journal_intent_sent_put(
    struct journal *j, uint32_t folder, uint64_t id, const struct intent_sent *sent, size_t n);
void journal_intent_del(struct journal *j, uint32_t folder, uint64_t id);
int journal_commit(struct journal *j, struct err *err) ATTR_WUR;

/* From here on until settle() the records and keywords of folders, and what is forgotten of them,
 * may wait: each becomes durable with the next change that is not one of these, or when they are
 * many, or in settle(), in the order in which they were made.  Whoever reads sees them.  Where a
 * crash comes before, it was one before they were made: so nobody gathers who has done somewhere
 * else what only they can explain.  Watched, nothing waits. */
void journal_gather(struct journal *j);
int journal_settle(struct journal *j, struct err *err) ATTR_WUR;

/* Who has to know of each pair before the journal does: told of those that a transaction puts,
 * asked when they are about to be durable, where -1 ends the transaction.  digest NULL: the content
 * is not known; is_new: nor was this one before. */
struct journal_watch {
    void (*put)(
        void *arg, uint32_t folder, const struct pair *p, const unsigned char *digest, bool is_new);
    int (*commit)(void *arg, struct err *err);
    void (*abort)(void *arg);
    void *arg;
};
void journal_watch(struct journal *j, const struct journal_watch *watch); /* borrowed */

/* Open intents of a folder of this kind on the target, oldest first; free with intents_free(). */
int journal_intents(struct journal *j, uint32_t folder, enum intent_kind kind, struct intent **out,
    size_t *n_out, struct err *err) ATTR_WUR;
/* Whether a batch for this folder is open. */
int journal_has_appends(struct journal *j, uint32_t folder, bool *out, struct err *err) ATTR_WUR;
/* Those of all folders, of every kind but APPEND. */
int journal_intents_all(
    struct journal *j, struct intent **out, size_t *n_out, struct err *err) ATTR_WUR;
void intents_free(struct intent *v, size_t n);

#endif
