/* SPDX-License-Identifier: ISC */
/*
 * bdb_file: see bdb_file.h.  No environment, no log: a file that is not finished is thrown away.
 *
 * Sendmail compares the time of the file that it has open with the one it had, and opens the path
 * anew when that has moved: so the former file is touched behind the rename.  Postfix sees that it
 * has no name any more.
 */
#include "base/os/bdb_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "base/os/bdb_parts.h"
#include "base/os/io.h"

#define CACHE_BYTES (64U << 20)

struct bdb_file {
    DB *db; /* NULL: closed */
    char *path, *aside;
};

static int fail(int rc, const char *doing, const char *path, struct err *err)
{
    if (rc > 0)
        return err_sys(err, rc, "%s %s", doing, path);
    return err_set(err, ERR_TEMP, EX_SOFTWARE, "%s %s: %s", doing, path, db_strerror(rc));
}

int bdb_file_new(const char *path, size_t n, struct bdb_file **out, struct err *err)
{
    struct bdb_file *f = mem_zalloc(sizeof *f);
    struct buf name;

    buf_init(&name, strlen(path) + 32);
    if (buf_addf(&name, "%s.new.%ld", path, (long)getpid()) != 0)
        BUG("the name fits by construction");
    f->aside = buf_steal_cstr(&name);
    f->path = mem_strdup(path);
    /* Of a process with our number that was killed. */
    if (unlink(f->aside) != 0 && errno != ENOENT) {
        err_sys(err, errno, "remove %s", f->aside);
        bdb_file_free(&f);
        return -1;
    }
    int rc = db_create(&f->db, NULL, 0);
    if (rc == 0)
        rc = f->db->set_cachesize(f->db, 0, CACHE_BYTES, 1);
    if (rc == 0)
        rc = f->db->set_h_nelem(f->db, n > UINT32_MAX ? UINT32_MAX : (u_int32_t)n);
    if (rc == 0)
        rc = f->db->open(f->db, NULL, f->aside, NULL, DB_HASH, DB_CREATE | DB_EXCL, FILE_MODE);
    if (rc != 0) {
        fail(rc, "create", f->aside, err);
        bdb_file_free(&f);
        return -1;
    }
    *out = f;
    return 0;
}

int bdb_file_add(struct bdb_file *f, struct slice key, struct slice value, struct err *err)
{
    DBT k = {.data = (void *)(uintptr_t)key.p, .size = (u_int32_t)key.n};
    DBT v = {.data = (void *)(uintptr_t)value.p, .size = (u_int32_t)value.n};
    int rc = f->db->put(f->db, NULL, &k, &v, DB_NOOVERWRITE);

    if (rc == DB_KEYEXIST)
        return err_set(err, ERR_PERM, EX_DATAERR, "%s: %.*s occurs twice", f->path, SLICE_ARG(key));
    return rc == 0 ? 0 : fail(rc, "write", f->aside, err);
}

static int sync_and_rename(struct bdb_file *f, mode_t mode, struct err *err)
{
    int fd = open(f->aside, O_RDWR | O_CLOEXEC | O_NOFOLLOW), former = -1, rc = -1;

    if (fd < 0)
        return err_sys(err, errno, "open %s", f->aside);
    former = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fchmod(fd, mode) != 0)
        err_sys(err, errno, "chmod %s", f->aside);
    else if (fsync(fd) != 0)
        err_sys(err, errno, "fsync %s", f->aside);
    else if (rename(f->aside, f->path) != 0)
        err_sys(err, errno, "rename %s to %s", f->aside, f->path);
    else
        rc = io_sync_parent(f->path, err);
    if (rc == 0 && former >= 0)
        (void)futimens(former, NULL); /* somebody else's file is not ours to touch */
    io_close(&former);
    io_close(&fd);
    return rc;
}

int bdb_file_finish(struct bdb_file **fp, mode_t mode, struct err *err)
{
    struct bdb_file *f = *fp;
    int rc = f->db->close(f->db, 0);

    f->db = NULL;
    rc = rc == 0 ? sync_and_rename(f, mode, err) : fail(rc, "write", f->aside, err);
    bdb_file_free(fp);
    return rc;
}

void bdb_file_free(struct bdb_file **fp)
{
    struct bdb_file *f = *fp;

    if (!f)
        return;
    if (f->db)
        (void)f->db->close(f->db, DB_NOSYNC);
    (void)unlink(f->aside); /* finished: there is none */
    mem_free_string(&f->aside);
    mem_free_string(&f->path);
    free(f);
    *fp = NULL;
}
