/* SPDX-License-Identifier: ISC */
/*
 * record: an entry of the map as bytes, in the database and in the snapshot.
 *
 *     version (1) | flags | epoch | when | route | deliver_as
 *       held:       | owner | request | deadline
 *       with notes: | note | who
 *
 * Epoch and times take 6 bytes, little-endian (a time in ms lasts until the year 10889), so that
 * the usual record fits one cache line together with its key; texts are a length in one byte, or in
 * two with the high bit of the first set, and bytes.  Each entry has exactly one encoding, and a
 * reader refuses what it does not know: an old program never half understands a newer record.
 */
#include "maps/route.h"

#define RECORD_VERSION 1
#define NUMBER_SIZE 6
#define NUMBER_MAX ((1ull << 48) - 1)
#define LONG_TEXT 0x80

#define FLAG_KIND_REJECT 0x01
#define FLAG_HELD 0x02
#define FLAG_TOMBSTONE 0x04
#define FLAG_NOTES 0x08
#define FLAGS_KNOWN 0x0f

static int put_number(struct buf *out, uint64_t v)
{
    unsigned char bytes[NUMBER_SIZE];
    if (v > NUMBER_MAX)
        return -1;
    for (size_t i = 0; i < sizeof bytes; i++, v >>= 8)
        bytes[i] = (unsigned char)v;
    return buf_add(out, slice_make(bytes, sizeof bytes));
}

/* What would break a line of a reply, a log or a header. */
static bool is_text(struct slice s, size_t max)
{
    const unsigned bad = 1u << '\r' | 1u << '\n' | 1u << '\0';
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= '\r' && (bad >> s.p[i] & 1) != 0)
            return false;
    return s.n <= max;
}

static int put_text(struct buf *out, struct slice s, size_t max)
{
    if (!is_text(s, max))
        return -1;
    if (s.n >= LONG_TEXT && buf_add_byte(out, (unsigned char)(s.n >> 8 | LONG_TEXT)) != 0)
        return -1;
    if (buf_add_byte(out, (unsigned char)s.n) != 0)
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

/* What is left of the bytes; is_bad once something was not as it must be.  Decoding is half of a
 * look-up that hits the caches, hence one flag at the end instead of a branch at each field. */
struct cursor {
    const unsigned char *p, *end;
    bool is_bad;
};

static inline uint64_t get_number(struct cursor *c)
{
    const unsigned char *p = c->p;
    if (c->end - p < NUMBER_SIZE) {
        c->is_bad = true;
        return 0;
    }
    c->p += NUMBER_SIZE;
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40;
}

static inline struct slice get_text(struct cursor *c, size_t max)
{
    size_t left = (size_t)(c->end - c->p), n = left > 0 ? c->p[0] : 0, head = 1;
    if (n >= LONG_TEXT && left > 1) {
        n = (n & (LONG_TEXT - 1)) << 8 | c->p[1];
        head = 2;
        c->is_bad |= n < LONG_TEXT;
    }
    if (head + n > left) {
        c->is_bad = true;
        return SLICE_NONE;
    }
    struct slice s = slice_make(c->p + head, n);
    c->p += head + n;
    c->is_bad |= !is_text(s, max);
    return s;
}

int record_decode(struct slice bytes, struct route_entry *out)
{
    route_entry_clear(out);
    if (bytes.n < 2 || bytes.n > ROUTE_RECORD_MAX || bytes.p[0] != RECORD_VERSION ||
        (bytes.p[1] & ~FLAGS_KNOWN) != 0)
        return -1;
    unsigned flags = bytes.p[1];
    struct cursor c = {.p = bytes.p + 2, .end = bytes.p + bytes.n};
    out->kind = flags & FLAG_KIND_REJECT ? ROUTE_KIND_REJECT : ROUTE_KIND_MAILBOX;
    out->state = flags & FLAG_HELD ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
    out->is_tombstone = flags & FLAG_TOMBSTONE;
    out->epoch = get_number(&c);
    out->when_s = (int64_t)get_number(&c);
    out->route = get_text(&c, ROUTE_SERVER_MAX);
    out->deliver_as = get_text(&c, ROUTE_KEY_MAX);
    if (flags & FLAG_HELD) {
        out->hold_owner = get_text(&c, ROUTE_NOTE_MAX);
        out->hold_request = get_text(&c, ROUTE_NOTE_MAX);
        out->hold_deadline_ms = (int64_t)get_number(&c);
    }
    if (flags & FLAG_NOTES) {
        out->note = get_text(&c, ROUTE_NOTE_MAX);
        out->who = get_text(&c, ROUTE_NOTE_MAX);
    }
    if (!c.is_bad && c.p == c.end)
        return 0;
    route_entry_clear(out);
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
