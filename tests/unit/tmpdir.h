/* SPDX-License-Identifier: ISC */
/* tmpdir: a directory of its own for a test, removed with everything in it. */
#ifndef TESTS_UNIT_TMPDIR_H
#define TESTS_UNIT_TMPDIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/core/buf.h"
#include "tests/unit/unit.h"

struct tmpdir {
    char path[64];
    char name[256]; /* of the last tmpdir_file() */
};

static inline void tmpdir_make(struct tmpdir *t)
{
    assert_int_equal(fmt_into(t->path, sizeof(t->path), "/tmp/coexist-unit.XXXXXX"), 0);
    assert_non_null(mkdtemp(t->path));
}

/* Borrowed until the next call. */
static inline const char *tmpdir_file(struct tmpdir *t, const char *file)
{
    assert_int_equal(fmt_into(t->name, sizeof(t->name), "%s/%s", t->path, file), 0);
    return t->name;
}

static inline int tmpdir_remove_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static inline void tmpdir_remove(struct tmpdir *t)
{
    assert_int_equal(nftw(t->path, tmpdir_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
