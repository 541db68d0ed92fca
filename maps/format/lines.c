/* SPDX-License-Identifier: ISC */
/* lines: see lines.h.  A line end is LF or CRLF; a byte order mark in front is no text. */
#include "maps/format/lines.h"

#include <sysexits.h>
#include "maps/format/text.h"

void lines_init(struct lines *l, enum lines_fold fold, lines_fn *fn, void *arg)
{
    *l = (struct lines){.fold = fold, .fn = fn, .arg = arg, .line = 1};
    buf_init(&l->physical, LINES_MAX);
    buf_init(&l->logical, LINES_MAX);
}

void lines_fini(struct lines *l)
{
    buf_fini(&l->physical);
    buf_fini(&l->logical);
}

static int too_long(const struct lines *l, struct err *err)
{
    return err_set(
        err, ERR_PERM, EX_DATAERR, "line %zu: longer than %zu bytes", l->line, LINES_MAX);
}

static int give(struct lines *l, struct err *err)
{
    struct slice text = buf_slice(&l->logical);
    int rc = 0;

    if (!l->has_logical)
        return 0;
    l->has_logical = false;
    if (!l->is_comment && (!text_is_utf8(text) || slice_find(text, '\0') >= 0))
        rc = err_set(err, ERR_PERM, EX_DATAERR,
            "line %zu: this is not UTF-8 text: save the file as UTF-8", l->first_line);
    else if (!l->is_comment)
        rc = l->fn(l->arg, l->first_line, text, err);
    buf_clear(&l->logical);
    return rc;
}

static int begin(struct lines *l, struct slice text, bool is_comment, struct err *err)
{
    if (give(l, err) != 0)
        return -1;
    l->has_logical = true;
    l->is_comment = is_comment;
    l->first_line = l->line;
    return buf_add(&l->logical, text) == 0 ? 0 : too_long(l, err);
}

static int go_on(struct lines *l, struct slice text, struct err *err)
{
    return buf_add(&l->logical, text) == 0 ? 0 : too_long(l, err);
}

static int take(struct lines *l, struct err *err)
{
    struct slice text = buf_slice(&l->physical), bare;

    if (text.n && text.p[text.n - 1] == '\r')
        text.n--;
    if (l->line == 1 && slice_starts(text, SLICE_LIT("\xef\xbb\xbf")))
        text = slice_from(text, 3);
    bare = slice_trim(text);
    bool is_folded = text.n && ascii_is_blank(text.p[0]) && l->has_logical;
    bool is_comment = bare.n && bare.p[0] == '#';
    if (l->fold == LINES_LDIF) {
        if (text.n && text.p[0] == ' ' && l->has_logical)
            return go_on(l, slice_from(text, 1), err);
        return begin(l, text, text.n && text.p[0] == '#', err);
    }
    /* Between the parts of a folded line they say nothing. */
    if (bare.n == 0 || is_comment)
        return 0;
    if (l->fold == LINES_BLANK && is_folded)
        return go_on(l, text, err);
    return begin(l, text, false, err);
}

int lines_feed(struct lines *l, struct slice in, struct err *err)
{
    while (in.n > 0) {
        ptrdiff_t at = slice_find(in, '\n');
        struct slice part = at < 0 ? in : slice_sub(in, 0, (size_t)at);
        if (buf_add(&l->physical, part) != 0)
            return too_long(l, err);
        if (at < 0)
            return 0;
        if (take(l, err) != 0)
            return -1;
        buf_clear(&l->physical);
        l->line++;
        in = slice_from(in, (size_t)at + 1);
    }
    return 0;
}

int lines_finish(struct lines *l, struct err *err)
{
    if (l->physical.n && take(l, err) != 0)
        return -1;
    buf_clear(&l->physical);
    return give(l, err);
}
