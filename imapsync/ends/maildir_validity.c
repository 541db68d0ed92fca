/* SPDX-License-Identifier: ISC */
/* maildir_validity: UIDVALIDITYs of the folders of one Maildir, as Dovecot gives them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

#define VALIDITY "dovecot-uidvalidity"

static bool parse_hex(struct slice text, uint32_t *out)
{
    unsigned char octets[4];
    if (num_hex(text, octets, sizeof(octets)) != 0)
        return false;
    *out = (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
    return true;
}

/* The largest that was given is in the name of an empty file; whoever renames it has the next one.
 */
static int find_last(struct disk *m, uint32_t *out)
{
    uint32_t v;
    *out = 0;
    int fd = disk_dir_open(m->fd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        io_close(&fd);
        return -1;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct slice name = slice_str(d->d_name);
        if (slice_starts(name, SLICE_LIT(VALIDITY ".")) &&
            parse_hex(slice_from(name, sizeof(VALIDITY)), &v) && v > *out)
            *out = v;
    }
    (void)closedir(dir);
    return 0;
}

/* It stands in a file as well, so that not all names have to be read; that may be late. */
static bool read_last(struct disk *m, uint32_t *out)
{
    struct buf text;
    struct err ignored = ERR_INIT;
    buf_init(&text, 8192);
    bool is = disk_small_read(m->fd, VALIDITY, 8, &text, NULL, &ignored) == 0 &&
              parse_hex(buf_slice(&text), out);
    buf_fini(&text);
    return is;
}

/* 1: another one was faster, or there is no such file. */
static int claim(struct disk *m, uint32_t last, uint32_t next, struct err *err)
{
    char from[32], to[32];
    if (fmt_into(from, sizeof(from), VALIDITY ".%08x", last) != 0 ||
        fmt_into(to, sizeof(to), VALIDITY ".%08x", next) != 0)
        BUG("a fixed name");
    if (last > 0 && renameat(m->fd, from, m->fd, to) == 0)
        return 0;
    if (last > 0)
        return errno == ENOENT ? 1 : err_sys(err, errno, "cannot write %s", to);
    int fd = disk_file_make(m, m->fd, to, O_EXCL);
    if (fd < 0)
        return errno == EEXIST ? 1 : err_sys(err, errno, "cannot write %s", to);
    io_close(&fd);
    return 0;
}

int maildir_validity(struct disk *m, uint32_t *out, struct err *err)
{
    char text[16];
    for (int tries = 0; tries < 100; tries++) {
        uint32_t last = 0;
        if ((tries > 0 || !read_last(m, &last)) && find_last(m, &last) != 0)
            return err_sys(err, errno, "cannot read the mailbox's folder");
        int64_t now = clock_wall_s();
        *out = last >= now ? last + 1 : (uint32_t)now;
        if (*out == 0)
            return err_set(err, ERR_PERM, EX_DATAERR, "no UIDVALIDITY is left");
        int r = claim(m, last, *out, err);
        if (r == 0 && fmt_into(text, sizeof(text), "%08x", *out) != 0)
            BUG("eight digits");
        if (r <= 0)
            return r == 0 ? disk_small_write(m, m->fd, VALIDITY, slice_str(text), err) : -1;
    }
    return err_set(err, ERR_TEMP, EX_TEMPFAIL, "others give UIDVALIDITYs all the time");
}
