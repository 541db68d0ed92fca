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
#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/os/io.h"
#include "maps/boot.h"
#include "maps/claims.h"

/* Scans skip names that begin with a dot. */
#define HOST_FILE_MAX 256
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

/* --- The last start of the machine --------------------------------------------------------- */

static int host_file(const char *state_dir, char out[4096], struct err *err)
{
    if (fmt_into(out, 4096, "%s/map/" REBOOT_FILE, state_dir) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", state_dir);
}

/* "" when the map was never served here.  A file that cannot be understood tells that it was. */
static int read_last(const char *path, char out[BOOT_ID_SIZE], struct err *err)
{
    struct buf text;
    struct slice rest, line;
    int rc = 0;

    out[0] = '\0';
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    buf_init(&text, HOST_FILE_MAX);
    rc = io_read_file(path, HOST_FILE_MAX, &text, err);
    rest = buf_slice(&text);
    if (rc == 0 && (!slice_split(&rest, '\n', &line) || line.n == 0 ||
                       fmt_into(out, BOOT_ID_SIZE, "%.*s", SLICE_ARG(line)) != 0))
        memcpy(out, "?", 2);
    buf_fini(&text);
    return rc;
}

static int write_last(const char *path, const char *boot, struct err *err)
{
    char line[BOOT_ID_SIZE + 1];

    if (fmt_into(line, sizeof line, "%s\n", boot) != 0)
        BUG("a boot id fits");
    return io_write_file_durable(path, slice_str(line), 0600, err);
}

int reboot_note(
    struct store *s, const char *state_dir, const char *run_dir, const char *boot, struct err *err)
{
    char former[BOOT_ID_SIZE], last[BOOT_ID_SIZE], file[4096], mark[4096];

    if (store_former_boot(s, former, err) != 0 || host_file(state_dir, file, err) != 0 ||
        mark_path(run_dir, mark, err) != 0 || read_last(file, last, err) != 0)
        return -1;
    const char *before = last[0] != '\0' ? last : former;
    bool is_same_boot = strcmp(before, boot) == 0;
    bool is_known = is_same_boot && is_ours(mark);
    /* A new map has no deliveries behind it. */
    if (!is_known && before[0] != '\0') {
        if (claims_note_reboot(run_dir, err) != 0)
            return -1;
        if (is_same_boot)
            log_warn("claims_lost", log_str("run", run_dir));
        else
            log_info("reboot_noted", log_str("before", before), log_str("now", boot));
    }
    if (strcmp(last, boot) != 0 && write_last(file, boot, err) != 0)
        return -1;
    if (former[0] != '\0' && store_forget_boot(s, err) != 0)
        return -1;
    return is_known ? 0 : make_mark(mark, err);
}
