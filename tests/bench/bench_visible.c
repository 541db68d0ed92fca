/* SPDX-License-Identifier: ISC */
/*
 * bench_visible: when another process sees a change of the map.
 *
 *     bench_visible RUN_DIR KEY [CHANGES]     default 2000
 *
 * A coexist-mapd must be running in RUN_DIR, and KEY be an active entry of its map.  This process
 * holds and releases the key; a second one looks it up all the time and notes when it last saw the
 * old epoch and first saw the new one.  Prints p50, p99 and the longest, in microseconds, of
 *
 *     reply_to_old       from the client's reply to the last look-up that began and saw the old
 * value reply_to_visible   from the reply to the first look-up that ended and saw the new value
 *     request_to_visible from the request to the same
 *
 * The change became visible between the first two, which are 0 when it was before the reply.  On a
 * busy machine the looking process waits for its turn: that raises the second, not the first.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "maps/client.h"
#include "maps/snapshot.h"

#define HOLD_MS 20000
#define TIMEOUT_MS 10000

/* What the looking process saw last: the times are stored before the epoch. */
struct seen {
    _Atomic uint64_t epoch, old_ns, at_ns;
};

static void look_for_ever(const char *run_dir, struct slice key, struct seen *seen)
{
    struct snapshot *s = snapshot_new(run_dir);
    struct route_store store;
    struct route_entry e;
    uint64_t last = 0, old_ns = 0;
    while (getppid() != 1) {
        for (int i = 0; i < 1000; i++) {
            uint64_t start_ns = clock_mono_ns();
            if (snapshot_get(s, key, &store, &e) == ROUTE_UNKNOWN || e.epoch == last) {
                old_ns = start_ns;
                continue;
            }
            last = e.epoch;
            atomic_store(&seen->old_ns, old_ns);
            atomic_store(&seen->at_ns, clock_mono_ns());
            atomic_store(&seen->epoch, last);
        }
    }
    _exit(0);
}

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "bench_visible: %s: %s\n", what, err->text);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *name, uint64_t *ns, size_t n)
{
    mem_sort(ns, n, sizeof *ns, compare);
    printf("%s changes=%zu p50_us=%.1f p99_us=%.1f max_us=%.1f\n", name, n,
        (double)ns[n / 2] / 1000, (double)ns[n * 99 / 100] / 1000, (double)ns[n - 1] / 1000);
}

/* One change by the client; gives its epoch. */
static uint64_t change(struct client *c, const char *key, uint64_t *held, struct err *err)
{
    char id[CLIENT_REQUEST_ID_MAX];
    uint64_t epoch = 0;
    client_request_id(id);
    if (*held == 0) {
        if (client_hold(c, key, "bench", id, HOLD_MS, "bench", &epoch, err) != 0)
            die("hold", err);
        *held = epoch;
        return epoch;
    }
    if (client_release(c, key, *held, id, "bench", err) != 0)
        die("release", err);
    epoch = *held + 1; /* at least: nobody else changes this entry */
    *held = 0;
    return epoch;
}

int main(int argc, char **argv)
{
    uint64_t n = 2000, held = 0;
    struct err err = ERR_INIT;
    struct client *c = NULL;
    if (argc < 3 || argc > 4 || (argc == 4 && num_u64(slice_str(argv[3]), 10, 10000000, &n) != 0)) {
        fprintf(stderr, "usage: bench_visible RUN_DIR KEY [CHANGES]\n");
        return 64;
    }
    struct seen *seen =
        mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        return 71;
    struct snapshot *here = snapshot_new(argv[1]);
    if (*snapshot_trouble(here) != '\0') {
        fprintf(stderr, "bench_visible: %s\n", snapshot_trouble(here));
        return 69;
    }
    snapshot_free(&here);
    pid_t child = fork();
    if (child < 0)
        return 71;
    if (child == 0)
        look_for_ever(argv[1], slice_str(argv[2]), seen);
    if (client_open(argv[1], TIMEOUT_MS, &c, &err) != 0)
        die("open", &err);

    uint64_t *old = mem_realloc_array(NULL, n, sizeof *old);
    uint64_t *after_reply = mem_realloc_array(NULL, n, sizeof *after_reply);
    uint64_t *after_request = mem_realloc_array(NULL, n, sizeof *after_request);
    while (atomic_load(&seen->epoch) == 0)
        sched_yield();
    for (size_t i = 0; i < n; i++) {
        uint64_t request = clock_mono_ns();
        uint64_t epoch = change(c, argv[2], &held, &err);
        uint64_t reply = clock_mono_ns();
        while (atomic_load(&seen->epoch) < epoch)
            sched_yield();
        uint64_t at = atomic_load(&seen->at_ns), last_old = atomic_load(&seen->old_ns);
        old[i] = last_old > reply ? last_old - reply : 0;
        after_reply[i] = at > reply ? at - reply : 0;
        after_request[i] = at - request;
    }
    if (held != 0)
        (void)change(c, argv[2], &held, &err);
    print("reply_to_old", old, n);
    print("reply_to_visible", after_reply, n);
    print("request_to_visible", after_request, n);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    client_close(&c);
    free(old);
    free(after_reply);
    free(after_request);
    return 0;
}
