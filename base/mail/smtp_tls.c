/* SPDX-License-Identifier: ISC */
/*
 * smtp_tls: see smtp_tls.h.
 *
 * encrypt, verify and fingerprint want TLS.  On a loopback address there is nobody to protect from,
 * so a server that does not offer it, or will not have it, is taken in the clear there; but where
 * TLS is begun it must end well, for then something is wrong that the administrator has to know.
 * Only `may`, which any listener can strip as it is, goes on in the clear behind a broken
 * handshake, as Postfix does; and nothing falls back from TLS that starts with the first byte.
 */
#include "base/mail/smtp_tls.h"
#include "base/core/err.h"

enum row { ROW_NONE, ROW_MAY, ROW_MUST_LOOPBACK, ROW_MUST, ROW_IMPLICIT, ROWS };

static const enum smtp_tls_action table[ROWS][SMTP_TLS_EVENTS] = {
    /* connected, not offered, offered, refused, broken */
    [ROW_NONE] = {SMTP_TLS_GO_ON, SMTP_TLS_GO_ON, SMTP_TLS_GO_ON, SMTP_TLS_FAIL, SMTP_TLS_FAIL},
    [ROW_MAY] = {SMTP_TLS_GO_ON, SMTP_TLS_GO_ON, SMTP_TLS_ASK, SMTP_TLS_GO_ON, SMTP_TLS_AGAIN},
    [ROW_MUST_LOOPBACK] = {SMTP_TLS_GO_ON, SMTP_TLS_GO_ON, SMTP_TLS_ASK, SMTP_TLS_GO_ON,
        SMTP_TLS_FAIL},
    [ROW_MUST] = {SMTP_TLS_GO_ON, SMTP_TLS_FAIL, SMTP_TLS_ASK, SMTP_TLS_FAIL, SMTP_TLS_FAIL},
    [ROW_IMPLICIT] = {SMTP_TLS_HANDSHAKE, SMTP_TLS_GO_ON, SMTP_TLS_GO_ON, SMTP_TLS_FAIL,
        SMTP_TLS_FAIL},
};

static enum row row_of(struct smtp_tls tls)
{
    if (tls.is_implicit)
        return ROW_IMPLICIT;
    switch (tls.policy) {
    case CONF_TLS_NONE:
        return ROW_NONE;
    case CONF_TLS_MAY:
        return ROW_MAY;
    case CONF_TLS_ENCRYPT:
    case CONF_TLS_VERIFY:
    case CONF_TLS_FINGERPRINT:
    case CONF_TLS_PIN:
        return tls.is_loopback ? ROW_MUST_LOOPBACK : ROW_MUST;
    }
    BUG("unknown TLS policy");
}

enum smtp_tls_action smtp_tls_next(struct smtp_tls tls, enum smtp_tls_event event)
{
    return table[row_of(tls)][event];
}
