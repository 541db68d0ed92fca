/* SPDX-License-Identifier: ISC */
/*
 * data_codec: the content of a message on the wire (RFC 5321 4.5.2 transparency, 2.3.8 line ends),
 * as two small functions.
 *
 * Wire form: lines end with CRLF, a line that starts with a dot has one more in front, and
 * CRLF.CRLF ends it.  Canonical form: the same without the extra dots and the end; no CR without
 * LF, no LF without CR, no NUL; either empty or ending with CRLF.
 *
 * Only CRLF.CRLF ends a message, for everyone.  A bare LF elsewhere becomes CRLF, and the line
 * behind it is content as it stands: a dot there is never taken off and ends nothing.  A bare CR
 * and NUL cannot be told from an attempt to smuggle, so their messages are refused by the caller,
 * who looks at `faults` when the end is there.
 */
#ifndef RELAY_DATA_CODEC_H
#define RELAY_DATA_CODEC_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/parse.h"
#include "base/core/slice.h"

enum data_fault { DATA_BARE_LF = 1, DATA_BARE_CR = 2, DATA_NUL = 4 };

enum data_state {
    DATA_LINE,    /* behind CRLF, or at the start */
    DATA_LINE_LF, /* behind a bare LF */
    DATA_TEXT,    /* within a line */
    DATA_CR,      /* within a line, CR held back */
    DATA_DOT,     /* CRLF and a dot, held back */
    DATA_DOT_CR,  /* CRLF, dot, CR, held back */
    DATA_STATES
};

struct data_decoder {
    enum data_state state;
    unsigned faults; /* enum data_fault, of all bytes so far */
};

void data_decoder_init(struct data_decoder *d);
/* Adds the canonical form of wire bytes to out.  PARSE_DONE behind CRLF.CRLF, the bytes that follow
 * are not touched; PARSE_BAD only when out has no room for 2 * in.n + 1 more bytes, with nothing
 * consumed. */
enum parse data_decode(struct data_decoder *d, struct slice in, size_t *used_out, struct buf *out);

struct data_encoder {
    bool is_inside_line;
};

void data_encoder_init(struct data_encoder *e);
/* Adds the wire form of canonical bytes, which may be cut anywhere; -1 when out is full. */
int data_encode(struct data_encoder *e, struct slice in, struct buf *out) ATTR_WUR;

#endif
