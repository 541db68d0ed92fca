/* SPDX-License-Identifier: ISC */
/*
 * folder_plain: what a folder would be called on the target if there were no other one, and names
 * for people.
 *
 * A name is taken apart at the source's delimiter and each level decoded from modified UTF-7; what
 * does not decode is taken as plain bytes.  Each level is put together again for the target: its
 * delimiter inside a level, control characters and empty levels become "_".  INBOX is INBOX, and
 * where the target keeps everything below INBOX, so is what the source has below it: INBOX/x
 * becomes INBOX.x.
 */
#include "imapsync/ends/limits.h"
#include "imapsync/ends/utf7.h"
#include "imapsync/plan/folders.h"

/* One level of a name, clean for the target. */
static void add_level(struct slice level, int delimiter, struct buf *out)
{
    struct buf text;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    if (imap_utf7_decode(level, &text) != 0) {
        buf_clear(&text);
        /* Not modified UTF-7: UTF-8 as it is, or each byte as the Latin-1 letter it stands for. */
        bool is_utf8 = imap_utf8_valid(level);
        for (size_t i = 0; i < level.n; i++) {
            unsigned char c = level.p[i];
            int r = is_utf8 || c < 0x80 ? buf_add_byte(&text, c)
                                        : buf_addf(&text, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
            BUG_ON(r != 0);
        }
    }
    for (size_t i = 0; i < text.n; i++) {
        unsigned char *c = &text.p[text.off + i];
        if (*c < 0x20 || *c == 0x7f || *c == delimiter)
            *c = '_';
    }
    if (text.n == 0)
        BUG_ON(buf_add_byte(&text, '_') != 0);
    BUG_ON(imap_utf7_encode(buf_slice(&text), out) != 0);
    buf_fini(&text);
}

/* INBOX and the delimiter: how many octets of the name they are; 0: it begins with something else.
 */
static size_t inbox_part(struct slice name, int delimiter)
{
    const size_t n = sizeof("INBOX") - 1;
    return delimiter >= 0 && name.n > n && name.p[n] == (unsigned char)delimiter &&
                   folder_is_inbox(slice_sub(name, 0, n))
               ? n + 1
               : 0;
}

void folder_add_levels(struct slice rest, int from, int to, struct buf *out)
{
    struct slice level;
    bool is_first = true;
    while (slice_split(&rest, from < 0 ? 0 : (unsigned char)from, &level)) {
        if (!is_first)
            BUG_ON(buf_add_byte(out, to < 0 ? '_' : (unsigned char)to) != 0);
        add_level(level, to, out);
        is_first = false;
    }
}

/* What it would be called if there were no other folder. */
void folder_add_plain(const struct folder_mapping *in, const struct folder *f, struct buf *out)
{
    const struct folder_list *source = in->source, *target = in->target;
    struct slice rest = f->name;
    bool is_child_of_inbox = false;
    if (folder_is_inbox(rest)) {
        BUG_ON(buf_add_str(out, "INBOX") != 0);
        return;
    }
    if (source->personal.n > 0 && slice_starts(rest, source->personal) &&
        rest.n > source->personal.n)
        rest = slice_from(rest, source->personal.n);
    else if (inbox_part(rest, f->delimiter) > 0)
        is_child_of_inbox = true;
    BUG_ON(buf_add(out, target->personal) != 0);
    if (is_child_of_inbox) {
        rest = slice_from(rest, inbox_part(rest, f->delimiter));
        if (inbox_part(target->personal, target->delimiter) == 0)
            BUG_ON(buf_addf(out, "INBOX%c", target->delimiter < 0 ? '_' : target->delimiter) != 0);
    }
    folder_add_levels(rest, f->delimiter, target->delimiter, out);
}

void folder_text(struct slice name, struct buf *out)
{
    size_t start = out->n;
    if (imap_utf7_decode(name, out) == 0 || buf_add(out, name) == 0) {
        for (size_t i = start; i < out->n; i++) {
            unsigned char *c = &out->p[out->off + i];
            if (*c < 0x20 || *c == 0x7f)
                *c = '_';
        }
    }
}
