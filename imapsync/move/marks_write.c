/* SPDX-License-Identifier: ISC */
/*
 * marks_write: all marks anew: what the file had, what was learned since and an inventory, all of
 * them by key, become one file, a piece at a time.  It gets its name when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/journal/pack.h"
#include "imapsync/move/marks_parts.h"

struct marks_writer {
    int fd;
    struct sha256 *sha;
    struct buf out;
    struct marks_cursor cursor; /* in the counts of m */
    const struct marks *m;
    struct marks_count learned; /* the next of these */
    bool has_learned;
    struct marks_count filed; /* the next of the old file */
    bool has_filed;
    uint64_t next;                 /* entry of the old file */
    unsigned char old[MARKS_STEP]; /* a piece of it */
    size_t old_at, old_n;
    uint64_t key; /* of the inventory, and how many */
    uint32_t n_key;
    uint32_t n; /* written */
};

static int flush(struct marks_writer *w, struct err *err)
{
    sha256_add(w->sha, buf_slice(&w->out));
    int result = io_write_all(w->fd, buf_slice(&w->out), err);
    buf_clear(&w->out);
    return result;
}

static void next_learned(struct marks_writer *w)
{
    do
        w->has_learned = marks_counts_next(&w->m->counts, &w->cursor, &w->learned);
    while (w->has_learned && w->learned.ever == 0); /* only asked for */
}

static int next_filed(struct marks_store *s, struct err *err)
{
    struct marks_writer *w = s->writer;
    w->has_filed = w->next < s->n;
    if (!w->has_filed)
        return 0;
    if (w->old_at == w->old_n) {
        size_t piece = MARKS_STEP / MARKS_ENTRY_SIZE * MARKS_ENTRY_SIZE;
        if (marks_read_at(
                s->fd, s->at + w->next * MARKS_ENTRY_SIZE, w->old, piece, &w->old_n, err) != 0)
            return -1;
        w->old_at = 0;
        if (w->old_n < MARKS_ENTRY_SIZE)
            return err_set(err, ERR_TEMP, EX_IOERR, "the marks have become shorter");
    }
    w->filed = marks_entry_at(w->old + w->old_at);
    w->old_at += MARKS_ENTRY_SIZE;
    w->next++;
    return 0;
}

int marks_store_begin(struct marks_store *s, const struct marks *m, struct err *err)
{
    struct buf path;
    BUG_ON(s->writer != NULL);
    int result = marks_path(s, false, "", &path, err);
    if (result == 0)
        result = io_mkdir(buf_cstr(&path), 0700, err);
    buf_fini(&path);
    if (result != 0)
        return -1;
    struct marks_writer *w = s->writer = mem_zalloc(sizeof(*w));
    w->m = m;
    w->sha = sha256_new();
    w->fd = -1;
    buf_init(&w->out, MARKS_SIZE_MAX);
    struct buf folders;
    buf_init(&folders, MARKS_SIZE_MAX);
    marks_pack_folders(m, &folders);
    BUG_ON(buf_add(&w->out, slice_make(marks_magic, MARKS_MAGIC_SIZE)) != 0);
    pack_u8(&w->out, MARKS_VERSION);
    pack_u8(&w->out, m->is_anew);
    pack_u32(&w->out, (uint32_t)folders.n);
    BUG_ON(buf_add(&w->out, buf_slice(&folders)) != 0);
    buf_fini(&folders);
    next_learned(w);
    if (next_filed(s, err) != 0 ||
        marks_open_file(s, ".new", O_WRONLY | O_CREAT | O_TRUNC, &w->fd, err) != 0) {
        marks_store_abandon(s);
        return -1;
    }
    return 0;
}

void marks_store_abandon(struct marks_store *s)
{
    struct marks_writer *w = s->writer;
    if (!w)
        return;
    io_close(&w->fd);
    sha256_free(&w->sha);
    buf_fini(&w->out);
    free(w);
    s->writer = NULL;
}

static int put(struct marks_writer *w, uint64_t key, uint32_t ever, struct err *err)
{
    pack_u64(&w->out, key);
    pack_u32(&w->out, ever);
    w->n++;
    return w->out.n >= MARKS_STEP ? flush(w, err) : 0;
}

/* Everything up to the key; `least` of the key itself. */
static int put_up_to(struct marks_store *s, uint64_t key, uint32_t least, struct err *err)
{
    struct marks_writer *w = s->writer;
    bool has_key = false;
    while ((w->has_filed && w->filed.key <= key) || (w->has_learned && w->learned.key <= key)) {
        bool is_filed = w->has_filed && (!w->has_learned || w->filed.key <= w->learned.key);
        bool is_learned = w->has_learned && (!w->has_filed || w->learned.key <= w->filed.key);
        struct marks_count c = is_learned ? w->learned : w->filed;
        if (c.key == key) {
            has_key = true;
            c.ever = c.ever > least ? c.ever : least;
        }
        if (put(w, c.key, c.ever, err) != 0)
            return -1;
        if (is_learned)
            next_learned(w);
        if (is_filed && next_filed(s, err) != 0)
            return -1;
    }
    return has_key || least == 0 ? 0 : put(w, key, least, err);
}

int marks_store_add(struct marks_store *s, uint64_t key, struct err *err)
{
    struct marks_writer *w = s->writer;
    if (w->n_key > 0 && key != w->key) {
        BUG_ON(key < w->key);
        if (put_up_to(s, w->key, w->n_key, err) != 0)
            return -1;
        w->n_key = 0;
    }
    w->key = key;
    w->n_key++;
    return 0;
}

static int finish(struct marks_store *s, struct err *err)
{
    struct marks_writer *w = s->writer;
    unsigned char digest[SHA256_SIZE];
    struct buf aside, path;
    if (put_up_to(s, w->n_key > 0 ? w->key : 0, w->n_key, err) != 0 ||
        put_up_to(s, UINT64_MAX, 0, err) != 0)
        return -1;
    pack_u32(&w->out, w->n);
    if (flush(w, err) != 0)
        return -1;
    sha256_finish(w->sha, digest);
    if (io_write_all(w->fd, slice_make(digest, sizeof(digest)), err) != 0)
        return -1;
    if (fsync(w->fd) != 0)
        return err_sys(err, errno, "cannot sync the marks");
    int result = marks_path(s, true, ".new", &aside, err);
    if (marks_path(s, true, "", &path, err) != 0)
        result = -1;
    if (result == 0 && rename(buf_cstr(&aside), buf_cstr(&path)) != 0)
        result = err_sys(err, errno, "rename %s", buf_cstr(&aside));
    buf_fini(&aside);
    buf_fini(&path);
    return result == 0 ? marks_sync_folder(s, err) : -1;
}

/* Read again from the disk, which is what the next one will read. */
int marks_store_end(struct marks_store *s, struct marks *m, struct err *err)
{
    bool is_found = false;
    int result = finish(s, err);
    marks_store_abandon(s);
    if (result != 0)
        return err_wrap(err, "cannot write the marks");
    marks_fini(m);
    if (marks_store_open(s, m, &is_found, err) != 0)
        return -1;
    return is_found ? 0 : err_set(err, ERR_TEMP, EX_IOERR, "the marks are not what was written");
}
