/* SPDX-License-Identifier: ISC */
/*
 * plan_parts: what the files of the plan share among themselves: the draft of one call.
 *
 *   plan.c         merges each folder into the draft; the rest works on what is left in it
 *   plan_draft.c   what is put into the draft
 *   plan_lost.c    what becomes of pairs that one side has lost
 *   plan_moves.c   joins what was lost in one place with what is new in another
 *   plan_late.c    behind a flip: which of the new ones came late
 *   plan_limits.c  which deletions are withheld
 *   plan_flags.c   flags, three-way
 *   plan_names.c   names of folders, before all this
 */
#ifndef IMAPSYNC_PLAN_PLAN_PARTS_H
#define IMAPSYNC_PLAN_PLAN_PARTS_H

#include "base/core/mem.h"
#include "imapsync/plan/plan.h"

#define PLAN_NONE SIZE_MAX

/* A pair that one side has lost. */
struct plan_lost {
    uint32_t folder;
    struct plan_pair pair;
    struct flags other; /* that it has on the side that has it, as far as we know */
    bool has_other;     /* because it was told */
    bool is_other_lost; /* the other side has lost it too */
    bool is_touched;
    bool is_shared;          /* a pair that stays has the same copy */
    bool comes_again;        /* of the target: it is copied again, unless it is found there */
    bool may_be_unread;      /* it may be a new one that cannot be read */
    size_t other_at;         /* of the target: in the source's messages, or PLAN_NONE */
    size_t match;            /* of the new ones, or PLAN_NONE */
    enum plan_witness proof; /* of the match */
};

/* A message without a pair, or that needs another copy. */
struct plan_fresh {
    uint32_t folder;
    uint32_t at; /* in its side's messages */
    uint32_t uid;
    bool is_taken;               /* joined with a lost one */
    bool is_judged;              /* has its operation */
    bool is_again;               /* the target has lost it: not new, but it is to be there */
    bool is_released;            /* it was joined, and needs a copy of its own all the same */
    bool may_be_lost;            /* it cannot be read, and may be a lost one */
    const unsigned char *digest; /* is_again: as the journal has it */
    const struct canon *canon;
};

/* The two sides of a match. */
struct plan_match {
    bool is_target; /* which side this is about */
    struct plan_lost *lost;
    size_t n_lost;
    struct plan_fresh *fresh;
    size_t n_fresh;
};

struct plan_draft {
    const struct plan_input *in;
    const struct plan_policy *policy;
    struct plan *out;
    struct plan_match source;   /* lost there and new there */
    struct plan_match target;   /* lost there only, and new there */
    const unsigned char **owed; /* digests of what the source has and a restored target has lost */
    size_t n_owed;
    uint32_t *slots; /* hash table of positions in the plan's changes, plus one; 0: free */
    size_t n_slots;
};

/* Room for one more in an array that doubles at powers of two: no capacity to carry about. */
static inline void *plan_room(void *v, size_t n, size_t size)
{
    if (n == 0)
        return mem_realloc_array(v, 16, size);
    if (n >= 16 && (n & (n - 1)) == 0)
        return mem_realloc_array(v, 2 * n, size);
    return v;
}

/* plan_draft.c.  The operation is zero but for what is given, and good until the next is added. */
struct plan_op *plan_add(
    struct plan_draft *d, enum plan_kind kind, enum plan_witness witness, uint32_t folder);
/* The position of these flags among the changes. */
uint32_t plan_change(struct plan_draft *d, const struct plan_change *c);
/* Takes the operation that was added last into those that are withheld. */
void plan_withhold_last(struct plan_draft *d, enum plan_reason reason);
void plan_withhold(struct plan *p, const struct plan_op *op, enum plan_reason reason);
struct plan_message plan_message_of(
    const struct plan_draft *d, bool is_target, const struct plan_fresh *f);
void plan_ask(
    struct plan_draft *d, enum plan_question question, bool is_target, const struct plan_fresh *f);
void plan_add_number(uint32_t **v, size_t *n, uint32_t number);

/* plan.c.  COPY of a message without a pair. */
void plan_copy(struct plan_draft *d, struct plan_fresh *f, enum plan_witness witness);
/* The same, unless its content would tell that it has a copy, and cannot be read: then it is
 * withheld, and the answer false. */
bool plan_copy_new(struct plan_draft *d, struct plan_fresh *f, enum plan_witness witness);

static inline struct plan_message plan_message_at(const struct plan_side *s, size_t i)
{
    return s->message(s->arg, i);
}

/* Where a pair is in the journal when its flags' turn comes. */
struct plan_place {
    uint32_t folder, src_uid, tgt_uid;
};

/* What the flags of a pair that is on both sides need; source and target NULL: as the journal
 * says.  The answer is what both then have in common. */
struct flags plan_merge_flags(struct plan_draft *d, const struct plan_pair *p,
    const struct plan_place *at, const struct flags *source, const struct flags *target);

/* plan_lost.c: of the source, and of the target alone before a flip.  plan_again() comes first:
 * what has to be copied again may have a copy somewhere else. */
void plan_again(struct plan_draft *d);
void plan_lost(struct plan_draft *d);
void plan_away(struct plan_draft *d);

/* plan_moves.c: by EMAILID, then by content; the same folder first. */
void plan_match(const struct plan_draft *d, struct plan_match *m);
/* Asks for the contents that may join a lost one that is not joined yet: those of a size that fits;
 * then all, where what is not joined would be stored twice, or is_wide. */
void plan_match_ask(struct plan_draft *d, const struct plan_match *m, bool is_wide);

/* What cannot be read and what was lost that may be the same: nothing is done to either. */
void plan_match_unread(const struct plan_draft *d, struct plan_match *m);

/* plan_late.c: judges every new one of the source that is not taken. */
void plan_late(struct plan_draft *d);

/* plan_limits.c.  How many deletions may be in one pass. */
size_t plan_ceiling(const struct plan_input *in);
void plan_limits(struct plan_draft *d);

#endif
