/* SPDX-License-Identifier: ISC */
/*
 * maildir_size: see maildir_size.h.  The first line is the quota, "1000000S,1000C"; each of the
 * others is what some delivery or removal has added, "1234 1" or "-1234 -1".
 */
#include "imapsync/ends/maildir_size.h"

#include "base/core/num.h"

/* One letter for each resource, in the order of both. */
static void read_limits(struct slice line, uint64_t limits[2])
{
    struct slice part;
    while (slice_split(&line, ',', &part)) {
        part = slice_trim(part);
        if (part.n < 2)
            continue;
        const unsigned char letter = part.p[part.n - 1];
        uint64_t n;
        if (num_u64(slice_sub(part, 0, part.n - 1), 0, INT64_MAX, &n) != 0)
            continue;
        if (letter == 'S' || letter == 'C')
            limits[letter == 'C'] = n;
    }
}

static bool read_change(struct slice *rest, int64_t *io)
{
    struct slice word;
    uint64_t n;
    while (rest->n > 0 && rest->p[0] == ' ')
        *rest = slice_from(*rest, 1);
    slice_split(rest, ' ', &word);
    const bool is_less = word.n > 0 && word.p[0] == '-';
    if (num_u64(slice_from(word, is_less), 0, INT64_MAX / 2, &n) != 0)
        return false;
    return !__builtin_add_overflow(*io, is_less ? -(int64_t)n : (int64_t)n, io);
}

void maildir_size_take(struct slice text, struct end_quota *out)
{
    struct slice line;
    uint64_t limits[2] = {0};
    int64_t used[2] = {0};
    if (!slice_split(&text, '\n', &line))
        return;
    read_limits(line, limits);
    while (slice_split(&text, '\n', &line)) {
        if (!read_change(&line, &used[0]) || !read_change(&line, &used[1]))
            break;
    }
    end_amount_add(&out->octets, used[0] > 0 ? (uint64_t)used[0] : 0, limits[0]);
    end_amount_add(&out->messages, used[1] > 0 ? (uint64_t)used[1] : 0, limits[1]);
}
