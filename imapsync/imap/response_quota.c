/* SPDX-License-Identifier: ISC */
/*
 * response_quota: QUOTA (RFC 2087, RFC 9208).  Which root it is of says nothing here.
 *
 * What cannot be read of it is not told: nobody loses anything by it, so no line of it is lost.
 */
#include "imapsync/imap/response_parts.h"

static const char *const names[IMAP_RESOURCES] = {"STORAGE", "MESSAGE"};

/* false: where it ends cannot be told. */
static bool resource(struct imap_cur *c, struct imap_response *out)
{
    struct slice name;
    uint64_t used, limit;
    imap_cur_blanks(c);
    if (!imap_cur_atom(c, &name) || !imap_cur_blanks(c) || !imap_cur_number(c, UINT64_MAX, &used) ||
        !imap_cur_blanks(c) || !imap_cur_number(c, UINT64_MAX, &limit))
        return false;
    for (size_t i = 0; i < IMAP_RESOURCES; i++) {
        if (!slice_eq_nocase(name, slice_str(names[i])))
            continue;
        out->quota.of[i].is_told = true;
        out->quota.of[i].used = used;
        out->quota.of[i].limit = limit;
    }
    return true;
}

bool imap_parse_quota(struct imap_cur *c, struct imap_response *out)
{
    struct imap_str root;
    struct slice list;
    bool is_root = imap_cur_blanks(c) && imap_cur_astring(c, &root);
    if (is_root && imap_cur_is_over(c))
        return true; /* without a limit Courier leaves the list out */
    if (!is_root || !imap_cur_list(c, &list)) {
        out->is_odd = true;
        return true;
    }
    struct imap_cur of = imap_cur_make(list);
    while (!out->is_odd && !imap_cur_is_over(&of))
        out->is_odd = !resource(&of, out);
    out->is_odd = out->is_odd || !imap_cur_is_over(c);
    return true;
}
