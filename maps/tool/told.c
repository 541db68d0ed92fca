/* SPDX-License-Identifier: ISC */
/* told: see told.h. */
#include "maps/tool/told.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/tool/table.h"

#define TEXT_MAX ((TOLD_LINES_MAX + 1) * (ERR_TEXT_MAX + 32))

void told_init(struct told *t, const char *file)
{
    *t = (struct told){.file = file};
    buf_init(&t->bad, TEXT_MAX);
}

void told_fini(struct told *t)
{
    buf_fini(&t->bad);
}

/* A file may hold what a terminal obeys. */
static void add(struct told *t, size_t line, const char *what)
{
    char *clean = mem_strdup(what);

    table_clean(clean);
    t->n_bad++;
    if ((line && buf_addf(&t->bad, "line %zu: ", line) != 0) ||
        buf_addf(&t->bad, "%.*s\n", ERR_TEXT_MAX, clean) != 0)
        BUG("a wrong line fits");
    free(clean);
}

int told_bad(struct told *t, size_t line, const char *what, struct err *err)
{
    add(t, line, what);
    return t->n_bad < TOLD_LINES_MAX ? 0 : told_end(t, 0, err);
}

void told_note(struct told *t, size_t line, const char *what)
{
    char *clean;

    if (t->n_notes++ >= TOLD_LINES_MAX)
        return;
    clean = mem_strdup(what);
    table_clean(clean);
    if (line)
        fprintf(stderr, "maptool: %s: line %zu: %s\n", t->file, line, clean);
    else
        fprintf(stderr, "maptool: %s: %s\n", t->file, clean);
    free(clean);
}

static void print_lines(const struct told *t)
{
    struct slice rest = buf_slice(&t->bad), line;

    while (slice_split(&rest, '\n', &line) && line.n)
        fprintf(stderr, "maptool: %s: %.*s\n", t->file, SLICE_ARG(line));
}

void told_flush(struct told *t)
{
    if (t->n_notes > TOLD_LINES_MAX)
        fprintf(
            stderr, "maptool: %s: and %zu more of these\n", t->file, t->n_notes - TOLD_LINES_MAX);
    t->n_notes = 0;
}

int told_end(struct told *t, int rc, struct err *err)
{
    told_flush(t);
    if (t->is_over)
        return -1;
    if (t->n_bad == 0)
        return rc == 0 ? 0 : err_wrap(err, "%s", t->file);
    if (rc != 0)
        add(t, 0, err->text);
    t->is_over = true;
    if (t->n_bad == 1)
        return err_set(err, ERR_PERM, EX_DATAERR, "%s: %.*s", t->file, (int)t->bad.n - 1,
            (const char *)buf_slice(&t->bad).p);
    print_lines(t);
    return err_set(err, ERR_PERM, EX_DATAERR, "%s: %s%zu wrong lines, nothing was changed", t->file,
        t->n_bad < TOLD_LINES_MAX ? "" : "at least ", t->n_bad);
}
