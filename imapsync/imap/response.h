/* SPDX-License-Identifier: ISC */
/*
 * response: one IMAP response as a value.  All slices borrow from the text that was parsed.
 */
#ifndef IMAPSYNC_IMAP_RESPONSE_H
#define IMAPSYNC_IMAP_RESPONSE_H

#include "imapsync/imap/token.h"

enum imap_kind {
    IMAP_KIND_TAGGED,   /* tag, status, code, text */
    IMAP_KIND_STATUS,   /* "* OK ..." and its kin: status, code, text */
    IMAP_KIND_CONTINUE, /* "+ ...": text */
    IMAP_KIND_CAPABILITY,
    IMAP_KIND_ENABLED,
    IMAP_KIND_LIST,
    IMAP_KIND_LSUB,
    IMAP_KIND_MAILBOX_STATUS,
    IMAP_KIND_FLAGS,
    IMAP_KIND_SEARCH,
    IMAP_KIND_ESEARCH,
    IMAP_KIND_EXISTS,
    IMAP_KIND_RECENT,
    IMAP_KIND_EXPUNGE,
    IMAP_KIND_FETCH,
    IMAP_KIND_VANISHED,
    IMAP_KIND_NAMESPACE,
    IMAP_KIND_ACL, /* mailbox.name; list: identifiers and rights in turn, as they stood */
    /* mailbox.name, empty: the server; list: entries and values in turn, as they stood, or nothing:
     * some of them have changed. */
    IMAP_KIND_METADATA,
    IMAP_KIND_ID, /* text, as it stood */
    IMAP_KIND_QUOTA,
    IMAP_KIND_OTHER, /* known to no one here; ignored */
};

enum imap_status {
    IMAP_STATUS_OK,
    IMAP_STATUS_NO,
    IMAP_STATUS_BAD,
    IMAP_STATUS_BYE,
    IMAP_STATUS_PREAUTH,
    IMAP_STATUS_CANCELLED /* said by no server: see imap_client_cancel() */
};

/* RFC 9051 7.1, RFC 5530, RFC 4315, RFC 7162 and what large servers add. */
enum imap_code_kind {
    IMAP_CODE_NONE,
    IMAP_CODE_ALERT,
    IMAP_CODE_ALREADYEXISTS,
    IMAP_CODE_APPENDUID, /* number: UIDVALIDITY, set */
    IMAP_CODE_AUTHENTICATIONFAILED,
    IMAP_CODE_AUTHORIZATIONFAILED,
    IMAP_CODE_BADCHARSET,
    IMAP_CODE_CANNOT,
    IMAP_CODE_CAPABILITY, /* list */
    IMAP_CODE_CLIENTBUG,
    IMAP_CODE_CLOSED,
    IMAP_CODE_CONTACTADMIN,
    IMAP_CODE_COPYUID, /* number: UIDVALIDITY, set, set2 */
    IMAP_CODE_CORRUPTION,
    IMAP_CODE_EXPIRED,
    IMAP_CODE_EXPUNGEISSUED,
    IMAP_CODE_HASCHILDREN,
    IMAP_CODE_HIGHESTMODSEQ, /* number */
    IMAP_CODE_INUSE,
    IMAP_CODE_LIMIT,
    IMAP_CODE_MAILBOXID,    /* list: one word */
    IMAP_CODE_METADATA,     /* list: what about it, "LONGENTRIES 2199" */
    IMAP_CODE_MESSAGELIMIT, /* number; number2: UID of the last message done, 0: not told */
    IMAP_CODE_MODIFIED,     /* set */
    IMAP_CODE_NOMODSEQ,
    IMAP_CODE_NONEXISTENT,
    IMAP_CODE_NOPERM,
    IMAP_CODE_OVERQUOTA,
    IMAP_CODE_PARSE,
    IMAP_CODE_PERMANENTFLAGS, /* list */
    IMAP_CODE_PRIVACYREQUIRED,
    IMAP_CODE_READ_ONLY,
    IMAP_CODE_READ_WRITE,
    IMAP_CODE_SERVERBUG,
    IMAP_CODE_THROTTLED,
    IMAP_CODE_TOOBIG,
    IMAP_CODE_TRYCREATE,
    IMAP_CODE_UIDNEXT,     /* number */
    IMAP_CODE_UIDVALIDITY, /* number */
    IMAP_CODE_UNAVAILABLE,
    IMAP_CODE_OTHER,
};

