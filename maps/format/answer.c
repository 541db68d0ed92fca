/* SPDX-License-Identifier: ISC */
/* answer: see answer.h. */
#include "maps/format/answer.h"

#include <stdbool.h>

/* Sendmail's words for what goes wrong (its error mailer); all but one are for good. */
static const struct {
    const char *word;
    unsigned code;
} WORDS[] = {
    {"config", 0},
    {"nohost", 0},
    {"nouser", 0},
    {"protocol", 0},
    {"tempfail", 450},
    {"unavailable", 0},
    {"usage", 0},
};

/* D.S.N, RFC 3463 2, of a refusal. */
static bool is_status(struct slice word)
{
    size_t dots = 0;

    if (word.n < 5 || word.n > 7 || (word.p[0] != '4' && word.p[0] != '5') || word.p[1] != '.' ||
        word.p[word.n - 1] == '.')
        return false;
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '.')
            dots++;
        else if (!ascii_is_digit(word.p[i]))
            return false;
        if (i > 0 && word.p[i] == '.' && word.p[i - 1] == '.')
            return false;
    }
    return dots == 2;
}

static bool is_code(struct slice word)
{
    return word.n == 3 && (word.p[0] == '4' || word.p[0] == '5') && ascii_is_digit(word.p[1]) &&
           ascii_is_digit(word.p[2]);
}

/* Whether the word belongs to the head of the answer, and not to its text. */
static bool take_word(struct answer *a, struct slice word, bool is_first)
{
    if (is_status(word) && a->status.n == 0) {
        a->status = word;
        return true;
    }
    if (is_code(word) && (a->code == 0 || a->code == 450)) {
        a->code = (unsigned)((word.p[0] - '0') * 100 + (word.p[1] - '0') * 10 + (word.p[2] - '0'));
        return true;
    }
    for (size_t i = 0; is_first && i < sizeof WORDS / sizeof *WORDS; i++)
        if (slice_eq_nocase(word, slice_str(WORDS[i].word))) {
            a->code = WORDS[i].code;
            return true;
        }
    return false;
}

static struct slice unquoted(struct slice s)
{
    bool is_quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';

    return is_quoted ? slice_sub(s, 1, s.n - 2) : s;
}

struct answer answer_read(struct slice value)
{
    struct answer a = {0};
    struct slice rest = unquoted(slice_trim(value));

    for (bool is_first = true;; is_first = false) {
        size_t n = 0;
        while (n < rest.n && !ascii_is_blank(rest.p[n]) && rest.p[n] != ':')
            n++;
        if (n == 0 || !take_word(&a, slice_sub(rest, 0, n), is_first))
            break;
        rest = slice_trim(slice_from(rest, n < rest.n ? n + 1 : n));
    }
    a.text = unquoted(rest);
    /* One code that is against the other: what is written out in full counts. */
    if (a.status.n > 0 && a.code != 0 && a.code / 100 != (unsigned)(a.status.p[0] - '0'))
        a.status = SLICE_NONE;
    if (a.status.n > 0 && a.code == 0 && a.status.p[0] == '4')
        a.code = 450;
    return a;
}
