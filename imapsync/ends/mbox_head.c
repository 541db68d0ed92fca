/* SPDX-License-Identifier: ISC */
/*
 * mbox_head: see mbox_head.h.  Blanks behind the keywords are room in which flags can change
 * without anything being moved: Dovecot leaves some as well, and takes ours.
 */
#include "imapsync/ends/mbox_head.h"

#include "imapsync/ends/mbox_codec.h"

#define ROOM 32
#define BASE_ROOM 128

static int add_flags(const struct mbox_label *l, struct buf *out)
{
    static const struct {
        uint8_t flag;
        unsigned char letter;
    } letters[] = {
        {FLAG_ANSWERED, 'A'}, {FLAG_DELETED, 'D'}, {FLAG_FLAGGED, 'F'}, {FLAG_DRAFT, 'T'}};
    uint8_t system = l->flags->system;
    int r = buf_add_str(out, system & FLAG_SEEN ? "Status: RO\n" : "Status: O\n");
    if (r != 0 || !(system & (uint8_t)~FLAG_SEEN))
        return r;
    r = buf_add_str(out, "X-Status: ");
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]) && r == 0; i++) {
        if (system & letters[i].flag)
            r = buf_add_byte(out, letters[i].letter);
    }
    return r == 0 ? buf_add_byte(out, '\n') : -1;
}

static int add_keywords(const struct mbox_label *l, struct buf *out)
{
    int r = buf_add_str(out, "X-Keywords:");
    for (size_t i = 0; l->keywords && i < l->keywords->n && r == 0; i++) {
        if (l->flags->keywords[i / 64] >> (i % 64) & 1)
            r = buf_addf(out, " %s", l->keywords->names[i]);
    }
    return r;
}

static int add_room(struct buf *out, size_t n)
{
    int r = 0;
    while (n-- > 0 && r == 0)
        r = buf_add_byte(out, ' ');
    return r == 0 ? buf_add_byte(out, '\n') : -1;
}

/* All but the end of the last line. */
static int add_all(const struct mbox_label *l, struct buf *out)
{
    int r = l->uid != 0 ? buf_addf(out, "X-UID: %u\n", l->uid) : 0;
    if (r == 0)
        r = add_flags(l, out);
    return r == 0 ? add_keywords(l, out) : -1;
}

int mbox_base_format(
    uint32_t validity, uint32_t last, const struct keywords *keywords, size_t n, struct buf *out)
{
    size_t begun = out->n;
    int r = buf_addf(out, "X-IMAPbase: %u %010u", validity, last);
    for (size_t i = 0; i < keywords->n && r == 0; i++)
        r = buf_addf(out, " %s", keywords->names[i]);
    size_t length = out->n - begun + 1;
    return r == 0 ? add_room(out, length <= n ? n - length : BASE_ROOM) : -1;
}

int mbox_head_format(const struct mbox_label *l, struct buf *out)
{
    return add_all(l, out) == 0 ? add_room(out, ROOM) : -1;
}

static size_t line_of(struct slice octets)
{
    ptrdiff_t lf = slice_find(octets, '\n');
    return lf >= 0 ? (size_t)lf + 1 : octets.n;
}

size_t mbox_head_length(struct slice octets)
{
    size_t at = 0;
    while (at < octets.n) {
        struct slice line = slice_from(octets, at);
        line.n = line_of(line);
        at += line.n;
        if (slice_eq(line, SLICE_LIT("\n")) || slice_eq(line, SLICE_LIT("\r\n")))
            break;
    }
    return at;
}

/* A field with the lines that continue it. */
static struct slice field_at(struct slice header, size_t at)
{
    struct slice rest = slice_from(header, at);
    size_t n = line_of(rest);
    while (n < rest.n && ascii_is_blank(rest.p[n]))
        n += line_of(slice_from(rest, n));
    return slice_sub(rest, 0, n);
}

static struct slice without_room(struct slice field)
{
    while (field.n > 0 && field.p[field.n - 1] <= ' ')
        field.n--;
    return field;
}

/* What all fields take without the room at their ends. */
static size_t needed(struct slice header)
{
    struct slice field;
    size_t n = 0;
    for (size_t at = 0; at < header.n; at += field.n) {
        field = field_at(header, at);
        enum mbox_field f = mbox_field_of(field);
        if (f != MBOX_X_IMAPBASE && f != MBOX_X_IMAP)
            n += f == MBOX_FIELD_NONE ? field.n : without_room(field).n + 1;
    }
    return n;
}

int mbox_base_edit(struct slice header, uint32_t validity, uint32_t last,
    const struct keywords *keywords, struct buf *out)
{
    struct slice field;
    struct buf base;
    size_t others = needed(header);
    buf_init(&base, MBOX_HEAD_MAX);
    int r = mbox_base_format(validity, last, keywords, 0, &base) == 0 ? 0 : 1;
    size_t least = base.n >= BASE_ROOM ? base.n - BASE_ROOM : 0;
    if (r == 0 && others + least > header.n)
        r = 1;
    buf_clear(&base);
    if (r == 0)
        r = mbox_base_format(validity, last, keywords, header.n - others, &base);
    for (size_t at = 0; at < header.n && r == 0; at += field.n) {
        field = field_at(header, at);
        enum mbox_field f = mbox_field_of(field);
        /* A pseudo message has another name for it. */
        if (f == MBOX_X_IMAP)
            r = 1;
        else if (f == MBOX_X_IMAPBASE)
            r = buf_add(out, buf_slice(&base));
        else if (f == MBOX_FIELD_NONE)
            r = buf_add(out, field);
        else
            r = buf_add(out, without_room(field)) == 0 ? buf_add_byte(out, '\n') : 1;
    }
    buf_fini(&base);
    return r == 0 && out->n == header.n ? 0 : 1;
}

/* Those that say nothing of flags stay as they are. */
static bool stays(enum mbox_field f)
{
    return f == MBOX_CONTENT_LENGTH || f == MBOX_X_IMAP || f == MBOX_X_IMAPBASE || f == MBOX_X_UID;
}

static int add_kept(struct slice header, struct buf *out)
{
    struct slice field;
    int r = 0;
    for (size_t at = 0; at < header.n && r == 0; at += field.n) {
        field = field_at(header, at);
        if (stays(mbox_field_of(field)))
            r = buf_add(out, field);
    }
    return r;
}

int mbox_head_edit(struct slice header, const struct mbox_label *l, struct buf *out)
{
    struct slice field;
    size_t own = 0, first = header.n, at;
    for (at = 0; at < header.n; at += field.n) {
        field = field_at(header, at);
        if (mbox_field_of(field) == MBOX_FIELD_NONE)
            continue;
        own += field.n;
        first = at < first ? at : first;
    }
    if (own == 0)
        first = 0;
    int r = buf_add(out, slice_sub(header, 0, first));
    size_t begun = out->n;
    if (r == 0)
        r = add_kept(header, out) == 0 ? add_all(l, out) : -1;
    size_t n = out->n - begun + 1;
    if (r == 0)
        r = add_room(out, n <= own ? own - n : ROOM);
    for (at = first; at < header.n && r == 0; at += field.n) {
        field = field_at(header, at);
        if (mbox_field_of(field) == MBOX_FIELD_NONE)
            r = buf_add(out, field);
    }
    return r;
}
