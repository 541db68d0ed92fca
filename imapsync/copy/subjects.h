/* SPDX-License-Identifier: ISC */
/*
 * subjects: what messages of the source are called, read from there when somebody asks for it.  It
 * is shown and kept nowhere: a subject is content.
 */
#ifndef IMAPSYNC_COPY_SUBJECTS_H
#define IMAPSYNC_COPY_SUBJECTS_H

#include "base/core/buf.h"
#include "imapsync/ends/end.h"

struct subject {
    struct slice folder; /* owned */
    uint32_t uid, uidvalidity;
    size_t at;  /* whose it is: the caller's */
    char *text; /* owned; NULL: it cannot be had */
};

struct subjects {
    struct subject *v;
    size_t n;
};

void subjects_add(
    struct subjects *s, struct slice folder, uint32_t uid, uint32_t uidvalidity, size_t at);
void subjects_fini(struct subjects *s);
/* Those of one folder stand together, UIDs ascending.  Messages are read as a whole, for no end
 * reads less.  -1: the end has broken, and the others have none. */
int subjects_read(struct end *e, struct subjects *s, struct err *err) ATTR_WUR;

/* The value of a Subject field as people read it: unfolded, encoded words (RFC 2047) decoded where
 * they are in UTF-8, ASCII or Latin-1.  What does not fit is left out. */
void subject_decode(struct slice value, struct buf *out);

#endif
