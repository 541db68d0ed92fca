/* SPDX-License-Identifier: ISC */
/*
 * site: one configuration with all that it names and that needs privileges to be read: trace keys
 * and TLS contexts.  The master makes one at the start and at each reload; workers inherit it.
 */
#ifndef RELAY_SITE_H
#define RELAY_SITE_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/os/tls.h"
#include "maps/trace.h"

struct site {
    struct conf *conf;
    struct trace_keys *keys;
    struct tls_ctx *server_tls; /* NULL: STARTTLS is not offered */
    struct tls_ctx *
        *client_tls; /* one per server, the same where all is the same; NULL without TLS */
    /* How many there are to be, up to CONF_WORKERS_MAX.  The cores are counted once: while this
     * configuration lives, each slot has its sockets, whatever comes or goes. */
    unsigned workers;
};

/* Takes over conf, whatever happens.  *out is NULL on failure. */
int site_new_own(struct conf **conf, struct site **out, struct err *err) ATTR_WUR;
void site_free(struct site **s);

#endif
