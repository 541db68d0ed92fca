/* SPDX-License-Identifier: ISC */
/*
 * passes: see passes.h.  Whoever makes progress may try for ever.  A connection that has died of
 * fewer messages than the one before is progress too, until one message is left; and so is one
 * after which a folder, or something that need not be asked, is left out.
 */
#include "imapsync/copy/passes.h"

#include <poll.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "imapsync/copy/copy_parts.h"

#define TRIES_MAX 4
#define WAIT_MS 500       /* before the second try; doubles */
#define NARROWED_MS 100   /* when the server dies of a message, and not for want of time */
#define NARROWINGS_MAX 16 /* without anything copied; a window is halved ten times */

/* What is left out from now on since connections have died of it. */
static unsigned n_left_out(const struct copy *c)
{
    const struct end_maker *const both[] = {c->source, c->target};
    unsigned n = c->n_aside;
    for (size_t i = 0; i < 2; i++)
        n += both[i]->n_avoided ? both[i]->n_avoided(both[i]) : 0;
    return n;
}

int passes_run(struct copy *c, enum plan_policy_id policy, struct copy_counts *n, struct err *err)
{
    unsigned narrowings = 0;
    for (unsigned i = 1;; i++) {
        uint64_t before = n->messages_copied;
        unsigned narrowed = c->suspects.n_narrowed, left_out = n_left_out(c);
        bool is_narrower = false;
        if (copy_connect_apart(c, err) == 0 && copy_pass(c, policy, n, err) == 0)
            return 0;
        if (n->messages_copied > before) {
            i = 1;
            narrowings = 0;
        } else if (c->suspects.n_narrowed > narrowed && narrowings++ < NARROWINGS_MAX) {
            i = 1;
            is_narrower = true;
        } else if (n_left_out(c) > left_out) {
            i = 1;
            is_narrower = true;
        }
        /* A journal that was found damaged is set aside, and the next pass begins another. */
        bool is_damage = err->scope == ERR_SCOPE_USER && err->code == EX_DATAERR;
        if (err->class != ERR_TEMP || !(err->scope == ERR_SCOPE_HOST || is_damage) ||
            i >= TRIES_MAX || copy_is_cancelled(c))
            return -1;
        log_warn("copy_again", log_err(err));
        if (!is_damage)
            poll(NULL, 0, is_narrower ? NARROWED_MS : WAIT_MS << i);
        /* What a broken pass has looked at is looked at again, and told again. */
        report_repeat(n);
        if (c->events->again)
            c->events->again(c->arg);
    }
}
