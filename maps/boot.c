/* SPDX-License-Identifier: ISC */
/* boot: reads the kernel's boot id (random(4)). */
#include "maps/boot.h"

#include <sysexits.h>
#include "base/os/io.h"

int boot_id(char out[BOOT_ID_SIZE], struct err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    struct buf text;
    int rc = -1;
    buf_init(&text, BOOT_ID_SIZE);
    memset(out, 0, BOOT_ID_SIZE);
    if (io_read_file(path, BOOT_ID_SIZE, &text, err) != 0)
        goto done;
    struct slice id = buf_slice(&text);
    while (id.n > 0 && id.p[id.n - 1] <= ' ')
        id.n--;
    if (id.n == 0 || id.n >= BOOT_ID_SIZE) {
        err_set(err, ERR_TEMP, EX_OSERR, "%s: not a boot id", path);
        goto done;
    }
    memcpy(out, id.p, id.n);
    rc = 0;
done:
    buf_fini(&text);
    return rc;
}
