/* SPDX-License-Identifier: ISC */
/* limits: every bound that an IMAP server meets in our client, by name. */
#ifndef IMAPSYNC_IMAP_LIMITS_H
#define IMAPSYNC_IMAP_LIMITS_H

#include <stdint.h>

#define IMAP_RESPONSE_MAX (1u << 20)        /* one response without its message body */
#define IMAP_LITERAL_INLINE_MAX (64u << 10) /* a literal that is kept, such as a mailbox name */
#define IMAP_FREE_LITERAL_MAX (8u << 20)    /* sent without waiting for "+", with LITERAL+ */
#define IMAP_MESSAGE_SIZE_MAX UINT32_MAX    /* a message body, streamed; RFC 3501 "number" */
#define IMAP_NEST_MAX 16                    /* lists in lists */
#define IMAP_PIPELINE_MAX                                                                          \
    272                             /* commands without their tagged answer: two for each          \
                                       folder of a window (copy.c), and some */
#define IMAP_OUT_FULL (1u << 20)    /* bytes that wait to be sent: nothing more is begun */
#define IMAP_OUT_MAX (2u << 20)     /* and here the connection is given up */
#define IMAP_WAITS_FULL 64          /* literals that wait for their "+": nothing more is begun */
#define IMAP_WAITS_MAX 256          /* and here the connection is given up */
#define IMAP_ACCESS_TOKEN_MAX 32768 /* those of Microsoft have a few thousand */
#define IMAP_ODD_SHOWN 200          /* octets of a line that cannot be read, in the log */
#define IMAP_TEXT_KEPT_MAX 200      /* of a server's text in our errors */

#endif
