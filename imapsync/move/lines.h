/* SPDX-License-Identifier: ISC */
/* lines: what a person or a script sees of a cut-over as it happens. */
#ifndef IMAPSYNC_MOVE_LINES_H
#define IMAPSYNC_MOVE_LINES_H

#include <jansson.h>
#include <stdbool.h>

struct lines {
    bool is_json; /* one object per line */
    bool is_terminal;
    bool has_users;    /* several: each line says whose it is */
    bool has_progress; /* a line that the next one overwrites */
};

void lines_init(struct lines *l, bool is_json);
/* As move_events.line. arg: struct lines */
void lines_show(void *arg, const json_t *line);
/* For the log of the daemon. */
void lines_log(const json_t *line);

#endif
