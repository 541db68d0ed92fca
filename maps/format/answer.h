/* SPDX-License-Identifier: ISC */
/*
 * answer: what tables of Postfix and Sendmail say to those whom they refuse, as a reject entry has
 * it: `error:5.1.1 User unknown`, `error:nouser 550 No such user`, `error:5.7.1:550 Gone`.
 */
#ifndef MAPS_FORMAT_ANSWER_H
#define MAPS_FORMAT_ANSWER_H

#include "base/core/slice.h"

struct answer {
    unsigned code;       /* of the reply; 0: none is said */
    struct slice status; /* "5.1.1", or empty; borrows, as all texts here */
    struct slice text;   /* may be empty */
};

/* What stands behind "error:", its words, codes and text in any order that the two servers take. */
struct answer answer_read(struct slice value);

#endif
