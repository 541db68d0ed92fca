/* SPDX-License-Identifier: ISC */
/* record: see record.h.  One table of members for all ways of writing and reading it. */
#include "imapsync/move/record.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/journal/pack.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/journal/text.h"

#define RECORD_VERSION 1
#define PACK_VERSION 1
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

/* --- As octets ---------------------------------------------------------------------------- */

/* The table only grows at its end: a shorter record is one of before, whose last members are zero.
 */
void move_record_pack(struct buf *out, const struct move_record *r)
{
    json_t *report = report_json(&r->report, REPORT_SHOWN_MAX);
    char *text = json_dumps(report, JSON_COMPACT);
    BUG_ON(!text);
    buf_clear(out);
    pack_u8(out, PACK_VERSION);
    pack_u8(out, (uint8_t)r->state);
    pack_u8(out, (uint8_t)(r->is_ambiguous | r->is_return << 1));
    pack_u32(out, (uint32_t)r->error_code);
    pack_bytes(out, slice_str(text));
    pack_u8(out, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *at = (const char *)r + members[i].offset;
        uint64_t number;
        if (members[i].type == MEMBER_TEXT) {
            pack_bytes(out, slice_str(at));
        } else {
            memcpy(&number, at, sizeof(number));
            pack_u64(out, number);
        }
    }
    free(text);
    json_decref(report);
}

static bool unpack_member(struct slice *s, const struct member *m, struct move_record *out)
{
    char *at = (char *)out + m->offset;
    struct slice text;
    uint64_t number;
    if (m->type == MEMBER_TEXT) {
        if (!unpack_bytes(s, &text) || text.n >= m->size || slice_find(text, '\0') >= 0)
            return false;
        memcpy(at, text.p, text.n);
        return true;
    }
    if (!unpack_u64(s, &number))
        return false;
    memcpy(at, &number, sizeof(number));
    return true;
}

static bool unpack_report(struct slice text, struct report *out)
{
    json_t *json = json_loadb((const char *)text.p, text.n, 0, NULL);
    bool is_good = json && report_from_json(json, out) == 0;
    json_decref(json);
    return is_good;
}

bool move_record_unpack(struct slice s, bool with_report, struct move_record *out)
{
    uint8_t version, state, bits, n;
    uint32_t code;
    struct slice report;
    *out = (struct move_record){0};
    if (!unpack_u8(&s, &version) || version != PACK_VERSION || !unpack_u8(&s, &state) ||
        state >= MOVE_STATES || !unpack_u8(&s, &bits) || bits > 3 || !unpack_u32(&s, &code) ||
        code > UINT8_MAX || !unpack_bytes(&s, &report) || !unpack_u8(&s, &n) || n > MEMBERS)
        return false;
    out->state = (enum move_state)state;
    out->is_ambiguous = bits & 1;
    out->is_return = bits >> 1;
    out->error_code = (int)code;
    for (size_t i = 0; i < n; i++) {
        if (!unpack_member(&s, &members[i], out))
            return false;
    }
    return s.n == 0 && (!with_report || unpack_report(report, &out->report));
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
