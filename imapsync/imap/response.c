/* SPDX-License-Identifier: ISC */
/*
 * response: RFC 9051 section 9 `response`, with what RFC 3501 servers, UIDPLUS, CONDSTORE, QRESYNC,
 * ESEARCH, LIST-STATUS, SPECIAL-USE, OBJECTID and MESSAGELIMIT add.
 *
 * What we asked for is read strictly; what we did not ask for and do not know is skipped by its
 * structure (FETCH items, STATUS items) or whole (unknown responses).  What status responses say is
 * in response_code.c.
 */
#include "imapsync/imap/limits.h"
#include "imapsync/imap/response_parts.h"

static bool sp(struct imap_cur *c)
{
    return imap_cur_byte(c, ' ');
}

/* DQUOTE QUOTED-CHAR DQUOTE / nil */
static bool delimiter(struct imap_cur *c, int *out)
{
    struct imap_str s;
    if (!imap_cur_nstring(c, &s))
        return false;
    *out = -1;
    if (s.is_nil || s.raw.n == 0)
        return true;
    if (s.raw.n != (s.is_escaped ? 2u : 1u))
        return false;
    *out = s.raw.p[s.raw.n - 1];
    return *out > 0x20 && *out < 0x7f;
}

static bool parse_list(struct imap_cur *c, struct imap_response *out)
{
    struct imap_mailbox_data *m = &out->mailbox;
    if (!sp(c) || !imap_cur_list(c, &m->attributes) || !imap_words_valid(m->attributes) || !sp(c) ||
        !delimiter(c, &m->delimiter) || !sp(c) || !imap_cur_astring(c, &m->name))
        return false;
    /* RFC 5258 extended data, such as ("CHILDINFO" ("SUBSCRIBED")). */
    struct slice extended;
    return imap_cur_at_end(c) || (sp(c) && imap_cur_list(c, &extended) && imap_cur_at_end(c));
}

/* "(" objectid ")", RFC 8474.  Another value is skipped by its structure. */
static bool object_id(struct imap_cur *c, struct slice *out)
{
    struct imap_cur t = *c;
    if (!imap_cur_list(&t, out) || out->n == 0)
        return false;
    for (size_t i = 0; i < out->n; i++) {
        if (!ascii_is_alpha(out->p[i]) && !ascii_is_digit(out->p[i]) && out->p[i] != '_' &&
            out->p[i] != '-')
            return false;
    }
    *c = t;
    return true;
}

/* RFC 4551 had 64 bits for them, RFC 7162 has 63.  Nobody can be asked for what is above: that is
 * as good as none, which 0 is. */
static bool modseq(struct imap_cur *c, uint64_t *out)
{
    if (!imap_cur_number(c, UINT64_MAX, out))
        return false;
    if (*out > INT64_MAX)
        *out = 0;
    return true;
}

static bool parse_mailbox_status(struct imap_cur *c, struct imap_response *out)
{
    static const struct {
        const char *name;
        enum imap_status_item item;
        size_t offset;
    } items[] = {
        {"MESSAGES", IMAP_ITEM_MESSAGES, offsetof(struct imap_status_data, messages)},
        {"UIDNEXT", IMAP_ITEM_UIDNEXT, offsetof(struct imap_status_data, uidnext)},
        {"UIDVALIDITY", IMAP_ITEM_UIDVALIDITY, offsetof(struct imap_status_data, uidvalidity)},
        {"HIGHESTMODSEQ", IMAP_ITEM_HIGHESTMODSEQ,
            offsetof(struct imap_status_data, highestmodseq)},
        {"SIZE", IMAP_ITEM_SIZE, offsetof(struct imap_status_data, size)},
    };
    struct imap_status_data *d = &out->status_data;
    if (!sp(c) || !imap_cur_astring(c, &d->name) || !sp(c) || !imap_cur_byte(c, '('))
        return false;
    while (!imap_cur_byte(c, ')')) {
        struct slice name;
        sp(c);
        if (!imap_cur_atom(c, &name) || !sp(c))
            return false;
        if (slice_eq_nocase(name, SLICE_LIT("MAILBOXID"))) {
            if (object_id(c, &d->id))
                d->has |= IMAP_ITEM_MAILBOXID;
            else if (!imap_cur_skip(c))
                return false;
            continue;
        }
        if (slice_eq_nocase(name, SLICE_LIT("X-GUID"))) {
            if (imap_cur_atom(c, &d->guid))
                d->has |= IMAP_ITEM_GUID;
            else if (!imap_cur_skip(c))
                return false;
            continue;
        }
        size_t i = 0;
        while (i < sizeof(items) / sizeof(items[0]) &&
               !slice_eq_nocase(name, slice_str(items[i].name)))
            i++;
        if (i == sizeof(items) / sizeof(items[0])) {
            if (!imap_cur_skip(c))
                return false;
            continue;
        }
        uint64_t value;
        bool is_modseq = items[i].item == IMAP_ITEM_HIGHESTMODSEQ;
        uint64_t max = items[i].item == IMAP_ITEM_SIZE ? INT64_MAX : UINT32_MAX;
        if (is_modseq ? !modseq(c, &value) : !imap_cur_number(c, max, &value))
            return false;
        if (is_modseq && value == 0)
            continue;
        memcpy((char *)d + items[i].offset, &value, sizeof(value));
        d->has |= (unsigned)items[i].item;
    }
    sp(c); /* Courier and some others leave a blank behind */
    return imap_cur_at_end(c);
}

