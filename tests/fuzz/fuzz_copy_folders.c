/* SPDX-License-Identifier: ISC */
/*
 * Folder names of a hostile source, one a line, mapped to a target: no two become one, each is well
 * formed, none has more levels than it had, and INBOX stays INBOX.  The first two bytes choose the
 * delimiters.
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/copy/folders.h"
#include "imapsync/ends/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int delimiter_of(uint8_t b)
{
    static const int all[] = {'/', '.', '\\', '^', -1};
    return all[b % 5];
}

static size_t count(struct slice s, int byte)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == byte;
    return n;
}

static void check(const struct folder *f, struct slice name, int target)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    if (imap_utf7_decode(name, &text) != 0 || name.n == 0)
        abort();
    if (target >= 0 && count(name, target) > (f->delimiter < 0 ? 0 : count(f->name, f->delimiter)))
        abort();
    if (slice_eq_nocase(f->name, SLICE_LIT("INBOX")) && !slice_eq(name, SLICE_LIT("INBOX")))
        abort();
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct folder_list source, target;
    struct folder_map map;
    struct err err = ERR_INIT;
    if (size < 2 || size > 20000)
        return 0;
    folder_list_init(&source);
    folder_list_init(&target);
    target.delimiter = delimiter_of(data[1]);
    struct slice rest = slice_make(data + 2, size - 2), line;
    while (slice_split(&rest, '\n', &line)) {
        if (folder_list_add(&source, line, delimiter_of(data[0]), 0, FOLDER_USE_NONE, &err) != 0)
            abort();
    }
    folder_map_make(&source, &target, &map);
    for (size_t i = 0; i < map.n; i++) {
        check(&source.v[i], map.names[i], target.delimiter);
        for (size_t k = 0; k < i; k++) {
            if (folder_same_name(map.names[i], map.names[k]))
                abort();
        }
    }
    folder_map_fini(&map);
    folder_list_fini(&source);
    folder_list_fini(&target);
    return 0;
}
