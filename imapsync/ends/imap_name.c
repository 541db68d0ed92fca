/* SPDX-License-Identifier: ISC */
/*
 * imap_name: names of folders on the wire: modified UTF-7 with IMAP4rev1, as ends have them, and
 * UTF-8 where a server has only IMAP4rev2 (RFC 9051 5.1) or wants UTF8=ACCEPT (RFC 6855 UTF8=ONLY).
 * One that has both goes by the older rule until it is asked for the newer one, which nobody does.
 * What is in neither form stays as it is.
 */
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/utf7.h"

static bool has_utf8(const struct imap_end *e)
{
    return imap_client_has(e->client, IMAP_CAP_UTF8_ONLY) ||
           (imap_client_has(e->client, IMAP_CAP_IMAP4REV2) &&
               !imap_client_has(e->client, IMAP_CAP_IMAP4REV1));
}

void imap_cmd_name(const struct imap_end *e, struct slice name)
{
    struct buf text;
    buf_init(&text, FOLDER_NAME_MAX);
    if (has_utf8(e) && imap_utf7_decode(name, &text) == 0)
        name = buf_slice(&text);
    imap_cmd_astring(e->client, name);
    buf_fini(&text);
}

int imap_name_take(const struct imap_end *e, struct imap_str told, struct buf *out)
{
    struct buf text;
    if (!has_utf8(e))
        return imap_str_add(told, out);
    buf_init(&text, FOLDER_NAME_MAX);
    int result = imap_str_add(told, &text);
    if (result == 0 && imap_utf7_encode(buf_slice(&text), out) != 0)
        result = buf_add(out, buf_slice(&text));
    buf_fini(&text);
    return result;
}
