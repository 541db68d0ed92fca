/* SPDX-License-Identifier: ISC */
/*
 * maildir_uidlist: the text of a dovecot-uidlist.
 *
 *     3 V1257639123 N25022 G3085f01b7f11094c501100008c4a11c1
 *     25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394
 *     25017 W2481 :1276533073.M242911P3632.kurkku,S=2426
 *
 * V is the UIDVALIDITY, N the next UID when the list was written whole (lines that were appended
 * since count as well), G the ID of the folder.  Each line has the UID, fields of a letter and a
 * value, and the base of the file's name.  UIDs ascend; of two lines with one name the later one
 * counts.  Version 1 is read: "1 V N", and lines without fields.
 *
 * A line that cannot be read costs itself.
 */
#ifndef IMAPSYNC_ENDS_MAILDIR_UIDLIST_H
#define IMAPSYNC_ENDS_MAILDIR_UIDLIST_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"

#define UIDLIST_MAX ((size_t)1 << 30)
#define UIDLIST_UID_MAX (UINT32_MAX - 1)

struct uidlist_row {
    struct slice base, fields; /* into the text */
    uint32_t uid;              /* 0: a later line has its name */
};

struct uidlist {
    uint32_t validity, next;
    struct slice guid; /* into the text; empty: none */
    struct buf text;   /* what was read */
    struct uidlist_row *v;
    size_t n, cap, n_skipped; /* n_skipped: lines that could not be read */
    uint32_t *slots;          /* hash table of positions in v, plus one */
    size_t n_slots;
    bool is_torn; /* its last line has no end: nothing may be appended */
};

void uidlist_init(struct uidlist *l);
void uidlist_fini(struct uidlist *l);
/* Of l->text, which has been read.  -1: its first line is no header, and nothing is known. */
int uidlist_parse(struct uidlist *l) ATTR_WUR;
/* NULL: no line has that name. */
const struct uidlist_row *uidlist_find(const struct uidlist *l, struct slice base);
/* The ID of a message: field G, else its name. */
struct slice uidlist_id(const struct uidlist_row *row);
int uidlist_add_header(
    struct buf *out, uint32_t validity, uint32_t next, struct slice guid) ATTR_WUR;
/* fields: none, or "Gx Wy". */
int uidlist_add_row(struct buf *out, uint32_t uid, struct slice fields, struct slice base) ATTR_WUR;

#endif
