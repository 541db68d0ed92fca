/* SPDX-License-Identifier: ISC */
/* outcome: see outcome.h. */
#include "imapsync/imap/outcome.h"

#include "imapsync/imap/fault.h"

void imap_outcome_set(void *outcome, const struct imap_response *r)
{
    struct imap_outcome *o = outcome;
    o->is_done = true;
    o->status = r->status;
    o->code = r->code.kind;
    o->number = r->code.number;
    imap_fault_text(r->text, o->text, sizeof(o->text));
}
