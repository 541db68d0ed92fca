/* SPDX-License-Identifier: ISC */
/* many: see many.h. */
#include "tests/sim/many.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/core/err.h"
#include "tests/sim/site.h"

#define FAILED_MAX 64 /* seeds that are kept of each process */
#define TOLD_MAX 3    /* failing histories that are shrunk and told */
#define PROGRESS_S 60

/* Of one process, in memory that all of them share. */
struct share {
    uint64_t seed; /* that it is at, or would be next */
    uint64_t planned, done, failed, passes, actions;
    uint64_t seeds[FAILED_MAX];
    uint64_t harms[HARMS];
};

struct crew {
    volatile bool is_stopped;
    struct share v[JOBS_MAX];
};

static double now_s(void)
{
    struct timespec t;
    /* The simulation's own clock stands in front of clock_gettime(). */
    BUG_ON(timespec_get(&t, TIME_UTC) != TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void history_as(const struct options *o, uint64_t seed, struct history *out)
{
    history_make(seed, o->has_open, out);
    out->connections = o->connections;
}

void tell(const struct history *h)
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

/* --- A process ----------------------------------------------------------------------------------
 */

static void work(const struct crew *c, struct share *s, const struct options *o)
{
    while (s->done < s->planned && !c->is_stopped) {
        struct history h;
        struct outcome out;
        history_as(o, s->seed, &h);
        history_run(&h, NULL, &out);
        s->passes += out.passes;
        s->actions += h.n;
        s->harms[out.harm]++;
        if (out.harm != HARM_NONE && s->failed < FAILED_MAX)
            s->seeds[s->failed] = s->seed;
        s->failed += out.harm != HARM_NONE;
        s->done++;
        s->seed += o->jobs;
    }
}

static void start(struct crew *c, const struct options *o, unsigned job)
{
    struct share *s = &c->v[job];
    s->planned = o->histories / o->jobs + (job < o->histories % o->jobs);
    s->seed = o->first + job;
    pid_t pid = fork();
    BUG_ON(pid < 0);
    if (pid > 0)
        return;
    /* The parent is told, and tells. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    work(c, s, o);
    site_remove();
    _exit(0);
}

/* --- All of them --------------------------------------------------------------------------------
 */

/* Every seed below is done. */
static uint64_t all_below(const struct crew *c, const struct options *o)
{
    uint64_t below = o->first + o->histories;
    for (unsigned i = 0; i < o->jobs; i++) {
        if (c->v[i].done < c->v[i].planned && c->v[i].seed < below)
            below = c->v[i].seed;
    }
    return below;
}

static struct share sum_of(const struct crew *c, unsigned jobs)
{
    struct share sum = {0};
    for (unsigned i = 0; i < jobs; i++) {
        sum.done += c->v[i].done;
        sum.failed += c->v[i].failed;
        sum.passes += c->v[i].passes;
        sum.actions += c->v[i].actions;
        for (unsigned k = 0; k < HARMS; k++)
            sum.harms[k] += c->v[i].harms[k];
    }
    return sum;
}

static void tell_rest(const struct crew *c, const struct options *o)
{
    uint64_t below = all_below(c, o);
    (void)printf("; the rest: -s %llu -n %llu\n", (unsigned long long)below,
        (unsigned long long)(o->first + o->histories - below));
    (void)fflush(stdout);
}

static void tell_progress(const struct crew *c, const struct options *o, double took)
{
    const struct share sum = sum_of(c, o->jobs);
    double each = sum.done > 0 ? took / (double)sum.done : 0;
    (void)printf("%llu of %llu histories in %.0f s, %.0f s left, %llu failed",
        (unsigned long long)sum.done, (unsigned long long)o->histories, took,
        each * (double)(o->histories - sum.done), (unsigned long long)sum.failed);
    for (unsigned i = 0; i < o->jobs; i++) {
        for (uint64_t k = 0; k < c->v[i].failed && k < FAILED_MAX; k++)
            (void)printf(" -r %llu", (unsigned long long)c->v[i].seeds[k]);
    }
    tell_rest(c, o);
}

static uint64_t reap(unsigned *running)
{
    uint64_t died = 0;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        --*running;
        died += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    BUG_ON(pid < 0 && errno != ECHILD);
    return died;
}

static uint64_t watch(struct crew *c, const struct options *o, const sigset_t *signals)
{
    double began = now_s(), told = began;
    uint64_t died = 0;
    unsigned running = o->jobs;
    for (;;) {
        died += reap(&running);
        if (running == 0)
            return died;
        double left = told + PROGRESS_S - now_s();
        const struct timespec wait = {.tv_sec = left > 1 ? (time_t)left : 1};
        int signal = sigtimedwait(signals, NULL, &wait);
        if (signal == SIGINT || signal == SIGTERM)
            c->is_stopped = true;
        if (now_s() - told >= PROGRESS_S) {
            told = now_s();
            tell_progress(c, o, told - began);
        }
    }
}

static void tell_failed(const struct crew *c, const struct options *o)
{
    unsigned told = 0;
    for (unsigned i = 0; i < o->jobs; i++) {
        const struct share *s = &c->v[i];
        for (uint64_t k = 0; k < s->failed && k < FAILED_MAX; k++) {
            struct history h;
            history_as(o, s->seeds[k], &h);
            if (o->is_brief) {
                (void)history_shrink(&h);
                tell_briefly(&h);
                continue;
            }
            if (told++ >= TOLD_MAX || c->is_stopped) {
                (void)printf("failed too: sim -r %llu\n", (unsigned long long)s->seeds[k]);
                continue;
            }
            (void)printf("sim -r %llu, shrunk in %u runs\n", (unsigned long long)s->seeds[k],
                history_shrink(&h));
            tell(&h);
        }
    }
}

int run_all(const struct options *o)
{
    sigset_t signals;
    struct crew *c =
        mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BUG_ON(c == MAP_FAILED);
    /* Blocked in the processes as well: they end when they are told to. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    BUG_ON(sigprocmask(SIG_BLOCK, &signals, NULL) != 0);
    (void)fflush(stdout);
    double began = now_s();
    for (unsigned i = 0; i < o->jobs; i++)
        start(c, o, i);
    uint64_t died = watch(c, o, &signals);
    double took = now_s() - began;
    for (unsigned i = 0; i < o->jobs; i++) {
        if (c->v[i].done < c->v[i].planned && !c->is_stopped)
            (void)printf("a process died in history %llu\n", (unsigned long long)c->v[i].seed);
    }
    tell_failed(c, o);
    const struct share sum = sum_of(c, o->jobs);
    (void)printf("%llu histories, %llu actions, %llu passes in %.1f s\n",
        (unsigned long long)sum.done, (unsigned long long)sum.actions,
        (unsigned long long)sum.passes, took);
    for (unsigned k = 1; k < HARMS; k++) {
        if (sum.harms[k] > 0)
            (void)printf("  %s: %llu\n", harm_name((enum harm)k), (unsigned long long)sum.harms[k]);
    }
    if (sum.done < o->histories) {
        (void)printf("stopped");
        tell_rest(c, o);
    }
    (void)printf("%llu passed, %llu failed\n", (unsigned long long)(sum.done - sum.failed),
        (unsigned long long)(sum.failed + died));
    site_remove();
    return sum.failed + died > 0 || sum.done < o->histories;
}
