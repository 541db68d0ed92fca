/* SPDX-License-Identifier: ISC */
/*
 * journal_record: the records of a journal as octets and back.  No database, no file: unit tables
 * and a fuzzer drive it.  A record that cannot be unpacked is never skipped; one that was packed by
 * a later version is told by the version record, before any other is read.
 *
 * Records know two sides, A and B, and not which of them mail comes from: that is the journal's
 * (journal.h), so that one journal serves the way there and the way back.
 *
 *   database  key                              value
 *   state     'v'                              version, name of A, name of B, is complete
 *             'l'                              last folder id, last intent id
 *             'w'                              the side that mail came from last; is through;
 *                                              since version 5
 *             'a'                              a pair of the first way may stand alone: nothing
 *             'f' folder                       both sides: name, MAILBOXID, UIDVALIDITY, token;
 *                                              since version 6 highest numbers, is restored
 *             'n' side, name                   folder
 *             'k' folder                       keywords in the order of their bits
 *             'i' folder, intent               kind, time, UIDNEXT, flags or folder, UIDs
 *             's' folder, intent               of these, what is on its way: UID, flags, digests
 *             'c' folder                       what both sides were when they were compared
 *             'o' side, folder, UIDVALIDITY,   digest of a message that was only looked at; the
 *             UID                              folder by 8 octets of its name's digest
 *             't' side, folder, UID, code      an item; the folder by 8 octets of its name's
 *                                              digest; since version 7
 *             'p' folder, side, number         which of these UIDs have pairs (record_span); since
 *                                              version 8
 *             'm'                              kept for marks
 *   pairs     folder, UID on A                 the pair; since version 9 of a SENT one the UID told
 *   uids      folder, UID on B                 UIDs on A; the pair that has none; since version 4
 *                                              also both
 *   digests   8 octets of digest, folder,
 *             UID on A, UID on B               nothing
 */
#ifndef IMAPSYNC_JOURNAL_JOURNAL_RECORD_H
#define IMAPSYNC_JOURNAL_JOURNAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"
#include "base/os/hmac.h"
#include "imapsync/journal/canon.h"
#include "imapsync/journal/items.h"
#include "imapsync/ends/flags.h"

#define RECORD_VERSION 9
#define RECORD_VERSION_READ 2 /* the oldest whose records are read as they are */
#define RECORD_MAX (256u << 10)
#define RECORD_TOKEN_MAX 1024
#define RECORD_DIGEST_KEY 8 /* octets of a digest that are in its key; the pair has all of them */

enum { SIDE_A, SIDE_B, SIDES };

enum pair_state {
    PAIR_STORED = 1,  /* on both sides, both UIDs known */
    PAIR_REFUSED = 2, /* the other side did not take it */
    PAIR_GONE = 3,    /* it had been there, and went away with its folder behind a flip */
    PAIR_SENT = 4,    /* the other side has said OK, and its UID there is not known */
    PAIR_AWAY = 5,    /* it was on the target, and was removed or moved there before the flip */
    PAIR_LOST = 6,    /* it was on the target, which was restored from before it came there */
};

struct record_pair {
    uint32_t uid[SIDES]; /* 0: none; never both */
    enum pair_state state;
    bool is_compared; /* its content on both sides was found to be the same */
    bool is_touched;  /* the receiver's user has changed its flags there */
    bool is_removed;  /* GONE: the side without a UID had it, and its user has removed it there */
    bool is_marked;   /* a removal was begun on the receiver, and \Deleted may be its mark */
    struct flags flags;
    uint32_t size;  /* of the literal that was sent or found */
    uint32_t since; /* of PAIR_SENT: the receiver's UIDNEXT before */
    uint32_t told;  /* of PAIR_SENT, since version 9: the UID there that proves nothing; 0: none */
    bool has_digest;
    unsigned char digest[SHA256_SIZE]; /* of what was sent or found */
    struct canon canon;                /* since version 3 */
};

/* Of a folder; 0: not told. */
struct record_numbers {
    uint32_t uidvalidity, uidnext;
    uint64_t modseq; /* HIGHESTMODSEQ */
};

struct record_end {
    struct slice name, mailboxid, token; /* borrowed from what was unpacked */
    uint32_t uidvalidity;
    struct record_numbers numbers;
    bool is_restored;
};

struct record_folder {
    struct record_end end[SIDES];
};

enum intent_kind {
    INTENT_APPEND = 1, /* UIDs of the source that are being sent */
    INTENT_DELETE = 2, /* UIDs of the target that are being marked as deleted and expunged */
    INTENT_FLAGS = 3,  /* UIDs of the target whose flags are being changed */
    INTENT_MOVE = 4,   /* UIDs of the target, and what their messages then are on the source */
};

struct record_intent {
    enum intent_kind kind;
    uint8_t to; /* the side that changes */
    int64_t time_ms;
    uint32_t uidnext;
    struct flags add, remove; /* of INTENT_FLAGS */
    uint32_t folder;          /* of INTENT_MOVE: where to */
    struct slice uids; /* packed; see record_next_uid().  Of INTENT_MOVE two for each message */
};

struct record_sent {
    uint32_t uid, size;
    struct flags flags;
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
};

/* A side when the folder was compared: as long as these are what they were, its messages are. */
struct record_seen {
    uint32_t uidvalidity, uidnext, messages;
    uint32_t highest; /* UID; 0: it was empty */
};

struct record_compared {
    uint8_t from; /* the side that mail came from */
    struct record_seen seen[SIDES];
    uint32_t gone, extra; /* on the receiver: of ours, and not from us */
};

