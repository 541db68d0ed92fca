/* SPDX-License-Identifier: ISC */
/*
 * sink: where the readers of import files put what they read.
 *
 * What is wrong with one line is told and the reading goes on, so that whoever has fifty wrong
 * lines hears of them at once; a reader itself fails only where it can no longer tell lines apart.
 */
#ifndef MAPS_FORMAT_SINK_H
#define MAPS_FORMAT_SINK_H

#include <jansson.h>
#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"

struct sink {
    void *arg;
    /* One address as the map's control protocol takes it (maps/store/control.h): {"key": ...,
     * "set": {...}}.  Takes over row.  -1 ends the reading. */
    int (*row)(void *arg, size_t line, json_t *row_own, struct err *err);
    /* -1 ends the reading: enough of them. */
    int (*bad)(void *arg, size_t line, const char *what, struct err *err);
    /* What is worth saying; is_lost: the file says something there that the map cannot have, and it
     * was left out. */
    void (*note)(void *arg, size_t line, const char *what, bool is_lost);
    /* Only guessed is in which character set the file is: an address that needs it is bad. */
    bool is_guessed;
};

int sink_bad(const struct sink *s, size_t line, struct err *err, const char *fmt, ...) ATTR_WUR
    ATTR_PRINTF(4, 5);
void sink_note(const struct sink *s, size_t line, const char *fmt, ...) ATTR_PRINTF(3, 4);
void sink_lost(const struct sink *s, size_t line, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Hands the row over once its key may be believed. */
int sink_row_own(const struct sink *s, size_t line, json_t *row, struct err *err) ATTR_WUR;
/* 0, or -1: no text that JSON can have. */
int sink_set(json_t *object, const char *name, struct slice text) ATTR_WUR;

#endif
