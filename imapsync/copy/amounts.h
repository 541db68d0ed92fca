/* SPDX-License-Identifier: ISC */
/*
 * amounts: whether the source has as much as it should (E-EMPTY), and the target room for what is
 * to come (E-QUOTA).
 *
 *     amounts_ask(c, p);                    both quotas, in front of the listings
 *     amounts_look(c, p, from, err);        a source that has nothing
 *     amounts_fit(c, p, from, err);         a target that is too small, before anything is sent
 *     amounts_compare(c, p, from, err);     a source that has much less than is said: behind it all
 *
 * An empty mailbox is most often one that we do not see: another namespace, a right that was taken
 * away, a wrong name, or somebody who has emptied it by accident.  Somebody has to say that it is
 * as it should be.
 */
#ifndef IMAPSYNC_COPY_AMOUNTS_H
#define IMAPSYNC_COPY_AMOUNTS_H

#include "imapsync/plan/filter.h"
#include "imapsync/ends/end.h"

struct copy;
struct pass;

struct amounts {
    bool is_asked;
    struct end_ticket ask[2];
    struct end_quota source, target; /* nothing is told of one that was not asked */
};

/* What was listed and weighed the last time. */
struct amounts_weighed {
    uint64_t messages, octets; /* octets: or more */
};

/* Less than half, and by so much. */
#define AMOUNTS_LESS_OCTETS (UINT64_C(1) << 20)
#define AMOUNTS_LESS_MESSAGES 50
bool amounts_is_less(uint64_t there, uint64_t used, uint64_t least);

/* Where something would be learned.  Answered when what was begun behind it is. */
void amounts_ask(struct copy *c, struct pass *p);
int amounts_look(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err) ATTR_WUR;
/* -1 also when it does not fit, and nobody has accepted that. */
int amounts_fit(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err) ATTR_WUR;
int amounts_compare(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err) ATTR_WUR;

/* --- amounts_octets.c --- */

/* A folder of the source, of which so many messages count. */
struct amounts_folder {
    const struct folder *f;
    uint64_t n;
};

/* As the source tells their sizes: octets, and messages, of what the filter takes (NULL: all).  One
 * that cannot be opened has none. */
struct amounts_sum {
    uint64_t messages, octets;
};
int amounts_of_folders(struct copy *c, const struct amounts_folder *v, size_t n,
    const struct filter *filter, struct amounts_sum *out, struct err *err) ATTR_WUR;
/* Of a folder that was copied, by the journal; *known_out false: it was not. */
int amounts_of_copied(struct copy *c, const struct folder *f, uint64_t *out, bool *known_out,
    struct err *err) ATTR_WUR;

#endif
