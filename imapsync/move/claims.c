/* SPDX-License-Identifier: ISC */
/*
 * claims: see claims.h.  A file for each identity, or UIDVALIDITY, of a server:
 *
 *     {"ann@example.org": {"mailbox": "ann@example.org", "is": {"id": "..."}}, ...}
 */
#include "imapsync/move/claims.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/os/io.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/copy/whose.h"

#define PATH_LENGTH_MAX 4096
#define FILE_MAX (16u << 20)
#define LOCK_POLL_MS 20
#define LOCK_WAIT_MS 30000

/* --- Files --------------------------------------------------------------------------------------
 */

static int path_of(const struct claim *c, const struct whose *w, struct buf *out, struct err *err)
{
    struct buf base, key;
    buf_init(&base, PATH_LENGTH_MAX);
    buf_init(&key, PATH_LENGTH_MAX);
    int result = io_path(&base, c->state, "mailboxes");
    if (result == 0)
        result = w->id[0] ? buf_addf(&key, "id %s", w->id)
                          : buf_addf(&key, "uidvalidity %u", (unsigned)w->uidvalidity);
    if (result != 0)
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", c->state);
    else
        result = state_dir(buf_cstr(&base), c->server, buf_cstr(&key), out, err);
    buf_fini(&base);
    buf_fini(&key);
    return result;
}

/* Few users meet in one file, and none of them for long. */
static int lock(const char *path, int *fd_out, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
    struct buf name;
    buf_init(&name, PATH_LENGTH_MAX);
    int result = buf_addf(&name, "%s.lock", path);
    if (result != 0)
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", path);
    while (result == 0 && (result = io_lock_file(buf_cstr(&name), fd_out, err)) != 0) {
        if (err->code != EX_TEMPFAIL || clock_mono_ms() >= until_ms)
            break;
        err_clear(err);
        result = 0;
        poll(NULL, 0, LOCK_POLL_MS);
    }
    buf_fini(&name);
    return result;
}

/* Nobody has claimed anything: an empty object.  NULL: an error. */
static json_t *load(const char *path, struct err *err)
{
    struct stat st;
    struct buf text;
    if (stat(path, &st) != 0)
        return json_object();
    buf_init(&text, FILE_MAX);
    json_t *json = NULL;
    if (io_read_file(path, FILE_MAX, &text, err) == 0) {
        json = json_loadb((const char *)buf_slice(&text).p, text.n, 0, NULL);
        if (!json_is_object(json)) {
            json_decref(json);
            json = NULL;
            err_set(err, ERR_BUG, EX_DATAERR, "%s is damaged: remove it", path);
        }
    }
    buf_fini(&text);
    return json;
}

static int save(const char *path, const json_t *claims, struct err *err)
{
    char *text = json_dumps(claims, JSON_INDENT(2));
    BUG_ON(!text);
    int result = io_write_file_durable(path, slice_str(text), 0600, err);
    free(text);
    return result;
}

/* --- Users --------------------------------------------------------------------------------------
 */

/* One whose folder was removed claims nothing. */
static bool is_user(const struct claim *c, const char *user)
{
    struct stat st;
    struct buf dir;
    struct err ignored = ERR_INIT;
    buf_init(&dir, PATH_LENGTH_MAX);
    bool is = state_dir(c->state, user, "", &dir, &ignored) != 0 || stat(buf_cstr(&dir), &st) == 0;
    buf_fini(&dir);
    return is;
}

/* By the rest of what they know, as these have the same key. */
static int check(const struct claim *c, const json_t *claims, struct end *e,
    const struct whose *now, struct err *err)
{
    const char *user;
    const json_t *claim;
    json_object_foreach((json_t *)(uintptr_t)claims, user, claim)
    {
        const char *mailbox = json_string_value(json_object_get(claim, "mailbox"));
        struct whose then;
        bool is_same;
        if (strcmp(user, c->user) == 0 || (mailbox && strcmp(mailbox, c->mailbox) == 0) ||
            whose_from_json(json_object_get(claim, "is"), &then) != 0 || !is_user(c, user))
            continue;
        if (whose_is(e, now, &then, &is_same, err) != 0)
            return -1;
        if (is_same)
            return err_set(err, ERR_PERM, EX_CONFIG,
                "%s: %s and %s are given the same mailbox there: one of them is only another name "
                "(make it an alias, or its deliver_as the other's), or the server does not let %s "
                "be acted for",
                c->server, c->user, user, c->user);
    }
    return 0;
}

int claim_take(const struct claim *c, struct end *e, struct err *err)
{
    struct whose now;
    struct buf path;
    int fd = -1;
    if (whose_look(e, &now, err) != 0)
        return -1;
    if (!whose_is_told(&now))
        return 0;
    buf_init(&path, PATH_LENGTH_MAX);
    int result = path_of(c, &now, &path, err);
    if (result == 0)
        result = lock(buf_cstr(&path), &fd, err);
    json_t *claims = result == 0 ? load(buf_cstr(&path), err) : NULL;
    if (!claims || check(c, claims, e, &now, err) != 0)
        result = -1;
    if (result == 0 &&
        json_object_set_new(claims, c->user,
            json_pack("{s:s, s:o}", "mailbox", c->mailbox, "is", whose_json(&now))) != 0)
        result = err_set(
            err, ERR_PERM, EX_DATAERR, "the name of %s or of its mailbox is no UTF-8", c->user);
    if (result == 0)
        result = save(buf_cstr(&path), claims, err);
    json_decref(claims);
    io_close(&fd);
    buf_fini(&path);
    return result;
}