/* Name of a FETCH item: up to a blank outside brackets, as in BODY[HEADER.FIELDS (TO CC)]<0>. */
static bool fetch_name(struct imap_cur *c, struct slice *out)
{
    size_t n = 0;
    bool in_brackets = false;
    for (; c->at + n < c->in.n; n++) {
        unsigned char b = c->in.p[c->at + n];
        if (b == '[')
            in_brackets = true;
        else if (b == ']')
            in_brackets = false;
        else if ((b == ' ' && !in_brackets) || b < 0x20)
            break;
        else if (b == ')' && !in_brackets)
            return false;
    }
    *out = slice_sub(c->in, c->at, n);
    c->at += n;
    return n > 0;
}

static bool fetch_value(struct imap_cur *c, struct slice name, struct imap_fetch_data *d)
{
    uint64_t n;
    struct imap_str s;
    if (slice_eq_nocase(name, SLICE_LIT("UID"))) {
        /* 0 is no UID (RFC 9051 nz-number), so no answer can be about it. */
        if (!imap_cur_number(c, UINT32_MAX, &n) || n == 0)
            return false;
        d->uid = (uint32_t)n;
        d->has |= IMAP_FETCH_UID;
    } else if (slice_eq_nocase(name, SLICE_LIT("FLAGS"))) {
        if (!imap_cur_list(c, &d->flags) || !imap_words_valid(d->flags))
            return false;
        d->has |= IMAP_FETCH_FLAGS;
    } else if (slice_eq_nocase(name, SLICE_LIT("INTERNALDATE"))) {
        if (!imap_cur_nstring(c, &s) || s.is_streamed)
            return false;
        d->internal_date = s.raw;
        d->has |= s.is_nil ? 0u : (unsigned)IMAP_FETCH_INTERNALDATE;
    } else if (slice_eq_nocase(name, SLICE_LIT("RFC822.SIZE"))) {
        if (!imap_cur_number(c, INT64_MAX, &d->size))
            return false;
        d->has |= IMAP_FETCH_SIZE;
    } else if (slice_eq_nocase(name, SLICE_LIT("MODSEQ"))) {
        if (!imap_cur_byte(c, '(') || !modseq(c, &d->modseq) || !imap_cur_byte(c, ')'))
            return false;
        d->has |= IMAP_FETCH_MODSEQ;
    } else if (slice_eq_nocase(name, SLICE_LIT("EMAILID"))) {
        if (!object_id(c, &d->email_id))
            return imap_cur_skip(c);
        d->has |= IMAP_FETCH_EMAILID;
    } else if (slice_eq_nocase(name, SLICE_LIT("BODY[]"))) {
        /* A second one would be the end of a message that has ended. */
        if (d->has & IMAP_FETCH_BODY || !imap_cur_nstring(c, &d->body))
            return false;
        d->has |= IMAP_FETCH_BODY;
    } else {
        return imap_cur_skip(c);
    }
    return true;
}

static bool parse_fetch(struct imap_cur *c, struct imap_response *out)
{
    if (!sp(c) || !imap_cur_byte(c, '('))
        return false;
    while (!imap_cur_byte(c, ')')) {
        struct slice name;
        sp(c);
        if (!fetch_name(c, &name) || !sp(c) || !fetch_value(c, name, &out->fetch))
            return false;
        if (c->streamed.is_set && imap_cur_at_end(c))
            return true; /* the head of a response whose body is still coming */
    }
    return imap_cur_at_end(c);
}

static bool parse_esearch(struct imap_cur *c, struct imap_response *out)
{
    struct slice ignored, name;
    if (imap_cur_at_end(c))
        return true;
    if (!sp(c))
        return false;
    if (imap_cur_peek(c, '(') && (!imap_cur_list(c, &ignored) || (!imap_cur_at_end(c) && !sp(c))))
        return false;
    if (imap_cur_word(c, "UID") && !imap_cur_at_end(c) && !sp(c))
        return false;
    while (!imap_cur_at_end(c)) {
        if (!imap_cur_atom(c, &name) || !sp(c))
            return false;
        bool is_all = slice_eq_nocase(name, SLICE_LIT("ALL"));
        if (is_all ? !imap_cur_set(c, &out->set) : !imap_cur_skip(c))
            return false;
        if (!imap_cur_at_end(c) && !sp(c))
            return false;
    }
    return true;
}

