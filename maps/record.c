/* SPDX-License-Identifier: ISC */
/*
 * record: an entry of the map as bytes, in the database and in the snapshot.
 *
 *     version (2) | kind and state, and which of these follow
 *       more:       | which of the fields marked + follow
 *                   | epoch | when | route | deliver_as
 *       held:       | owner | request | deadline
 *       more:       | + targets | + owner | + senders | + code, text | + until | + also
 *       with notes: | note | who | source | moved by
 *
 * Epoch and times take 6 bytes, little-endian (a time in ms lasts until the year 10889), so that
 * the usual record fits one cache line together with its key; texts are a length in one byte, or in
 * two with the high bit of the first set, and bytes.  Each entry has exactly one encoding, and a
 * reader refuses what it does not know: an old program never half understands a newer record.
 *
 * Version 1, of maps from before, knew two kinds and two states and is only read:
 *
 *     version (1) | flags | epoch | when | route | deliver_as
 *       held:       | owner | request | deadline
 *       with notes: | note | who
 */
#include "maps/route.h"

#define RECORD_VERSION 2
#define RECORD_VERSION_1 1
#define NUMBER_SIZE 6
#define NUMBER_MAX ((1ull << 48) - 1)
#define LONG_TEXT 0x80
#define REPLY_CODE_MAX 599

/* The byte behind the version. */
#define KIND_MASK 0x07u
#define STATE_SHIFT 3
#define STATE_MASK 0x03u
#define FLAG_TOMBSTONE 0x20u
#define FLAG_NOTES 0x40u
#define FLAG_MORE 0x80u
/* The one behind it, of fields that few entries have. */
#define MORE_TARGETS 0x01u
#define MORE_OWNER 0x02u
#define MORE_SENDERS 0x04u
#define MORE_REPLY 0x08u
#define MORE_UNTIL 0x10u
#define MORE_ALSO 0x20u
#define MORE_KNOWN 0x3fu

#define V1_KIND_REJECT 0x01u
#define V1_HELD 0x02u
#define V1_TOMBSTONE 0x04u
#define V1_NOTES 0x08u
#define V1_KNOWN 0x0fu

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

static int put_bytes(struct buf *out, struct slice s)
{
    if (s.n >= LONG_TEXT && buf_add_byte(out, (unsigned char)(s.n >> 8 | LONG_TEXT)) != 0)
        return -1;
    if (buf_add_byte(out, (unsigned char)s.n) != 0)
        return -1;
    return buf_add(out, s);
}

static int put_text(struct buf *out, struct slice s, size_t max)
{
    return is_text(s, max) ? put_bytes(out, s) : -1;
}

static int put_time(struct buf *out, int64_t t)
{
    return t < 0 ? -1 : put_number(out, (uint64_t)t);
}

/* --- Lists ------------------------------------------------------------------------------- */

bool route_list_next(struct slice *rest, struct slice *part_out)
{
    return rest->n > 0 && slice_split(rest, '\n', part_out);
}

size_t route_list_count(struct slice list)
{
    size_t n = list.n > 0;
    for (size_t i = 0; i < list.n; i++)
        n += list.p[i] == '\n';
    return n;
}

/* "\n" stands between two parts and nowhere else. */
static bool is_list(struct slice s, size_t max)
{
    unsigned char before = '\n';
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || s.p[i] == '\r' || (s.p[i] == '\n' && before == '\n'))
            return false;
        before = s.p[i];
    }
    return s.n <= max && (s.n == 0 || before != '\n');
}

/* --- Writing ------------------------------------------------------------------------------ */

static int put_list(struct buf *out, struct slice s, size_t max)
{
    return is_list(s, max) ? put_bytes(out, s) : -1;
}

static int put_code(struct buf *out, unsigned code)
{
    if (code > REPLY_CODE_MAX || buf_add_byte(out, (unsigned char)code) != 0)
        return -1;
    return buf_add_byte(out, (unsigned char)(code >> 8));
}

static unsigned more_of(const struct route_entry *e)
{
    return (e->targets.n ? MORE_TARGETS : 0) | (e->owner.n ? MORE_OWNER : 0) |
           (e->senders.n ? MORE_SENDERS : 0) | (e->reply_code || e->reply_text.n ? MORE_REPLY : 0) |
           (e->until_s ? MORE_UNTIL : 0) | (e->also.n ? MORE_ALSO : 0);
}

