/* SPDX-License-Identifier: ISC */
/*
 * mbox_list: the list of a folder's UIDs in DIR/.imap/.coexist, where a folder has a name of its
 * own however deep it lies: Dovecot takes no file below .imap for a folder.  It is replaced as a
 * whole, under a lock of its own: of the file itself there may be many readers, all of whom give
 * UIDs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/os/io.h"
#include "imapsync/ends/mbox_parts.h"

/* "A%2fB".  -1: too long. */
static int list_name(struct slice folder, const char *end, char *out, size_t size)
{
    struct buf name;
    int r = 0;
    if (folder_is_inbox(folder))
        folder = SLICE_LIT("INBOX");
    buf_init(&name, size - 1);
    for (size_t i = 0; i < folder.n && r == 0; i++) {
        unsigned char c = folder.p[i];
        r = c == '/' || c == '%' ? buf_addf(&name, "%%%02x", c) : buf_add_byte(&name, c);
    }
    if (r == 0)
        r = buf_add_str(&name, end);
    if (r == 0)
        r = fmt_into(out, size, "%s", buf_cstr(&name));
    buf_fini(&name);
    return r;
}

#define NAME_SIZE (DISK_NAME_MAX - 40) /* what stands aside has a longer one */

static int enter(struct mbox_end *e, int at, const char *name, bool makes)
{
    int fd = disk_dir_open(at, name);
    if (fd < 0 && errno == ENOENT && makes && disk_dir_make(&e->m, at, name) == 0)
        fd = disk_dir_open(at, name);
    return fd;
}

static bool find_dir(struct mbox_end *e, bool makes)
{
    if (e->lists >= 0 || e->m.fd < 0)
        return e->lists >= 0;
    int imap = enter(e, e->m.fd, ".imap", makes);
    e->lists = imap >= 0 ? enter(e, imap, ".coexist", makes) : -1;
    io_close(&imap);
    return e->lists >= 0;
}

void mbox_list_load(struct mbox_end *e, struct slice folder, struct mbox_list *l)
{
    char name[NAME_SIZE];
    struct buf text;
    struct err ignored = ERR_INIT;
    mbox_list_fini(l);
    if (!find_dir(e, false) || list_name(folder, "", name, sizeof(name)) != 0)
        return;
    buf_init(&text, MBOX_LIST_MAX + MBOX_LIST_MAX / 4);
    if (disk_small_read(e->lists, name, MBOX_LIST_MAX, &text, NULL, &ignored) == 0 &&
        mbox_list_parse(buf_slice(&text), l) != 0)
        mbox_say(folder, "its list of UIDs cannot be read: they are given anew");
    buf_fini(&text);
}

int mbox_list_save(
    struct mbox_end *e, struct slice folder, const struct mbox_list *l, struct err *err)
{
    char name[NAME_SIZE];
    struct buf text;
    if (!find_dir(e, true) || list_name(folder, "", name, sizeof(name)) != 0)
        return err_set(err, ERR_PERM, EX_CANTCREAT, "its list of UIDs cannot be written");
    buf_init(&text, MBOX_LIST_MAX);
    int r = mbox_list_format(l, &text) == 0
                ? disk_small_write(&e->m, e->lists, name, buf_slice(&text), err)
                : err_set(err, ERR_PERM, EX_DATAERR, "the list of UIDs is too large");
    buf_fini(&text);
    return r;
}

void mbox_list_rename(struct mbox_end *e, struct slice folder, struct slice to)
{
    char name[NAME_SIZE], new_name[NAME_SIZE];
    if (find_dir(e, false) && list_name(folder, "", name, sizeof(name)) == 0 &&
        list_name(to, "", new_name, sizeof(new_name)) == 0)
        (void)renameat(e->lists, name, e->lists, new_name);
}

enum disk_step mbox_list_lock(struct mbox_end *e, struct slice folder)
{
    char name[NAME_SIZE];
    struct err ignored = ERR_INIT;
    if (!find_dir(e, true) || list_name(folder, ".lock", name, sizeof(name)) != 0)
        return DISK_NO;
    int r = disk_lock(&e->m, e->lists, name, &ignored);
    return r == 0 ? DISK_DONE : r > 0 ? DISK_AGAIN : DISK_NO;
}

void mbox_list_unlock(struct mbox_end *e, struct slice folder)
{
    char name[NAME_SIZE];
    if (e->lists >= 0 && list_name(folder, ".lock", name, sizeof(name)) == 0)
        disk_unlock(e->lists, name);
}

uint32_t mbox_list_fresh(const struct mbox_list *l)
{
    int64_t now = clock_wall_s();
    return l->validity >= now ? l->validity + 1 : (uint32_t)now;
}
