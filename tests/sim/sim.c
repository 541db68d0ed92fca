/* SPDX-License-Identifier: ISC */
/*
 * sim: runs histories.
 *
 *     sim [-n HISTORIES] [-j PROCESSES] [-s FIRST]   all of them; a failing one is shrunk and told
 *     sim -r SEED [-w]                               one, told; -w: as it is, not shrunk
 *     sim -p [-n HISTORIES]                          plants each fault; how many are found
 *     sim -b ...                                     failing ones on one line each
 *     sim -a ...                                     also what is known to go wrong
 *     sim -f FAULT ...                               with this fault planted
 *     sim [-w] FILE...                               stories that were kept: a failing one is told
 *
 * Ends with "N passed, N failed"; status 1 when anything failed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "tests/sim/faults.h"
#include "tests/sim/history.h"
#include "tests/sim/site.h"

#define JOBS_MAX 64
#define FAILED_MAX 64 /* seeds that are kept of each process */
#define TOLD_MAX 3    /* failing histories that are shrunk and told */

/* Of one process, in memory that all of them share. */
struct share {
    uint64_t seed; /* that it is at */
    uint64_t done, failed, passes, actions;
    uint64_t seeds[FAILED_MAX];
    uint64_t harms[HARMS];
};

struct options {
    uint64_t histories, first, seed;
    unsigned jobs;
    bool is_replay, is_whole, is_planting, is_brief, has_open;
};

