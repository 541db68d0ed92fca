/* SPDX-License-Identifier: ISC */
/* https: one POST of a form, by libcurl (only https.c includes its headers).  Blocks. */
#ifndef BASE_OS_HTTPS_H
#define BASE_OS_HTTPS_H

#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

struct https_field {
    const char *name, *value; /* value NULL: left out */
};

struct https_form {
    const char *url;     /* https:// and nothing else; no redirection is followed */
    const char *ca_file; /* NULL: the system's */
    unsigned timeout_ms; /* of all of it */
    const struct https_field *fields;
    size_t n_fields;
};

/* An answer of any status is a success; it is not longer than out lets it be.  Proxies are those of
 * the environment (https_proxy). */
int https_post(
    const struct https_form *form, struct buf *out, long *status_out, struct err *err) ATTR_WUR;

#endif
