/* SPDX-License-Identifier: ISC */
/* trace_file: the key file of the stamps, for all programs that stamp. */
#ifndef MAPS_TRACE_FILE_H
#define MAPS_TRACE_FILE_H

#include "maps/trace.h"

/* A file that nobody but its owner may read (io_read_secret()). The error names it. */
int trace_keys_load(const char *path, struct trace_keys **out, struct err *err) ATTR_WUR;

#endif
