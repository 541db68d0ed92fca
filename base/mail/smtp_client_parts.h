/* SPDX-License-Identifier: ISC */
/* smtp_client_parts: what the two halves of smtp_client have in common; for nobody else. */
#ifndef BASE_MAIL_SMTP_CLIENT_PARTS_H
#define BASE_MAIL_SMTP_CLIENT_PARTS_H

#include "base/mail/smtp_client.h"

/* Moves to output what may be sent now. */
void smtp_client_give(struct smtp_client *c);
/* -1 when too many are pending, and then nothing is. */
int smtp_client_command(struct smtp_client *c, enum smtp_client_await what, const char *verb,
    struct slice argument, const char *rest) ATTR_WUR;
/* EHLO (LHLO with LMTP), or HELO; what was learned before is forgotten. */
void smtp_client_hello(struct smtp_client *c, bool is_extended);

#endif
