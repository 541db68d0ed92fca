/* SPDX-License-Identifier: ISC */
/* parse: what a resumable parser says after it was given some bytes. */
#ifndef BASE_CORE_PARSE_H
#define BASE_CORE_PARSE_H

enum parse {
    PARSE_MORE, /* so far so good, the rest is missing */
    PARSE_DONE, /* one whole item; the bytes behind it were not touched */
    PARSE_BAD,  /* not in the language, or over a limit; the parser has to be reset */
};

#endif
