/* SPDX-License-Identifier: ISC */
/* reboot: see reboot.h.  The model's NO_BOOT_MARK shows what happens without it. */
#include "maps/mapd/reboot.h"

#include "base/core/log.h"
#include "maps/claims.h"

int reboot_note(struct store *s, const char *run_dir, const char *boot, struct err *err)
{
    char last[STORE_BOOT_SIZE];

    if (store_boot(s, last, err) != 0)
        return -1;
    if (strcmp(last, boot) == 0)
        return 0;
    /* A new map has no deliveries behind it. */
    if (last[0] != '\0') {
        if (claims_note_reboot(run_dir, err) != 0)
            return -1;
        log_info("reboot_noted", log_str("before", last), log_str("now", boot));
    }
    return store_set_boot(s, boot, err);
}
