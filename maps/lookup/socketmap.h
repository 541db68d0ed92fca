/* SPDX-License-Identifier: ISC */
/*
 * socketmap: the socket map protocol of Sendmail and Postfix (socketmap_table(5)), and the answers
 * of coexist to its four maps.  Pure: bytes, configuration, a view of the map and the time go in,
 * bytes come out.
 *
 *     while (socketmap_parse(in, &req, &used) == PARSE_DONE) {
 *         socketmap_answer(&site, &req, now_s, &out);
 *         in = slice_from(in, used);
 *     }
 */
#ifndef MAPS_LOOKUP_SOCKETMAP_H
#define MAPS_LOOKUP_SOCKETMAP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/parse.h"
#include "base/core/slice.h"
#include "maps/route.h"

#define SOCKETMAP_REQUEST_MAX 8192 /* bytes between the colon and the comma */
#define SOCKETMAP_LENGTH_DIGITS 4  /* digits of SOCKETMAP_REQUEST_MAX */
/* The longest request as it stands on the wire. */
#define SOCKETMAP_WIRE_MAX (SOCKETMAP_LENGTH_DIGITS + 1 + SOCKETMAP_REQUEST_MAX + 1)
/* The longest reply on the wire: all the addresses of an alias, with commas. */
#define SOCKETMAP_REPLY_MAX (DECIDE_DELIVERIES_MAX * (ROUTE_KEY_MAX + 1) + 64)

/* Which entries may be delivered by an address: find calls on_origin with the key of each, until it
 * returns false.  Keys too many do no harm; find NULL: nobody is. */
typedef bool socketmap_on_origin(void *arg, struct slice key);
struct socketmap_origins {
    void (*find)(void *arg, struct slice address_key, socketmap_on_origin *on_origin, void *to);
    void *arg;
};

/* What the answers depend on. */
struct socketmap_site {
    const struct conf *conf;
    struct route_view view;
    struct socketmap_origins origins;
    struct arena *mem; /* for what is decided; reset with each answer */
    /* Mail is routed by this decision; NULL: nobody wants to know. */
    void (*routed)(void *arg, const struct decision *d);
    void *routed_arg;
};
#define SOCKETMAP_MEM_MAX ((size_t)1 << 20)

struct socketmap_request {
    struct slice map; /* n == 0 when the request has no blank */
    struct slice key;
};

enum socketmap_result { SOCKETMAP_OK, SOCKETMAP_NOTFOUND, SOCKETMAP_TEMP };

/* One request at the start of `in`: DONE with slices into it and the bytes it takes, MORE when it
 * is not complete, BAD when no further byte can make it one (the connection is out of step). */
enum parse socketmap_parse(struct slice in, struct socketmap_request *out, size_t *used_out);

/* Appends the reply, a whole netstring. -1 only when `out` has less than SOCKETMAP_REPLY_MAX left;
 * then nothing was appended. result_out may be NULL. */
int socketmap_answer(const struct socketmap_site *site, const struct socketmap_request *request,
    int64_t now_s, struct buf *out, enum socketmap_result *result_out) ATTR_WUR;
const char *socketmap_result_name(enum socketmap_result result);

#endif
