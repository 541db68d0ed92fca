/* SPDX-License-Identifier: ISC */
/*
 * imap_shared: what all connections to a server share where they are in several processes: whose
 * sign-in was refused, which one process keeps and the others ask it for, and the rates, of which
 * each has its part.
 */
#ifndef IMAPSYNC_ENDS_IMAP_SHARED_H
#define IMAPSYNC_ENDS_IMAP_SHARED_H

#include "imapsync/imap/conn_gate.h"

/* --- In the process that asks; before the first connection --- */

void imap_shared_ask(const struct imap_gate_keeper *keeper, void *arg); /* borrowed for good */
void imap_shared_part(uint32_t n);                                      /* it is one of so many */

/* --- In the process that keeps them; server: its name in the configuration --- */

/* -1: not now, and err says how long. */
int imap_shared_enter(const char *server, const char *user, const unsigned char digest[SHA256_SIZE],
    struct err *err) ATTR_WUR;
void imap_shared_passed(const char *server);
void imap_shared_refused(const char *server, const char *user, const struct err *why);

#endif
