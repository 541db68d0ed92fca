/* SPDX-License-Identifier: ISC */
/*
 * folder_fallback: a name that any target takes, for a folder whose own is refused: too long, with
 * characters that the server does not know (emoji), a word of its own (cur, new, tmp), below a
 * folder that can have none below it, or another one's on a server that does not tell case.
 *
 * What people read of it is kept; behind it stand eight hexadecimal digits of a digest, so that it
 * meets no other name.
 */
#include "base/os/hmac.h"
#include "imapsync/plan/folders.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/utf7.h"

#define LEVEL_MAX 100 /* octets of UTF-8, of a level that stays where it was to be */
#define FLAT_MAX 60

static void add_tag(const struct folder *f, const char *salt, struct buf *out)
{
    struct buf text;
    unsigned char digest[SHA256_SIZE];
    buf_init(&text, 16 * FOLDER_NAME_MAX);
    BUG_ON(buf_add_str(&text, salt ? salt : "") != 0 || buf_add_byte(&text, '\n') != 0 ||
           buf_add(&text, f->name) != 0 || buf_add_byte(&text, '\n') != 0);
    if (f->id.n > 0)
        BUG_ON(buf_add(&text, f->id) != 0);
    else
        BUG_ON(buf_addf(&text, "%u", f->uidvalidity) != 0);
    sha256_of(buf_slice(&text), digest);
    BUG_ON(buf_addf(out, "-%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]) != 0);
    buf_fini(&text);
}

/* Letters of scripts that servers know since long; no symbols, and nothing that cannot be seen. */
static bool is_letter(int32_t c)
{
    return (c >= 0xc0 && c < 0x2000) || (c >= 0x3041 && c <= 0xd7a3);
}

static void add_clean(struct slice utf8, bool is_plain, size_t max, struct buf *out)
{
    unsigned char last = ' ';
    const size_t start = out->n;
    for (size_t at = 0, from = 0; at < utf8.n; from = at) {
        int32_t c = imap_utf8_next(utf8, &at);
        BUG_ON(c < 0);
        bool is_ascii = c < 0x80 && (ascii_is_alpha((unsigned char)c) ||
                                        ascii_is_digit((unsigned char)c) || c == '-');
        bool is_inner = (c == ' ' || c == '.' || c == ',' || c == '+' || c == '&') && last != ' ' &&
                        last != '.' && out->n > start;
        bool is_kept = is_ascii || is_inner || (!is_plain && is_letter(c));
        if (out->n - start + (at - from) > max)
            break;
        last = is_kept && c < 0x80 ? (unsigned char)c : '_';
        BUG_ON((is_kept ? buf_add(out, slice_sub(utf8, from, at - from))
                        : buf_add_byte(out, '_')) != 0);
    }
}

/* wanted is well formed modified UTF-7, as the map has made it. */
static void decode(struct slice wanted, struct buf *out)
{
    if (imap_utf7_decode(wanted, out) != 0)
        BUG_ON(buf_add_str(out, "folder") != 0);
}

static void add_level(struct slice level, int delimiter, bool is_plain, size_t max, struct buf *out)
{
    struct buf text, clean;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    buf_init(&clean, 4 * FOLDER_NAME_MAX);
    decode(level, &text);
    add_clean(buf_slice(&text), is_plain, max, &clean);
    for (size_t i = 0; i < clean.n; i++) {
        unsigned char *c = &clean.p[clean.off + i];
        *c = *c == delimiter ? '_' : *c;
    }
    BUG_ON(imap_utf7_encode(buf_slice(&clean), out) != 0);
    buf_fini(&text);
    buf_fini(&clean);
}

void folder_fallback(const struct folder *f, struct slice wanted, const struct folder_list *target,
    const char *salt, unsigned step, struct buf *out)
{
    const int delimiter = target->delimiter;
    ptrdiff_t at = delimiter < 0 ? -1 : slice_rfind(wanted, (unsigned char)delimiter);
    if (step == 0) {
        BUG_ON(buf_add(out, slice_sub(wanted, 0, (size_t)(at + 1))) != 0);
        add_level(slice_from(wanted, (size_t)(at + 1)), delimiter, false, LEVEL_MAX, out);
    } else {
        struct slice rest = wanted;
        if (target->personal.n > 0 && slice_starts(rest, target->personal))
            rest = slice_from(rest, target->personal.n);
        BUG_ON(buf_add(out, target->personal) != 0);
        add_level(rest, delimiter, true, FLAT_MAX, out);
    }
    add_tag(f, salt, out);
}
