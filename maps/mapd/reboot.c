/* SPDX-License-Identifier: ISC */
/*
 * reboot: see reboot.h.  The model's NO_BOOT_MARK shows what happens without it.
 *
 * The directory of the claims may go while the machine runs: systemd removes a RuntimeDirectory
 * when its service stops.  Then even a living process may be about to deliver under a claim that
 * nobody can find.  A file in the directory tells that it is the one that a mapd has seen before.
 */
#include "maps/mapd/reboot.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/log.h"
#include "maps/claims.h"

/* Scans skip names that begin with a dot. */
#define MARK "/" CLAIMS_DIR "/.seen"

static int mark_path(const char *run_dir, char out[4096], struct err *err)
{
    if (fmt_into(out, 4096, "%s" MARK, run_dir) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", run_dir);
}

static int make_mark(const char *path, struct err *err)
{
    (void)unlink(path); /* whoever makes claims can have made this */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return err_sys(err, errno, "%s: cannot create", path);
    close(fd);
    return 0;
}

static bool is_ours(const char *mark)
{
    struct stat st;
    return lstat(mark, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
}

int reboot_note(struct store *s, const char *run_dir, const char *boot, struct err *err)
{
    char last[STORE_BOOT_SIZE], mark[4096];

    if (store_boot(s, last, err) != 0 || mark_path(run_dir, mark, err) != 0)
        return -1;
    bool is_same_boot = strcmp(last, boot) == 0;
    if (is_same_boot && is_ours(mark))
        return 0;
    /* A new map has no deliveries behind it. */
    if (last[0] != '\0') {
        if (claims_note_reboot(run_dir, err) != 0)
            return -1;
        if (is_same_boot)
            log_warn("claims_lost", log_str("run", run_dir));
        else
            log_info("reboot_noted", log_str("before", last), log_str("now", boot));
    }
    if (!is_same_boot && store_set_boot(s, boot, err) != 0)
        return -1;
    return make_mark(mark, err);
}
