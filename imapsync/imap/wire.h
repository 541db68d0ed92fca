/* SPDX-License-Identifier: ISC */
/*
 * wire: the socket of a connection, with or without TLS, never waiting.  It knows no IMAP.
 */
#ifndef IMAPSYNC_IMAP_WIRE_H
#define IMAPSYNC_IMAP_WIRE_H

#include <poll.h>
#include "base/core/net.h"
#include "imapsync/imap/place.h"

enum imap_wire_result {
    IMAP_WIRE_DONE,
    IMAP_WIRE_AGAIN,  /* not now: poll for imap_wire_events() */
    IMAP_WIRE_CLOSED, /* the peer has ended it; err is empty or says why */
    IMAP_WIRE_FAILED, /* err says why */
};

struct imap_wire {
    int fd; /* -1: none */
    struct tls *tls;
    struct lookup *lookup; /* NULL: over, or not begun */
    struct net_addr addrs[LOOKUP_MAX];
    size_t n_addrs, next_addr;
    bool read_wants_write, write_wants_read;
};

void imap_wire_init(struct imap_wire *w);
void imap_wire_close(struct imap_wire *w, bool is_polite);

/* Goes on with the look-up of the name, which it begins when it is called first. */
enum imap_wire_result imap_wire_look_up(
    struct imap_wire *w, const struct imap_place *p, struct err *err);
/* Begins to connect, to the first address that lets us.  -1: none does. */
int imap_wire_dial(struct imap_wire *w, const struct imap_place *p, struct err *err) ATTR_WUR;
/* The socket is ready, or the present address has had its time: DONE, or AGAIN with the next
 * address, or FAILED with the last one's error. */
enum imap_wire_result imap_wire_connected(
    struct imap_wire *w, const struct imap_place *p, bool is_late, struct err *err);
/* Goes on with the handshake, which it begins when it is called first. */
enum imap_wire_result imap_wire_secure(
    struct imap_wire *w, const struct imap_place *p, struct err *err);

bool imap_wire_binding(const struct imap_wire *w, struct tls_binding *out); /* tls_binding() */

enum imap_wire_result imap_wire_send(
    struct imap_wire *w, struct slice s, size_t *n_out, struct err *err);
enum imap_wire_result imap_wire_receive(
    struct imap_wire *w, void *p, size_t size, size_t *n_out, struct err *err);
bool imap_wire_has_read(const struct imap_wire *w); /* more is there, whatever poll() says */
bool imap_wire_is_local(const struct imap_wire *w); /* connected to this very machine */
int imap_wire_fd(const struct imap_wire *w);        /* for poll() */
/* For poll(), by what is wanted; during the handshake by what it wants. */
short imap_wire_events(const struct imap_wire *w, bool wants_read, bool wants_write);

#endif
