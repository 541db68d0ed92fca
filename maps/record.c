/* SPDX-License-Identifier: ISC */
/*
 * record: an entry of the map as bytes, in the database and in the snapshot.
 *
 *     version (1) | flags | epoch | when | route | deliver_as
 *       held:       | owner | request | deadline
 *       with notes: | note | who
 *
 * Numbers are unsigned LEB128, so that the usual record fits one cache line together with its key;
 * texts are a number (their length) and bytes.  Each entry has exactly one encoding, and a reader
 * refuses what it does not know: an old program never half understands a newer record.
 */
#include "maps/route.h"

#define RECORD_VERSION 1

#define FLAG_KIND_REJECT 0x01
#define FLAG_HELD 0x02
#define FLAG_TOMBSTONE 0x04
#define FLAG_NOTES 0x08
#define FLAGS_KNOWN 0x0f

static int put_number(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        if (buf_add_byte(out, (unsigned char)(v | 0x80)) != 0)
            return -1;
    return buf_add_byte(out, (unsigned char)v);
}

static bool is_text(struct slice s, size_t max)
{
    return s.n <= max && slice_find(s, '\r') < 0 && slice_find(s, '\n') < 0 &&
           slice_find(s, '\0') < 0;
}

static int put_text(struct buf *out, struct slice s, size_t max)
{
    if (!is_text(s, max) || put_number(out, s.n) != 0)
        return -1;
    return buf_add(out, s);
}

static int put_time(struct buf *out, int64_t t)
{
    return t < 0 ? -1 : put_number(out, (uint64_t)t);
}

int record_encode(const struct route_entry *e, bool with_notes, struct buf *out)
{
    size_t before = out->n;
    unsigned flags = (e->kind == ROUTE_KIND_REJECT ? FLAG_KIND_REJECT : 0u) |
                     (e->state == ROUTE_STATE_HELD ? FLAG_HELD : 0u) |
                     (e->is_tombstone ? FLAG_TOMBSTONE : 0u) | (with_notes ? FLAG_NOTES : 0u);
    if (buf_add_byte(out, RECORD_VERSION) != 0 || buf_add_byte(out, (unsigned char)flags) != 0 ||
        put_number(out, e->epoch) != 0 || put_time(out, e->when_s) != 0 ||
        put_text(out, e->route, ROUTE_SERVER_MAX) != 0 ||
        put_text(out, e->deliver_as, ROUTE_KEY_MAX) != 0)
        goto bad;
    if (e->state == ROUTE_STATE_HELD && (put_text(out, e->hold_owner, ROUTE_NOTE_MAX) != 0 ||
                                            put_text(out, e->hold_request, ROUTE_NOTE_MAX) != 0 ||
                                            put_time(out, e->hold_deadline_ms) != 0))
        goto bad;
    if (with_notes &&
        (put_text(out, e->note, ROUTE_NOTE_MAX) != 0 || put_text(out, e->who, ROUTE_NOTE_MAX) != 0))
        goto bad;
    if (out->n - before <= ROUTE_RECORD_MAX)
        return 0;
bad:
    buf_truncate(out, before);
    return -1;
}

static int get_byte(struct slice *in, unsigned char *out)
{
    if (in->n == 0)
        return -1;
    *out = in->p[0];
    *in = slice_from(*in, 1);
    return 0;
}

/* The shortest encoding only, within 64 bits. */
static int get_number(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned char c = 0;
        if (get_byte(in, &c) != 0 || (shift == 63 && c > 1) || (c == 0 && shift > 0))
            return -1;
        *out |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return 0;
    }
    return -1;
}

static int get_time(struct slice *in, int64_t *out)
{
    uint64_t v = 0;
    if (get_number(in, &v) != 0 || v > INT64_MAX)
        return -1;
    *out = (int64_t)v;
    return 0;
}

static int get_text(struct slice *in, size_t max, struct slice *out)
{
    uint64_t n = 0;
    if (get_number(in, &n) != 0 || n > max || n > in->n)
        return -1;
    *out = slice_sub(*in, 0, (size_t)n);
    *in = slice_from(*in, (size_t)n);
    return is_text(*out, max) ? 0 : -1;
}

int record_decode(struct slice bytes, struct route_entry *out)
{
    struct slice in = bytes;
    unsigned char version = 0, flags = 0;
    *out = (struct route_entry){0};
    if (bytes.n > ROUTE_RECORD_MAX || get_byte(&in, &version) != 0 || version != RECORD_VERSION ||
        get_byte(&in, &flags) != 0 || (flags & ~FLAGS_KNOWN) != 0)
        goto bad;
    out->kind = flags & FLAG_KIND_REJECT ? ROUTE_KIND_REJECT : ROUTE_KIND_MAILBOX;
    out->state = flags & FLAG_HELD ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
    out->is_tombstone = flags & FLAG_TOMBSTONE;
    if (get_number(&in, &out->epoch) != 0 || get_time(&in, &out->when_s) != 0 ||
        get_text(&in, ROUTE_SERVER_MAX, &out->route) != 0 ||
        get_text(&in, ROUTE_KEY_MAX, &out->deliver_as) != 0)
        goto bad;
    if (flags & FLAG_HELD && (get_text(&in, ROUTE_NOTE_MAX, &out->hold_owner) != 0 ||
                                 get_text(&in, ROUTE_NOTE_MAX, &out->hold_request) != 0 ||
                                 get_time(&in, &out->hold_deadline_ms) != 0))
        goto bad;
    if (flags & FLAG_NOTES && (get_text(&in, ROUTE_NOTE_MAX, &out->note) != 0 ||
                                  get_text(&in, ROUTE_NOTE_MAX, &out->who) != 0))
        goto bad;
    if (in.n == 0)
        return 0;
bad:
    *out = (struct route_entry){0};
    return -1;
}

static const char *const kind_names[] = {
    [ROUTE_KIND_MAILBOX] = "mailbox",
    [ROUTE_KIND_REJECT] = "reject",
};
static const char *const state_names[] = {
    [ROUTE_STATE_ACTIVE] = "active",
    [ROUTE_STATE_HELD] = "held",
};
_Static_assert(sizeof kind_names / sizeof *kind_names == ROUTE_KIND_REJECT + 1, "a name each");
_Static_assert(sizeof state_names / sizeof *state_names == ROUTE_STATE_HELD + 1, "a name each");

static int find_name(const char *const *names, size_t n, struct slice text)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(text, slice_str(names[i])))
            return (int)i;
    return -1;
}

const char *route_kind_name(enum route_kind kind)
{
    return kind_names[kind];
}

const char *route_state_name(enum route_state state)
{
    return state_names[state];
}

int route_kind_parse(struct slice text, enum route_kind *out)
{
    int i = find_name(kind_names, sizeof kind_names / sizeof *kind_names, text);
    if (i < 0)
        return -1;
    *out = (enum route_kind)i;
    return 0;
}

int route_state_parse(struct slice text, enum route_state *out)
{
    int i = find_name(state_names, sizeof state_names / sizeof *state_names, text);
    if (i < 0)
        return -1;
    *out = (enum route_state)i;
    return 0;
}