static bool parse_vanished(struct imap_cur *c, struct imap_response *out)
{
    struct slice word;
    if (!sp(c))
        return false;
    if (imap_cur_list(c, &word)) {
        out->is_earlier = slice_eq_nocase(word, SLICE_LIT("EARLIER"));
        if (!sp(c))
            return false;
    }
    return imap_cur_set(c, &out->set) && imap_cur_at_end(c);
}

static bool namespace_part(struct imap_cur *c, struct slice *out)
{
    return sp(c) && (imap_cur_word(c, "NIL") || imap_cur_list(c, out));
}

static bool parse_namespace(struct imap_cur *c, struct imap_response *out)
{
    return namespace_part(c, &out->personal) && namespace_part(c, &out->other) &&
           namespace_part(c, &out->shared) && imap_cur_at_end(c);
}

bool imap_namespace_next(struct slice *part, struct imap_str *prefix_out, int *delimiter_out)
{
    struct imap_cur c = imap_cur_make(*part);
    struct slice one;
    sp(&c);
    if (!imap_cur_list(&c, &one))
        return false;
    *part = slice_from(*part, c.at);
    c = imap_cur_make(one);
    return imap_cur_string(&c, prefix_out) && sp(&c) && delimiter(&c, delimiter_out);
}

static bool parse_words(struct imap_cur *c, struct imap_response *out)
{
    out->list = slice_trim(slice_from(c->in, c->at));
    c->at = c->in.n;
    return imap_words_valid(out->list);
}

static bool parse_search(struct imap_cur *c, struct imap_response *out)
{
    struct slice rest = slice_from(c->in, c->at);
    ptrdiff_t modseq = slice_find(rest, '('); /* "(MODSEQ n)" may end the line */
    out->list = slice_trim(modseq < 0 ? rest : slice_sub(rest, 0, (size_t)modseq));
    return imap_words_valid(out->list);
}

static bool parse_flags(struct imap_cur *c, struct imap_response *out)
{
    return sp(c) && imap_cur_list(c, &out->list) && imap_words_valid(out->list) &&
           imap_cur_at_end(c);
}

static const struct data_row {
    const char *word;
    enum imap_kind kind;
    bool (*parse)(struct imap_cur *c, struct imap_response *out);
} data_rows[] = {
    {"CAPABILITY", IMAP_KIND_CAPABILITY, parse_words},
    {"ENABLED", IMAP_KIND_ENABLED, parse_words},
    {"LIST", IMAP_KIND_LIST, parse_list},
    {"LSUB", IMAP_KIND_LSUB, parse_list},
    {"STATUS", IMAP_KIND_MAILBOX_STATUS, parse_mailbox_status},
    {"FLAGS", IMAP_KIND_FLAGS, parse_flags},
    {"SEARCH", IMAP_KIND_SEARCH, parse_search},
    {"ESEARCH", IMAP_KIND_ESEARCH, parse_esearch},
    {"VANISHED", IMAP_KIND_VANISHED, parse_vanished},
    {"NAMESPACE", IMAP_KIND_NAMESPACE, parse_namespace},
};

static int parse_numbered(struct imap_cur *c, struct imap_response *out)
{
    uint64_t n;
    if (!imap_cur_number(c, UINT32_MAX, &n) || !sp(c))
        return -1;
    out->number = (uint32_t)n;
    if (imap_cur_word(c, "FETCH")) {
        out->kind = IMAP_KIND_FETCH;
        return parse_fetch(c, out) ? 0 : -1;
    }
    if (imap_cur_word(c, "EXISTS"))
        out->kind = IMAP_KIND_EXISTS;
    else if (imap_cur_word(c, "RECENT"))
        out->kind = IMAP_KIND_RECENT;
    else if (imap_cur_word(c, "EXPUNGE"))
        out->kind = IMAP_KIND_EXPUNGE;
    else
        return 0;
    return imap_cur_at_end(c) ? 0 : -1;
}

static int parse_untagged(struct imap_cur *c, struct imap_response *out)
{
    out->kind = IMAP_KIND_OTHER;
    if (c->at < c->in.n && ascii_is_digit(c->in.p[c->at]))
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

int imap_response_parse(struct slice text, struct imap_streamed streamed, struct imap_response *out)
{
    struct imap_cur c = {.in = text, .streamed = streamed};
    *out = (struct imap_response){.kind = IMAP_KIND_OTHER, .mailbox = {.delimiter = -1}};
    if (imap_cur_byte(&c, '+')) {
        out->kind = IMAP_KIND_CONTINUE;
        imap_cur_byte(&c, ' ');
        out->text = slice_from(text, c.at);
        return 0;
    }
    if (imap_cur_byte(&c, '*'))
        return imap_cur_byte(&c, ' ') ? parse_untagged(&c, out) : -1;
    out->kind = IMAP_KIND_TAGGED;
    if (!imap_cur_atom(&c, &out->tag) || !sp(&c) || !imap_cur_status(&c, &out->status) ||
        out->status == IMAP_STATUS_BYE || out->status == IMAP_STATUS_PREAUTH)
        return -1;
    imap_cur_text(&c, out);
    return 0;
}
