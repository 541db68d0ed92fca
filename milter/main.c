/* SPDX-License-Identifier: ISC */
/*
 * coexist-milter: judges recipients and messages for Postfix and Sendmail.
 *
 * Signals are open in the main thread alone.  Their handlers write a byte to a pipe, and the main
 * thread does what the byte means: reload, or drain and stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif
#include "base/core/clock.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/program.h"
#include "base/os/daemon.h"
#include "maps/access.h"
#include "milter/libmilter.h"
#include "milter/live.h"
#include "milter/serve.h"

static const struct program program = {
    .name = "coexist-milter",
    .purpose = "judges recipients for Postfix and Sendmail, stops loops (milter protocol)",
};

static int wake_pipe[2] = {-1, -1}; /* set before the handlers are */

static void on_signal(int signum)
{
    int saved = errno;
    ssize_t n = write(wake_pipe[1], signum == SIGHUP ? "h" : "t", 1);

    (void)n; /* A full pipe holds enough to wake up. */
    errno = saved;
}

static int prepare_signals(sigset_t *ours, struct err *err)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_sys(err, errno, "pipe");
    sigemptyset(ours);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaddset(ours, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    return 0;
}

/* The next reason to wake up, or 0 when the deadline (0: none) has passed. */
static char wait_for_reason(uint64_t deadline_ms)
{
    struct pollfd fd = {.fd = wake_pipe[0], .events = POLLIN};

    for (;;) {
        uint64_t now = clock_mono_ms();
        char reason;

        if (read(wake_pipe[0], &reason, 1) == 1)
            return reason;
        if (deadline_ms > 0 && now >= deadline_ms)
            return 0;
        (void)poll(&fd, 1,
            deadline_ms == 0 ? -1 : (int)(deadline_ms - now < 60000 ? deadline_ms - now : 60000));
    }
}

static void reload(const char *conf_path)
{
    struct err err = ERR_INIT;
    struct conf *conf = NULL;
    struct live *fresh = NULL, *old = milter_live_get();

    daemon_notify("RELOADING=1");
    if (conf_load(conf_path, &conf, &err) != 0 || milter_live_new_own(conf, &fresh, &err) != 0) {
        log_error("reload_failed", log_err(&err), log_str("kept", "the configuration before"));
    } else {
        if (conf_needs_restart(old->conf, &old->conf->milter.listen, conf, &conf->milter.listen))
            log_warn("reload_partial",
                log_str("reason", "run and milter.listen change only with a restart"));
        milter_live_publish_own(fresh);
        log_info("reloaded");
    }
    milter_live_put(&old);
    daemon_notify("READY=1");
}

/* Waits for the messages in progress; a second SIGTERM ends the wait. */
static void drain(uint64_t timeout_ms)
{
    uint64_t deadline_ms = clock_mono_ms() + timeout_ms;
    char reason = 'i';

    daemon_notify("STOPPING=1");
    serve_drain();
    log_info("draining", log_u64("messages", libmilter_messages()));
    while (libmilter_messages() > 0 && reason != 0 && reason != 't' && reason != 'e')
        reason = wait_for_reason(deadline_ms);
    log_info("stopped", log_u64("cut_off", libmilter_messages()));
}

static int serve(const struct program_args *args, struct conf *conf)
{
    struct err err = ERR_INIT;
    struct live *live = NULL;
    uint64_t drain_ms;
    sigset_t ours;
    char reason;

    daemon_setup();
    /* First: root makes nothing in a folder of somebody else's, and reads the key as a reload will.
     */
    if (access_become(conf, conf->milter.user, &err) != 0) {
        conf_free(&conf);
        return program_fail(&program, &err);
    }
    if (milter_live_new_own(conf, &live, &err) != 0 || prepare_signals(&ours, &err) != 0 ||
        serve_open(conf, wake_pipe[1], &err) != 0) {
        milter_live_put(&live);
        return program_fail(&program, &err);
    }
    milter_live_publish_own(live);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    if (serve_start(&err) != 0)
        return program_fail(&program, &err);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    daemon_ready();

    while ((reason = wait_for_reason(0)) == 'h' || reason == 'i')
        if (reason == 'h')
            reload(args->conf_path);
    if (reason != 'e') {
        live = milter_live_get();
        drain_ms = live->conf->milter.drain_timeout_ms;
        milter_live_put(&live);
        drain(drain_ms);
    }
    /* Threads of libmilter may be working: what exit() takes apart, they use.  Log lines leave
     * with a write(2) each, so nothing is left to flush. */
#ifdef __SANITIZE_ADDRESS__
    __lsan_do_leak_check();
#endif
    _exit(reason == 'e' ? EX_SOFTWARE : EX_OK);
}

int main(int argc, char **argv)
{
    struct program_args args;
    struct conf *conf = NULL;
    int status = program_args(&program, argc, argv, &args);

    if (status < 0)
        status = program_conf(&program, &args, &conf);
    if (status < 0)
        status = serve(&args, conf);
    else
        conf_free(&conf);
    return status;
}
