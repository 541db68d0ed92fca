/* SPDX-License-Identifier: ISC */
/* conf_value: one setting: text to field, field to text.  For conf.c and its tests. */
#ifndef BASE_CORE_CONF_VALUE_H
#define BASE_CORE_CONF_VALUE_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/schema.h"
#include "base/core/slice.h"

/* Sets the field; a list grows by one.  On failure the field is as before and the error says what
 * is wrong and what is allowed, without file, line and name.  Not for SCHEMA_SERVER_REF. */
int conf_value_set(
    const struct schema_key *key, void *field, struct slice text, struct err *err) ATTR_WUR;
void conf_value_fini(const struct schema_key *key, void *field);
/* As the file has it, quoted where it has to be; nothing when the setting is not set. */
int conf_value_format(const struct schema_key *key, const void *field, struct buf *out) ATTR_WUR;
/* Text in double quotes. */
int conf_value_quote(const char *text, struct buf *out) ATTR_WUR;

#endif
