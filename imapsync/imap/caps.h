/* SPDX-License-Identifier: ISC */
/* caps: a server's capabilities, of which we know these. */
#ifndef IMAPSYNC_IMAP_CAPS_H
#define IMAPSYNC_IMAP_CAPS_H

#include <stdint.h>
#include "base/core/slice.h"

/* Bits of a set. */
enum imap_cap {
    IMAP_CAP_KNOWN = 1 << 0, /* the server has told its capabilities */
    IMAP_CAP_STARTTLS = 1 << 1,
    IMAP_CAP_LOGINDISABLED = 1 << 2,
    IMAP_CAP_STATUS_SIZE = 1 << 3,
    IMAP_CAP_QUOTA = 1 << 4,     /* RFC 2087, 9208 */
    IMAP_CAP_COMPRESS = 1 << 5,  /* COMPRESS=DEFLATE */
    IMAP_CAP_UTF8_ONLY = 1 << 6, /* UTF8=ONLY: nothing works before ENABLE UTF8=ACCEPT */
    IMAP_CAP_SASL_IR = 1 << 7,
    IMAP_CAP_LITERAL_PLUS = 1 << 8,
    IMAP_CAP_LITERAL_MINUS = 1 << 9,
    IMAP_CAP_UIDPLUS = 1 << 10,
    IMAP_CAP_MULTIAPPEND = 1 << 11,
    IMAP_CAP_LIST_EXTENDED = 1 << 12,
    IMAP_CAP_LIST_STATUS = 1 << 13,
    IMAP_CAP_SPECIAL_USE = 1 << 14,
    IMAP_CAP_CREATE_SPECIAL_USE = 1 << 15,
    IMAP_CAP_NAMESPACE = 1 << 16,
    IMAP_CAP_ENABLE = 1 << 17,
    IMAP_CAP_CONDSTORE = 1 << 18,
    IMAP_CAP_QRESYNC = 1 << 19,
    IMAP_CAP_ID = 1 << 20,
    IMAP_CAP_METADATA = 1 << 21, /* RFC 5464 */
    IMAP_CAP_ESEARCH = 1 << 22,
    IMAP_CAP_IMAP4REV1 = 1 << 23,
    IMAP_CAP_IMAP4REV2 = 1 << 24,
    IMAP_CAP_MOVE = 1 << 25,
    IMAP_CAP_OBJECTID = 1 << 26,
    IMAP_CAP_UNSELECT = 1 << 27,
    IMAP_CAP_GMAIL = 1 << 28, /* X-GM-EXT-1 */
    IMAP_CAP_ACL = 1 << 29,
    IMAP_CAP_RIGHTS = 1 << 30, /* those of RFC 4314 */
};
/* Beyond what an enumerator can be.  METADATA-SERVER, or METADATA, which contains it. */
#define IMAP_CAP_METADATA_SERVER (UINT64_C(1) << 31)

/* Those with a number; 0: the server tells none. */
struct imap_cap_limits {
    unsigned mechs;    /* bits 1u << enum mech: of "AUTH=" */
    uint64_t append;   /* RFC 7889 APPENDLIMIT */
    uint64_t messages; /* RFC 9738 MESSAGELIMIT: that one command may be about */
};

/* The capabilities among the words of a list, IMAP_CAP_KNOWN always with them. */
uint64_t imap_caps_read(struct slice list, struct imap_cap_limits *limits_out);

#endif