static int put_more(struct buf *out, const struct route_entry *e, unsigned more)
{
    if (((more & MORE_TARGETS) && put_list(out, e->targets, ROUTE_TARGETS_MAX) != 0) ||
        ((more & MORE_OWNER) && put_text(out, e->owner, ROUTE_KEY_MAX) != 0) ||
        ((more & MORE_SENDERS) && put_list(out, e->senders, ROUTE_TARGETS_MAX) != 0) ||
        ((more & MORE_REPLY) && (put_code(out, e->reply_code) != 0 ||
                                    put_text(out, e->reply_text, ROUTE_TEXT_MAX) != 0)) ||
        ((more & MORE_UNTIL) && put_time(out, e->until_s) != 0) ||
        ((more & MORE_ALSO) && put_text(out, e->also, ROUTE_SERVER_MAX) != 0))
        return -1;
    return 0;
}

int record_encode(const struct route_entry *e, bool with_notes, struct buf *out)
{
    size_t before = out->n;
    unsigned more = more_of(e);
    unsigned what = (unsigned)e->kind | (unsigned)e->state << STATE_SHIFT |
                    (e->is_tombstone ? FLAG_TOMBSTONE : 0) | (with_notes ? FLAG_NOTES : 0) |
                    (more ? FLAG_MORE : 0);
    if (buf_add_byte(out, RECORD_VERSION) != 0 || buf_add_byte(out, (unsigned char)what) != 0 ||
        (more && buf_add_byte(out, (unsigned char)more) != 0) || put_number(out, e->epoch) != 0 ||
        put_time(out, e->when_s) != 0 || put_text(out, e->route, ROUTE_SERVER_MAX) != 0 ||
        put_text(out, e->deliver_as, ROUTE_KEY_MAX) != 0)
        goto bad;
    if (e->state == ROUTE_STATE_HELD && (put_text(out, e->hold_owner, ROUTE_NOTE_MAX) != 0 ||
                                            put_text(out, e->hold_request, ROUTE_NOTE_MAX) != 0 ||
                                            put_time(out, e->hold_deadline_ms) != 0))
        goto bad;
    if (more && put_more(out, e, more) != 0)
        goto bad;
    if (with_notes && (put_text(out, e->note, ROUTE_NOTE_MAX) != 0 ||
                          put_text(out, e->who, ROUTE_NOTE_MAX) != 0 ||
                          put_text(out, e->source, ROUTE_NOTE_MAX) != 0 ||
                          put_text(out, e->moved_by, ROUTE_NOTE_MAX) != 0))
        goto bad;
    if (out->n - before <= ROUTE_RECORD_MAX)
        return 0;
bad:
    buf_truncate(out, before);
    return -1;
}

/* --- Reading -------------------------------------------------------------------------------- */

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

static inline struct slice get_bytes(struct cursor *c)
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
    return s;
}

static inline struct slice get_text(struct cursor *c, size_t max)
{
    struct slice s = get_bytes(c);
    c->is_bad |= !is_text(s, max);
    return s;
}

/* Fields that stand only where they say something. */
static struct slice get_some_text(struct cursor *c, size_t max)
{
    struct slice s = get_text(c, max);
    c->is_bad |= s.n == 0;
    return s;
}

static struct slice get_some_list(struct cursor *c)
{
    struct slice s = get_bytes(c);
    c->is_bad |= s.n == 0 || !is_list(s, ROUTE_TARGETS_MAX);
    return s;
}

static unsigned get_code(struct cursor *c)
{
    const unsigned char *p = c->p;
    if (c->end - p < 2) {
        c->is_bad = true;
        return 0;
    }
    c->p += 2;
    unsigned code = (unsigned)p[0] | (unsigned)p[1] << 8;
    c->is_bad |= code > REPLY_CODE_MAX;
    return code;
}

