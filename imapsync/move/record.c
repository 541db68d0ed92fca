/* SPDX-License-Identifier: ISC */
/*
 * record: see record.h.  JSON, because an administrator may have to read it at three in the
 * morning; one table of members for writing and reading.
 */
#include "imapsync/move/record.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/journal/text.h"

#define RECORD_VERSION 1
#define FILE_MAX (1u << 20)
#define PATH_LENGTH_MAX 4096

/* --- JSON ------------------------------------------------------------------------------ */

enum member_type { MEMBER_TEXT, MEMBER_NUMBER };

static const struct member {
    const char *name;
    enum member_type type;
    size_t offset, size;
    bool may_miss; /* older records have none: 0 */
} members[] = {
#define TEXT(field)                                                                                \
    {                                                                                              \
#field, MEMBER_TEXT, offsetof(struct move_record, field),                                  \
            sizeof(((struct move_record *)0)->field), false                                        \
    }
#define NUMBER(field) NUMBER_SINCE(field, false)
#define NUMBER_SINCE(field, may_miss)                                                              \
    {                                                                                              \
#field, MEMBER_NUMBER, offsetof(struct move_record, field),                                \
            sizeof(((struct move_record *)0)->field), may_miss                                     \
    }
    TEXT(user),
    TEXT(mailbox),
    TEXT(from),
    TEXT(to),
    NUMBER(since_ms),
    NUMBER(started_ms),
    TEXT(id),
    NUMBER(hold_deadline_ms),
    NUMBER(hold_epoch),
    NUMBER(held_ms),
    NUMBER(flipped_ms),
    NUMBER(copied),
    NUMBER(copied_octets),
    NUMBER(verified),
    NUMBER(late),
    NUMBER(swept_ms),
    NUMBER(sweeps),
    TEXT(error),
    NUMBER_SINCE(quiet_ms, true),
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

json_t *move_record_json(const struct move_record *r)
{
    json_t *out = json_pack("{s:i, s:s, s:b, s:b, s:i}", "version", RECORD_VERSION, "state",
        move_state_name(r->state), "ambiguous", (int)r->is_ambiguous, "return", (int)r->is_return,
        "error_code", r->error_code);
    BUG_ON(!out);
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *at = (const char *)r + members[i].offset;
        json_t *value;
        if (members[i].type == MEMBER_TEXT) {
            value = text_json(at);
        } else {
            int64_t number; /* all number members are 64 bits, and none needs the last of them */
            memcpy(&number, at, sizeof(number));
            value = json_integer(number);
        }
        json_object_set_new(out, members[i].name, value);
    }
    json_object_set_new(out, "report", report_json(&r->report, REPORT_SHOWN_MAX));
    return out;
}

static int read_member(const struct member *m, const json_t *value, struct move_record *out)
{
    char *at = (char *)out + m->offset;
    if (m->type == MEMBER_TEXT) {
        const char *text = json_string_value(value);
        return text ? fmt_into(at, m->size, "%s", text) : -1;
    }
    if (!value && m->may_miss)
        return 0;
    if (!json_is_integer(value))
        return -1;
    int64_t number = json_integer_value(value);
    memcpy(at, &number, sizeof(number));
    return 0;
}

int move_record_from_json(const json_t *json, struct move_record *out)
{
    const char *state = json_string_value(json_object_get(json, "state"));
    *out = (struct move_record){0};
    if (json_integer_value(json_object_get(json, "version")) != RECORD_VERSION || !state ||
        move_state_parse(slice_str(state), &out->state) != 0)
        return -1;
    out->is_ambiguous = json_is_true(json_object_get(json, "ambiguous"));
    out->is_return = json_is_true(json_object_get(json, "return")); /* older ones have none */
    out->error_code = (int)json_integer_value(json_object_get(json, "error_code"));
    for (size_t i = 0; i < MEMBERS; i++) {
        if (read_member(&members[i], json_object_get(json, members[i].name), out) != 0)
            return -1;
    }
    const json_t *report = json_object_get(json, "report");
    return report ? report_from_json(report, &out->report) : 0; /* older ones have none */
}

void move_record_fini(struct move_record *r)
{
    report_fini(&r->report);
}

/* --- The file ---------------------------------------------------------------------------- */

