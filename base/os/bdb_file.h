/* SPDX-License-Identifier: ISC */
/*
 * bdb_file: a single hash file of Berkeley DB for programs that read one: the "hash" tables of
 * Postfix and Sendmail.  Written aside, synced and renamed into place, so that nobody reads half of
 * it.
 *
 *     bdb_file_new(path, n, &file, err);
 *     bdb_file_add(file, key, value, err) ...;
 *     bdb_file_finish(&file, mode, err);
 */
#ifndef BASE_OS_BDB_FILE_H
#define BASE_OS_BDB_FILE_H

#include <stddef.h>
#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"

struct bdb_file;

/* n: about how many pairs there will be. */
int bdb_file_new(const char *path, size_t n, struct bdb_file **out, struct err *err) ATTR_WUR;
/* The key is stored without a NUL; the same key twice: EX_DATAERR. */
int bdb_file_add(
    struct bdb_file *f, struct slice key, struct slice value, struct err *err) ATTR_WUR;
/* In place when it returns 0.  A program that has the former file open sees that it was replaced:
 * its time of change is now. Frees in any case. */
int bdb_file_finish(struct bdb_file **f, mode_t mode, struct err *err) ATTR_WUR;
void bdb_file_free(struct bdb_file **f); /* forgets what was not finished */

#endif
