/* SPDX-License-Identifier: ISC */
/* journal_there: a journal that is opened to be looked into, by who does not know whose it is. */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/journal/journal_parts.h"

int journal_open_there(const char *dir, struct journal **out, struct err *err)
{
    struct buf home, lock;
    struct journal *j = mem_zalloc(sizeof(*j));
    j->dir = slice_dup(slice_str(dir));
    j->lock_fd = -1;
    int result = disk_path(&home, dir, "journal", err);
    if (disk_path(&lock, dir, "lock", err) != 0)
        result = -1;
    if (result == 0 && !disk_has(buf_cstr(&home)))
        result = err_set(err, ERR_PERM, EX_NOINPUT, "there is no journal in %s", dir);
    if (result == 0)
        result = io_lock_file(buf_cstr(&lock), &j->lock_fd, err);
    if (result == 0)
        result = journal_open_tables(j, buf_cstr(&home), err);
    buf_fini(&home);
    buf_fini(&lock);
    if (result != 0) {
        journal_close(&j);
        return err_wrap(err, "journal %s", dir);
    }
    if (j->way_from != j->from) {
        char *was = j->source;
        j->source = j->target;
        j->target = was;
        journal_exchange(j);
    }
    *out = j;
    return 0;
}

const char *journal_place(const struct journal *j)
{
    return j->dir;
}

const char *journal_source(const struct journal *j)
{
    return j->source;
}

const char *journal_target(const struct journal *j)
{
    return j->target;
}
