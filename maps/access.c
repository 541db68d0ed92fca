/* SPDX-License-Identifier: ISC */
/*
 * access: see access.h.
 *
 * STATE belongs to root, and each program has a folder of its own in it: so root may make these
 * folders, and no program can replace another one's.  A STATE that belongs to mapd's user is left
 * as it is.  RUN belongs to mapd's user and is closed to all but one group, in which mapd's user
 * has its primary group while it runs, so that all that it makes there can be read by that group.
 */
#include "maps/access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/daemon.h"
#include "base/os/io.h"

#define RUN_MODE 0750
#define STATE_MODE 0755
#define PRIVATE_MODE 0700
#define PATH_BYTES_MAX 4096

/* False: there is no such group, all programs are one user. */
static int find_group(const struct conf *conf, bool *has_out, gid_t *out, struct err *err)
{
    struct user mapd;

    *has_out = conf->group != NULL || conf->mapd.user != NULL;
    if (conf->group != NULL)
        return user_find_group(conf->group, out, err) == 0 ? 0 : err_wrap(err, "group");
    if (conf->mapd.user == NULL)
        return 0;
    if (user_find(conf->mapd.user, &mapd, err) != 0)
        return err_wrap(err, "mapd.user");
    *out = mapd.gid;
    user_fini(&mapd);
    return 0;
}

int access_become(const struct conf *conf, const char *user, struct err *err)
{
    struct user u;
    gid_t group = 0;
    bool has_group;
    int rc;

    if (user == NULL || geteuid() != 0)
        return 0;
    if (find_group(conf, &has_group, &group, err) != 0 || user_find(user, &u, err) != 0)
        return -1;
    if (has_group)
        user_add_group(&u, group);
    rc = daemon_become(&u, err);
    user_fini(&u);
    return rc;
}

/* The folder of a program in STATE. */
static int prepare_state(
    const struct conf *conf, const char *name, bool makes_it, const struct user *u, struct err *err)
{
    struct buf path;
    struct stat st;
    int rc = -1;

    buf_init(&path, PATH_BYTES_MAX);
    if (lstat(conf->state, &st) != 0) {
        if (errno != ENOENT) {
            err_sys(err, errno, "stat %s", conf->state);
            goto done;
        }
        if (!makes_it)
            rc = 0;
        if (!makes_it || daemon_prepare_dir(conf->state, STATE_MODE, 0, 0, err) != 0)
            goto done;
        st.st_uid = 0;
    }
    if (st.st_uid == u->uid && u->uid != 0)
        rc = 0;
    else if (io_path(&path, conf->state, name) != 0)
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s/%s is too long", conf->state, name);
    else if (!makes_it && access(buf_cstr(&path), F_OK) != 0)
        rc = 0;
    else
        rc = daemon_prepare_dir(buf_cstr(&path), PRIVATE_MODE, u->uid, u->gid, err);
done:
    buf_fini(&path);
    return rc;
}

/* What mapd writes besides: only where there is a map. */
static int prepare_beside_map(const struct conf *conf, const struct user *u, struct err *err)
{
    struct buf path;
    int rc = 0;

    buf_init(&path, PATH_BYTES_MAX);
    if (io_path(&path, conf->state, "map") == 0 && access(buf_cstr(&path), F_OK) == 0)
        rc = prepare_state(conf, "emergency", true, u, err) != 0
                 ? -1
                 : prepare_state(conf, "backup", true, u, err);
    buf_fini(&path);
    return rc;
}

/* A user that this host does not have runs no program here.  One of whom nobody can tell is another
 * matter: what would be left out for him is left out until the next start. */
static int find_if_there(
    const char *setting, const char *name, struct user *out, bool *is_there_out, struct err *err)
{
    struct err why = ERR_INIT;

    *is_there_out = name != NULL && user_find(name, out, &why) == 0;
    if (*is_there_out || name == NULL)
        return 0;
    if (why.code == EX_NOUSER)
        return 0;
    *err = why;
    return err_wrap(err, "%s", setting);
}

/* A relay that is not on this host makes no claims here. */
static int join_relay(const struct conf *conf, struct user *u, struct err *err)
{
    struct user relay;
    bool is_there;

    if (find_if_there("relay.user", conf->relay.user, &relay, &is_there, err) != 0)
        return -1;
    if (is_there) {
        user_add_group(u, relay.gid);
        user_fini(&relay);
    } else if (conf->relay.user != NULL) {
        log_warn(
            "user_unknown", log_str("setting", "relay.user"), log_str("user", conf->relay.user));
    }
    return 0;
}

int access_become_mapd(const struct conf *conf, bool makes_map, struct err *err)
{
    struct user u = {0};
    gid_t group = 0;
    bool has_group;
    int rc = -1;

    if (geteuid() != 0)
        return 0;
    if (find_group(conf, &has_group, &group, err) != 0)
        return -1;
    if (!has_group)
        return 0;
    if (user_find(conf->mapd.user != NULL ? conf->mapd.user : "0", &u, err) != 0)
        return err_wrap(err, "mapd.user");
    user_add_group(&u, group);
    u.gid = group;
    if (join_relay(conf, &u, err) == 0 && prepare_state(conf, "map", makes_map, &u, err) == 0 &&
        prepare_beside_map(conf, &u, err) == 0 &&
        daemon_prepare_dir(conf->run, RUN_MODE, u.uid, group, err) == 0)
        rc = daemon_become(&u, err);
    user_fini(&u);
    return rc;
}

