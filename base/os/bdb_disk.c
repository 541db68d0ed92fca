/* SPDX-License-Identifier: ISC */
/*
 * bdb_disk: see bdb_disk.h.
 *
 * A sync that fails ends the process, or the contained environment.  The library would take back
 * the one commit and go on in the same file; but the kernel forgets after the error that the pages
 * are not on the disk, so that the next sync succeeds behind a hole, at which a recovery after a
 * power failure would stop.  The next start recovers from what is readable and writes it anew, with
 * a checkpoint.
 */
#include "base/os/bdb_disk.h"

#include <db.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/log.h"

static atomic_bool is_contained; /* of all environments of the process */
static _Thread_local int failed_errno;
static _Thread_local bool is_forbidden;

static int sync_or_end(int fd)
{
    while (fdatasync(fd) != 0)
        if (errno != EINTR && atomic_load(&is_contained)) {
            return errno;
        } else if (errno != EINTR) {
            log_error("bdb_sync_failed", log_str("error", strerrordesc_np(errno)));
            _exit(EX_SOFTWARE);
        }
    return 0;
}

/* At `at`, or where the file stands (-1).  Everything or an error: the library takes a part for
 * one, and errno for its cause. */
static ssize_t write_all(int fd, const char *p, size_t n, off_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t k;

        if (is_forbidden) {
            errno = EROFS;
            return -1;
        }
        k = at < 0 ? write(fd, p + done, n - done)
                   : pwrite(fd, p + done, n - done, at + (off_t)done);
        if (k > 0) {
            done += (size_t)k;
        } else if (k == 0 || errno != EINTR) {
            failed_errno = k < 0 ? errno : EIO;
            errno = failed_errno;
            return -1;
        }
    }
    return (ssize_t)n;
}

static ssize_t write_here(int fd, const void *p, size_t n)
{
    return write_all(fd, p, n, -1);
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at)
{
    return write_all(fd, p, n, at);
}

static void set_functions(void)
{
    (void)db_env_set_func_fsync(sync_or_end);
    (void)db_env_set_func_write(write_here);
    (void)db_env_set_func_pwrite(write_at);
}

void bdb_disk_init(bool contain)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, set_functions);
    if (contain)
        atomic_store(&is_contained, true);
}

void bdb_disk_watch(void)
{
    failed_errno = 0;
}

int bdb_disk_failed(void)
{
    return failed_errno;
}

void bdb_disk_forbid(void)
{
    is_forbidden = true;
}

void bdb_disk_allow(void)
{
    is_forbidden = false;
}

bool bdb_disk_is_forbidden(void)
{
    return is_forbidden;
}
