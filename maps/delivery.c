/* SPDX-License-Identifier: ISC */
/*
 * delivery: see delivery.h.  Judged is what a server will make of the local part, without quotes
 * and backslashes, and of the whole address as it goes out: whatever part of it the sender wrote,
 * and by whichever way it came there.
 */
#include "maps/delivery.h"

#include "base/mail/address.h"

/* Characters by which some servers read a second, foreign address in a local part. */
#define FOREIGN_BYTES "%!@"

bool delivery_is_foreign(struct slice local)
{
    /* Quotes and backslashes neither hide one of them nor make one. */
    for (const char *c = FOREIGN_BYTES; *c; c++)
        if (slice_find(local, (unsigned char)*c) >= 0)
            return true;
    return false;
}

/* local instead of the name in the recipient's, requoted where needed. */
static int rename_local(const struct conf_domain *d, enum decide_by by, struct slice local,
    struct slice received_local, struct buf *out)
{
    unsigned char from[ADDRESS_LOCAL_MAX], name[ADDRESS_LOCAL_MAX], to[2 * ADDRESS_LOCAL_MAX];
    struct slice received = slice_make(from, address_unquote(received_local, from));
    struct slice wanted = slice_make(name, address_unquote(local, name));
    return address_quote(slice_make(to, normalise_rename(d, by, received, wanted, to)), out);
}

static int build(const struct conf_domain *d, struct slice rcpt, struct slice key,
    enum decide_by by, struct slice deliver_as, struct buf *out)
{
    struct address received, wanted;
    if (address_parse(rcpt, &received) != 0 || received.domain.n == 0)
        rcpt = key; /* bare postmaster */
    if (address_parse(rcpt, &received) != 0)
        return -1;
    if (deliver_as.n == 0 && address_is_ascii(received.domain))
        return buf_add(out, rcpt);

    /* A domain in UTF-8 goes out as A-labels, which every server reads. */
    struct slice domain = normalise_domain(key);
    if (deliver_as.n == 0 || deliver_as.p[0] == '@') {
        if (deliver_as.n > 0)
            domain = slice_from(deliver_as, 1);
        if (buf_add(out, received.local) != 0)
            return -1;
    } else {
        if (address_parse(deliver_as, &wanted) != 0 || wanted.domain.n == 0)
            return -1;
        domain = wanted.domain;
        bool is_renamed = by == DECIDE_BY_BARE_KEY || by == DECIDE_BY_LIST;
        if (is_renamed ? rename_local(d, by, wanted.local, received.local, out) != 0
                       : buf_add(out, wanted.local) != 0)
            return -1;
    }
    if (buf_add_byte(out, '@') != 0)
        return -1;
    return buf_add(out, domain);
}

enum delivery_verdict delivery_address(const struct conf_domain *d, struct slice rcpt,
    struct slice key, enum decide_by by, struct slice deliver_as, char out[ROUTE_KEY_MAX + 1])
{
    struct buf text;
    struct address built;
    enum delivery_verdict verdict = DELIVERY_BROKEN;

    out[0] = '\0';
    buf_init(&text, ROUTE_KEY_MAX);
    if (build(d, rcpt, key, by, deliver_as, &text) == 0 &&
        address_parse(buf_slice(&text), &built) == 0 && built.domain.n > 0 &&
        address_is_ascii(built.domain))
        verdict = by != DECIDE_BY_KEY && delivery_is_foreign(built.local) ? DELIVERY_FOREIGN
                                                                          : DELIVERY_GOOD;
    if (verdict == DELIVERY_GOOD) {
        memcpy(out, buf_slice(&text).p, text.n);
        out[text.n] = '\0';
    }
    buf_fini(&text);
    return verdict;
}
