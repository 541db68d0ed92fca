/* SPDX-License-Identifier: ISC */
/*
 * flags: RFC 9051 2.3.2.  Five system flags travel; every other name with a backslash means
 * something to its own server only.  Keywords are compared without case and keep the spelling in
 * which they were seen first.
 */
#include "imapsync/ends/flags.h"

#include <stdlib.h>

#include "imapsync/imap/token.h"

static const struct {
    const char *name;
    enum flag_system bit;
} system_flags[] = {
    {"\\Answered", FLAG_ANSWERED},
    {"\\Deleted", FLAG_DELETED},
    {"\\Draft", FLAG_DRAFT},
    {"\\Flagged", FLAG_FLAGGED},
    {"\\Seen", FLAG_SEEN},
};
#define N_SYSTEM (sizeof(system_flags) / sizeof(system_flags[0]))

uint8_t flags_system(struct slice name)
{
    for (size_t i = 0; i < N_SYSTEM; i++) {
        if (slice_eq_nocase(name, slice_str(system_flags[i].name)))
            return (uint8_t)system_flags[i].bit;
    }
    return 0;
}

void keywords_fini(struct keywords *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->names[i]);
    k->n = 0;
}

int keywords_bit(struct keywords *k, struct slice name)
{
    for (size_t i = 0; i < k->n; i++) {
        if (slice_eq_nocase(name, slice_str(k->names[i])))
            return (int)i;
    }
    struct imap_cur c = imap_cur_make(name);
    struct slice atom;
    if (k->n == KEYWORDS_MAX || name.n > KEYWORD_NAME_MAX || !imap_cur_atom(&c, &atom) ||
        !imap_cur_at_end(&c))
        return -1;
    for (size_t i = 0; i < name.n; i++) {
        if (!ascii_is_print(name.p[i]))
            return -1;
    }
    k->names[k->n] = slice_dup(name);
    return (int)k->n++;
}

size_t flags_parse(struct slice words, struct keywords *k, struct flags *out)
{
    struct slice word;
    size_t lost = 0;
    *out = (struct flags){0};
    while (imap_word_next(&words, &word)) {
        if (word.p[0] == '\\') {
            out->system |= flags_system(word);
            continue;
        }
        int bit = keywords_bit(k, word);
        if (bit < 0)
            lost++;
        else
            out->keywords[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
    return lost;
}

int flags_format(const struct flags *f, const struct keywords *k, struct buf *out)
{
    const char *blank = "";
    for (size_t i = 0; i < N_SYSTEM; i++) {
        if (!(f->system & system_flags[i].bit))
            continue;
        if (buf_addf(out, "%s%s", blank, system_flags[i].name) != 0)
            return -1;
        blank = " ";
    }
    for (size_t i = 0; i < k->n; i++) {
        if (!(f->keywords[i / 64] >> (i % 64) & 1))
            continue;
        if (buf_addf(out, "%s%s", blank, k->names[i]) != 0)
            return -1;
        blank = " ";
    }
    return 0;
}

bool flags_eq(const struct flags *a, const struct flags *b)
{
    return flags_compare(a, b) == 0;
}

bool flags_empty(const struct flags *f)
{
    return flags_eq(f, &(struct flags){0});
}

struct flags flags_minus(const struct flags *a, const struct flags *b)
{
    struct flags r = {.system = (uint8_t)(a->system & ~b->system)};
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        r.keywords[i] = a->keywords[i] & ~b->keywords[i];
    return r;
}

struct flags flags_or(const struct flags *a, const struct flags *b)
{
    struct flags r = {.system = (uint8_t)(a->system | b->system)};
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        r.keywords[i] = a->keywords[i] | b->keywords[i];
    return r;
}

struct flags flags_and(const struct flags *a, const struct flags *b)
{
    struct flags r = {.system = (uint8_t)(a->system & b->system)};
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        r.keywords[i] = a->keywords[i] & b->keywords[i];
    return r;
}

int flags_compare(const struct flags *a, const struct flags *b)
{
    if (a->system != b->system)
        return a->system < b->system ? -1 : 1;
    for (size_t i = 0; i < FLAGS_WORDS; i++) {
        if (a->keywords[i] != b->keywords[i])
            return a->keywords[i] < b->keywords[i] ? -1 : 1;
    }
    return 0;
}
