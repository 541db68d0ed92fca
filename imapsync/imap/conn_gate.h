/* SPDX-License-Identifier: ISC */
/*
 * conn_gate: after a sign-in was refused because of name or password, one try in ten minutes, since
 * servers lock accounts that somebody goes on trying.  One gate for each server of the
 * configuration, for all connections of the process, or, where somebody else keeps it
 * (imap_gates_keep), of all processes that ask him.
 *
 * What was refused may be one user, who is not on that server, or the administrator's password.  As
 * long as others get in it is the user; when nobody has got in yet, or a second user is refused
 * without a success in between, it is the password, and everybody waits.  Another password is
 * another try.
 */
#ifndef IMAPSYNC_IMAP_CONN_GATE_H
#define IMAPSYNC_IMAP_CONN_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "base/os/hmac.h"

#define IMAP_GATE_MS (10 * 60 * 1000)

struct imap_gate;

/* Lives as long as the process. */
struct imap_gate *imap_gate_of(const char *server);
/* -1: not now, and err says how long. */
int imap_gate_enter(struct imap_gate *g, const char *user, struct slice secret, uint64_t now_ms,
    struct err *err) ATTR_WUR;
/* The same with the SHA-256 of the secret. */
int imap_gate_enter_by(struct imap_gate *g, const char *user,
    const unsigned char digest[SHA256_SIZE], uint64_t now_ms, struct err *err) ATTR_WUR;
void imap_gate_passed(struct imap_gate *g);
/* Raises the alarm: a line of the log. */
void imap_gate_refused(
    struct imap_gate *g, const char *user, uint64_t now_ms, const struct err *why);
/* Nobody may try. */
bool imap_gate_is_closed(struct imap_gate *g, uint64_t now_ms);
/* Somebody says that it is another matter now. */
void imap_gates_open(void);

/* Whoever keeps the gates for this process; his calls come from whatever thread signs in. */
struct imap_gate_keeper {
    int (*enter)(void *arg, const char *server, const char *user,
        const unsigned char digest[SHA256_SIZE], struct err *err);
    void (*passed)(void *arg, const char *server);
    void (*refused)(void *arg, const char *server, const char *user, const struct err *why);
};
/* Before the first connection; both are borrowed for as long as the process lives. */
void imap_gates_keep(const struct imap_gate_keeper *keeper, void *arg);

#endif
