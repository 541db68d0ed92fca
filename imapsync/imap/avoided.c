/* SPDX-License-Identifier: ISC */
/* avoided: see avoided.h. */
#include "imapsync/imap/avoided.h"

#include "imapsync/imap/caps.h"

/* What only asks, or only makes things faster.  Of ENABLE nobody knows which of its words it was.
 */
static const struct {
    const char *command;
    uint64_t caps;
} rows[] = {
    {"ID", IMAP_CAP_ID},
    {"ENABLE", IMAP_CAP_ENABLE},
    {"NAMESPACE", IMAP_CAP_NAMESPACE},
    {"COMPRESS", IMAP_CAP_COMPRESS},
    {"GETQUOTAROOT", IMAP_CAP_QUOTA},
    {"GETACL", IMAP_CAP_ACL},
    {"GETMETADATA", IMAP_CAP_METADATA | IMAP_CAP_METADATA_SERVER},
    {"UNSELECT", IMAP_CAP_UNSELECT},
};

bool imap_avoid(struct imap_avoided *a, struct slice command)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!slice_eq_nocase(command, slice_str(rows[i].command)) ||
            (a->caps & rows[i].caps) == rows[i].caps)
            continue;
        a->caps |= rows[i].caps;
        a->n++;
        return true;
    }
    return false;
}
