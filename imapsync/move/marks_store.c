/* SPDX-License-Identifier: ISC */
/* marks_store: see marks_store.h. */
#include "imapsync/move/marks_store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/os/io.h"

#define PATH_LENGTH_MAX 4096

/* `file` false: the folder that they are all in. */
static int path_of(const char *user_dir, bool file, struct buf *out, struct err *err)
{
    struct slice dir = slice_str(user_dir);
    ptrdiff_t at = slice_rfind(dir, '/');
    buf_init(out, PATH_LENGTH_MAX);
    if (at < 0 || buf_add(out, slice_sub(dir, 0, (size_t)at)) != 0 ||
        buf_add_str(out, "/marks") != 0 || (file && buf_add(out, slice_from(dir, (size_t)at)) != 0))
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", user_dir);
    return 0;
}

int marks_load(const char *user_dir, struct marks *out, bool *found_out, struct err *err)
{
    struct buf path, octets;
    struct stat st;
    *out = (struct marks){0};
    *found_out = false;
    buf_init(&octets, MARKS_SIZE_MAX);
    int result = path_of(user_dir, true, &path, err);
    if (result == 0 && stat(buf_cstr(&path), &st) != 0) {
        if (errno != ENOENT)
            result = err_sys(err, errno, "look at %s", buf_cstr(&path));
    } else if (result == 0) {
        result = io_read_file(buf_cstr(&path), MARKS_SIZE_MAX, &octets, err);
        if (result == 0)
            *found_out = marks_unpack(buf_slice(&octets), out) == 0;
        if (result == 0 && !*found_out)
            log_error("marks_damaged", log_str("path", buf_cstr(&path)));
    }
    buf_fini(&path);
    buf_fini(&octets);
    return result;
}

int marks_save(const char *user_dir, struct marks *m, struct err *err)
{
    struct buf dir, path, octets;
    int result = path_of(user_dir, false, &dir, err);
    buf_init(&octets, 0);
    if (path_of(user_dir, true, &path, err) != 0)
        result = -1;
    if (result == 0)
        result = io_mkdir(buf_cstr(&dir), 0700, err);
    if (result == 0) {
        marks_pack(m, &octets);
        result = io_write_file_durable(buf_cstr(&path), buf_slice(&octets), 0600, err);
    }
    buf_fini(&dir);
    buf_fini(&path);
    buf_fini(&octets);
    return result;
}
