/* SPDX-License-Identifier: ISC */
/*
 * maildir_list: a folder's dovecot-uidlist on the disk.  It is appended to, and only what is no
 * list that can be appended to is written anew, aside and renamed.  Both with the folder's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/hmac.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

/* It can be used as it is, and appended to. */
bool maildir_list_is_sound(const struct uidlist *l)
{
    return l->validity != 0 && !l->is_torn && l->n_skipped == 0;
}

/* One that is not there, or has no header, has no UIDVALIDITY. */
int maildir_list_read(struct maildir_folder *f, struct err *err)
{
    uidlist_fini(&f->list);
    uidlist_init(&f->list);
    f->list_st = (struct stat){0};
    int r = disk_small_read(f->fd, MAILDIR_UIDLIST, UIDLIST_MAX, &f->list.text, &f->list_st, err);
    if (r < 0)
        return -1;
    if (r == 0 && uidlist_parse(&f->list) != 0) {
        uidlist_fini(&f->list);
        uidlist_init(&f->list);
        maildir_say(f->name, SLICE_LIT(MAILDIR_UIDLIST), "it cannot be read, and is made anew");
    } else if (r == 0 && f->list.n_skipped > 0) {
        maildir_say(f->name, SLICE_LIT(MAILDIR_UIDLIST), "lines cannot be read");
    }
    return 0;
}

int maildir_folder_append(
    struct maildir_folder *f, struct slice rows, uint32_t next, struct err *err)
{
    int fd = openat(f->fd, MAILDIR_UIDLIST, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot write %s", MAILDIR_UIDLIST);
    int r = io_write_all(fd, rows, err);
    if (r == 0 && fdatasync(fd) != 0)
        r = err_sys(err, errno, "cannot write %s", MAILDIR_UIDLIST);
    if (r != 0 && ftruncate(fd, f->list_st.st_size) != 0)
        f->list.is_torn = true; /* whoever comes next sees it and writes it anew */
    f->list_st.st_ino = 0;
    if (r == 0 && fstat(fd, &f->list_st) == 0)
        f->list.next = next;
    io_close(&fd);
    return r;
}

void maildir_guid(char out[MAILDIR_GUID + 1])
{
    unsigned char octets[MAILDIR_GUID / 2];
    random_bytes(octets, sizeof(octets));
    for (size_t i = 0; i < sizeof(octets); i++) {
        if (fmt_into(out + 2 * i, 3, "%02x", octets[i]) != 0)
            BUG("two digits");
    }
}

/* Rows of files that were not seen stay: somebody may have been renaming them. */
int maildir_list_write(struct disk *m, struct maildir_folder *f, struct slice rows, struct err *err)
{
    struct buf text;
    char guid[MAILDIR_GUID + 1];
    buf_init(&text, UIDLIST_MAX);
    struct slice id = f->list.guid;
    if (id.n == 0) {
        maildir_guid(guid);
        id = slice_str(guid);
    }
    int r = uidlist_add_header(&text, f->list.validity, f->list.next, id);
    for (size_t i = 0; i < f->list.n && r == 0; i++) {
        const struct uidlist_row *row = &f->list.v[i];
        if (row->uid != 0)
            r = uidlist_add_row(&text, row->uid, row->fields, row->base);
    }
    if (r == 0)
        r = buf_add(&text, rows);
    r = r == 0 ? disk_small_write(m, f->fd, MAILDIR_UIDLIST, buf_slice(&text), err)
               : err_set(err, ERR_PERM, EX_DATAERR, "the list of UIDs is too large");
    buf_fini(&text);
    /* Once more: it is what the next one reads. */
    return r == 0 ? maildir_list_read(f, err) : -1;
}
