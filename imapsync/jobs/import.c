/* SPDX-License-Identifier: ISC */
/*
 * import: see import.h.  A kill between the commit and the last rename leaves files that the next
 * start finds again: a user who has a record in the store keeps that, and the file is set aside.
 */
#include "imapsync/jobs/import.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"

#define FILE_MAX (1u << 20)
#define PATH_LENGTH_MAX 4096
#define NAME "cutover.json"

struct found {
    char **v; /* paths that were taken over */
    size_t n;
};

static int read_record(const char *path, struct move_record *out, struct err *err)
{
    struct buf text;
    buf_init(&text, FILE_MAX);
    int result = io_read_file(path, FILE_MAX, &text, err);
    if (result == 0) {
        json_t *json = json_loadb((const char *)buf_slice(&text).p, text.n, 0, NULL);
        result = json ? move_record_from_json(json, out) : -1;
        json_decref(json);
        if (result != 0)
            err_set(err, ERR_BUG, EX_DATAERR, "%s is damaged", path);
    }
    buf_fini(&text);
    return result;
}

static int take_over(struct users *s, const char *path, struct found *f, struct err *err)
{
    struct move_record r = {0}, known = {0};
    struct err why = ERR_INIT;
    int result = 0;
    if (read_record(path, &r, &why) != 0) {
        log_error("record_damaged", log_err(&why));
        move_record_fini(&r);
        return 0;
    }
    if (r.state != MOVE_NONE)
        result = users_load(s, r.user, &known, err);
    if (result == 0 && r.state != MOVE_NONE && known.state == MOVE_NONE)
        result = users_save(s, &r, err);
    if (result == 0) {
        f->v = mem_realloc_array(f->v, f->n + 1, sizeof(*f->v));
        f->v[f->n++] = mem_strdup(path);
    }
    move_record_fini(&known);
    move_record_fini(&r);
    return result;
}

static void set_aside(const struct found *f)
{
    struct buf to;
    buf_init(&to, PATH_LENGTH_MAX);
    for (size_t i = 0; i < f->n; i++) {
        buf_clear(&to);
        if (buf_addf(&to, "%s.imported", f->v[i]) != 0 || rename(f->v[i], buf_cstr(&to)) != 0)
            log_warn("record_not_set_aside", log_str("path", f->v[i]));
    }
    buf_fini(&to);
}

static int all(struct users *s, const char *base, struct found *f, struct err *err)
{
    struct buf path;
    int result = 0;
    DIR *dir = opendir(base);
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(err, errno, "open %s", base);
    buf_init(&path, PATH_LENGTH_MAX);
    for (const struct dirent *e; result == 0 && (e = readdir(dir)) != NULL;) {
        buf_clear(&path);
        if (e->d_name[0] != '.' && io_path(&path, base, e->d_name, NAME) == 0 &&
            access(buf_cstr(&path), F_OK) == 0)
            result = take_over(s, buf_cstr(&path), f, err);
    }
    closedir(dir);
    buf_fini(&path);
    return result;
}

int import_records(struct users *s, const char *base, struct err *err)
{
    struct found f = {0};
    int result = users_begin(s, err);
    if (result == 0)
        result = all(s, base, &f, err);
    if (result == 0)
        result = users_commit(s, err);
    if (result == 0 && f.n > 0) {
        set_aside(&f);
        log_info("records_imported", log_u64("users", f.n));
    }
    for (size_t i = 0; i < f.n; i++)
        free(f.v[i]);
    free(f.v);
    return result;
}
