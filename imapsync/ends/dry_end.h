/* SPDX-License-Identifier: ISC */
/*
 * dry_end: an end that shows another one and changes nothing there, whatever is asked of it.
 *
 *     struct dry_maker dry;
 *     dry_maker_init(&dry, maker);
 *     end_open_all(&(const struct end_maker *){&dry.maker}, 1, ...);
 *
 * What reads goes through, opened for reading only.  A folder that is made is there from then on,
 * empty, for this end; a subscription is taken; every other change is refused, and no slot that
 * changes is ever called on the end behind.  So who asks for more than a plan gets a NO.
 */
#ifndef IMAPSYNC_ENDS_DRY_END_H
#define IMAPSYNC_ENDS_DRY_END_H

#include "imapsync/ends/end.h"

struct dry_maker {
    struct end_maker maker;
    const struct end_maker *of; /* borrowed */
};

/* In place for as long as ends are made. */
void dry_maker_init(struct dry_maker *m, const struct end_maker *of);

#endif
