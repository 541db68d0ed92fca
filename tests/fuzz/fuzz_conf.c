/* SPDX-License-Identifier: ISC */
/* A configuration that is accepted is printed to one that is accepted and prints the same. */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *first, *second;
    struct err err = ERR_INIT;
    struct buf one, two;

    if (conf_parse(slice_make(data, size), "f", &first, &err) != 0) {
        if (err.class == ERR_NONE || err.text[0] == '\0')
            abort();
        return 0;
    }
    buf_init(&one, 4U << 20);
    buf_init(&two, 4U << 20);
    if (conf_dump(first, &one) != 0 || conf_parse(buf_slice(&one), "f", &second, &err) != 0 ||
        conf_dump(second, &two) != 0 || !slice_eq(buf_slice(&one), buf_slice(&two)))
        abort();
    buf_fini(&one);
    buf_fini(&two);
    conf_free(&first);
    conf_free(&second);
    return 0;
}