static void get_more(struct cursor *c, unsigned more, struct route_entry *out)
{
    if (more & MORE_TARGETS)
        out->targets = get_some_list(c);
    if (more & MORE_OWNER)
        out->owner = get_some_text(c, ROUTE_KEY_MAX);
    if (more & MORE_SENDERS)
        out->senders = get_some_list(c);
    if (more & MORE_REPLY) {
        out->reply_code = get_code(c);
        out->reply_text = get_text(c, ROUTE_TEXT_MAX);
        c->is_bad |= out->reply_code == 0 && out->reply_text.n == 0;
    }
    if (more & MORE_UNTIL) {
        out->until_s = (int64_t)get_number(c);
        c->is_bad |= out->until_s == 0;
    }
    if (more & MORE_ALSO)
        out->also = get_some_text(c, ROUTE_SERVER_MAX);
}

static inline void get_head(struct cursor *c, struct route_entry *out)
{
    out->epoch = get_number(c);
    out->when_s = (int64_t)get_number(c);
    out->route = get_text(c, ROUTE_SERVER_MAX);
    out->deliver_as = get_text(c, ROUTE_KEY_MAX);
    if (out->state == ROUTE_STATE_HELD) {
        out->hold_owner = get_text(c, ROUTE_NOTE_MAX);
        out->hold_request = get_text(c, ROUTE_NOTE_MAX);
        out->hold_deadline_ms = (int64_t)get_number(c);
    }
}

static void get_version_1(struct cursor *c, unsigned flags, struct route_entry *out)
{
    c->is_bad |= (flags & ~V1_KNOWN) != 0;
    out->kind = flags & V1_KIND_REJECT ? ROUTE_KIND_REJECT : ROUTE_KIND_MAILBOX;
    out->state = flags & V1_HELD ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
    out->is_tombstone = flags & V1_TOMBSTONE;
    get_head(c, out);
    if (flags & V1_NOTES) {
        out->note = get_text(c, ROUTE_NOTE_MAX);
        out->who = get_text(c, ROUTE_NOTE_MAX);
    }
}

static inline void get_version_2(struct cursor *c, unsigned what, struct route_entry *out)
{
    unsigned more = 0;
    if (what & FLAG_MORE) {
        more = c->p < c->end ? *c->p++ : 0;
        c->is_bad |= more == 0 || (more & ~MORE_KNOWN) != 0;
    }
    c->is_bad |= (what & KIND_MASK) > ROUTE_KIND_FORWARD;
    out->kind = (enum route_kind)(what & KIND_MASK);
    out->state = (enum route_state)(what >> STATE_SHIFT & STATE_MASK);
    out->is_tombstone = what & FLAG_TOMBSTONE;
    get_head(c, out);
    if (more)
        get_more(c, more, out);
    if (what & FLAG_NOTES) {
        out->note = get_text(c, ROUTE_NOTE_MAX);
        out->who = get_text(c, ROUTE_NOTE_MAX);
        out->source = get_text(c, ROUTE_NOTE_MAX);
        out->moved_by = get_text(c, ROUTE_NOTE_MAX);
    }
}

int record_decode(struct slice bytes, struct route_entry *out)
{
    route_entry_clear(out);
    if (bytes.n < 2 || bytes.n > ROUTE_RECORD_MAX)
        return -1;
    struct cursor c = {.p = bytes.p + 2, .end = bytes.p + bytes.n};
    if (bytes.p[0] == RECORD_VERSION)
        get_version_2(&c, bytes.p[1], out);
    else if (bytes.p[0] == RECORD_VERSION_1)
        get_version_1(&c, bytes.p[1], out);
    else
        return -1;
    if (!c.is_bad && c.p == c.end)
        return 0;
    route_entry_clear(out);
    return -1;
}

/* --- Names ------------------------------------------------------------------------------------ */

static const char *const kind_names[] = {
    [ROUTE_KIND_MAILBOX] = "mailbox",
    [ROUTE_KIND_REJECT] = "reject",
    [ROUTE_KIND_ALIAS] = "alias",
    [ROUTE_KIND_GROUP] = "group",
    [ROUTE_KIND_FORWARD] = "forward",
};
static const char *const state_names[] = {
    [ROUTE_STATE_ACTIVE] = "active",
    [ROUTE_STATE_HELD] = "held",
    [ROUTE_STATE_BOTH] = "both",
    [ROUTE_STATE_RETIRING] = "retiring",
};
_Static_assert(sizeof kind_names / sizeof *kind_names == ROUTE_KIND_FORWARD + 1, "a name each");
_Static_assert(sizeof state_names / sizeof *state_names == ROUTE_STATE_RETIRING + 1, "a name each");

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
