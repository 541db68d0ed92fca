/* SPDX-License-Identifier: ISC */
/* disk_subscriptions: the file of subscriptions, as Dovecot has it. */
#include <sysexits.h>

#include "base/core/num.h"
#include "imapsync/ends/disk.h"

#define SUBSCRIPTIONS_MAX ((size_t)64 << 20)

/* Dovecot's second version has a header, tabs between levels, and tabs in names escaped. */
static const struct slice version_2 = {(const unsigned char *)"V\t2\n\n", 5};

static int read_names(const struct disk *m, const struct disk_subscriptions *s, struct buf *text,
    bool *is_2_out, struct err *err)
{
    int r = disk_small_read(m->fd, s->file, SUBSCRIPTIONS_MAX, text, NULL, err);
    *is_2_out = slice_starts(buf_slice(text), version_2);
    if (*is_2_out)
        buf_consume(text, version_2.n);
    return r < 0 ? -1 : 0;
}

/* As a name on the wire. */
static int name_of(
    const struct disk_subscriptions *s, struct slice line, bool is_2, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < line.n; i++) {
        if (buf_add_byte(
                out, is_2 && line.p[i] == '\t' ? (unsigned char)s->delimiter : line.p[i]) != 0)
            return -1;
    }
    return 0;
}

int disk_subscriptions_list(const struct disk *m, const struct disk_subscriptions *s,
    struct folder_list *l, struct err *err)
{
    struct buf text, name;
    struct slice rest, line;
    bool is_2;
    buf_init(&text, 2 * SUBSCRIPTIONS_MAX);
    buf_init(&name, FOLDER_NAME_MAX);
    int r = read_names(m, s, &text, &is_2, err);
    rest = buf_slice(&text);
    while (r == 0 && slice_split(&rest, '\n', &line)) {
        if (line.n == 0 || name_of(s, line, is_2, &name) != 0)
            continue;
        struct folder *f = folder_list_find(l, buf_slice(&name));
        if (f)
            f->attrs |= FOLDER_SUBSCRIBED;
    }
    buf_fini(&text);
    buf_fini(&name);
    return r;
}

static int change(const struct disk *m, const struct disk_subscriptions *s, struct slice name,
    bool on, struct err *err)
{
    struct buf text, one, out;
    struct slice rest, line;
    bool is_2, is_there = false;
    buf_init(&text, 2 * SUBSCRIPTIONS_MAX);
    buf_init(&out, 2 * SUBSCRIPTIONS_MAX);
    buf_init(&one, FOLDER_NAME_MAX);
    int r = read_names(m, s, &text, &is_2, err);
    if (r == 0 && is_2)
        r = buf_add(&out, version_2);
    rest = buf_slice(&text);
    while (r == 0 && slice_split(&rest, '\n', &line)) {
        bool is_it = line.n > 0 && name_of(s, line, is_2, &one) == 0 &&
                     folder_same_name(buf_slice(&one), name);
        is_there |= is_it;
        if (line.n > 0 && (on || !is_it))
            r = buf_add(&out, line) == 0 ? buf_add_byte(&out, '\n') : -1;
    }
    for (size_t i = 0; on && !is_there && r == 0 && i < name.n; i++)
        r = buf_add_byte(&out, is_2 && name.p[i] == s->delimiter ? '\t' : name.p[i]);
    if (on && !is_there && r == 0)
        r = buf_add_byte(&out, '\n');
    if (r == 0 && on != is_there)
        r = disk_small_write(m, m->fd, s->file, buf_slice(&out), err);
    buf_fini(&text);
    buf_fini(&out);
    buf_fini(&one);
    return r;
}

enum disk_step disk_subscriptions_change(
    struct disk *m, const struct disk_subscriptions *s, struct slice name, bool on, struct err *err)
{
    char lock[64];
    if (fmt_into(lock, sizeof(lock), "%s.lock", s->file) != 0)
        BUG("a short name");
    int locked = disk_lock(m, m->fd, lock, err);
    if (locked == 1)
        return DISK_AGAIN;
    int result = locked == 0 ? change(m, s, name, on, err) : -1;
    if (locked == 0)
        disk_unlock(m->fd, lock);
    if (result != 0)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return result == 0 ? DISK_DONE : DISK_NO;
}
