/* SPDX-License-Identifier: ISC */
/* charset: see charset.h.  Nothing is replaced by a question mark: what cannot be read is an error,
 * since whoever reads addresses wrongly sends mail to strangers. */
#include "base/os/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <sysexits.h>

#define PIECE 65536

/* Lines are told by what has come out, since a line feed may be several octets before. */
static size_t line_of(struct slice text)
{
    size_t line = 1;
    for (size_t i = 0; i < text.n; i++)
        line += text.p[i] == '\n';
    return line;
}

static int convert(iconv_t cd, const char *set, struct slice in, struct buf *out, struct err *err)
{
    char *from = (char *)(uintptr_t)in.p;
    size_t left = in.n, rc = 0;

    while (left > 0) {
        char *to = (char *)buf_reserve(out, PIECE);
        size_t room = PIECE;
        if (!to)
            return err_set(err, ERR_PERM, EX_DATAERR, "there is too much of it");
        rc = iconv(cd, &from, &left, &to, &room);
        int errnum = errno;
        buf_commit(out, PIECE - room);
        if (rc == (size_t)-1 && errnum != E2BIG)
            return err_set(err, ERR_PERM, EX_DATAERR, "line %zu: this is not text in %s",
                line_of(buf_slice(out)), set);
    }
    return 0;
}

int charset_to_utf8(const char *set, struct slice in, struct buf *out, struct err *err)
{
    iconv_t cd = iconv_open("UTF-8", set);

    if (cd == (iconv_t)-1) /* NOLINT(performance-no-int-to-ptr) */
        return err_set(err, ERR_PERM, EX_USAGE,
            "unknown character set \"%s\" (utf-8, utf-16, windows-1252, iso-8859-15 and all "
            "others that `iconv -l` lists)",
            set);
    int rc = convert(cd, set, in, out, err);
    iconv_close(cd);
    return rc;
}
