/* SPDX-License-Identifier: ISC */
/* moved_file: the file of moved.h. */
#include "maps/moved.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/os/io.h"

#define PATH_LENGTH_MAX 4096

static int path_of(const char *state, struct buf *out, struct err *err)
{
    buf_init(out, PATH_LENGTH_MAX);
    if (io_path(out, state, "sync", "moved") == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", state);
}

/* A line that was torn by a crash ends here, so that ours is one of its own. */
static int end_torn_line(int fd, struct err *err)
{
    struct stat st;
    char last = '\n';
    if (fstat(fd, &st) != 0 || (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1))
        return err_sys(err, errno, "read");
    return last == '\n' ? 0 : io_write_all(fd, SLICE_LIT("\n"), err);
}

static int append(const char *path, struct slice line, struct err *err)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "open");
    int result = end_torn_line(fd, err);
    if (result == 0)
        result = io_write_all(fd, line, err);
    if (result == 0 && fdatasync(fd) != 0)
        result = err_sys(err, errno, "write");
    io_close(&fd);
    return result;
}

int moved_note(const char *state, const struct moved *m, struct err *err)
{
    struct buf path, line;
    struct stat st;
    char when[32];
    int result = path_of(state, &path, err);
    buf_init(&line, MOVED_LINE_MAX);
    clock_format_utc(clock_wall_s(), when);
    if (result == 0 && moved_line(m, slice_str(when), &line) != 0)
        result = err_set(err, ERR_PERM, EX_DATAERR, "a name that cannot be noted");
    if (result == 0) {
        bool is_new = stat(buf_cstr(&path), &st) != 0;
        result = append(buf_cstr(&path), buf_slice(&line), err);
        if (result == 0 && is_new)
            result = io_sync_parent(buf_cstr(&path), err);
    }
    if (result != 0)
        err_wrap(err, "%s", buf_cstr(&path));
    buf_fini(&path);
    buf_fini(&line);
    return result;
}

static int parse_all(struct slice text,
    int (*each)(void *arg, const struct moved *m, struct err *err), void *arg,
    struct moved_bad *bad, struct err *err)
{
    struct slice line;
    struct moved m;
    for (size_t number = 1; slice_split(&text, '\n', &line); number++) {
        if (line.n == 0)
            continue;
        if (!moved_parse(line, &m)) {
            if (bad->n++ == 0)
                bad->first = number;
        } else if (each(arg, &m, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int moved_read(const char *state, int (*each)(void *arg, const struct moved *m, struct err *err),
    void *arg, struct moved_bad *bad_out, struct err *err)
{
    struct buf path, text;
    struct stat st;
    int result = path_of(state, &path, err);
    *bad_out = (struct moved_bad){0};
    buf_init(&text, MOVED_FILE_MAX);
    if (result == 0 && (stat(buf_cstr(&path), &st) == 0 || errno != ENOENT))
        result = io_read_file(buf_cstr(&path), MOVED_FILE_MAX, &text, err);
    if (result == 0)
        result = parse_all(buf_slice(&text), each, arg, bad_out, err);
    buf_fini(&path);
    buf_fini(&text);
    return result;
}
