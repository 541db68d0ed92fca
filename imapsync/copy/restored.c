/* SPDX-License-Identifier: ISC */
/*
 * restored: UIDNEXT that is not above a UID that has a pair, or below one that was listed, tells it
 * at once.  When as much mail has come since as was lost UIDNEXT is silent, and HIGHESTMODSEQ may
 * still be lower: that also falls when a server makes its index again, which costs a reading.
 */
#include "imapsync/copy/restored.h"

struct record_numbers restored_numbers(const struct folder *f)
{
    struct record_numbers n = {0};
    if (!(f->has & FOLDER_HAS_UIDVALIDITY))
        return n;
    n.uidvalidity = f->uidvalidity;
    n.uidnext = f->has & FOLDER_HAS_UIDNEXT ? f->uidnext : 0;
    n.modseq = f->has & FOLDER_HAS_MODSEQ ? f->modseq : 0;
    return n;
}

bool restored(const struct restored_known *known, const struct record_numbers *now)
{
    const struct record_numbers *was = &known->numbers;
    if (now->uidvalidity == 0)
        return false;
    if (known->uidvalidity == now->uidvalidity && now->uidnext != 0 && now->uidnext <= known->uid)
        return true;
    if (was->uidvalidity != now->uidvalidity)
        return false;
    return (now->uidnext != 0 && now->uidnext < was->uidnext) ||
           (now->modseq != 0 && now->modseq < was->modseq);
}

bool restored_raise(struct record_numbers *known, const struct record_numbers *now)
{
    struct record_numbers was = *known;
    if (now->uidvalidity == 0)
        return false;
    if (known->uidvalidity != now->uidvalidity)
        *known = (struct record_numbers){.uidvalidity = now->uidvalidity};
    if (now->uidnext > known->uidnext)
        known->uidnext = now->uidnext;
    if (now->modseq > known->modseq)
        known->modseq = now->modseq;
    return known->uidvalidity != was.uidvalidity || known->uidnext != was.uidnext ||
           known->modseq != was.modseq;
}
