/* SPDX-License-Identifier: ISC */
/*
 * uid_set: the UIDs of a folder in little memory: blocks of 32 bits, of which only those are kept
 * that have one.  Half a million messages with few gaps are 140 KB, every second UID twice that;
 * what is scattered thinly has 8 octets for each.
 *
 *     struct uid_set s = {0};
 *     uid_set_add(&s, 7);                    in any order
 *     uid_set_join(&s);                      behind the last one; then all the others may be used
 *     for (uint32_t uid = uid_set_next(&s, 0); uid != 0; uid = uid_set_next(&s, uid)) ...
 *     uid_set_fini(&s);
 */
#ifndef BASE_MAIL_UID_SET_H
#define BASE_MAIL_UID_SET_H

#include "base/mail/uids.h"

/* The UIDs from 32 * number on. */
struct uid_block {
    uint32_t number, bits;
};

/* A zeroed one is empty. */
struct uid_set {
    struct uid_block *v; /* ascending, each number once, when they are joined */
    size_t n, cap;
    bool is_disordered;
};

void uid_set_fini(struct uid_set *s);
/* uid > 0 */
void uid_set_add(struct uid_set *s, uint32_t uid);
/* A block for each 32 of them: the caller sees to it that they are not too many. */
void uid_set_add_range(struct uid_set *s, struct uid_range range);
void uid_set_join(struct uid_set *s);
/* And those of another one. */
void uid_set_join_with(struct uid_set *s, const struct uid_set *other);

bool uid_set_has(const struct uid_set *s, uint32_t uid);
/* The next one behind this, or behind the beginning, 0; 0: there is none. */
uint32_t uid_set_next(const struct uid_set *s, uint32_t uid);
/* The next ones behind this, at most n; how many. */
size_t uid_set_some(const struct uid_set *s, uint32_t uid, uint32_t *out, size_t n);
/* The last ones before this, 0: of all, at most n, ascending; how many. */
size_t uid_set_some_before(const struct uid_set *s, uint32_t uid, uint32_t *out, size_t n);
uint32_t uid_set_last(const struct uid_set *s); /* 0: it is empty */
/* How many there are from first to last. */
size_t uid_set_count(const struct uid_set *s, uint32_t first, uint32_t last);
size_t uid_set_size(const struct uid_set *s);                      /* and in all */
void uid_set_copy(struct uid_set *to, const struct uid_set *from); /* to is not freed before */
struct uid_set uid_set_of(const uint32_t *uids, size_t n);         /* joined */

#endif
