/* SPDX-License-Identifier: ISC */
/*
 * received: see received.h.  No text that comes here has control bytes, so nothing in them can end
 * the field.
 */
#include "relay/received.h"

int received_field(const struct received *r, struct buf *out)
{
    size_t before = out->n;
    bool is_v6 = slice_find(slice_str(r->peer), ':') >= 0;

    if (buf_addf(out, "Received: from %s ([%s%s])\r\n\tby %s (coexist) with %s%s id %s", r->hello,
            is_v6 ? "IPv6:" : "", r->peer, r->hostname,
            r->is_lmtp ? "LMTP" : (r->is_esmtp ? "ESMTP" : "SMTP"), r->is_secure ? "S" : "",
            r->qid) == 0 &&
        (r->rcpt.n == 0 || (buf_add_str(out, "\r\n\tfor <") == 0 && buf_add(out, r->rcpt) == 0 &&
                               buf_add_str(out, ">") == 0)) &&
        buf_addf(out, ";\r\n\t%s\r\n", r->date) == 0)
        return 0;
    buf_truncate(out, before);
    return -1;
}
