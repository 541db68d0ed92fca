/* SPDX-License-Identifier: ISC */
/*
 * session: one client connection: the smtp_server and cutthrough engines joined to a stream, a
 * pooled target connection, the map and the claims.  It holds no protocol knowledge of its own,
 * only who waits for whom, the deadlines, and the log.
 *
 * A session frees itself when the client is gone and nothing is owed to a target any more.  It puts
 * itself on worker->sessions and takes itself off, n_sessions included; then it calls
 * worker_session_gone() with its peer.
 */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include <stdbool.h>
#include "base/core/net.h"
#include "relay/answer.h"
#include "relay/worker.h"

struct session;

/* Takes over fd.  refusal: what the client hears instead of a greeting, or NULL. */
void session_start_own(struct worker *w, int fd, const struct net_addr *peer, bool is_lmtp,
    const struct answer *refusal);
/* The worker stops (w->is_draining): between transactions the session says 421 and closes, else
 * behind this one.  It may be gone when this returns. */
void session_drain(struct session *s);
/* The dot has gone to a target and is not answered yet. */
bool session_is_dotted(const struct session *s);
/* Ends at once, whatever is open. */
void session_kill(struct session *s);
struct session *session_next(const struct session *s);

#endif
