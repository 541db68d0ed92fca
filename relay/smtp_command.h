/* SPDX-License-Identifier: ISC */
/*
 * smtp_command: the grammar of the commands that a client may send (RFC 5321 4.1.1, 4.1.2), pure.
 *
 *     ehlo = ( "EHLO" / "HELO" / "LHLO" ) SP ( Domain / address-literal )
 *     mail = "MAIL FROM:" Reverse-path *( SP esmtp-param )      SIZE (RFC 1870), BODY (RFC 6152)
 *     rcpt = "RCPT TO:" Forward-path *( SP esmtp-param )        none
 *     data = "DATA"   rset = "RSET"   quit = "QUIT"   starttls = "STARTTLS"
 *     noop = "NOOP" [ SP String ]   help = "HELP" [ SP String ]   vrfy = "VRFY" SP String
 *
 * Stricter than the RFC allows: no control or 8-bit bytes anywhere, each parameter once.  Looser:
 * one or more blanks after the colon (many clients) and at the line's end.  Unless is_strict, also
 * tabs for blanks, paths as address_path_parse() takes them, names of any printable characters, and
 * an argument of QUIT.
 */
#ifndef RELAY_SMTP_COMMAND_H
#define RELAY_SMTP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/slice.h"
#include "base/mail/address.h"
#include "relay/answer.h"

#define SMTP_COMMAND_MAX 2048 /* a command line with its CRLF; RFC 5321 4.5.3.1.4: 512 and more */

enum smtp_verb {
    SMTP_VERB_EHLO,
    SMTP_VERB_HELO,
    SMTP_VERB_LHLO,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_VRFY,
    SMTP_VERB_HELP,
    SMTP_VERB_QUIT,
    SMTP_VERB_REFUSED, /* known and not offered: EXPN AUTH BDAT ETRN TURN SEND SOML SAML */
    SMTP_VERB_UNKNOWN,
    SMTP_VERBS
};

struct smtp_command {
    enum smtp_verb verb;
    struct slice argument;  /* EHLO, HELO, LHLO: the name, as it was written */
    enum address_path path; /* MAIL: NULL, MAILBOX, LOCAL; RCPT: MAILBOX, POSTMASTER */
    struct slice mailbox;   /* without brackets; "" for the null path */
    bool has_size, has_body, is_8bit;
    uint64_t size;
    unsigned char plain[ADDRESS_MAX]; /* where a mailbox may lie */
};

/* One line without its CRLF; slices borrow from it and from *out, which is not to be copied.  0, or
 * -1 with the answer; the verb is set in both cases. */
int smtp_command_parse(
    struct slice line, bool is_strict, struct smtp_command *out, struct answer *bad_out) ATTR_WUR;

#endif
