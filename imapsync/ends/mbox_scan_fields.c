/* SPDX-License-Identifier: ISC */
/* mbox_scan_fields: the fields of a header that are the mailbox's own, as they are read. */
#include "base/core/num.h"
#include "imapsync/ends/mbox_scan_parts.h"

static bool next_number(struct slice *rest, uint32_t *out, size_t *at, size_t *n)
{
    size_t i = *at, k;
    while (i < rest->n && ascii_is_blank(rest->p[i]))
        i++;
    for (k = i; k < rest->n && ascii_is_digit(rest->p[k]);)
        k++;
    *at = i;
    *n = k - i;
    return num_u32(slice_sub(*rest, i, k - i), 0, UINT32_MAX, out) == 0;
}

/* Only of the first message. */
static void read_base(struct mbox_reading *r, struct slice line, size_t colon)
{
    struct mbox_scan *s = r->s;
    uint32_t validity, last;
    size_t at = colon, n = 0;
    if (s->n > 0 || s->has_pseudo || s->n_torn > 0 || s->validity != 0 ||
        !next_number(&line, &validity, &at, &n) || validity == 0)
        return;
    at += n;
    if (!next_number(&line, &last, &at, &n))
        return;
    s->validity = validity;
    s->last = last;
    s->base_at = r->at;
    s->base_n = line.n;
    s->base_head = r->mail.head;
    r->is_base = true;
}

static void read_flags(struct slice text, bool is_x, uint8_t *out)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = text.p[i];
        *out |= (uint8_t)(!is_x && c == 'R'  ? FLAG_SEEN
                          : is_x && c == 'A' ? FLAG_ANSWERED
                          : is_x && c == 'F' ? FLAG_FLAGGED
                          : is_x && c == 'T' ? FLAG_DRAFT
                          : is_x && c == 'D' ? FLAG_DELETED
                                             : 0);
    }
}

static void each_word(
    struct mbox_reading *r, struct slice text, void (*f)(struct mbox_reading *r, struct slice word))
{
    for (size_t i = 0; i < text.n;) {
        size_t k = i;
        while (k < text.n && text.p[k] > ' ')
            k++;
        if (k > i)
            f(r, slice_sub(text, i, k - i));
        i = k + 1;
    }
}

static void read_keyword(struct mbox_reading *r, struct slice word)
{
    int bit = keywords_bit(&r->s->keywords, word);
    if (bit >= 0)
        r->mail.flags.keywords[bit / 64] |= UINT64_C(1) << (bit % 64);
    r->s->keywords_lost += bit < 0;
}

/* Behind both numbers. */
static void read_base_keyword(struct mbox_reading *r, struct slice word)
{
    if (r->n_words++ >= 2)
        (void)keywords_bit(&r->s->base_keywords, word);
}

void mbox_field_finish(struct mbox_reading *r)
{
    struct slice text = buf_slice(&r->value), trimmed = text;
    while (trimmed.n > 0 && trimmed.p[trimmed.n - 1] <= ' ')
        trimmed.n--;
    trimmed = slice_trim(trimmed);
    switch (r->field) {
    case MBOX_STATUS:
    case MBOX_X_STATUS:
        read_flags(text, r->field == MBOX_X_STATUS, &r->mail.flags.system);
        break;
    case MBOX_X_KEYWORDS:
        each_word(r, text, read_keyword);
        break;
    case MBOX_X_UID:
        if (num_u32(trimmed, 1, UINT32_MAX - 1, &r->mail.uid) != 0)
            r->mail.uid = 0;
        break;
    case MBOX_CONTENT_LENGTH:
        r->has_length = num_u64(trimmed, 0, UINT64_MAX / 2, &r->length) == 0;
        break;
    case MBOX_X_IMAP:
        r->is_pseudo = r->s->n == 0 && !r->s->has_pseudo && r->s->n_torn == 0;
        break;
    case MBOX_X_IMAPBASE:
    case MBOX_FIELD_NONE:
        break;
    }
    if (r->is_base)
        each_word(r, text, read_base_keyword);
    r->is_base = false;
    r->n_words = 0;
    r->field = MBOX_FIELD_NONE;
    buf_clear(&r->value);
}

static void keep_value(struct mbox_reading *r, struct slice text)
{
    if (buf_add(&r->value, text) != 0)
        return; /* more than anybody writes */
}

void mbox_field_read(struct mbox_reading *r, struct slice line)
{
    bool begins = r->is_line;
    bool continues = !begins || ascii_is_blank(line.p[0]);
    if (!continues) {
        mbox_field_finish(r);
        r->field = mbox_field_of(line);
        if (r->field != MBOX_FIELD_NONE) {
            size_t colon = (size_t)slice_find(line, ':') + 1;
            if (r->field == MBOX_X_IMAP || r->field == MBOX_X_IMAPBASE)
                read_base(r, line, colon);
            keep_value(r, slice_from(line, colon));
        }
    } else if (r->field != MBOX_FIELD_NONE) {
        keep_value(r, line);
        r->s->base_n += r->is_base ? line.n : 0;
    }
    if (r->field != MBOX_FIELD_NONE)
        r->own += line.n;
}
