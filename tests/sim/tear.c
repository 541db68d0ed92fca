/* SPDX-License-Identifier: ISC */
/* tear: see tear.h. */
#include "tests/sim/tear.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/os/io.h"

#define PAGE 4096
#define FILE_MAX (UINT64_C(64) << 20)

static int is_table(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 3 && strcmp(e->d_name + n - 3, ".db") == 0;
}

static int is_log(const struct dirent *e)
{
    return strncmp(e->d_name, "log.", 4) == 0;
}

static void read_file(const char *path, struct buf *out)
{
    struct err err;
    buf_init(out, FILE_MAX);
    BUG_ON(io_read_file(path, FILE_MAX, out, &err) != 0);
}

static void write_at(const char *path, struct slice octets, size_t from)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    BUG_ON(fd < 0 || pwrite(fd, octets.p, octets.n, (off_t)from) != (ssize_t)octets.n);
    io_close(&fd);
}

/* The path of one of them; false: there is none. */
static bool one_of(
    const char *dir, int (*filter)(const struct dirent *), uint32_t number, char *out, size_t size)
{
    struct dirent **v = NULL;
    char home[256];
    BUG_ON(fmt_into(home, sizeof(home), "%s/journal", dir) != 0);
    int n = scandir(home, &v, filter, alphasort);
    if (n > 0)
        BUG_ON(fmt_into(out, size, "%s/%s", home, v[number % (uint32_t)n]->d_name) != 0);
    for (int i = 0; i < n; i++)
        free(v[i]);
    free(v);
    return n > 0;
}

/* Half of the last page is what it was before the write: here, nothing that makes sense. */
static void tear_page(const char *dir, uint32_t number)
{
    char path[512];
    unsigned char half[PAGE / 2];
    struct buf octets;
    if (!one_of(dir, is_table, number, path, sizeof(path)))
        return;
    read_file(path, &octets);
    size_t n = octets.n;
    buf_fini(&octets);
    memset(half, (int)(number >> 8 & 0xff), sizeof(half));
    if (n >= PAGE)
        write_at(path, slice_make(half, sizeof(half)), n - sizeof(half));
}

static void lose_log(const char *dir)
{
    char path[512];
    while (one_of(dir, is_log, 0, path, sizeof(path)))
        BUG_ON(unlink(path) != 0);
}

/* --- The commit that was under way ------------------------------------------------------------ */

static struct buf log_before;

void tear_before(const char *dir)
{
    char path[512];
    buf_fini(&log_before);
    buf_init(&log_before, FILE_MAX);
    if (one_of(dir, is_log, 0, path, sizeof(path))) {
        buf_fini(&log_before);
        read_file(path, &log_before);
    }
}

/* Some of what the commit has written is there: a part from the beginning. */
static void tear_log(const char *dir, uint32_t number)
{
    char path[512];
    struct buf now;
    if (log_before.n == 0 || !one_of(dir, is_log, 0, path, sizeof(path)))
        return;
    read_file(path, &now);
    size_t n = now.n < log_before.n ? now.n : log_before.n, first = 0, end = n;
    const unsigned char *a = buf_slice(&log_before).p, *b = buf_slice(&now).p;
    while (first < n && a[first] == b[first])
        first++;
    while (end > first && a[end - 1] == b[end - 1])
        end--;
    size_t cut = first + (end > first ? number % (end - first) : 0);
    if (end > first)
        write_at(path, slice_make(a + cut, end - cut), cut);
    if (now.n > log_before.n && truncate(path, (off_t)log_before.n) != 0)
        BUG_ON(true);
    buf_fini(&now);
    buf_fini(&log_before);
}

bool tear_now(enum tear how, const char *dir, uint32_t number)
{
    switch (how) {
    case TEAR_NONE:
        return false;
    case TEAR_PAGE:
        tear_page(dir, number);
        return true;
    case TEAR_COMMIT:
        tear_log(dir, number);
        return false;
    case TEAR_LOG:
        lose_log(dir);
        return true;
    }
    return false;
}
