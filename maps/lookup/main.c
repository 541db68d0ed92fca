/* SPDX-License-Identifier: ISC */
/*
 * coexist-lookup: answers of the map for mail servers that route by themselves.  It only reads the
 * snapshot, so it keeps answering while coexist-mapd restarts, and may be restarted itself at any
 * time: the mail server then says 4xx for a moment.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/program.h"
#include "base/os/daemon.h"
#include "base/os/loop.h"
#include "maps/access.h"
#include "maps/lookup/server.h"

static const struct program program = {
    .name = "coexist-lookup",
    .purpose = "answers route and recipient look-ups of mail servers (socket map)",
};

struct lookup {
    struct program_args args;
    struct conf *conf;
    struct loop *loop;
    struct lookup_server *server;
};

static void reload(struct lookup *l)
{
    struct err err = ERR_INIT;
    struct conf *fresh = NULL;

    daemon_notify("RELOADING=1");
    if (conf_load(l->args.conf_path, &fresh, &err) != 0) {
        log_error("reload_failed", log_err(&err), log_str("kept", "the configuration before"));
    } else {
        if (conf_needs_restart(
                l->conf, &l->conf->lookup.socketmap, fresh, &fresh->lookup.socketmap))
            log_warn("reload_partial",
                log_str("reason", "run and lookup.socketmap change only with a restart"));
        lookup_server_set_conf(l->server, fresh);
        conf_free(&l->conf);
        l->conf = fresh;
        log_info("reloaded");
    }
    daemon_ready();
}

static void on_signal(void *arg, int signum)
{
    struct lookup *l = arg;

    if (signum == SIGHUP)
        reload(l);
    else
        loop_stop(l->loop);
}

static int serve(struct lookup *l)
{
    struct err err = ERR_INIT;
    struct loop_signal *signals[3] = {NULL};
    int status = EX_OK;

    daemon_setup();
    l->loop = loop_new();
    signals[0] = loop_signal_new(l->loop, SIGTERM, on_signal, l);
    signals[1] = loop_signal_new(l->loop, SIGINT, on_signal, l);
    signals[2] = loop_signal_new(l->loop, SIGHUP, on_signal, l);
    /* First: root makes no socket in a folder of somebody else's. */
    if (access_become(l->conf, l->conf->lookup.user, &err) != 0 ||
        lookup_server_new(l->loop, l->conf, &l->server, &err) != 0) {
        status = program_fail(&program, &err);
    } else {
        daemon_ready();
        loop_run(l->loop);
        daemon_notify("STOPPING=1");
        log_info("stopped");
    }
    lookup_server_free(&l->server);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        loop_signal_free(&signals[i]);
    loop_free(&l->loop);
    return status;
}

int main(int argc, char **argv)
{
    struct lookup l = {0};
    int status = program_args(&program, argc, argv, &l.args);

    if (status < 0)
        status = program_conf(&program, &l.args, &l.conf);
    if (status < 0)
        status = serve(&l);
    conf_free(&l.conf);
    return status;
}
