/* SPDX-License-Identifier: ISC */
/*
 * response: RFC 9051 section 9 `response`, with what RFC 3501 servers, UIDPLUS, CONDSTORE, QRESYNC,
 * ESEARCH, LIST-STATUS, SPECIAL-USE, OBJECTID and MESSAGELIMIT add.
 *
 * Of a response that is not in order as much is kept as says something by itself, and the rest is
 * left out: is_odd.  What we do not know is passed over by its structure (FETCH items, STATUS
 * items) or whole (unknown responses).  Blanks where there should be none, or one, change nothing.
 *
 * What is told about messages is in response_fetch.c, about folders in response_folder.c, and what
 * status responses say in response_code.c.
 */
#include "base/mail/uids.h"
#include "imapsync/imap/limits.h"
#include "imapsync/imap/response_parts.h"

/* Nothing but a set, that is: what stands behind one that is none may be more of it. */
static bool whole_set(struct slice set)
{
    struct uid_range range;
    int r;
    while ((r = uids_next(&set, &range)) > 0)
        continue;
    return r == 0;
}

static bool parse_esearch(struct imap_cur *c, struct imap_response *out)
{
    struct slice ignored, name;
    imap_cur_blanks(c);
    if (imap_cur_list(c, &ignored))
        imap_cur_blanks(c);
    if (imap_cur_word(c, "UID"))
        imap_cur_blanks(c);
    while (!imap_cur_is_over(c)) {
        if (!imap_cur_atom(c, &name) || !imap_cur_blanks(c))
            return false;
        bool is_all = slice_eq_nocase(name, SLICE_LIT("ALL"));
        if (is_all ? !imap_cur_set(c, &out->set) || !whole_set(out->set) : !imap_cur_skip(c))
            return false;
        if (!imap_cur_at_end(c) && !imap_cur_blanks(c))
            return false;
    }
    return true;
}

static bool parse_vanished(struct imap_cur *c, struct imap_response *out)
{
    struct slice word;
    if (!imap_cur_blanks(c))
        return false;
    if (imap_cur_list(c, &word)) {
        out->is_earlier = slice_eq_nocase(slice_trim(word), SLICE_LIT("EARLIER"));
        if (!imap_cur_blanks(c))
            return false;
    }
    return imap_cur_set(c, &out->set) && whole_set(out->set) && imap_cur_is_over(c);
}

static bool parse_words(struct imap_cur *c, struct imap_response *out)
{
    out->list = slice_trim(slice_from(c->in, c->at));
    c->at = c->in.n;
    out->is_odd = !imap_words_valid(out->list);
    return true;
}

static bool parse_search(struct imap_cur *c, struct imap_response *out)
{
    struct slice rest = slice_from(c->in, c->at);
    ptrdiff_t modseq = slice_find(rest, '('); /* "(MODSEQ n)" may end the line */
    out->list = slice_trim(modseq < 0 ? rest : slice_sub(rest, 0, (size_t)modseq));
    out->is_odd = !imap_words_valid(out->list);
    return true;
}

static bool parse_flags(struct imap_cur *c, struct imap_response *out)
{
    bool is_good = imap_cur_blanks(c) && imap_cur_list(c, &out->list);
    out->is_odd = !is_good || !imap_words_valid(out->list) || !imap_cur_is_over(c);
    return true;
}

static bool parse_id(struct imap_cur *c, struct imap_response *out)
{
    out->text = slice_trim(slice_from(c->in, c->at));
    c->at = c->in.n;
    return true;
}

static const struct data_row {
    const char *word;
    enum imap_kind kind;
    bool (*parse)(struct imap_cur *c, struct imap_response *out);
} data_rows[] = {
    {"CAPABILITY", IMAP_KIND_CAPABILITY, parse_words},
    {"ENABLED", IMAP_KIND_ENABLED, parse_words},
    {"LIST", IMAP_KIND_LIST, imap_parse_list},
    {"LSUB", IMAP_KIND_LSUB, imap_parse_list},
    {"STATUS", IMAP_KIND_MAILBOX_STATUS, imap_parse_mailbox_status},
    {"FLAGS", IMAP_KIND_FLAGS, parse_flags},
    {"SEARCH", IMAP_KIND_SEARCH, parse_search},
    {"ESEARCH", IMAP_KIND_ESEARCH, parse_esearch},
    {"VANISHED", IMAP_KIND_VANISHED, parse_vanished},
    {"NAMESPACE", IMAP_KIND_NAMESPACE, imap_parse_namespace},
    {"ID", IMAP_KIND_ID, parse_id},
    {"QUOTA", IMAP_KIND_QUOTA, imap_parse_quota},
    {"ACL", IMAP_KIND_ACL, imap_parse_acl},
    {"METADATA", IMAP_KIND_METADATA, imap_parse_metadata},
};

