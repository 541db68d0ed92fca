/* SPDX-License-Identifier: ISC */
/* trace_file: see trace_file.h.  trace.c itself knows no files. */
#include "maps/trace_file.h"

#include "base/os/io.h"

#define KEY_FILE_MAX 4096

int trace_keys_load(const char *path, struct trace_keys **out, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, KEY_FILE_MAX);
    rc = io_read_secret(path, KEY_FILE_MAX, &text, err);
    if (rc == 0 && trace_keys_parse(buf_slice(&text), out, err) != 0)
        rc = err_wrap(err, "%s", path);
    buf_fini_wipe(&text);
    return rc;
}
