/* SPDX-License-Identifier: ISC */
/* items_subjects: items --subjects: the subjects of messages, from where they lie. */
#ifndef IMAPSYNC_ITEMS_SUBJECTS_H
#define IMAPSYNC_ITEMS_SUBJECTS_H

#include <jansson.h>
#include "imapsync/account_args.h"
#include "imapsync/journal/items.h"
#include "imapsync/copy/subjects.h"
#include "imapsync/move/record.h"

/* Who may know how to sign in where the messages are. */
struct items_whose {
    const struct conf *conf;           /* with a record: the servers of that */
    const struct move_record *record;  /* NULL: of no user */
    const struct account_args *source; /* url NULL: not given */
};

/* Messages of one side, of which items are told; at: place in the list of items. */
void items_want_subject(struct subjects *s, const struct item *i, size_t at);
/* Sets "subject" in those items; name: the end's, as the journal has it. */
int items_add_subjects(const struct items_whose *w, const char *name, struct subjects *s,
    json_t *items, struct err *err) ATTR_WUR;

#endif
