/* SPDX-License-Identifier: ISC */
/*
 * mbox_codec: see mbox_codec.h.  A line's beginning is held back until it is no beginning of any
 * word that matters, or all of one; the rest of the line passes as it is.  The ">" in front pass at
 * once, since one more of them may as well stand behind the others, and a decoder holds one back.
 */
#include "imapsync/ends/mbox_codec.h"

static const struct {
    struct slice name;
    enum mbox_field field;
} fields[] = {
    {{(const unsigned char *)"content-length:", 15}, MBOX_CONTENT_LENGTH},
    {{(const unsigned char *)"status:", 7}, MBOX_STATUS},
    {{(const unsigned char *)"x-imap:", 7}, MBOX_X_IMAP},
    {{(const unsigned char *)"x-imapbase:", 11}, MBOX_X_IMAPBASE},
    {{(const unsigned char *)"x-keywords:", 11}, MBOX_X_KEYWORDS},
    {{(const unsigned char *)"x-status:", 9}, MBOX_X_STATUS},
    {{(const unsigned char *)"x-uid:", 6}, MBOX_X_UID},
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))
#define FROM SLICE_LIT("From ")

enum mbox_field mbox_field_of(struct slice line)
{
    for (size_t i = 0; i < N_FIELDS; i++) {
        if (slice_starts_nocase(line, fields[i].name))
            return fields[i].field;
    }
    return MBOX_FIELD_NONE;
}

enum beginning {
    ORDINARY,
    UNDECIDED,
    IS_FROM,
    IS_FIELD,
    IS_BLANK, /* it would continue the line before */
};

static enum beginning judge(const struct mbox_codec *c)
{
    struct slice word = slice_make(c->word, c->n_word);
    if (c->is_header && ascii_is_blank(word.p[0]))
        return IS_BLANK;
    if (slice_eq(word, FROM))
        return IS_FROM;
    bool is_open = slice_starts(FROM, word);
    for (size_t i = 0; i < N_FIELDS && c->is_header; i++) {
        if (slice_eq_nocase(word, fields[i].name))
            return IS_FIELD;
        is_open |= slice_starts_nocase(fields[i].name, word);
    }
    return is_open ? UNDECIDED : ORDINARY;
}

static void emit(struct mbox_codec *c, struct slice s)
{
    if (s.n > 0 && !c->hides)
        c->out(c->arg, s);
}

/* The line is what it is: what was held back passes. */
static void begin_line(struct mbox_codec *c, enum beginning what)
{
    bool matters = what == IS_FROM || what == IS_FIELD || (what == IS_BLANK && c->is_first);
    if (c->encodes && matters)
        emit(c, SLICE_LIT(">"));
    if (!c->encodes) {
        bool drops =
            c->has_quote && ((c->style == MBOX_OURS && matters) ||
                                (c->style == MBOX_QUOTED && what == IS_FROM && !c->is_header));
        bool continues = what == IS_BLANK && !c->is_quoted;
        if (what == IS_FIELD && !c->is_quoted)
            c->hides = true;
        else if (!continues)
            c->hides = false;
        if (c->has_quote && !drops)
            emit(c, SLICE_LIT(">"));
        c->has_quote = false;
    }
    c->is_first &= c->hides;
    emit(c, slice_make(c->word, c->n_word));
    c->n_word = 0;
    c->is_in_line = true;
}

/* An octet of a line's beginning. */
static void feed_beginning(struct mbox_codec *c, unsigned char octet)
{
    if (octet == '>' && c->n_word == 0) {
        c->hides = false;
        if (c->encodes || c->has_quote)
            emit(c, SLICE_LIT(">"));
        else
            c->has_quote = true;
        c->is_quoted = true;
        return;
    }
    c->word[c->n_word++] = octet;
    enum beginning what = judge(c);
    if (what != UNDECIDED)
        begin_line(c, what);
}

static void feed_end(struct mbox_codec *c)
{
    bool is_empty = !c->is_in_line && c->n_word == 0 && !c->is_quoted;
    if (!c->is_in_line)
        begin_line(c, ORDINARY);
    if (is_empty)
        c->is_header = false;
    if (c->encodes || (c->style != MBOX_OURS && c->has_cr))
        emit(c, SLICE_LIT("\n"));
    else
        emit(c, SLICE_LIT("\r\n"));
    /* hides stays: the next line may continue this one. */
    c->holds_cr = c->has_cr = c->is_in_line = c->is_quoted = false;
}

/* It ends no line. */
static void release_cr(struct mbox_codec *c)
{
    if (!c->holds_cr)
        return;
    c->holds_cr = false;
    if (!c->is_in_line)
        feed_beginning(c, '\r');
    else
        emit(c, SLICE_LIT("\r"));
}

/* A CR that may be part of a line's end: in a message any, in a file one that makes a line empty.
 */
static bool may_end(const struct mbox_codec *c, unsigned char octet)
{
    bool is_bare = !c->is_in_line && c->n_word == 0 && !c->is_quoted;
    return octet == '\r' && (c->encodes || (c->style != MBOX_OURS && is_bare));
}

/* How many octets of a line pass as they are; s begins with one that does. */
static size_t passing(const struct mbox_codec *c, struct slice s)
{
    const unsigned char *lf = memchr(s.p, '\n', s.n);
    size_t n = lf ? (size_t)(lf - s.p) : s.n;
    const unsigned char *cr = c->encodes ? memchr(s.p, '\r', n) : NULL;
    return cr ? (size_t)(cr - s.p) : n;
}

void mbox_codec_feed(struct mbox_codec *c, struct slice s)
{
    while (s.n > 0) {
        size_t used = 1;
        if (s.p[0] == '\n') {
            feed_end(c);
        } else if (may_end(c, s.p[0])) {
            release_cr(c);
            c->holds_cr = true;
        } else {
            release_cr(c);
            if (!c->is_in_line) {
                feed_beginning(c, s.p[0]);
            } else {
                used = passing(c, s);
                emit(c, slice_sub(s, 0, used));
            }
            c->has_cr = s.p[used - 1] == '\r';
        }
        s = slice_from(s, used);
    }
}

void mbox_codec_end(struct mbox_codec *c)
{
    release_cr(c);
    if (!c->is_in_line && (c->n_word > 0 || c->has_quote))
        begin_line(c, ORDINARY);
}

static void init(struct mbox_codec *c, void (*out)(void *arg, struct slice octets), void *arg)
{
    *c = (struct mbox_codec){.out = out, .arg = arg, .is_header = true, .is_first = true};
}

void mbox_encoder_init(struct mbox_codec *c, void (*out)(void *arg, struct slice octets), void *arg)
{
    init(c, out, arg);
    c->encodes = true;
}

void mbox_decoder_init(struct mbox_codec *c, enum mbox_style style,
    void (*out)(void *arg, struct slice octets), void *arg)
{
    init(c, out, arg);
    c->style = style;
}
