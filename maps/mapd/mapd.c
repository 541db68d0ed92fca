/* SPDX-License-Identifier: ISC */
/*
 * mapd: the order of a start.
 *
 *     privileges, lock and recovery, note of a reboot, publication of the whole map, socket, store
 *     thread, ready
 *
 * Look-ups go on from the last snapshot until the new one is there, and nobody can connect before
 * it is.  The lock may be held for a moment by a maptool that works without a mapd; another mapd is
 * told apart by its socket, on which it answers.
 */
#include "maps/mapd/mapd.h"

#include <signal.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/os/daemon.h"
#include "base/os/io.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "maps/access.h"
#include "maps/boot.h"
#include "maps/client.h"
#include "maps/mapd/reboot.h"
#include "maps/mapd/server.h"
#include "maps/store/publish.h"
#include "maps/store/store.h"

#define SOCKET_MODE 0660
#define PATH_BYTES_MAX 4096
#define LOCK_POLL_MS 50

struct mapd {
    const char *conf_path;
    struct loop *loop;
    struct server *server;
    struct store *store;
    struct publish *publish;
    struct buf socket_path;
    struct err lost;
    struct loop_signal *on_term, *on_int, *on_hup;
};

static bool somebody_answers(const struct conf *conf)
{
    struct err ignored = ERR_INIT;
    struct client *c = NULL;
    int rc = client_open(conf->run, LOCK_POLL_MS, &c, &ignored);
    client_close(&c);
    return rc == 0;
}

static int open_store(const struct conf *conf, struct store **out, struct err *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
    uint64_t until_ms = clock_mono_ms() + MAPD_LOCK_WAIT_MS;

    while (store_open(conf->state, conf->mapd.cache_size, out, err) != 0) {
        if (err->code != EX_TEMPFAIL)
            return -1;
        if (somebody_answers(conf))
            return err_wrap(err, "another coexist-mapd runs");
        if (clock_mono_ms() > until_ms)
            return err_wrap(err, "another coexist-mapd or maptool runs");
        err_clear(err);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int listen_control(struct mapd *m, const struct conf *conf, int *fd_out, struct err *err)
{
    if (io_path(&m->socket_path, conf->run, "mapd.sock") != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s/mapd.sock is too long", conf->run);
    struct net_endpoint where = {
        .scheme = NET_SCHEME_UNIX, .host = (char *)(uintptr_t)buf_cstr(&m->socket_path)};
    return sock_listen(&where, false, SOCKET_MODE, fd_out, err);
}

static void on_lost(void *arg, const struct err *err)
{
    struct mapd *m = arg;
    m->lost = *err;
    loop_stop(m->loop);
}

/* --- Signals ------------------------------------------------------------------------- */

static void stop(void *arg, int signum ATTR_UNUSED)
{
    struct mapd *m = arg;
    daemon_notify("STOPPING=1");
    loop_stop(m->loop);
}

static void reload(void *arg, int signum ATTR_UNUSED)
{
    struct mapd *m = arg;
    struct err err = ERR_INIT;
    struct conf *conf = NULL;

    daemon_notify("RELOADING=1");
    if (conf_load(m->conf_path, &conf, &err) == 0 && server_reload_own(m->server, conf, &err) == 0)
        return;
    log_error("reload_failed", log_err(&err));
    daemon_notify("READY=1");
}

/* --- Run -------------------------------------------------------------------------------- */

static int start_own(struct mapd *m, struct conf *conf, struct err *err)
{
    int listen_fd = -1;
    char boot[BOOT_ID_SIZE];

    if (access_become_mapd(conf, false, err) != 0 || open_store(conf, &m->store, err) != 0 ||
        publish_open(conf->run, m->store, &m->publish, err) != 0 || boot_id(boot, err) != 0 ||
        reboot_note(m->store, conf->state, conf->run, boot, err) != 0 ||
        publish_stage(m->publish, NULL, err) != 0) {
        conf_free(&conf);
        return -1;
    }
    publish_staged(m->publish);
    if (listen_control(m, conf, &listen_fd, err) != 0) {
        conf_free(&conf);
        return -1;
    }
    log_info("map_open", log_str("map_id", store_map_id(m->store)),
        log_u64("generation", store_generation(m->store)),
        log_u64("keys", store_live_count(m->store)));
    const struct server_socket socket = {
        .fd = listen_fd, .path = buf_cstr(&m->socket_path), .lost = on_lost, .arg = m};
    return server_new_own(m->loop, conf, m->store, m->publish, &socket, &m->server, err);
}

int mapd_run_own(const char *conf_path, struct conf *conf, struct err *err)
{
    struct mapd m = {.conf_path = conf_path};

    buf_init(&m.socket_path, PATH_BYTES_MAX);
    daemon_setup();
    m.loop = loop_new();
    m.on_term = loop_signal_new(m.loop, SIGTERM, stop, &m);
    m.on_int = loop_signal_new(m.loop, SIGINT, stop, &m);
    m.on_hup = loop_signal_new(m.loop, SIGHUP, reload, &m);
    int rc = start_own(&m, conf, err);
    if (rc == 0) {
        daemon_ready();
        loop_run(m.loop);
        if (m.lost.class != ERR_NONE) {
            *err = m.lost;
            rc = -1;
        }
    }
    loop_signal_free(&m.on_term);
    loop_signal_free(&m.on_int);
    loop_signal_free(&m.on_hup);
    if (m.server && m.lost.class == ERR_NONE)
        unlink(buf_cstr(&m.socket_path));
    server_free(&m.server);
    loop_free(&m.loop);
    publish_close(&m.publish);
    store_close(&m.store);
    buf_fini(&m.socket_path);
    if (rc == 0)
        log_info("stopped");
    return rc;
}
