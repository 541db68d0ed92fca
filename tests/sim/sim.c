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
 *     sim -c N ...                                   over N connections to each server
 *     sim [-w] FILE...                               stories that were kept: a failing one is told
 *
 * Ends with "N passed, N failed"; status 1 when anything failed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/core/num.h"
#include "tests/sim/faults.h"
#include "tests/sim/many.h"
#include "tests/sim/site.h"

/* --- One history
 * ------------------------------------------------------------------------------------ */

static int replay(const struct options *o)
{
    struct history h;
    struct outcome out;
    history_as(o, o->seed, &h);
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
        h.has_open = h.has_open || o->has_open;
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

/* --- Planted faults
 * ------------------------------------------------------------------------------------ */

/* Counts as found with the first history that fails with it and not without. */
static uint64_t plant(enum fault f, const struct options *o, enum harm *harm_out)
{
    for (uint64_t i = 0; i < o->histories; i++) {
        struct history h;
        struct outcome with, without;
        history_as(o, o->first + i, &h);
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
    for (int c; (c = getopt(argc, argv, "n:j:s:r:c:wpbaf:")) != -1;) {
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
        case 'c':
            o.connections = (uint32_t)number(optarg);
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
                                  "[-r SEED [-w]] [-b] [-a] [-p] [-f FAULT] [-c N] [FILE...]\n");
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
