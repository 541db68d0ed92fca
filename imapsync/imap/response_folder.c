/* SPDX-License-Identifier: ISC */
/*
 * response_folder: what is told about folders: LIST, LSUB, STATUS and NAMESPACE, with what
 * LIST-STATUS, CONDSTORE and OBJECTID add.
 *
 * A name that should have been in quotes, or whose quotes are not in order, is what stands there to
 * the end of the line (Exchange, Domino); so little is lost by a wrong guess: a folder of that name
 * is not there.
 */
#include "imapsync/imap/response_parts.h"

/* DQUOTE QUOTED-CHAR DQUOTE / nil */
static bool delimiter(struct imap_cur *c, int *out)
{
    struct imap_str s;
    *out = -1;
    /* A backslash that is not doubled (Domino). */
    if (slice_starts(slice_from(c->in, c->at), SLICE_LIT("\"\\\" "))) {
        c->at += 3;
        *out = '\\';
        return true;
    }
    if (!imap_cur_nstring(c, &s))
        return false;
    if (s.is_nil || s.raw.n == 0)
        return true;
    if (s.raw.n != (s.is_escaped ? 2u : 1u))
        return false;
    *out = s.raw.p[s.raw.n - 1];
    return *out > 0x20 && *out < 0x7f;
}

/* All that is left; odd. */
static struct imap_str rest_of_line(struct imap_cur *c)
{
    struct slice rest = slice_trim(slice_from(c->in, c->at));
    if (rest.n > 1 && rest.p[0] == '"' && rest.p[rest.n - 1] == '"')
        rest = slice_sub(rest, 1, rest.n - 2);
    c->at = c->in.n;
    return (struct imap_str){.raw = rest};
}

/* RFC 5258 extended data, such as ("CHILDINFO" ("SUBSCRIBED")), may stand behind the name. */
static bool ends_behind_name(struct imap_cur *c)
{
    struct slice extended;
    return imap_cur_is_over(c) || (imap_cur_list(c, &extended) && imap_cur_is_over(c));
}

static bool has_control(struct slice s)
{
    bool has = false;
    for (size_t i = 0; i < s.n; i++)
        has = has || s.p[i] == 0 || s.p[i] == '\r' || s.p[i] == '\n';
    return has;
}

bool imap_parse_list(struct imap_cur *c, struct imap_response *out)
{
    struct imap_mailbox_data *m = &out->mailbox;
    if (!imap_cur_blanks(c) || (!imap_cur_word(c, "NIL") && !imap_cur_list(c, &m->attributes)) ||
        !imap_cur_blanks(c) || !delimiter(c, &m->delimiter) || !imap_cur_blanks(c))
        return false;
    out->is_odd = !imap_words_valid(m->attributes);
    struct imap_cur t = *c;
    if (imap_cur_astring(&t, &m->name) && ends_behind_name(&t)) {
        *c = t;
        return true;
    }
    out->is_odd = true;
    m->name = rest_of_line(c);
    return m->name.raw.n > 0 && !has_control(m->name.raw);
}

bool imap_cur_object_id(struct imap_cur *c, struct slice *out)
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

bool imap_cur_modseq(struct imap_cur *c, uint64_t *out)
{
    if (!imap_cur_number(c, UINT64_MAX, out))
        return false;
    if (*out > INT64_MAX)
        *out = 0;
    return true;
}

