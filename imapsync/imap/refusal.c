/* SPDX-License-Identifier: ISC */
/* refusal: see refusal.h.  RFC 5530 for the codes; the texts are those of servers without them. */
#include "imapsync/imap/refusal.h"

/* Gmail: "Too many simultaneous connections", "Lockdown in sector 4"; Exchange: "Request is
 * throttled. Suggested Backoff Time: ...", "Server Unavailable. 15"; Dovecot: "Temporary
 * authentication failure", "Maximum number of connections from user+IP exceeded"; Courier: "maximum
 * connection limit reached"; Yahoo: "Rate limit hit"; Zimbra: "try again later". */
static const char *const later_texts[] = {
    "too many",
    "maximum number of",
    "maximum connection",
    "connection limit",
    "connections exceeded",
    "limit reached",
    "rate limit",
    "throttled",
    "backoff time",
    "bandwidth limit",
    "lockdown in sector",
    "unavailable",
    "temporar",
    "try again",
    "try later",
    "later again",
    "busy",
    "service not available",
    "server not available",
    "database connection",
    "database error",
    "ldap server",
    "maintenance",
    "going down",
    "mailbox is locked",
    "mailbox locked",
    "overload",
    "internal error",
    "internal server error",
    "timed out",
    "timeout",
    "shutting down",
    "out of memory",
    "cannot connect to",
    "connection refused",
};

static bool is_later(struct slice text)
{
    for (size_t i = 0; i < sizeof(later_texts) / sizeof(later_texts[0]); i++) {
        struct slice wanted = slice_str(later_texts[i]);
        for (size_t at = 0; at + wanted.n <= text.n; at++) {
            if (slice_eq_nocase(slice_sub(text, at, wanted.n), wanted))
                return true;
        }
    }
    return false;
}

enum refusal refusal_judge(enum imap_code_kind code, const char *text, bool is_behind_bye)
{
    switch (code) {
    case IMAP_CODE_AUTHENTICATIONFAILED:
        return REFUSAL_REAL;
    case IMAP_CODE_UNAVAILABLE:
    case IMAP_CODE_INUSE:
    case IMAP_CODE_LIMIT:
    case IMAP_CODE_SERVERBUG:
    case IMAP_CODE_THROTTLED:
        return REFUSAL_LATER;
    case IMAP_CODE_AUTHORIZATIONFAILED:
    case IMAP_CODE_EXPIRED:
    case IMAP_CODE_PRIVACYREQUIRED:
    case IMAP_CODE_CONTACTADMIN:
    case IMAP_CODE_NOPERM:
        return REFUSAL_OTHER;
    default:
        return is_behind_bye || is_later(slice_str(text)) ? REFUSAL_LATER : REFUSAL_REAL;
    }
}
