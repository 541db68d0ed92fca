/* SPDX-License-Identifier: ISC */
/*
 * token: the small pieces of IMAP's grammar (RFC 9051 section 9), read from one whole response.
 * A cursor borrows the response; every function either consumes its piece and says true, or leaves
 * the cursor where it was and says false.
 */
#ifndef IMAPSYNC_IMAP_TOKEN_H
#define IMAPSYNC_IMAP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

/* A body literal whose octets were handed on while they arrived: in the response's text its header
 * "{n}" CRLF stands at `at`, and none of its octets follow. */
struct imap_streamed {
    bool is_set;
    size_t at;
    uint64_t size;
};

struct imap_cur {
    struct slice in;
    size_t at;
    struct imap_streamed streamed;
};

/* A string as it stood on the wire: quoted ones may hold escapes.  A backslash that stands before
 * anything but a quote or a backslash is itself: some servers do not double it. */
struct imap_str {
    struct slice raw;
    bool is_escaped;
    bool is_nil;
    bool is_streamed; /* raw is empty, the size is in imap_cur.streamed */
};

struct imap_cur imap_cur_make(struct slice in);
bool imap_cur_at_end(const struct imap_cur *c);
bool imap_cur_byte(struct imap_cur *c, unsigned char b);
bool imap_cur_blanks(struct imap_cur *c);  /* one or more */
bool imap_cur_is_over(struct imap_cur *c); /* nothing but blanks is left */
bool imap_cur_peek(const struct imap_cur *c, unsigned char b);
bool imap_cur_word(struct imap_cur *c, const char *word); /* no case; a delimiter must follow */
bool imap_cur_number(struct imap_cur *c, uint64_t max, uint64_t *out);
bool imap_cur_atom(struct imap_cur *c, struct slice *out);
bool imap_cur_string(struct imap_cur *c, struct imap_str *out);  /* quoted or literal */
bool imap_cur_nstring(struct imap_cur *c, struct imap_str *out); /* or NIL */
bool imap_cur_astring(struct imap_cur *c, struct imap_str *out); /* or an atom, "]" allowed */
/* "(" ... ")": the bytes between, any nesting up to IMAP_NEST_MAX. */
bool imap_cur_list(struct imap_cur *c, struct slice *inside_out);
/* The bytes of a set as they stand; base/mail/uids.h says whether they are one. */
bool imap_cur_set(struct imap_cur *c, struct slice *out);
/* One value of any kind: for items that we do not know. */
bool imap_cur_skip(struct imap_cur *c);

/* Next flag or word of a list without nesting ("\Seen Work $Junk"); false at the end.  What is no
 * word is passed over, but a word in quotes is one, with its backslash doubled or not. */
bool imap_word_next(struct slice *list, struct slice *word_out);
/* Whether nothing of the list is passed over. */
bool imap_words_valid(struct slice list);
/* Whether the list holds the word, case folded. */
bool imap_words_have(struct slice list, const char *word);

/* Adds the decoded string. */
int imap_str_add(struct imap_str s, struct buf *out) ATTR_WUR;

#endif
