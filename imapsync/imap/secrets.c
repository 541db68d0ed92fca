/* SPDX-License-Identifier: ISC */
/*
 * secrets: see secrets.h.  A very short secret ("abc") is in many texts by chance, so it only
 * counts where it stands by itself.
 */
#include "imapsync/imap/secrets.h"

#include "base/core/num.h"

#define SECRET_MAX 65536
#define SHORT 4

/* What goes behind a backslash in a quoted string. */
static bool is_special(unsigned char b)
{
    return b == '"' || b == '\\';
}

void imap_secrets_init(struct imap_secrets *s)
{
    *s = (struct imap_secrets){0};
    for (size_t i = 0; i < IMAP_SECRETS_MAX; i++)
        buf_init(&s->v[i], SECRET_MAX);
}

void imap_secrets_fini(struct imap_secrets *s)
{
    for (size_t i = 0; i < IMAP_SECRETS_MAX; i++)
        buf_fini_wipe(&s->v[i]);
}

static void add(struct imap_secrets *s, struct slice secret, bool is_quoted)
{
    struct buf *b = &s->v[s->next++ % IMAP_SECRETS_MAX];
    buf_fini_wipe(b);
    buf_init(b, SECRET_MAX);
    /* One piece of memory, so that none is left behind unwiped. */
    unsigned char *p = buf_reserve(b, 2 * secret.n);
    size_t n = 0;
    for (size_t i = 0; p && i < secret.n; i++) {
        if (is_quoted && is_special(secret.p[i]))
            p[n++] = '\\';
        p[n++] = secret.p[i];
    }
    buf_commit(b, n);
}

void imap_secrets_add(struct imap_secrets *s, struct slice secret)
{
    bool has_special = false;
    /* One that is longer is kept as far as it goes: a part of it is enough to find it. */
    secret = slice_sub(secret, 0, SECRET_MAX / 2);
    for (size_t i = 0; i < secret.n; i++)
        has_special = has_special || is_special(secret.p[i]);
    add(s, secret, false);
    if (has_special)
        add(s, secret, true);
}

static bool is_word_byte(struct slice text, size_t at)
{
    return at < text.n && (ascii_is_alpha(text.p[at]) || ascii_is_digit(text.p[at]));
}

static bool is_in(struct slice part, struct slice text)
{
    for (size_t at = 0; at + part.n <= text.n; at++) {
        if (slice_eq_nocase(slice_sub(text, at, part.n), part) &&
            (part.n >= SHORT ||
                (!(at > 0 && is_word_byte(text, at - 1)) && !is_word_byte(text, at + part.n))))
            return true;
    }
    return false;
}

bool imap_secrets_are_in(const struct imap_secrets *s, struct slice text)
{
    for (size_t i = 0; i < IMAP_SECRETS_MAX; i++) {
        struct slice secret = buf_slice(&s->v[i]);
        size_t n = secret.n < IMAP_SECRET_SHOWN_MAX ? secret.n : IMAP_SECRET_SHOWN_MAX;
        for (size_t at = 0; n > 0 && at + n <= secret.n; at++) {
            if (is_in(slice_sub(secret, at, n), text))
                return true;
        }
    }
    return false;
}