int access_become_sync(const struct conf *conf, struct err *err)
{
    struct user u;
    int rc;

    if (conf->sync.user == NULL || geteuid() != 0)
        return 0;
    if (user_find(conf->sync.user, &u, err) != 0)
        return err_wrap(err, "sync.user");
    rc = prepare_state(conf, "sync", true, &u, err);
    user_fini(&u);
    return rc == 0 ? access_become(conf, conf->sync.user, err) : -1;
}

int access_sync_socket(const struct conf *conf, struct buf *out, struct err *err)
{
    int rc = conf->sync.user == NULL ? io_path(out, conf->run, "sync.sock")
                                     : io_path(out, conf->state, "sync", "run.sock");

    return rc == 0 ? 0 : err_set(err, ERR_PERM, EX_CONFIG, "the path of sync.sock is too long");
}

/* --- Who may change the map ------------------------------------------------------------ */

static void add_writer(struct access_writers *w, uid_t uid)
{
    if (access_writer(w, uid) != NULL)
        return;
    w->v = mem_realloc_array(w->v, w->n + 1, sizeof(*w->v));
    w->v[w->n].uid = uid;
    user_name(uid, w->v[w->n].name);
    w->n++;
}

static int add_named(
    struct access_writers *w, const char *setting, const char *name, struct err *err)
{
    struct user u;

    if (user_find(name, &u, err) != 0)
        return err_wrap(err, "%s", setting);
    add_writer(w, u.uid);
    user_fini(&u);
    return 0;
}

/* The configuration was compared by the names in it; this is about who they are. */
static int add_consumer(
    struct access_writers *w, const char *setting, const char *name, struct err *err)
{
    struct user u;
    bool is_there;
    uid_t uid;

    if (find_if_there(setting, name, &u, &is_there, err) != 0)
        return -1;
    if (!is_there)
        return 0;
    uid = u.uid;
    user_fini(&u);
    if (uid == 0)
        return 0;
    if (access_writer(w, uid) == NULL) {
        w->consumers[w->n_consumers++] = uid;
        return 0;
    }
    return err_set(err, ERR_PERM, EX_CONFIG,
        "%s: user %s may change the map, and a program that serves others may not: give it a user "
        "of its own",
        setting, name);
}

int access_writers_load(const struct conf *conf, struct access_writers *out, struct err *err)
{
    struct access_writers w = {0};
    int rc = 0;

    add_writer(&w, 0);
    add_writer(&w, geteuid());
    if (conf->sync.user != NULL)
        rc = add_named(&w, "sync.user", conf->sync.user, err);
    for (size_t i = 0; i < conf->mapd.writers.n && rc == 0; i++)
        rc = add_named(&w, "mapd.writers", conf->mapd.writers.v[i], err);
    if (rc == 0)
        rc = add_consumer(&w, "relay.user", conf->relay.user, err);
    if (rc == 0)
        rc = add_consumer(&w, "milter.user", conf->milter.user, err);
    if (rc == 0)
        rc = add_consumer(&w, "lookup.user", conf->lookup.user, err);
    if (rc == 0)
        *out = w;
    else
        access_writers_fini(&w);
    return rc;
}

const struct access_writer *access_writer(const struct access_writers *w, uid_t uid)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].uid == uid)
            return &w->v[i];
    return NULL;
}

bool access_is_consumer(const struct access_writers *w, uid_t uid)
{
    for (size_t i = 0; i < w->n_consumers; i++)
        if (w->consumers[i] == uid)
            return true;
    return false;
}

#define LOGIN_MAX 16

/* False: nobody signed in, such as for a service, or the kernel does not say. */
static bool read_login(const char *path, uid_t *out)
{
    struct err ignored = ERR_INIT;
    struct slice rest, line;
    struct buf text;
    uint64_t login;

    buf_init(&text, LOGIN_MAX);
    bool is_there = io_read_file(path, LOGIN_MAX, &text, &ignored) == 0;
    rest = buf_slice(&text);
    is_there = is_there && slice_split(&rest, '\n', &line) &&
               num_u64(line, 0, UINT32_MAX - 1, &login) == 0;
    buf_fini(&text);
    if (is_there)
        *out = (uid_t)login;
    return is_there;
}

void access_who_from(const char *loginuid_path, uid_t uid, const char *name, char *out, size_t size)
{
    uid_t login;

    if (read_login(loginuid_path, &login) && login != uid &&
        fmt_into(out, size, "%s (login uid%lu)", name, (unsigned long)login) == 0)
        return;
    if (fmt_into(out, size, "%s", name) != 0 &&
        fmt_into(out, size, "uid%lu", (unsigned long)uid) != 0)
        BUG("a number fits");
}

void access_who(pid_t pid, uid_t uid, const char *name, char *out, size_t size)
{
    char path[64];

    if (fmt_into(path, sizeof path, "/proc/%ld/loginuid", (long)pid) != 0)
        BUG("a number fits");
    access_who_from(path, uid, name, out, size);
}

void access_writers_fini(struct access_writers *w)
{
    free(w->v);
    *w = (struct access_writers){0};
}
