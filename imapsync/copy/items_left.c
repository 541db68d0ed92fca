/* SPDX-License-Identifier: ISC */
/*
 * items_left: decisions about items of a journal that somebody else has open, each a small file
 * beside it.  A copy may go on for hours, and who says meanwhile that something is good should not
 * have to wait for its end.
 *
 * A decision is about what is open when it is taken.  One that cannot be read is removed, and the
 * log says so: it would be there for ever.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/copy/items_choice.h"
#include "imapsync/journal/journal.h"

#define PREFIX "decision-"
#define FILE_MAX 8192
#define PATH_LENGTH_MAX 4096

/* --- Leaving ---------------------------------------------------------------------------------- */

static char *as_text(const struct item_choice *c, enum item_state state)
{
    json_t *json = json_pack("{s:i, s:s*, s:I, s:b, s:s, s:s}", "state", (int)state, "folder",
        c->folder, "uid", (json_int_t)c->uid, "has_accepted", (int)c->has_accepted, "by", c->by,
        "why", c->why);
    if (json && c->code != ITEM_NONE)
        json_object_set_new(json, "code", json_string(item_row(c->code)->name));
    char *text = json ? json_dumps(json, 0) : NULL;
    json_decref(json);
    return text;
}

int items_leave(
    const char *dir, const struct item_choice *c, enum item_state state, struct err *err)
{
    struct buf path;
    char name[64];
    char *text = as_text(c, state);
    if (!text)
        return err_set(err, ERR_PERM, EX_DATAERR, "what was given is no UTF-8");
    buf_init(&path, PATH_LENGTH_MAX);
    BUG_ON(fmt_into(name, sizeof(name), PREFIX "%020llu-%d", (unsigned long long)clock_wall_ms(),
               (int)getpid()) != 0);
    int result = io_path(&path, dir, name) == 0
                     ? io_write_file_durable(buf_cstr(&path), slice_str(text), 0600, err)
                     : err_set(err, ERR_PERM, EX_USAGE, "the path %s is too long", dir);
    buf_fini(&path);
    free(text);
    return result;
}

/* --- Taking ----------------------------------------------------------------------------------- */

static bool read_choice(const json_t *json, struct item_choice *out, enum item_state *state_out)
{
    const char *code = json_string_value(json_object_get(json, "code"));
    const char *by = json_string_value(json_object_get(json, "by"));
    const json_int_t state = json_integer_value(json_object_get(json, "state"));
    const json_int_t uid = json_integer_value(json_object_get(json, "uid"));
    *out = (struct item_choice){
        .code = code ? item_code_named(slice_str(code)) : ITEM_NONE,
        .folder = json_string_value(json_object_get(json, "folder")),
        .uid = (uint32_t)uid,
        .has_accepted = json_is_true(json_object_get(json, "has_accepted")),
        .why = json_string_value(json_object_get(json, "why")),
    };
    *state_out = state == ITEM_ACCEPTED ? ITEM_ACCEPTED : ITEM_RETRIED;
    return (state == ITEM_ACCEPTED || state == ITEM_RETRIED) && uid >= 0 && uid <= UINT32_MAX &&
           (!code || out->code != ITEM_NONE) && by && out->why &&
           fmt_into(out->by, sizeof(out->by), "%s", by) == 0;
}

static int take(struct journal *j, const char *path, struct err *err)
{
    struct item_choice c;
    enum item_state state;
    struct buf text;
    struct err why = ERR_INIT;
    uint64_t n = 0;
    int result = 0;
    buf_init(&text, FILE_MAX);
    bool is_read = io_read_file(path, FILE_MAX, &text, &why) == 0;
    json_t *json = is_read ? json_loadb((const char *)buf_slice(&text).p, text.n, 0, NULL) : NULL;
    if (json && read_choice(json, &c, &state))
        result = items_decide(j, &c, state, &n, err);
    else
        log_warn("decision_not_read", log_str("file", path), log_err(&why));
    json_decref(json);
    buf_fini(&text);
    if (result == 0)
        (void)unlink(path);
    return result;
}

/* What is being written has a dot in its name. */
static int is_decision(const struct dirent *d)
{
    return strncmp(d->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 && !strchr(d->d_name, '.');
}

int items_take(struct journal *j, struct err *err)
{
    struct dirent **v = NULL;
    struct buf path;
    int result = 0;
    int n = scandir(journal_place(j), &v, is_decision, alphasort);
    buf_init(&path, PATH_LENGTH_MAX);
    for (int i = 0; i < n; i++) {
        if (result == 0 && io_path(&path, journal_place(j), v[i]->d_name) == 0)
            result = take(j, buf_cstr(&path), err);
        free(v[i]);
    }
    free(v);
    buf_fini(&path);
    return result;
}