static double now_s(void)
{
    struct timespec t;
    /* The simulation's own clock stands in front of clock_gettime(). */
    BUG_ON(timespec_get(&t, TIME_UTC) != TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- One history
 * ------------------------------------------------------------------------------------ */

static void tell(const struct history *h)
{
    struct outcome o;
    history_print(h, stdout);
    history_run(h, stdout, &o);
    (void)printf("%s%s%s\n\n", o.harm ? harm_name(o.harm) : "no harm", o.harm ? ": " : "", o.text);
    (void)fflush(stdout);
}

/* On one line. */
static void tell_briefly(const struct history *h)
{
    struct outcome o;
    history_run(h, NULL, &o);
    (void)printf("%llu %s (source %x, target %x):", (unsigned long long)h->seed, harm_name(o.harm),
        h->quirks[0], h->quirks[1]);
    for (uint32_t i = 0; i < h->n; i++)
        (void)printf(" %s,", act_name(h->v[i].what));
    (void)printf(" %s\n", o.text);
}

static int replay(const struct options *o)
{
    struct history h;
    struct outcome out;
    history_make(o->seed, o->has_open, &h);
    history_run(&h, NULL, &out);
    if (!o->is_whole && out.harm != HARM_NONE)
        (void)printf("shrunk in %u runs\n", history_shrink(&h));
    tell(&h);
    site_remove();
    return out.harm != HARM_NONE;
}

/* What was kept: none of it may fail again. */
static int replay_files(char *const *paths, int n, const struct options *o)
{
    int failed = 0;
    for (int i = 0; i < n; i++) {
        struct history h;
        struct outcome out = {0};
        bool is_read = history_read(paths[i], &h);
        h.has_open = o->has_open;
        if (is_read)
            history_run(&h, NULL, &out);
        if (!is_read || out.harm != HARM_NONE) {
            (void)printf("%s %s\n", paths[i], is_read ? "fails" : "cannot be read");
            failed++;
        }
        if (is_read && (out.harm != HARM_NONE || o->is_whole))
            tell(&h);
    }
    (void)printf("%d passed, %d failed\n", n - failed, failed);
    site_remove();
    return failed > 0;
}

/* --- Many of them
 * ------------------------------------------------------------------------------------- */

static void work(struct share *s, uint64_t first, uint64_t step, uint64_t n, bool has_open)
{
    for (uint64_t i = 0; i < n; i++) {
        struct history h;
        struct outcome o;
        s->seed = first + i * step;
        history_make(s->seed, has_open, &h);
        history_run(&h, NULL, &o);
        s->done++;
        s->passes += o.passes;
        s->actions += h.n;
        s->harms[o.harm]++;
        if (o.harm == HARM_NONE)
            continue;
        if (s->failed < FAILED_MAX)
            s->seeds[s->failed] = s->seed;
        s->failed++;
    }
}

static struct share *shares_new(unsigned n)
{
    void *p = mmap(
        NULL, n * sizeof(struct share), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BUG_ON(p == MAP_FAILED);
    return p;
}

static void start(struct share *s, const struct options *o, unsigned job)
{
    uint64_t n = o->histories / o->jobs + (job < o->histories % o->jobs);
    pid_t pid = fork();
    BUG_ON(pid < 0);
    if (pid > 0)
        return;
    work(s, o->first + job, o->jobs, n, o->has_open);
    site_remove();
    _exit(0);
}

static uint64_t wait_all(unsigned jobs)
{
    uint64_t died = 0;
    for (unsigned i = 0; i < jobs; i++) {
        int status;
        while (wait(&status) < 0)
            BUG_ON(errno != EINTR);
        died += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    return died;
}

static void tell_failed(const struct share *v, const struct options *o)
{
    unsigned told = 0;
    for (unsigned i = 0; i < o->jobs; i++) {
        for (uint64_t k = 0; k < v[i].failed && k < FAILED_MAX; k++) {
            struct history h;
            history_make(v[i].seeds[k], o->has_open, &h);
            if (o->is_brief) {
                (void)history_shrink(&h);
                tell_briefly(&h);
                continue;
            }
            if (told++ >= TOLD_MAX) {
                (void)printf("failed too: sim -r %llu\n", (unsigned long long)v[i].seeds[k]);
                continue;
            }
            (void)printf("sim -r %llu, shrunk in %u runs\n", (unsigned long long)v[i].seeds[k],
                history_shrink(&h));
            tell(&h);
        }
    }
}

static int run_all(const struct options *o)
{
    struct share *v = shares_new(o->jobs), sum = {0};
    double began = now_s();
    for (unsigned i = 0; i < o->jobs; i++)
        start(&v[i], o, i);
    uint64_t died = wait_all(o->jobs);
    double took = now_s() - began;
    for (unsigned i = 0; i < o->jobs; i++) {
        sum.done += v[i].done;
        sum.failed += v[i].failed;
        sum.passes += v[i].passes;
        sum.actions += v[i].actions;
        for (unsigned k = 0; k < HARMS; k++)
            sum.harms[k] += v[i].harms[k];
        if (v[i].done < o->histories / o->jobs)
            (void)printf("a process died in history %llu\n", (unsigned long long)v[i].seed);
    }
    tell_failed(v, o);
    (void)printf("%llu histories, %llu actions, %llu passes in %.1f s\n",
        (unsigned long long)sum.done, (unsigned long long)sum.actions,
        (unsigned long long)sum.passes, took);
    for (unsigned k = 1; k < HARMS; k++) {
        if (sum.harms[k] > 0)
            (void)printf("  %s: %llu\n", harm_name((enum harm)k), (unsigned long long)sum.harms[k]);
    }
    (void)printf("%llu passed, %llu failed\n", (unsigned long long)(sum.done - sum.failed),
        (unsigned long long)(sum.failed + died));
    site_remove();
    return sum.failed + died > 0;
}

/* --- Planted faults
 * ------------------------------------------------------------------------------------ */

/* Counts as found with the first history that fails with it and not without. */
static uint64_t plant(enum fault f, const struct options *o, enum harm *harm_out)
{
    for (uint64_t i = 0; i < o->histories; i++) {
        struct history h;
        struct outcome with, without;
        history_make(o->first + i, o->has_open, &h);
        fault_planted = f;
        history_run(&h, NULL, &with);
        fault_planted = FAULT_NONE;
        if (with.harm == HARM_NONE)
            continue;
        history_run(&h, NULL, &without);
        *harm_out = with.harm;
        if (without.harm == HARM_NONE)
            return i + 1;
    }
    return 0;
}

static int plant_all(const struct options *o)
{
    unsigned found = 0, n = FAULTS_END - 1;
    for (unsigned f = 1; f < FAULTS_END; f++) {
        enum harm harm = HARM_NONE;
        uint64_t after = plant((enum fault)f, o, &harm);
        found += after > 0;
        (void)printf("%-20s %-66s ", fault_name((enum fault)f), fault_text((enum fault)f));
        if (after > 0)
            (void)printf("%s after %llu\n", harm_name(harm), (unsigned long long)after);
        else
            (void)printf("NOT FOUND\n");
        (void)fflush(stdout);
    }
    (void)printf("%u of %u planted faults found\n", found, n);
    (void)printf("%u passed, %u failed\n", found, found * 100 < n * 95 ? n - found : 0);
    site_remove();
    return found * 100 < n * 95;
}

static bool plant_one(const char *name)
{
    for (unsigned f = 1; f < FAULTS_END; f++) {
        if (strcmp(fault_name((enum fault)f), name) == 0) {
            fault_planted = (enum fault)f;
            return true;
        }
    }
    return false;
}

static uint64_t number(const char *text)
{
    uint64_t n;
    if (num_u64(slice_str(text), 0, INT64_MAX, &n) == 0)
        return n;
    (void)fprintf(stderr, "not a number: %s\n", text);
    exit(64);
}

int main(int argc, char **argv)
{
    struct options o = {.histories = 20000, .first = 1};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    o.jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : (unsigned)cores;
    log_set_level(LOG_LEVEL_ERROR);
    for (int c; (c = getopt(argc, argv, "n:j:s:r:wpbaf:")) != -1;) {
        switch (c) {
        case 'n':
            o.histories = number(optarg);
            break;
        case 'j':
            o.jobs = (unsigned)number(optarg);
            break;
        case 's':
            o.first = number(optarg);
            break;
        case 'r':
            o.seed = number(optarg);
            o.is_replay = true;
            break;
        case 'w':
            o.is_whole = true;
            break;
        case 'a':
            o.has_open = true;
            break;
        case 'b':
            o.is_brief = true;
            break;
        case 'p':
            o.is_planting = true;
            break;
        case 'f':
            if (plant_one(optarg))
                break;
            (void)fprintf(stderr, "no such fault: %s\n", optarg);
            return 64;
        default:
            (void)fprintf(stderr, "usage: sim [-n HISTORIES] [-j PROCESSES] [-s FIRST] "
                                  "[-r SEED [-w]] [-b] [-a] [-p] [-f FAULT] [FILE...]\n");
            return 64;
        }
    }
    if (o.jobs < 1 || o.jobs > JOBS_MAX)
        o.jobs = 1;
    if (optind < argc)
        return replay_files(argv + optind, argc - optind, &o);
    if (o.is_replay)
        return replay(&o);
    return o.is_planting ? plant_all(&o) : run_all(&o);
}