static int record_path(const char *dir, struct buf *out, struct err *err)
{
    buf_init(out, PATH_LENGTH_MAX);
    if (io_path(out, dir, "cutover.json") != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", dir);
    return 0;
}

int move_record_load(const char *dir, struct move_record *out, struct err *err)
{
    struct buf path, text;
    struct stat st;
    int result = -1;
    *out = (struct move_record){0};
    buf_init(&text, FILE_MAX);
    if (record_path(dir, &path, err) != 0)
        goto done;
    if (stat(buf_cstr(&path), &st) != 0 && errno == ENOENT) {
        result = 0;
        goto done;
    }
    if (io_read_file(buf_cstr(&path), FILE_MAX, &text, err) != 0)
        goto done;
    json_t *json = json_loadb((const char *)buf_slice(&text).p, text.n, 0, NULL);
    result = move_record_from_json(json, out);
    json_decref(json);
    if (result != 0)
        err_set(err, ERR_BUG, EX_DATAERR, "%s is damaged", buf_cstr(&path));
done:
    buf_fini(&path);
    buf_fini(&text);
    return result;
}

int move_record_save(const char *dir, const struct move_record *r, struct err *err)
{
    struct buf path;
    json_t *json = move_record_json(r);
    char *text = json_dumps(json, JSON_INDENT(2));
    int result = -1;
    BUG_ON(!text);
    if (record_path(dir, &path, err) == 0)
        result = io_write_file_durable(buf_cstr(&path), slice_str(text), 0600, err);
    buf_fini(&path);
    free(text);
    json_decref(json);
    return result;
}

/* --- Folders ------------------------------------------------------------------------------- */

static int base_path(const struct conf *conf, struct buf *out, struct err *err)
{
    buf_init(out, PATH_LENGTH_MAX);
    if (io_path(out, conf->state, "sync") != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", conf->state);
    return 0;
}

int move_dir_lock(const char *path, struct move_dir *out, struct err *err)
{
    struct buf lock;
    int result = -1;
    *out = (struct move_dir){.lock_fd = -1};
    buf_init(&lock, PATH_LENGTH_MAX);
    if (io_path(&lock, path, "lock") != 0)
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", path);
    else
        result = io_lock_file(buf_cstr(&lock), &out->lock_fd, err);
    buf_fini(&lock);
    if (result == 0)
        out->path = mem_strdup(path);
    return result;
}

int move_dir_open(const struct conf *conf, const char *user, struct move_dir *out, struct err *err)
{
    struct buf base, path;
    *out = (struct move_dir){.lock_fd = -1};
    buf_init(&path, PATH_LENGTH_MAX);
    int result = base_path(conf, &base, err);
    if (result == 0)
        result = state_dir(buf_cstr(&base), user, "", &path, err);
    if (result == 0)
        result = io_mkdir(buf_cstr(&path), 0700, err);
    if (result == 0 && move_dir_lock(buf_cstr(&path), out, err) != 0)
        result = err_wrap(err, "%s is being worked on", user);
    buf_fini(&base);
    buf_fini(&path);
    return result;
}

void move_dir_close(struct move_dir *d)
{
    mem_free_string(&d->path);
    io_close(&d->lock_fd);
}

int move_record_each(
    const struct conf *conf, int (*each)(void *arg, const char *dir), void *arg, struct err *err)
{
    struct buf base, path;
    int result = 0;
    if (base_path(conf, &base, err) != 0) {
        buf_fini(&base);
        return -1;
    }
    DIR *dir = opendir(buf_cstr(&base));
    if (!dir && errno != ENOENT)
        result = err_sys(err, errno, "open %s", buf_cstr(&base));
    buf_init(&path, PATH_LENGTH_MAX);
    for (const struct dirent *e; dir && result == 0 && (e = readdir(dir)) != NULL;) {
        struct stat st;
        buf_clear(&path);
        if (e->d_name[0] == '.' ||
            io_path(&path, buf_cstr(&base), e->d_name, "cutover.json") != 0 ||
            stat(buf_cstr(&path), &st) != 0)
            continue;
        if (io_path(&path, buf_cstr(&base), e->d_name) == 0)
            result = each(arg, buf_cstr(&path));
    }
    if (dir)
        closedir(dir);
    buf_fini(&base);
    buf_fini(&path);
    return result;
}
