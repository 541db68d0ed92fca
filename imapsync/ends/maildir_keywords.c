/* SPDX-License-Identifier: ISC */
/*
 * maildir_keywords: dovecot-keywords, the names behind the letters a to z of one folder, "0 Work"
 * for a.  There are 26: a keyword for which none is left is not stored, and the log says so.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/maildir_parts.h"

#define KEYWORDS_FILE "dovecot-keywords"
#define TEXT_MAX 65536

int maildir_keywords_read(struct maildir_folder *f, struct err *err)
{
    struct buf text;
    struct slice rest, line, number;
    buf_init(&text, 2 * TEXT_MAX);
    for (size_t i = 0; i < MAILDIR_KEYWORDS; i++)
        mem_free_string(&f->keywords[i]);
    int r = disk_small_read(f->fd, KEYWORDS_FILE, TEXT_MAX, &text, NULL, err);
    rest = buf_slice(&text);
    while (r == 0 && slice_split(&rest, '\n', &line)) {
        uint32_t i;
        if (slice_split(&line, ' ', &number) && line.n > 0 && line.n <= KEYWORD_NAME_MAX &&
            num_u32(number, 0, MAILDIR_KEYWORDS - 1, &i) == 0 && !f->keywords[i])
            f->keywords[i] = slice_dup(line);
    }
    buf_fini(&text);
    return r < 0 ? -1 : 0;
}

static int letter_of(const struct maildir_folder *f, const char *name)
{
    for (int i = 0; i < MAILDIR_KEYWORDS; i++) {
        if (f->keywords[i] && slice_eq_nocase(slice_str(f->keywords[i]), slice_str(name)))
            return i;
    }
    return -1;
}

static bool has(const struct flags *flags, size_t bit)
{
    return (flags->keywords[bit / 64] >> (bit % 64) & 1) != 0;
}

uint32_t maildir_keywords_letters(const struct maildir_folder *f, const struct flags *flags,
    const struct keywords *names, bool *lacks_out)
{
    uint32_t letters = 0;
    *lacks_out = false;
    for (size_t i = 0; names && i < names->n; i++) {
        if (!has(flags, i))
            continue;
        int letter = letter_of(f, names->names[i]);
        if (letter >= 0)
            letters |= UINT32_C(1) << letter;
        else
            *lacks_out = true;
    }
    return letters;
}

static int write_names(struct disk *m, const struct maildir_folder *f, struct err *err)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    int r = 0;
    for (int i = 0; i < MAILDIR_KEYWORDS && r == 0; i++) {
        if (f->keywords[i])
            r = buf_addf(&text, "%d %s\n", i, f->keywords[i]);
    }
    if (r != 0)
        BUG("26 names");
    r = disk_small_write(m, f->fd, KEYWORDS_FILE, buf_slice(&text), err);
    buf_fini(&text);
    return r;
}

int maildir_keywords_add(struct disk *m, struct maildir_folder *f, const struct flags *flags,
    const struct keywords *names, struct err *err)
{
    bool is_new = false;
    if (maildir_keywords_read(f, err) != 0)
        return -1;
    for (size_t i = 0; names && i < names->n; i++) {
        if (!has(flags, i) || letter_of(f, names->names[i]) >= 0)
            continue;
        size_t free_letter = 0;
        while (free_letter < MAILDIR_KEYWORDS && f->keywords[free_letter])
            free_letter++;
        if (free_letter == MAILDIR_KEYWORDS) {
            maildir_say(f->name, slice_str(names->names[i]), "no letter is left for the keyword");
            continue;
        }
        f->keywords[free_letter] = mem_strdup(names->names[i]);
        is_new = true;
    }
    return is_new ? write_names(m, f, err) : 0;
}
