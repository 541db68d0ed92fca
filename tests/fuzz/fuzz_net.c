/* SPDX-License-Identifier: ISC */
/*
 * Addresses, ranges, endpoints, host names: what is accepted comes back the same after printing.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct net_addr addr, again;
    struct net_range range;
    struct net_endpoint endpoint;
    struct err err = ERR_INIT;
    char out[NET_TEXT_MAX];

    if (net_addr_parse(text, &addr) == 0) {
        net_addr_format(&addr, out);
        if (net_addr_parse(slice_str(out), &again) != 0 || !net_addr_eq(&addr, &again))
            abort();
    }
    if (net_range_parse(text, &range) == 0 &&
        (range.bits > 128 || !net_range_contains(&range, &range.addr)))
        abort();
    if (net_endpoint_parse(text, 25, &endpoint, &err) == 0) {
        if (endpoint.host == NULL || endpoint.host[0] == '\0')
            abort();
        net_endpoint_fini(&endpoint);
    } else if (err.class != ERR_PERM || err.text[0] == '\0') {
        abort();
    }
    (void)net_is_host_name(text);
    return 0;
}
