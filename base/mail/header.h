/* SPDX-License-Identifier: ISC */
/*
 * header: the header block of a message (RFC 5322 2.2), looked at without being changed.  Lines end
 * with CRLF; a field is a line with a colon and the folded lines behind it.
 */
#ifndef BASE_MAIL_HEADER_H
#define BASE_MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/slice.h"

/* Finds the end of the block in a message that arrives in pieces: the length of the block with the
 * empty line that ends it, or 0 while it is not there yet.  *scanned is the scan's place: 0 at the
 * first call, kept by the caller between calls; message is everything from the start. */
size_t header_end(struct slice message, size_t *scanned);

struct header_field {
    struct slice name;  /* without the colon and the blanks in front of it */
    struct slice value; /* behind the colon, folds and the last CRLF as they are */
};
/* Takes the next field off *rest.  Lines that are no field are stepped over; false at the end of
 * the block, which an empty line is. */
bool header_next(struct slice *rest, struct header_field *out);
/* How many fields have this name, ASCII case ignored; counting stops at max. */
size_t header_count(struct slice block, struct slice name, size_t max);
/* The first field of that name. */
bool header_find(struct slice block, struct slice name, struct header_field *out);

#endif
