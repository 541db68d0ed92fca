/* SPDX-License-Identifier: ISC */
/*
 * fault: RFC 5530's codes by what can be done about them.  A NO without a code is permanent for the
 * message or folder it was about: trying again at once cannot help, and the next run tries anyway.
 */
#include "imapsync/imap/fault.h"

#include <sysexits.h>

#include "base/core/buf.h"
#include "imapsync/imap/limits.h"

/* "Request is throttled. Suggested Backoff Time: ..." (Exchange), "Account exceeded command or
 * bandwidth limits." (Gmail), and what others say without a code, or with one that says less: the
 * server has no time now, whatever it was asked. */
static const char *const throttled_texts[] = {"is throttled", "backoff time", "rate limit",
    "bandwidth limit", "server busy", "server is busy", "too many requests", "too many commands"};

/* "The 1500 MB storage limit has been exceeded" (GroupWise), and what Courier and others say. */
static const char *const full_texts[] = {"over quota", "overquota", "quota exceeded",
    "quota has been exceeded", "exceeded quota", "exceeds quota", "exceed quota", "storage limit",
    "mailbox is full", "mailbox full", "no space left", "disk full"};

static bool has_one_of(struct slice text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct slice wanted = slice_str(words[i]);
        for (size_t at = 0; at + wanted.n <= text.n; at++) {
            if (slice_eq_nocase(slice_sub(text, at, wanted.n), wanted))
                return true;
        }
    }
    return false;
}

#define HAS_ONE_OF(text, words) has_one_of(text, words, sizeof(words) / sizeof((words)[0]))

static const struct fault_row {
    enum imap_code_kind code;
    enum err_class class;
    enum err_scope scope;
    int exit_code;
} rows[] = {
    {IMAP_CODE_AUTHENTICATIONFAILED, ERR_PERM, ERR_SCOPE_USER, EX_NOPERM},
    {IMAP_CODE_AUTHORIZATIONFAILED, ERR_PERM, ERR_SCOPE_USER, EX_NOPERM},
    {IMAP_CODE_EXPIRED, ERR_PERM, ERR_SCOPE_USER, EX_NOPERM},
    {IMAP_CODE_PRIVACYREQUIRED, ERR_PERM, ERR_SCOPE_HOST, EX_CONFIG},
    {IMAP_CODE_CONTACTADMIN, ERR_PERM, ERR_SCOPE_USER, EX_NOPERM},
    {IMAP_CODE_NOPERM, ERR_PERM, ERR_SCOPE_FOLDER, EX_NOPERM},
    {IMAP_CODE_UNAVAILABLE, ERR_TEMP, ERR_SCOPE_HOST, EX_TEMPFAIL},
    {IMAP_CODE_INUSE, ERR_TEMP, ERR_SCOPE_FOLDER, EX_TEMPFAIL},
    {IMAP_CODE_SERVERBUG, ERR_TEMP, ERR_SCOPE_HOST, EX_TEMPFAIL},
    {IMAP_CODE_THROTTLED, ERR_TEMP, ERR_SCOPE_USER, EX_TEMPFAIL},
    {IMAP_CODE_OVERQUOTA, ERR_TEMP, ERR_SCOPE_USER, EX_CANTCREAT},
    {IMAP_CODE_LIMIT, ERR_PERM, ERR_SCOPE_FOLDER, EX_UNAVAILABLE},
    {IMAP_CODE_TOOBIG, ERR_PERM, ERR_SCOPE_MESSAGE, EX_DATAERR},
    {IMAP_CODE_CANNOT, ERR_PERM, ERR_SCOPE_FOLDER, EX_CANTCREAT},
    {IMAP_CODE_ALREADYEXISTS, ERR_PERM, ERR_SCOPE_FOLDER, EX_CANTCREAT},
    {IMAP_CODE_NONEXISTENT, ERR_PERM, ERR_SCOPE_FOLDER, EX_CANTCREAT},
    {IMAP_CODE_TRYCREATE, ERR_PERM, ERR_SCOPE_FOLDER, EX_CANTCREAT},
};

/* Servers give these to one message, or to one folder, that they do not like, whatever the code
 * says.  THROTTLED is what it is, and so are a folder that is gone and a message that is too big.
 */
static bool is_wide(enum imap_code_kind code)
{
    switch (code) {
    case IMAP_CODE_SERVERBUG:
    case IMAP_CODE_UNAVAILABLE:
    case IMAP_CODE_OVERQUOTA:
    case IMAP_CODE_LIMIT:
    case IMAP_CODE_CANNOT:
    case IMAP_CODE_INUSE:
    case IMAP_CODE_NOPERM:
    case IMAP_CODE_AUTHENTICATIONFAILED:
    case IMAP_CODE_AUTHORIZATIONFAILED:
    case IMAP_CODE_EXPIRED:
    case IMAP_CODE_CONTACTADMIN:
    case IMAP_CODE_PRIVACYREQUIRED:
        return true;
    default:
        return false;
    }
}

bool imap_fault_is_throttled(const struct err *err)
{
    return err->class == ERR_TEMP && err->scope == ERR_SCOPE_USER && !err->is_wide;
}

void imap_fault_text(struct slice text, char *out, size_t size)
{
    size_t n = text.n < size - 1 ? text.n : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = ascii_is_print(text.p[i]) ? (char)text.p[i] : '?';
    out[n] = '\0';
}

int imap_fault_parts(enum imap_status status, enum imap_code_kind code, const char *text,
    const char *what, struct err *err)
{
    const char *name = imap_code_name(code);
    bool is_told = code == IMAP_CODE_NONE || code == IMAP_CODE_ALERT || code == IMAP_CODE_OTHER;
    bool may_be_time = is_told || is_wide(code);
    if (may_be_time && HAS_ONE_OF(slice_str(text), throttled_texts))
        code = IMAP_CODE_THROTTLED;
    else if (is_told && status == IMAP_STATUS_NO && HAS_ONE_OF(slice_str(text), full_texts))
        code = IMAP_CODE_OVERQUOTA;
    struct fault_row row = {code, ERR_PERM, ERR_SCOPE_NONE, EX_UNAVAILABLE};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].code == code)
            row = rows[i];
    }
    /* BAD means that we and the server read the protocol differently. */
    if (status == IMAP_STATUS_BAD && code != IMAP_CODE_THROTTLED)
        row = (struct fault_row){code, ERR_PEER, ERR_SCOPE_NONE, EX_PROTOCOL};
    if (status == IMAP_STATUS_CANCELLED) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: %s", what, text);
        return err_scope_set(err, ERR_SCOPE_HOST);
    }
    err_set(err, row.class, row.exit_code, "%s%sthe server says: %s%s%s%s", what,
        what[0] ? ": " : "", name[0] ? "[" : "", name, name[0] ? "] " : "", text);
    err->is_wide = is_wide(row.code);
    return err_scope_set(err, row.scope);
}
