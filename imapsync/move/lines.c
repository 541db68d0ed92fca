/* SPDX-License-Identifier: ISC */
/* lines: see lines.h.  Progress is for people in front of a terminal, and for --json. */
#include "imapsync/move/lines.h"

#include <stdio.h>
#include <unistd.h>

#include "base/core/log.h"

void lines_init(struct lines *l, bool is_json)
{
    *l = (struct lines){.is_json = is_json, .is_terminal = isatty(STDOUT_FILENO) == 1};
}

static const char *text_of(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "";
}

void lines_show(void *arg, const json_t *line)
{
    struct lines *l = arg;
    bool is_progress = json_is_true(json_object_get(line, "progress"));
    if (l->is_json) {
        json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (!is_progress || l->is_terminal) {
        printf("%s%s%s%-11s %s%s", l->has_progress ? "\r\033[K" : "",
            l->has_users ? text_of(line, "user") : "", l->has_users ? " " : "",
            text_of(line, "state"), text_of(line, "text"), is_progress ? "" : "\n");
        l->has_progress = is_progress;
    }
    fflush(stdout);
}

void lines_log(const json_t *line)
{
    const char *user = json_string_value(json_object_get(line, "user"));
    const char *state = json_string_value(json_object_get(line, "state"));
    const char *text = json_string_value(json_object_get(line, "text"));
    if (!json_object_get(line, "progress") && user && state && text)
        log_info("cutover", log_str("user", user), log_str("state", state), log_str("text", text));
}
