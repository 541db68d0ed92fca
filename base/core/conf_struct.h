/* SPDX-License-Identifier: ISC */
/* conf_struct: what conf.c needs to fill a configuration by the schema. */
#ifndef BASE_CORE_CONF_STRUCT_H
#define BASE_CORE_CONF_STRUCT_H

#include "base/core/conf.h"
#include "base/core/schema.h"

/* The struct of a section that comes once. */
void *conf_base(struct conf *conf, enum schema_section section);
void *conf_field(void *base, const struct schema_key *key);
void conf_set_defaults(void *base, enum schema_section section);

#endif
