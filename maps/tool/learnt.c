/* SPDX-License-Identifier: ISC */
/* learnt: see learnt.h. */
#include "maps/tool/learnt.h"

#include <stdlib.h>
#include <string.h>

static enum mail_log_known known_of(const char *text)
{
    return strcmp(text, "yes") == 0  ? MAIL_LOG_TAKEN
           : strcmp(text, "no") == 0 ? MAIL_LOG_REFUSED
                                     : MAIL_LOG_UNKNOWN;
}

static int add_row(struct arrivals *all, const json_t *row, struct err *err)
{
    const json_t *name;
    struct buf by;
    size_t i;

    buf_init(&by, 256);
    json_array_foreach(json_object_get(row, "by"), i, name)
    {
        if (json_is_string(name) &&
            buf_addf(&by, "%s%s", by.n ? " " : "", json_string_value(name)) != 0)
            break;
    }
    int rc = arrivals_add(all, slice_str(tool_text(row, "key")), tool_number(row, "seen"),
        known_of(tool_text(row, "known")), slice_str(tool_text(row, "last")), err);
    if (rc == 0)
        arrivals_tell(
            all, slice_str(tool_text(row, "key")), tool_text(row, "first"), buf_cstr(&by));
    buf_fini(&by);
    return rc;
}

int learnt_read(struct tool *t, struct arrivals *all, uint64_t *missed_out, struct err *err)
{
    json_t *request = json_pack("{ss}", "op", "unmapped"), *reply;
    bool is_more = true;
    int rc = 0;

    while (rc == 0 && is_more) {
        const json_t *row;
        size_t i;
        rc = tool_call_own(t, json_incref(request), &reply, err);
        if (rc != 0)
            break;
        json_array_foreach(json_object_get(reply, "rows"), i, row)
        {
            if (rc == 0)
                rc = add_row(all, row, err);
        }
        json_t *next = json_object_get(reply, "next");
        *missed_out = tool_number(reply, "missed");
        is_more = json_is_integer(next);
        if (is_more)
            json_object_set(request, "after", next);
        json_decref(reply);
    }
    json_decref(request);
    return rc;
}