struct imap_code {
    enum imap_code_kind kind;
    uint64_t number, number2;
    struct slice set, set2;
    struct slice list;
};

struct imap_mailbox_data {
    struct slice attributes; /* words: "\Noselect \HasChildren \Sent" */
    int delimiter;           /* a byte, or -1: no hierarchy */
    struct imap_str name;
};

enum imap_status_item {
    IMAP_ITEM_MESSAGES = 1,
    IMAP_ITEM_UIDNEXT = 2,
    IMAP_ITEM_UIDVALIDITY = 4,
    IMAP_ITEM_HIGHESTMODSEQ = 8,
    IMAP_ITEM_SIZE = 16,
    IMAP_ITEM_MAILBOXID = 32,
    IMAP_ITEM_GUID = 64,
};

struct imap_status_data {
    struct imap_str name;
    unsigned has; /* of enum imap_status_item */
    uint64_t messages, uidnext, uidvalidity, highestmodseq, size;
    struct slice id;   /* of MAILBOXID */
    struct slice guid; /* of X-GUID, which Dovecot tells where asked */
};

enum imap_fetch_item {
    IMAP_FETCH_UID = 1,
    IMAP_FETCH_FLAGS = 2,
    IMAP_FETCH_INTERNALDATE = 4,
    IMAP_FETCH_SIZE = 8,
    IMAP_FETCH_MODSEQ = 16,
    IMAP_FETCH_BODY = 32,
    IMAP_FETCH_EMAILID = 64,
    IMAP_FETCH_FIELDS = 128,
    IMAP_FETCH_HEADER = 256,
};

struct imap_fetch_data {
    unsigned has; /* of enum imap_fetch_item */
    uint32_t uid;
    uint64_t size, modseq;
    struct slice flags;         /* words */
    bool has_odd_flags;         /* beside those something that is none */
    struct slice internal_date; /* "17-Jul-1996 02:44:25 -0700" */
    struct imap_str body;       /* of BODY[] */
    bool has_two_bodies;        /* and then none of them counts */
    bool is_unclosed;           /* the line ends, or cannot be read, behind the body, ... */
    bool has_rest;              /* ... and there is something on it: it may be more of the body */
    struct imap_str header;     /* of BODY[HEADER] */
    struct slice email_id;      /* or X-GM-MSGID */
    struct slice fields;        /* of BODY[HEADER.FIELDS ...]: whichever they are */
};

enum imap_resource {
    IMAP_RESOURCE_STORAGE, /* in units of 1,024 octets */
    IMAP_RESOURCE_MESSAGE,
    IMAP_RESOURCES,
};

/* Of one quota root. */
struct imap_quota_data {
    struct {
        bool is_told;
        uint64_t used, limit;
    } of[IMAP_RESOURCES];
};

struct imap_response {
    enum imap_kind kind;
    struct slice tag;
    enum imap_status status;
    struct imap_code code;
    struct slice text;
    struct slice list; /* capabilities, flags, enabled extensions, search result: words */
    struct slice set;  /* ESEARCH ALL, VANISHED: a UID set, empty when absent */
    uint32_t number;   /* EXISTS, RECENT, EXPUNGE, FETCH */
    bool is_earlier;   /* VANISHED (EARLIER) */
    bool is_odd;       /* something in it could not be read, and is left out */
    struct imap_mailbox_data mailbox;
    struct imap_status_data status_data;
    struct imap_fetch_data fetch;
    struct imap_quota_data quota;
    struct slice personal; /* NAMESPACE: the three parts as they stood, lists or NIL */
    struct slice other, shared;
};

/* text: from imap_frame_text().  Of a FETCH whose body is being streamed the part up to the
 * literal's header may be given: then fetch holds what stood before.  -1: nothing of it can be
 * used; kind, and the tag of a tagged one, are what it seems to be. */
int imap_response_parse(
    struct slice text, struct imap_streamed streamed, struct imap_response *out) ATTR_WUR;

/* First prefix and delimiter of a part of NAMESPACE; false when there is none. */
bool imap_namespace_next(struct slice *part, struct imap_str *prefix_out, int *delimiter_out);

const char *imap_code_name(enum imap_code_kind kind); /* "" for NONE and OTHER */
const char *imap_kind_name(enum imap_kind kind);      /* for logs */

#endif
