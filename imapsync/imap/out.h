/* SPDX-License-Identifier: ISC */
/*
 * out: the bytes that wait to be sent, with absolute positions, and the places among them where
 * nothing goes on before the server's "+".
 *
 * Both have room behind the mark at which imap_out_is_full() says so, for what was begun before.
 * Who goes on filling it all the same gets an overrun: nothing more is kept or sent, and the
 * connection is of no more use.
 */
#ifndef IMAPSYNC_IMAP_OUT_H
#define IMAPSYNC_IMAP_OUT_H

#include "base/core/buf.h"
#include "imapsync/imap/limits.h"

struct imap_wait {
    uint64_t at;
    uint32_t tag;
};

struct imap_out {
    struct buf bytes;
    uint64_t base; /* absolute position of the first byte in bytes */
    struct imap_wait waits[IMAP_WAITS_MAX];
    size_t n_waits;
    bool is_overrun;
};

/* What imap_out_cut() took away. */
struct imap_cut {
    uint64_t from, n;
};

void imap_out_init(struct imap_out *o);
void imap_out_fini(struct imap_out *o); /* wipes what it still holds */
bool imap_out_is_full(const struct imap_out *o);

void imap_out_add(struct imap_out *o, struct slice s);
void imap_out_addf(struct imap_out *o, const char *fmt, va_list ap) ATTR_PRINTF(2, 0);
/* Bytes that are added from here on wait for a "+", for the command with this tag. */
void imap_out_wait(struct imap_out *o, uint32_t tag);
uint64_t imap_out_end(const struct imap_out *o); /* the position behind the last byte */

/* What may be sent now; borrowed until the next change. */
struct slice imap_out_ready(const struct imap_out *o);
void imap_out_sent(struct imap_out *o, size_t n);
/* All up to a wait was sent: only the "+" is missing. */
bool imap_out_is_held(const struct imap_out *o);
bool imap_out_has_waits(const struct imap_out *o, uint32_t tag);
/* The "+" has come; only when imap_out_is_held(). */
void imap_out_go_on(struct imap_out *o);
/* The command was refused: takes its bytes away from its first wait up to `to`, with all its waits.
 * false: it had none. */
bool imap_out_cut(struct imap_out *o, uint32_t tag, uint64_t to, struct imap_cut *out);

#endif