/* A number, or what stands in its place: below 0, or too large to be one. */
static bool odd_number(struct imap_cur *c, uint64_t *out)
{
    bool is_good = imap_cur_number(c, UINT32_MAX, out);
    if (!is_good)
        *out = 0;
    imap_cur_byte(c, '-');
    while (c->at < c->in.n && ascii_is_digit(c->in.p[c->at]))
        c->at++;
    return is_good;
}

static int parse_numbered(struct imap_cur *c, struct imap_response *out)
{
    uint64_t n;
    bool is_good = odd_number(c, &n);
    if (!imap_cur_blanks(c))
        return -1;
    out->number = (uint32_t)n;
    if (imap_cur_word(c, "FETCH")) {
        out->kind = IMAP_KIND_FETCH;
        out->is_odd = !is_good; /* the UID says which it is */
        return imap_parse_fetch(c, out) ? 0 : -1;
    }
    if (imap_cur_word(c, "EXISTS"))
        out->kind = IMAP_KIND_EXISTS;
    else if (imap_cur_word(c, "RECENT"))
        out->kind = IMAP_KIND_RECENT;
    else if (imap_cur_word(c, "EXPUNGE"))
        out->kind = IMAP_KIND_EXPUNGE;
    else
        return 0;
    return is_good && imap_cur_is_over(c) ? 0 : -1;
}

static int parse_untagged(struct imap_cur *c, struct imap_response *out)
{
    bool is_number = c->at < c->in.n && ascii_is_digit(c->in.p[c->at]);
    bool is_negative =
        imap_cur_peek(c, '-') && c->at + 1 < c->in.n && ascii_is_digit(c->in.p[c->at + 1]);
    if (is_number || is_negative)
        return parse_numbered(c, out);
    if (imap_cur_status(c, &out->status)) {
        out->kind = IMAP_KIND_STATUS;
        imap_cur_text(c, out);
        return 0;
    }
    for (size_t i = 0; i < sizeof(data_rows) / sizeof(data_rows[0]); i++) {
        if (imap_cur_word(c, data_rows[i].word)) {
            out->kind = data_rows[i].kind;
            return data_rows[i].parse(c, out) ? 0 : -1;
        }
    }
    struct slice name;
    return imap_cur_atom(c, &name) ? 0 : -1;
}

static int parse(struct imap_cur *c, struct imap_response *out)
{
    imap_cur_blanks(c);
    if (imap_cur_byte(c, '+')) {
        out->kind = IMAP_KIND_CONTINUE;
        imap_cur_byte(c, ' ');
        out->text = slice_from(c->in, c->at);
        return 0;
    }
    if (imap_cur_byte(c, '*'))
        return imap_cur_blanks(c) ? parse_untagged(c, out) : -1;
    if (imap_cur_atom(c, &out->tag) && imap_cur_blanks(c))
        out->kind = IMAP_KIND_TAGGED;
    if (out->kind != IMAP_KIND_TAGGED || !imap_cur_status(c, &out->status) ||
        out->status == IMAP_STATUS_BYE || out->status == IMAP_STATUS_PREAUTH)
        return -1;
    imap_cur_text(c, out);
    return 0;
}

int imap_response_parse(struct slice text, struct imap_streamed streamed, struct imap_response *out)
{
    struct imap_cur c = {.in = text, .streamed = streamed};
    *out = (struct imap_response){.kind = IMAP_KIND_OTHER, .mailbox = {.delimiter = -1}};
    int result = parse(&c, out);
    out->is_odd = out->is_odd || result != 0;
    return result;
}

const char *imap_kind_name(enum imap_kind kind)
{
    for (size_t i = 0; i < sizeof(data_rows) / sizeof(data_rows[0]); i++) {
        if (data_rows[i].kind == kind)
            return data_rows[i].word;
    }
    return kind == IMAP_KIND_TAGGED     ? "answer"
           : kind == IMAP_KIND_STATUS   ? "status"
           : kind == IMAP_KIND_CONTINUE ? "+"
           : kind == IMAP_KIND_EXISTS   ? "EXISTS"
           : kind == IMAP_KIND_RECENT   ? "RECENT"
           : kind == IMAP_KIND_EXPUNGE  ? "EXPUNGE"
           : kind == IMAP_KIND_FETCH    ? "FETCH"
                                        : "unknown";
}
