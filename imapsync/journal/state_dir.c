/* SPDX-License-Identifier: ISC */
/* state_dir: the id is a digest of both names, so that any character may be in them. */
#include "imapsync/journal/state_dir.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/os/hmac.h"
#include "base/os/io.h"

#define PATH_LENGTH_MAX 4096
#define ID_BYTES 8

static int default_base(struct buf *out, struct err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int r = -1;
    if (state && state[0] == '/')
        r = io_path(out, state, "coexist", "sync");
    else if (home && home[0] == '/')
        r = io_path(out, home, ".local", "state", "coexist", "sync");
    if (r != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "no home folder for the journal: use --state");
    return 0;
}

static int make_all(const char *path, struct err *err)
{
    struct slice whole = slice_str(path);
    for (size_t i = 1; i <= whole.n; i++) {
        if (i < whole.n && whole.p[i] != '/')
            continue;
        char *part = slice_dup(slice_sub(whole, 0, i));
        int r = io_mkdir(part, 0700, err);
        free(part);
        if (r != 0)
            return -1;
    }
    return 0;
}

int state_dir(
    const char *base, const char *source, const char *target, struct buf *out, struct err *err)
{
    struct buf dir, names;
    unsigned char digest[SHA256_SIZE];
    buf_init(&dir, PATH_LENGTH_MAX);
    buf_init(&names, PATH_LENGTH_MAX);
    int result = base ? buf_add_str(&dir, base) : default_base(&dir, err);
    if (result == 0)
        result = make_all(buf_cstr(&dir), err);
    if (result == 0 && (buf_addf(&names, "%s\n%s\n", source, target) != 0 ||
                           buf_addf(out, "%s/", buf_cstr(&dir)) != 0))
        result = err_set(err, ERR_PERM, EX_USAGE, "a name is too long");
    if (result == 0) {
        sha256_of(buf_slice(&names), digest);
        for (size_t i = 0; i < ID_BYTES && result == 0; i++)
            result = buf_addf(out, "%02x", digest[i]);
    }
    buf_fini(&dir);
    buf_fini(&names);
    return result;
}

int state_file(
    const char *base, const char *what, const char *name, struct buf *out, struct err *err)
{
    if (state_dir(base, what, name, out, err) != 0)
        return -1;
    return buf_addf(out, ".%s", what) == 0 ? 0
                                           : err_set(err, ERR_PERM, EX_USAGE, "a name is too long");
}
