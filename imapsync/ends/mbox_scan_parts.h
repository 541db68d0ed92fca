/* SPDX-License-Identifier: ISC */
/* mbox_scan_parts: what mbox_scan.c and mbox_scan_fields.c share. */
#ifndef IMAPSYNC_ENDS_MBOX_SCAN_PARTS_H
#define IMAPSYNC_ENDS_MBOX_SCAN_PARTS_H

#include "imapsync/ends/mbox_from.h"
#include "imapsync/ends/mbox_scan.h"

#define WINDOW 65536
#define FIELD_MAX 65536 /* octets of a field of the mailbox's own that are looked at */

struct mbox_reading {
    struct mbox_scan *s;
    uint64_t at; /* of the next octet */
    uint64_t window_at;
    size_t window_n;
    bool is_line; /* the next octet begins a line */
    /* The message. */
    struct mbox_mail mail;
    struct mbox_from from;
    struct mbox_codec codec;
    bool is_begun, is_header, is_pseudo, has_length;
    bool is_base;         /* this field says the UIDVALIDITY */
    size_t n_words;       /* of it */
    uint64_t length, own; /* own: octets of the mailbox's own fields */
    enum mbox_field field;
    struct buf value;
    unsigned char held[2]; /* what belongs to no message if this one ends here */
    size_t n_held;
    unsigned char window[WINDOW];
};

/* A line of a header, or a part of one; and the end of the field that is being read. */
void mbox_field_read(struct mbox_reading *r, struct slice line);
void mbox_field_finish(struct mbox_reading *r);

#endif
