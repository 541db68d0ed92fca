/* SPDX-License-Identifier: ISC */
/* sendmail: one line (lines.h, LINES_NONE) of a table of Sendmail, in the text form that makemap(8)
 * reads; pure. */
#ifndef MAPS_FORMAT_SENDMAIL_H
#define MAPS_FORMAT_SENDMAIL_H

#include "maps/format/site.h"

/* What else users are called, and who is refused. */
int sendmail_virtusertable(
    const struct site *s, size_t line, struct slice text, struct err *err) ATTR_WUR;
/* The server of a domain. */
int sendmail_mailertable(
    const struct site *s, size_t line, struct slice text, struct err *err) ATTR_WUR;

#endif
