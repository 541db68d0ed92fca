/* SPDX-License-Identifier: ISC */
/* maildir_name: see maildir_name.h.  Names come from other programs too, and may be any octets. */
#include "imapsync/ends/maildir_name.h"

#include "base/core/num.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/mailbox.h"
#include "imapsync/ends/utf7.h"

static const struct {
    unsigned char letter;
    uint8_t flag;
} letters_of[] = {
    {'D', FLAG_DRAFT},
    {'F', FLAG_FLAGGED},
    {'R', FLAG_ANSWERED},
    {'S', FLAG_SEEN},
    {'T', FLAG_DELETED},
};
#define N_LETTERS (sizeof(letters_of) / sizeof(letters_of[0]))

static uint8_t flag_of(unsigned char letter)
{
    for (size_t i = 0; i < N_LETTERS; i++) {
        if (letters_of[i].letter == letter)
            return letters_of[i].flag;
    }
    return 0;
}

bool maildir_name_split(struct slice name, struct maildir_name *out)
{
    *out = (struct maildir_name){.base = name};
    if (name.n == 0 || name.n > MAILDIR_NAME_MAX || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < 0x20 || name.p[i] == '/')
            return false;
    }
    ptrdiff_t colon = slice_find(name, ':');
    if (colon == 0)
        return false;
    if (colon > 0) {
        struct slice info = slice_from(name, (size_t)colon);
        out->base = slice_sub(name, 0, (size_t)colon);
        if (slice_starts(info, SLICE_LIT(":2,")))
            out->letters = slice_from(info, 3);
    }
    return true;
}

uint8_t maildir_letters_system(struct slice letters)
{
    uint8_t system = 0;
    for (size_t i = 0; i < letters.n && letters.p[i] != ','; i++)
        system |= flag_of(letters.p[i]);
    return system;
}

uint32_t maildir_letters_keywords(struct slice letters)
{
    uint32_t keywords = 0;
    for (size_t i = 0; i < letters.n && letters.p[i] != ','; i++) {
        if (letters.p[i] >= 'a' && letters.p[i] <= 'z')
            keywords |= UINT32_C(1) << (letters.p[i] - 'a');
    }
    return keywords;
}

/* Letters ascend.  Those of others, such as P for "passed on", and what follows a comma, stay. */
int maildir_name_join(
    struct slice base, struct slice before, uint8_t system, uint32_t keywords, struct buf *out)
{
    bool has[128] = {false};
    size_t n = out->n, i = 0;
    for (; i < before.n && before.p[i] != ','; i++) {
        unsigned char c = before.p[i];
        if (c < 128 && flag_of(c) == 0 && !(c >= 'a' && c <= 'z'))
            has[c] = true;
    }
    for (size_t k = 0; k < N_LETTERS; k++)
        has[letters_of[k].letter] = (system & letters_of[k].flag) != 0;
    for (unsigned k = 0; k < MAILDIR_KEYWORDS; k++)
        has['a' + k] = (keywords >> k & 1) != 0;
    int result = buf_add(out, base) == 0 && buf_add_str(out, ":2,") == 0 ? 0 : -1;
    for (unsigned char c = 0; c < 128 && result == 0; c++) {
        if (has[c])
            result = buf_add_byte(out, c);
    }
    if (result == 0)
        result = buf_add(out, slice_from(before, i));
    if (result == 0 && out->n - n > MAILDIR_NAME_MAX)
        result = -1;
    if (result != 0)
        buf_truncate(out, n);
    return result;
}

bool maildir_base_number(struct slice base, char key, uint64_t *out)
{
    struct slice field;
    bool is_first = true;
    while (slice_split(&base, ',', &field)) {
        if (!is_first && field.n > 2 && field.p[0] == (unsigned char)key && field.p[1] == '=')
            return num_u64(slice_from(field, 2), 0, UINT64_MAX, out) == 0;
        is_first = false;
    }
    return false;
}

/* Modified UTF-7, the delimiter only between levels. */
static bool is_sound(struct slice name)
{
    struct buf utf8;
    if (name.n == 0 || name.n >= MAILDIR_NAME_MAX || name.p[0] == '.' ||
        name.p[name.n - 1] == '.' || slice_search(name, SLICE_LIT("..")) >= 0 ||
        slice_find(name, '/') >= 0)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (!ascii_is_print(name.p[i]))
            return false;
    }
    buf_init(&utf8, FOLDER_NAME_MAX);
    bool is = imap_utf7_decode(name, &utf8) == 0;
    buf_fini(&utf8);
    return is;
}

int maildir_folder_dir(struct slice name, struct buf *out)
{
    if (folder_is_inbox(name))
        return buf_add_str(out, ".");
    return is_sound(name) ? buf_addf(out, ".%.*s", SLICE_ARG(name)) : -1;
}

bool maildir_folder_name(struct slice dir, struct slice *out)
{
    *out = slice_from(dir, 1);
    return dir.n > 1 && dir.p[0] == '.' && is_sound(*out) && !folder_is_inbox(*out);
}
