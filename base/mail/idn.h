/* SPDX-License-Identifier: ISC */
/* idn: domain names as lower-case A-labels (RFC 5890), the form in which the map compares them. */
#ifndef BASE_MAIL_IDN_H
#define BASE_MAIL_IDN_H

#include "base/core/attr.h"
#include "base/core/slice.h"

#define IDN_DOMAIN_MAX 253

/* "Exämple.ORG" -> "xn--exmple-cua.org".  Empty or overlong labels, a trailing dot, a "-" at the
 * end of a label and anything that is not a host name (underscores are tolerated) give -1. */
int idn_to_ascii(struct slice domain, char out[IDN_DOMAIN_MAX + 1]) ATTR_WUR;

#endif
