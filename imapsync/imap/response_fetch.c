/* SPDX-License-Identifier: ISC */
/*
 * response_fetch: RFC 9051 `msg-att`.
 *
 * Items that nobody asked for are passed over by their structure, and so is the value of one that
 * is not what it has to be: the others count.  Where not even its end can be found, what stood
 * before counts.  A line that could tell of any message then, since it has no UID, is none.
 */
#include "imapsync/imap/response_parts.h"

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

/* --- Values: each consumes what it is, or says false ------------------------------------------ */

static bool uid(struct imap_cur *c, struct imap_fetch_data *d)
{
    uint64_t n;
    /* 0 is no UID (RFC 9051 nz-number), so no answer can be about it. */
    if (!imap_cur_number(c, UINT32_MAX, &n) || n == 0)
        return false;
    d->uid = (uint32_t)n;
    return true;
}

/* NIL is a list that is empty (RFC 3501 has none here, and some servers do). */
static bool flags(struct imap_cur *c, struct imap_fetch_data *d)
{
    if (imap_cur_word(c, "NIL"))
        d->flags = SLICE_NONE;
    else if (!imap_cur_list(c, &d->flags))
        return false;
    d->has_odd_flags = !imap_words_valid(d->flags);
    return true;
}

static bool internal_date(struct imap_cur *c, struct imap_fetch_data *d)
{
    struct imap_str s;
    if (!imap_cur_nstring(c, &s) || s.is_streamed)
        return false;
    d->internal_date = s.raw;
    return !s.is_nil;
}

static bool size(struct imap_cur *c, struct imap_fetch_data *d)
{
    return imap_cur_number(c, INT64_MAX, &d->size);
}

static bool modseq(struct imap_cur *c, struct imap_fetch_data *d)
{
    return imap_cur_byte(c, '(') && imap_cur_modseq(c, &d->modseq) && imap_cur_byte(c, ')');
}

static bool email_id(struct imap_cur *c, struct imap_fetch_data *d)
{
    return imap_cur_object_id(c, &d->email_id);
}

static bool body(struct imap_cur *c, struct imap_fetch_data *d)
{
    d->has_two_bodies = d->has & IMAP_FETCH_BODY;
    return !d->has_two_bodies && imap_cur_nstring(c, &d->body);
}

/* Without escapes a quoted string is what it says, and fields need CRLFs, which it cannot have. */
static bool fields(struct imap_cur *c, struct imap_fetch_data *d)
{
    struct imap_str s;
    if (!imap_cur_nstring(c, &s) || s.is_streamed)
        return false;
    d->fields = s.raw;
    return !s.is_nil;
}

static bool header(struct imap_cur *c, struct imap_fetch_data *d)
{
    return imap_cur_nstring(c, &d->header) && !d->header.is_streamed;
}

/* X-GM-MSGID: Gmail's word for an EMAILID, a number without brackets. */
static bool gmail_id(struct imap_cur *c, struct imap_fetch_data *d)
{
    const size_t from = c->at;
    uint64_t n;
    if (!imap_cur_number(c, UINT64_MAX, &n))
        return false;
    d->email_id = slice_sub(c->in, from, c->at - from);
    return true;
}

static const struct fetch_item {
    const char *name;
    enum imap_fetch_item item;
    bool (*read)(struct imap_cur *c, struct imap_fetch_data *d);
    bool may_be_other; /* NIL, or something that says as little */
    bool has_more;     /* the name goes on: servers write the names of fields as they like */
} items[] = {
    {"UID", IMAP_FETCH_UID, uid, false, false},
    {"FLAGS", IMAP_FETCH_FLAGS, flags, false, false},
    {"INTERNALDATE", IMAP_FETCH_INTERNALDATE, internal_date, true, false},
    {"RFC822.SIZE", IMAP_FETCH_SIZE, size, false, false},
    {"MODSEQ", IMAP_FETCH_MODSEQ, modseq, false, false},
    {"EMAILID", IMAP_FETCH_EMAILID, email_id, true, false},
    {"X-GM-MSGID", IMAP_FETCH_EMAILID, gmail_id, true, false},
    {"BODY[HEADER]", IMAP_FETCH_HEADER, header, true, false},
    {"BODY[HEADER]<0>", IMAP_FETCH_HEADER, header, true, false},
    {"BODY[]", IMAP_FETCH_BODY, body, false, false},
    {"BODY[]<0>", IMAP_FETCH_BODY, body, false, false},
    {"RFC822", IMAP_FETCH_BODY, body, false, false},
    {"BODY[HEADER.FIELDS ", IMAP_FETCH_FIELDS, fields, true, true},
};
#define N_ITEMS (sizeof(items) / sizeof(items[0]))

static bool is_named(const struct fetch_item *i, struct slice name)
{
    struct slice want = slice_str(i->name);
    return i->has_more ? slice_starts_nocase(name, want) : slice_eq_nocase(name, want);
}

/* false: where it ends cannot be told. */
static bool fetch_value(struct imap_cur *c, struct slice name, struct imap_response *out)
{
    struct imap_fetch_data *d = &out->fetch;
    struct imap_cur t = *c;
    size_t i = 0;
    while (i < N_ITEMS && !is_named(&items[i], name))
        i++;
    if (i < N_ITEMS && items[i].read(&t, d)) {
        d->has |= (unsigned)items[i].item;
        *c = t;
        return true;
    }
    out->is_odd = out->is_odd || (i < N_ITEMS && !items[i].may_be_other);
    return imap_cur_skip(c);
}

/* A server that announces less than it sends ends in the middle of its message: what stands behind
 * the body is no list then, or nothing where it has ended in front of a CRLF. */
static void note_rest(const struct imap_cur *c, size_t behind, struct imap_fetch_data *d)
{
    d->is_unclosed = d->has & IMAP_FETCH_BODY && c->streamed.is_set;
    d->has_rest = d->is_unclosed && slice_trim(slice_from(c->in, behind)).n > 0;
}

bool imap_parse_fetch(struct imap_cur *c, struct imap_response *out)
{
    size_t behind_body = 0;
    bool is_good = imap_cur_blanks(c) && imap_cur_byte(c, '(');
    while (is_good) {
        struct slice name;
        imap_cur_blanks(c);
        if (imap_cur_byte(c, ')'))
            break;
        bool had_body = out->fetch.has & IMAP_FETCH_BODY;
        is_good = fetch_name(c, &name) && imap_cur_blanks(c) && fetch_value(c, name, out);
        if (!had_body && out->fetch.has & IMAP_FETCH_BODY)
            behind_body = c->at;
        if (is_good && c->streamed.is_set && imap_cur_at_end(c)) {
            note_rest(c, behind_body, &out->fetch);
            return true; /* the head of a response whose body is still coming, at least */
        }
    }
    /* Which of two is the message nobody can say. */
    if (out->fetch.has_two_bodies)
        out->fetch.has &= ~(unsigned)IMAP_FETCH_BODY;
    if (!is_good)
        note_rest(c, behind_body, &out->fetch);
    out->is_odd = out->is_odd || !is_good || !imap_cur_is_over(c) || out->fetch.has_odd_flags;
    return !out->is_odd || out->fetch.has & IMAP_FETCH_UID;
}
