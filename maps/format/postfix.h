/* SPDX-License-Identifier: ISC */
/* postfix: one logical line (lines.h, LINES_BLANK) of a table of Postfix, in the text form that
 * postmap(1) reads; pure. */
#ifndef MAPS_FORMAT_POSTFIX_H
#define MAPS_FORMAT_POSTFIX_H

#include "maps/format/site.h"

/* transport(5): the server of an address, or of a domain. */
int postfix_transport(
    const struct site *s, size_t line, struct slice text, struct err *err) ATTR_WUR;
/* relay_recipient_maps: who there is. */
int postfix_relay_recipients(
    const struct site *s, size_t line, struct slice text, struct err *err) ATTR_WUR;
/* virtual(5): what else users are called. */
int postfix_virtual(const struct site *s, size_t line, struct slice text, struct err *err) ATTR_WUR;

#endif
