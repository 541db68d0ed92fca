/* SPDX-License-Identifier: ISC */
/* import_result: what an import has done, or would do, as a person reads it. */
#ifndef MAPS_TOOL_IMPORT_RESULT_H
#define MAPS_TOOL_IMPORT_RESULT_H

#include <jansson.h>

/* The reply to a commit (maps/store/control.h), on standard output. */
void import_result_print(const json_t *reply);

#endif
