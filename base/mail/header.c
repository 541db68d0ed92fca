/* SPDX-License-Identifier: ISC */
/*
 * header: reading a header block in place (RFC 5322 2.2).  Nothing is copied, decoded or changed;
 * every function is bounded by the length of its input.  Obsolete syntax is taken as it comes:
 * blanks in front of the colon are allowed, a line that is no field is stepped over, a line may end
 * with LF alone (as milters get them).  An empty line is the end.
 */
#include "base/mail/header.h"

size_t header_end(struct slice message, size_t *scanned)
{
    static const struct slice empty_line = {(const unsigned char *)"\r\n\r\n", 4};
    ptrdiff_t at;

    /* A message may start with the empty line: it has no header. */
    if (message.n >= 2 && message.p[0] == '\r' && message.p[1] == '\n')
        return 2;
    at = slice_search(slice_from(message, *scanned), empty_line);
    if (at >= 0)
        return *scanned + (size_t)at + 4;
    /* The end may lie across the next piece. */
    *scanned = message.n > 3 ? message.n - 3 : 0;
    return 0;
}

/* The line at the start of rest, with its line end. */
static struct slice first_line(struct slice rest)
{
    ptrdiff_t lf = slice_find(rest, '\n');
    return lf < 0 ? rest : slice_sub(rest, 0, (size_t)lf + 1);
}

/* A field name is printable ASCII without a colon (RFC 5322 3.6.8). */
static bool field_name(struct slice line, struct slice *name_out)
{
    ptrdiff_t colon = slice_find(line, ':');
    size_t i;

    if (colon <= 0)
        return false;
    *name_out = slice_sub(line, 0, (size_t)colon);
    while (name_out->n > 0 && ascii_is_blank(name_out->p[name_out->n - 1]))
        name_out->n--;
    for (i = 0; i < name_out->n; i++)
        if (!ascii_is_print(name_out->p[i]) || name_out->p[i] == ' ')
            return false;
    return name_out->n > 0;
}

bool header_next(struct slice *rest, struct header_field *out)
{
    while (rest->n > 0) {
        struct slice line = first_line(*rest), from = *rest;
        size_t n = line.n;

        if (line.p[0] == '\n' || (line.n > 1 && line.p[0] == '\r' && line.p[1] == '\n'))
            return false;
        *rest = slice_from(*rest, line.n);
        while (rest->n > 0 && ascii_is_blank(rest->p[0])) {
            size_t more = first_line(*rest).n;
            n += more;
            *rest = slice_from(*rest, more);
        }
        if (field_name(line, &out->name)) {
            size_t colon = (size_t)slice_find(line, ':');
            out->value = slice_sub(from, colon + 1, n - colon - 1);
            return true;
        }
    }
    return false;
}

size_t header_count(struct slice block, struct slice name, size_t max)
{
    struct header_field field;
    size_t n = 0;

    while (n < max && header_next(&block, &field))
        n += slice_eq_nocase(field.name, name);
    return n;
}

bool header_find(struct slice block, struct slice name, struct header_field *out)
{
    while (header_next(&block, out))
        if (slice_eq_nocase(out->name, name))
            return true;
    return false;
}
