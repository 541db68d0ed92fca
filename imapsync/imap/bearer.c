/* SPDX-License-Identifier: ISC */
/* bearer: see bearer.h.  The parts of a message are divided by ^A. */
#include "imapsync/imap/bearer.h"

#include "imapsync/imap/fault.h"

/* RFC 6750 2.1 has fewer; anything that could end a part early is refused. */
static bool can_send(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return s.n > 0;
}

/* RFC 5801 4: saslname. */
static int add_name(struct buf *out, const char *name)
{
    int result = 0;
    for (; *name && result == 0; name++)
        result = *name == ','   ? buf_add_str(out, "=2C")
                 : *name == '=' ? buf_add_str(out, "=3D")
                                : buf_add_byte(out, (unsigned char)*name);
    return result;
}

static int add_token(struct buf *out, const struct bearer *b)
{
    return buf_add_str(out, "\001auth=Bearer ") == 0 && buf_add(out, b->token) == 0 &&
                   buf_add_str(out, "\001\001") == 0
               ? 0
               : -1;
}

int bearer_oauthbearer(const struct bearer *b, struct buf *out)
{
    if (!can_send(b->token) || !can_send(slice_str(b->user)) || buf_add_str(out, "n,a=") != 0 ||
        add_name(out, b->user) != 0 || buf_add_byte(out, ',') != 0)
        return -1;
    if (b->host && buf_addf(out, "\001host=%s\001port=%u", b->host, (unsigned)b->port) != 0)
        return -1;
    return add_token(out, b);
}

int bearer_xoauth2(const struct bearer *b, struct buf *out)
{
    return can_send(b->token) && can_send(slice_str(b->user)) &&
                   buf_addf(out, "user=%s", b->user) == 0 && add_token(out, b) == 0
               ? 0
               : -1;
}

void bearer_told(struct slice challenge, char out[BEARER_TOLD_MAX])
{
    imap_fault_text(challenge, out, BEARER_TOLD_MAX);
}