/* Which pairs there are under SPAN_UIDS neighbouring UIDs of a side, those from number * SPAN_UIDS
 * on: so that a folder of which little has changed is known without reading its pairs.  Of each UID
 * the state of the pair that has none on the other side (0: there is none such), with SPAN_STORED
 * if others have one there. */
#define SPAN_UIDS 1024
#define SPAN_STORED 8
#define SPAN_STATE 7 /* the bits of the state */
struct record_span {
    uint8_t of[SPAN_UIDS];
    size_t n; /* the last one has a pair: behind it none has */
};

struct record_version {
    uint8_t version;
    bool is_complete; /* a pass has seen every folder */
    struct slice name[SIDES];
};

/* Keys.  The buffer is emptied first. */
void record_key_version(struct buf *out);
void record_key_last(struct buf *out);
void record_key_way(struct buf *out);
void record_key_alone(struct buf *out);
void record_key_folder(struct buf *out, uint32_t folder);
void record_key_name(struct buf *out, int side, struct slice name);
void record_key_keywords(struct buf *out, uint32_t folder);
void record_key_compared(struct buf *out, uint32_t folder);
void record_key_shown(struct buf *out, int side, const unsigned char *name_digest,
    uint32_t uidvalidity, uint32_t uid);
void record_key_item(
    struct buf *out, int side, const unsigned char *name_digest, uint32_t uid, uint8_t code);
void record_key_intent(struct buf *out, uint32_t folder, uint64_t id);
void record_key_sent(struct buf *out, uint32_t folder, uint64_t id);
void record_key_span(struct buf *out, uint32_t folder, int side, uint32_t number);
void record_key_uid(struct buf *out, uint32_t folder, uint32_t uid);
void record_key_digest(
    struct buf *out, const unsigned char *digest, uint32_t folder, const uint32_t uid[SIDES]);

/* What a scan meets.  false: another kind of key, or not one of ours. */
bool record_is_folder(struct slice key, uint32_t *folder_out);
bool record_is_intent(struct slice key, uint32_t *folder_out, uint64_t *id_out);
bool record_is_item(struct slice key, int *side_out);
bool record_is_span(struct slice key, uint32_t *folder_out, int *side_out, uint32_t *number_out);
bool record_is_uid(struct slice key, uint32_t *folder_out, uint32_t *uid_out);
bool record_is_digest(
    struct slice key, struct slice *prefix_out, uint32_t *folder_out, uint32_t uid_out[SIDES]);

/* Values.  Packing empties the buffer; unpacking says false unless the whole of it makes sense. */
void record_pack_version(struct buf *out, const struct record_version *v);
bool record_unpack_version(struct slice s, struct record_version *out);
void record_pack_last(struct buf *out, uint32_t folder, uint64_t intent);
bool record_unpack_last(struct slice s, uint32_t *folder_out, uint64_t *intent_out);
/* The side that mail came from when it was last used, and whether what a change of it asks for has
 * been done. */
void record_pack_way(struct buf *out, int from, bool is_through);
bool record_unpack_way(struct slice s, int *from_out, bool *is_through_out);
void record_pack_folder(struct buf *out, const struct record_folder *f);
bool record_unpack_folder(struct slice s, struct record_folder *out);
void record_pack_keywords(struct buf *out, const struct keywords *k);
bool record_unpack_keywords(struct slice s, struct keywords *out); /* adds to it */
void record_pack_compared(struct buf *out, const struct record_compared *c);
bool record_unpack_compared(struct slice s, struct record_compared *out);
/* Of both directions alike: is_back is its key's. */
void record_pack_item(struct buf *out, const struct item *i);
bool record_unpack_item(struct slice s, struct item *out); /* borrowed */
void record_pack_id(struct buf *out, uint32_t id);
bool record_unpack_id(struct slice s, uint32_t *out);
void record_pack_intent(struct buf *out, const struct record_intent *i);
bool record_unpack_intent(struct slice s, struct record_intent *out);
/* Adds one to a value; takes the next one from it.  false: it makes no sense. */
void record_add_sent(struct buf *out, const struct record_sent *s);
bool record_next_sent(struct slice *rest, struct record_sent *out);
/* Without the UID that its key has. */
void record_pack_pair(struct buf *out, const struct record_pair *p, int key_side);
bool record_unpack_pair(struct slice s, int key_side, uint32_t key_uid, struct record_pair *out);

/* What stands under a UID of B: UIDs of A, a pair that has none (*is_pair_out), or both. */
void record_pack_refs(struct buf *out, struct slice uids);
void record_pack_alone(struct buf *out, const struct record_pair *p, struct slice uids);
bool record_unpack_refs(struct slice s, uint32_t uid, bool *is_pair_out, struct record_pair *out,
    struct slice *uids_out);

/* Of none of its UIDs nothing is kept: n > 0. */
void record_pack_span(struct buf *out, const struct record_span *span);
bool record_unpack_span(struct slice s, struct record_span *out);
/* What stands there; at < SPAN_UIDS. */
uint8_t record_span_get(const struct record_span *span, size_t at);
/* false: it was so already. */
bool record_span_set(struct record_span *span, size_t at, uint8_t what);

/* Packed UIDs.  Adding one that is there changes nothing. */
bool record_next_uid(struct slice *uids, uint32_t *out);
void record_add_uid(struct buf *uids, uint32_t uid);
void record_drop_uid(struct buf *uids, uint32_t uid);
bool record_has_uid(struct slice uids, uint32_t uid);

#endif
