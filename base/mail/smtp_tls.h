/* SPDX-License-Identifier: ISC */
/*
 * smtp_tls: what the TLS policy of a server's entry says at each step of a connection to it, as one
 * pure function over a table.
 */
#ifndef BASE_MAIL_SMTP_TLS_H
#define BASE_MAIL_SMTP_TLS_H

#include <stdbool.h>
#include "base/core/conf.h"

struct smtp_tls {
    enum conf_tls policy;
    bool is_loopback; /* nobody can listen in on the address */
    bool is_implicit; /* smtps: TLS from the first byte, by the administrator's word */
};

enum smtp_tls_event {
    SMTP_TLS_CONNECTED,
    SMTP_TLS_NOT_OFFERED, /* no STARTTLS in the answer to EHLO, or no EHLO at all */
    SMTP_TLS_OFFERED,
    SMTP_TLS_REFUSED, /* STARTTLS was answered with 4xx or 5xx */
    SMTP_TLS_BROKEN,  /* the handshake, or the connection before the hello behind it */
    SMTP_TLS_EVENTS
};

enum smtp_tls_action {
    SMTP_TLS_GO_ON, /* as it is, in the clear if that is what it is */
    SMTP_TLS_HANDSHAKE,
    SMTP_TLS_ASK,   /* STARTTLS */
    SMTP_TLS_AGAIN, /* a new connection, without TLS */
    SMTP_TLS_FAIL,
};

enum smtp_tls_action smtp_tls_next(struct smtp_tls tls, enum smtp_tls_event event);

#endif
