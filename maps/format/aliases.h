/* SPDX-License-Identifier: ISC */
/* aliases: one logical line (lines.h, LINES_BLANK) of an aliases(5) file, which Postfix and
 * Sendmail have in common; pure. */
#ifndef MAPS_FORMAT_ALIASES_H
#define MAPS_FORMAT_ALIASES_H

#include "maps/format/site.h"

int aliases_line(const struct site *s, size_t line, struct slice text, struct err *err) ATTR_WUR;

#endif
