/* SPDX-License-Identifier: ISC */
/* text: in which character set is a file, as far as its bytes can tell; pure. */
#ifndef MAPS_FORMAT_TEXT_H
#define MAPS_FORMAT_TEXT_H

#include <stdbool.h>
#include "base/core/slice.h"

bool text_is_utf8(struct slice s); /* RFC 3629 */

enum text_set {
    TEXT_UTF8,         /* ASCII too */
    TEXT_UTF16,        /* with a byte order mark */
    TEXT_WINDOWS_1252, /* guessed: no UTF-8, and nothing in it is the UTF-8 of a letter */
    TEXT_UNKNOWN,      /* some of it is UTF-8 and some is not, or there are NULs in it */
};
enum text_set text_guess(struct slice file);

#endif
