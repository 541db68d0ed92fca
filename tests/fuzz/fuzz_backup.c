/* SPDX-License-Identifier: ISC */
/*
 * Lines of a backup's map: each is a head, a row with its two texts, an end, or an error that says
 * what is wrong with the data.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sysexits.h>
#include "maps/store/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), line;

    while (slice_split(&rest, '\n', &line)) {
        struct err err = ERR_INIT;
        uint64_t generation = UINT64_MAX;
        json_t *row = NULL;
        int kind = backup_line(line, &row, &generation, &err);

        if (kind < -1 || kind > 2 || (row != NULL) != (kind == 1) ||
            (generation != UINT64_MAX) != (kind == 2) || (kind < 0 && err.code != EX_DATAERR))
            abort();
        if (row && (!json_string_value(json_object_get(row, "key")) ||
                       !json_string_value(json_object_get(row, "record"))))
            abort();
        json_decref(row);
    }
    return 0;
}
