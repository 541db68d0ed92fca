/* SPDX-License-Identifier: ISC */
/*
 * aliases: see aliases.h.
 *
 *     name: value, value...
 *     value = address / name / \name / "|command" / /file / :include:/file / "quoted"
 *
 * What runs a command, writes a file or reads a list from one can only be done where the file is:
 * such an alias is a group, which its server expands.  "\name" is the user without further aliases.
 */
#include "maps/format/aliases.h"

#include "base/core/buf.h"

/* Index of the colon behind the name, or -1. */
static ptrdiff_t find_colon(struct slice text)
{
    bool is_quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"')
            is_quoted = !is_quoted;
        else if (text.p[i] == ':' && !is_quoted)
            return (ptrdiff_t)i;
    }
    return -1;
}

/* A name in quotes is the name, unless it could not stand without them. */
static struct slice unquote(struct slice name)
{
    name = slice_trim(name);
    if (name.n < 2 || name.p[0] != '"' || name.p[name.n - 1] != '"')
        return name;
    struct slice inner = slice_sub(name, 1, name.n - 2);
    for (size_t i = 0; i < inner.n; i++)
        if (ascii_is_blank(inner.p[i]) || inner.p[i] == '"' || inner.p[i] == '\\')
            return name;
    return inner;
}

/* Cuts the next value off. */
static struct slice next_value(struct slice *rest)
{
    bool is_quoted = false;
    size_t n = 0;

    for (; n < rest->n && (is_quoted || rest->p[n] != ','); n++) {
        if (rest->p[n] == '\\' && n + 1 < rest->n)
            n++;
        else if (rest->p[n] == '"')
            is_quoted = !is_quoted;
    }
    struct slice value = slice_trim(slice_sub(*rest, 0, n));
    *rest = slice_from(*rest, n + 1);
    return value;
}

static bool is_for_its_server(struct slice value)
{
    struct slice inner = value.n > 1 && value.p[0] == '"' ? slice_from(value, 1) : value;
    return inner.n && (inner.p[0] == '|' || inner.p[0] == '/' ||
                          slice_starts_nocase(inner, SLICE_LIT(":include:")));
}

int aliases_line(const struct site *s, size_t line, struct slice text, struct err *err)
{
    ptrdiff_t colon = find_colon(text);
    struct slice name, rest;
    struct buf targets;
    int rc = 0;

    if (colon <= 0)
        return sink_bad(s->sink, line, err, "this is not \"name: address\"");
    name = unquote(slice_sub(text, 0, (size_t)colon));
    rest = slice_from(text, (size_t)colon + 1);
    buf_init(&targets, SITE_TARGETS_MAX);
    while (rest.n) {
        struct slice value = unquote(next_value(&rest));
        if (is_for_its_server(value)) {
            buf_fini(&targets);
            sink_note(s->sink, line, "%.*s is a group, which its server expands", SLICE_ARG(name));
            return site_group(s, line, name, SLICE_NONE, err);
        }
        if (value.n > 1 && value.p[0] == '\\')
            value = slice_from(value, 1);
        if (value.n && (buf_add(&targets, value) != 0 || buf_add_byte(&targets, ',') != 0)) {
            buf_fini(&targets);
            return sink_bad(
                s->sink, line, err, "the addresses are longer than %d bytes", SITE_TARGETS_MAX);
        }
    }
    rc = site_alias(s, line, name, buf_slice(&targets), err);
    buf_fini(&targets);
    return rc;
}
