/* SPDX-License-Identifier: ISC */
/* imap_shared: see imap_shared.h. */
#include "imapsync/ends/imap_shared.h"

#include "base/core/clock.h"
#include "imapsync/imap/conn_server.h"

void imap_shared_ask(const struct imap_gate_keeper *keeper, void *arg)
{
    imap_gates_keep(keeper, arg);
}

void imap_shared_part(uint32_t n)
{
    imap_server_share(n);
}

int imap_shared_enter(
    const char *server, const char *user, const unsigned char digest[SHA256_SIZE], struct err *err)
{
    return imap_gate_enter_by(imap_gate_of(server), user, digest, clock_mono_ms(), err);
}

void imap_shared_passed(const char *server)
{
    imap_gate_passed(imap_gate_of(server));
}

void imap_shared_refused(const char *server, const char *user, const struct err *why)
{
    imap_gate_refused(imap_gate_of(server), user, clock_mono_ms(), why);
}
