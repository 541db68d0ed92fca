/* SPDX-License-Identifier: ISC */
/*
 * response_code: what a status response is made of: its word, its code, its text; RFC 9051 7.1.
 * Human text is never parsed.
 */
#include "imapsync/imap/response_parts.h"

enum code_args {
    ARGS_NONE,
    ARGS_NUMBER,
    ARGS_NUMBERS, /* one or two */
    ARGS_LIST,
    ARGS_WORDS,
    ARGS_SET_ALONE,
    ARGS_SET, /* behind a number */
    ARGS_SETS,
};

static const struct code_row {
    const char *name;
    enum imap_code_kind kind;
    enum code_args args;
} codes[] = {
    {"ALERT", IMAP_CODE_ALERT, ARGS_NONE},
    {"ALREADYEXISTS", IMAP_CODE_ALREADYEXISTS, ARGS_NONE},
    {"APPENDUID", IMAP_CODE_APPENDUID, ARGS_SET},
    {"AUTHENTICATIONFAILED", IMAP_CODE_AUTHENTICATIONFAILED, ARGS_NONE},
    {"AUTHORIZATIONFAILED", IMAP_CODE_AUTHORIZATIONFAILED, ARGS_NONE},
    {"BADCHARSET", IMAP_CODE_BADCHARSET, ARGS_NONE},
    {"CANNOT", IMAP_CODE_CANNOT, ARGS_NONE},
    {"CAPABILITY", IMAP_CODE_CAPABILITY, ARGS_WORDS},
    {"CLIENTBUG", IMAP_CODE_CLIENTBUG, ARGS_NONE},
    {"CLOSED", IMAP_CODE_CLOSED, ARGS_NONE},
    {"CONTACTADMIN", IMAP_CODE_CONTACTADMIN, ARGS_NONE},
    {"COPYUID", IMAP_CODE_COPYUID, ARGS_SETS},
    {"CORRUPTION", IMAP_CODE_CORRUPTION, ARGS_NONE},
    {"EXPIRED", IMAP_CODE_EXPIRED, ARGS_NONE},
    {"EXPUNGEISSUED", IMAP_CODE_EXPUNGEISSUED, ARGS_NONE},
    {"HASCHILDREN", IMAP_CODE_HASCHILDREN, ARGS_NONE},
    {"HIGHESTMODSEQ", IMAP_CODE_HIGHESTMODSEQ, ARGS_NUMBER},
    {"INUSE", IMAP_CODE_INUSE, ARGS_NONE},
    {"LIMIT", IMAP_CODE_LIMIT, ARGS_NONE},
    {"MAILBOXID", IMAP_CODE_MAILBOXID, ARGS_LIST},
    {"MESSAGELIMIT", IMAP_CODE_MESSAGELIMIT, ARGS_NUMBERS},
    {"METADATA", IMAP_CODE_METADATA, ARGS_WORDS},
    {"MODIFIED", IMAP_CODE_MODIFIED, ARGS_SET_ALONE},
    {"NOMODSEQ", IMAP_CODE_NOMODSEQ, ARGS_NONE},
    {"NONEXISTENT", IMAP_CODE_NONEXISTENT, ARGS_NONE},
    {"NOPERM", IMAP_CODE_NOPERM, ARGS_NONE},
    {"OVERQUOTA", IMAP_CODE_OVERQUOTA, ARGS_NONE},
    {"PARSE", IMAP_CODE_PARSE, ARGS_NONE},
    {"PERMANENTFLAGS", IMAP_CODE_PERMANENTFLAGS, ARGS_LIST},
    {"PRIVACYREQUIRED", IMAP_CODE_PRIVACYREQUIRED, ARGS_NONE},
    {"READ-ONLY", IMAP_CODE_READ_ONLY, ARGS_NONE},
    {"READ-WRITE", IMAP_CODE_READ_WRITE, ARGS_NONE},
    {"SERVERBUG", IMAP_CODE_SERVERBUG, ARGS_NONE},
    {"THROTTLED", IMAP_CODE_THROTTLED, ARGS_NONE},
    {"TOOBIG", IMAP_CODE_TOOBIG, ARGS_NONE},
    {"TRYCREATE", IMAP_CODE_TRYCREATE, ARGS_NONE},
    {"UIDNEXT", IMAP_CODE_UIDNEXT, ARGS_NUMBER},
    {"UIDVALIDITY", IMAP_CODE_UIDVALIDITY, ARGS_NUMBER},
    {"UNAVAILABLE", IMAP_CODE_UNAVAILABLE, ARGS_NONE},
};

const char *imap_code_name(enum imap_code_kind kind)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].kind == kind)
            return codes[i].name;
    }
    return "";
}

static bool code_args(struct imap_cur *c, enum code_args args, struct imap_code *out)
{
    switch (args) {
    case ARGS_NONE:
        return true; /* some servers add text; what follows up to "]" is ignored */
    case ARGS_NUMBER:
        return imap_cur_byte(c, ' ') && imap_cur_number(c, INT64_MAX, &out->number);
    case ARGS_NUMBERS:
        return imap_cur_byte(c, ' ') && imap_cur_number(c, UINT32_MAX, &out->number) &&
               (!imap_cur_byte(c, ' ') || imap_cur_number(c, UINT32_MAX, &out->number2));
    case ARGS_LIST:
        return imap_cur_byte(c, ' ') && imap_cur_list(c, &out->list);
    case ARGS_SET_ALONE:
        return imap_cur_byte(c, ' ') && imap_cur_set(c, &out->set);
    case ARGS_WORDS: {
        struct slice rest = slice_from(c->in, c->at);
        ptrdiff_t end = slice_find(rest, ']');
        if (end < 0)
            return false;
        out->list = slice_sub(rest, 0, (size_t)end);
        c->at += (size_t)end;
        return true;
    }
    case ARGS_SETS:
    case ARGS_SET:
        return imap_cur_byte(c, ' ') && imap_cur_number(c, UINT32_MAX, &out->number) &&
               imap_cur_byte(c, ' ') && imap_cur_set(c, &out->set) &&
               (args == ARGS_SET || (imap_cur_byte(c, ' ') && imap_cur_set(c, &out->set2)));
    }
    return false;
}

void imap_cur_text(struct imap_cur *c, struct imap_response *out)
{
    imap_cur_byte(c, ' ');
    struct slice rest = slice_from(c->in, c->at);
    out->text = rest;
    struct imap_cur t = *c;
    struct slice name;
    ptrdiff_t end = slice_find(rest, ']');
    if (!imap_cur_byte(&t, '[') || end < 0 || !imap_cur_atom(&t, &name))
        return;
    out->code.kind = IMAP_CODE_OTHER;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (!slice_eq_nocase(name, slice_str(codes[i].name)))
            continue;
        struct imap_code code = {.kind = codes[i].kind};
        if (code_args(&t, codes[i].args, &code))
            out->code = code;
        break;
    }
    rest = slice_from(t.in, t.at);
    end = slice_find(rest, ']');
    if (end >= 0)
        out->text = slice_trim(slice_from(rest, (size_t)end + 1));
}

bool imap_cur_status(struct imap_cur *c, enum imap_status *out)
{
    static const struct {
        const char *word;
        enum imap_status status;
    } words[] = {
        {"OK", IMAP_STATUS_OK},
        {"NO", IMAP_STATUS_NO},
        {"BAD", IMAP_STATUS_BAD},
        {"BYE", IMAP_STATUS_BYE},
        {"PREAUTH", IMAP_STATUS_PREAUTH},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (imap_cur_word(c, words[i].word)) {
            *out = words[i].status;
            return true;
        }
    }
    return false;
}