/* --- STATUS ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum imap_status_item item;
    size_t offset;
    uint64_t max;
} items[] = {
    {"MESSAGES", IMAP_ITEM_MESSAGES, offsetof(struct imap_status_data, messages), UINT32_MAX},
    {"UIDNEXT", IMAP_ITEM_UIDNEXT, offsetof(struct imap_status_data, uidnext), UINT32_MAX},
    {"UIDVALIDITY", IMAP_ITEM_UIDVALIDITY, offsetof(struct imap_status_data, uidvalidity),
        UINT32_MAX},
    {"HIGHESTMODSEQ", IMAP_ITEM_HIGHESTMODSEQ, offsetof(struct imap_status_data, highestmodseq),
        UINT64_MAX},
    {"SIZE", IMAP_ITEM_SIZE, offsetof(struct imap_status_data, size), INT64_MAX},
};
#define N_ITEMS (sizeof(items) / sizeof(items[0]))

static bool status_number(struct imap_cur *c, size_t i, struct imap_status_data *d)
{
    uint64_t value;
    bool is_modseq = items[i].item == IMAP_ITEM_HIGHESTMODSEQ;
    if (is_modseq ? !imap_cur_modseq(c, &value) : !imap_cur_number(c, items[i].max, &value))
        return false;
    if (is_modseq && value == 0)
        return true;
    memcpy((char *)d + items[i].offset, &value, sizeof(value));
    d->has |= (unsigned)items[i].item;
    return true;
}

/* false: where it ends cannot be told. */
static bool status_value(struct imap_cur *c, struct slice name, struct imap_response *out)
{
    struct imap_status_data *d = &out->status_data;
    struct imap_cur t = *c;
    size_t i = 0;
    if (slice_eq_nocase(name, SLICE_LIT("MAILBOXID")) && imap_cur_object_id(c, &d->id)) {
        d->has |= IMAP_ITEM_MAILBOXID;
        return true;
    }
    if (slice_eq_nocase(name, SLICE_LIT("X-GUID")) && imap_cur_atom(c, &d->guid)) {
        d->has |= IMAP_ITEM_GUID;
        return true;
    }
    while (i < N_ITEMS && !slice_eq_nocase(name, slice_str(items[i].name)))
        i++;
    if (i < N_ITEMS && status_number(&t, i, d)) {
        *c = t;
        return true;
    }
    out->is_odd = out->is_odd || i < N_ITEMS;
    return imap_cur_skip(c);
}

/* A name that should have been in quotes ends where the numbers begin. */
static bool status_name(struct imap_cur *c, struct imap_response *out)
{
    struct imap_cur t = *c;
    if (imap_cur_astring(&t, &out->status_data.name) && imap_cur_blanks(&t) &&
        imap_cur_byte(&t, '(')) {
        *c = t;
        return true;
    }
    struct slice rest = slice_from(c->in, c->at);
    ptrdiff_t numbers = slice_rfind(rest, '(');
    if (numbers <= 0)
        return false;
    t = imap_cur_make(slice_sub(rest, 0, (size_t)numbers));
    out->is_odd = true;
    out->status_data.name = rest_of_line(&t);
    c->at += (size_t)numbers + 1;
    return !has_control(out->status_data.name.raw);
}

bool imap_parse_mailbox_status(struct imap_cur *c, struct imap_response *out)
{
    if (!imap_cur_blanks(c) || !status_name(c, out))
        return false;
    for (bool is_good = true; is_good;) {
        struct slice name;
        imap_cur_blanks(c);
        if (imap_cur_byte(c, ')'))
            break;
        is_good = imap_cur_atom(c, &name) && imap_cur_blanks(c) && status_value(c, name, out);
        out->is_odd = out->is_odd || !is_good;
    }
    out->is_odd = out->is_odd || !imap_cur_is_over(c);
    return true;
}

bool imap_parse_acl(struct imap_cur *c, struct imap_response *out)
{
    if (!imap_cur_blanks(c) || !imap_cur_astring(c, &out->mailbox.name))
        return false;
    out->list = slice_from(c->in, c->at);
    c->at = c->in.n;
    return true;
}

/* RFC 5464 4.4: "(" entries and values ")", or the names of those that have changed. */
bool imap_parse_metadata(struct imap_cur *c, struct imap_response *out)
{
    if (!imap_cur_blanks(c) || !imap_cur_astring(c, &out->mailbox.name) || !imap_cur_blanks(c))
        return false;
    if (imap_cur_peek(c, '('))
        out->is_odd = !imap_cur_list(c, &out->list) || !imap_cur_is_over(c);
    return true;
}

/* --- NAMESPACE ------------------------------------------------------------------------------- */

/* Behind the first part some old servers leave out the others. */
static bool namespace_part(struct imap_cur *c, struct slice *out)
{
    return imap_cur_is_over(c) || imap_cur_word(c, "NIL") || imap_cur_list(c, out);
}

bool imap_parse_namespace(struct imap_cur *c, struct imap_response *out)
{
    return imap_cur_blanks(c) && !imap_cur_is_over(c) && namespace_part(c, &out->personal) &&
           namespace_part(c, &out->other) && namespace_part(c, &out->shared) && imap_cur_is_over(c);
}

bool imap_namespace_next(struct slice *part, struct imap_str *prefix_out, int *delimiter_out)
{
    struct imap_cur c = imap_cur_make(*part);
    struct slice one;
    imap_cur_blanks(&c);
    if (!imap_cur_list(&c, &one))
        return false;
    *part = slice_from(*part, c.at);
    c = imap_cur_make(one);
    return imap_cur_string(&c, prefix_out) && imap_cur_blanks(&c) && delimiter(&c, delimiter_out);
}
