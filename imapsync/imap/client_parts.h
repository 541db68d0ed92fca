/* SPDX-License-Identifier: ISC */
/* client_parts: what the files of the client share among themselves. */
#ifndef IMAPSYNC_IMAP_CLIENT_PARTS_H
#define IMAPSYNC_IMAP_CLIENT_PARTS_H

#include "imapsync/imap/cause.h"
#include "imapsync/imap/client.h"
#include "imapsync/imap/frame.h"
#include "imapsync/imap/out.h"
#include "imapsync/imap/secrets.h"

struct command {
    uint32_t tag;
    uint64_t start, end; /* absolute output positions; end is 0 while it is being composed */
    imap_done_fn *done;
    void (*challenge)(void *arg, struct slice text);
    void *arg;
    bool is_starttls, is_compress;
    struct imap_verb verb;
};

/* One more than callers may have, for a connection that keeps itself alive. */
#define COMMANDS_MAX (IMAP_PIPELINE_MAX + 1)

struct imap_client {
    struct imap_frame frame;
    const struct imap_events *events;
    void *arg;
    enum imap_session session;
    uint64_t caps, without;
    struct imap_cap_limits limits;
    char bye[IMAP_TEXT_KEPT_MAX], greeting[IMAP_TEXT_KEPT_MAX];

    struct imap_out out;
    struct imap_secrets secrets;

    /* A ring, by tag: most answers are the oldest command's, and with some hundred on their way
     * nothing is to be moved for each. */
    struct command commands[COMMANDS_MAX];
    size_t first, n_commands;
    uint32_t last_tag;
    uint64_t allowed; /* commands that may be begun yet; UINT64_MAX: any number */
    uint64_t ahead;   /* that were begun all the same */
    bool is_composing;
    bool is_muted;     /* the command being composed was refused at a literal */
    bool is_exclusive; /* STARTTLS, COMPRESS or AUTHENTICATE is in flight */
    bool wants_tls;
    bool wants_compress;
    struct slice rest; /* of what is being fed, behind the answer to COMPRESS */
    bool skips_body;   /* the body that is coming is part of nothing */
    bool is_closed;    /* commands go nowhere any more */
};

/* Where the i-th of them is; the oldest is 0. */
static inline size_t imap_client_slot(const struct imap_client *c, size_t i)
{
    return (c->first + i) % COMMANDS_MAX;
}

static inline struct command *imap_client_at(struct imap_client *c, size_t i)
{
    return &c->commands[imap_client_slot(c, i)];
}

struct command *imap_client_command(
    struct imap_client *c, uint32_t tag); /* NULL: answered, or never given */

#endif
