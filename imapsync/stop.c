/* SPDX-License-Identifier: ISC */
/* stop: see stop.h. */
#include "imapsync/stop.h"

#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>

static volatile sig_atomic_t is_wanted;
static int fd = -1;

static void on_signal(int signum)
{
    (void)signum;
    is_wanted = 1;
    (void)eventfd_write(fd, 1);
}

void stop_catch(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&stop.sa_mask);
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

bool stop_is_wanted(void)
{
    return is_wanted;
}

int stop_fd(void)
{
    return fd;
}
