/* SPDX-License-Identifier: ISC */
/*
 * bench_lookup: look-ups in the snapshot per second of one thread's processor time.
 *
 *     bench_lookup [KEYS [SECONDS]]      default 1000000 2
 *
 * Builds a snapshot of KEYS recipients in a directory of its own (/dev/shm, as /run is tmpfs) and
 * looks them up in random order.  The keys lie shuffled in one array and are taken one after the
 * other, so that the table misses the caches as it does in life, but not the key, which in life was
 * just received.  Prints one line per measure with the median and the best of some rounds: "memory"
 * (one octet from a random place of an area as large as the snapshot, the next place known only
 * then: what a look-up cannot do without), "hit" (all exist), "miss" (none exists), "decide" (the
 * whole decision, two keys each time).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "maps/claims.h"
#include "maps/consumer.h"
#include "maps/snapshot.h"
#include "maps/snapshot_write.h"

#define KEY_SIZE 32
#define BATCH 4096
#define ROUNDS 11

struct keys {
    char (*v)[KEY_SIZE];
    size_t n, at;
};

static void die(const struct err *err)
{
    fprintf(stderr, "bench_lookup: %s\n", err->text);
    exit(1);
}

static struct keys make_keys(size_t n, const char *format_of)
{
    struct keys k = {.v = mem_realloc_array(NULL, n, KEY_SIZE), .n = n};
    for (size_t i = 0; i < n; i++)
        if (fmt_into(k.v[i], KEY_SIZE, "%s%zu@example.org", format_of, i) != 0)
            exit(1);
    return k;
}

static int next_key(void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    struct keys *k = arg;
    (void)err;
    if (k->at == k->n)
        return 0;
    *key_out = slice_str(k->v[k->at++]);
    *e = (struct route_entry){.epoch = k->at,
        .when_s = 1800000000,
        .route = k->at % 2 ? SLICE_LIT("old") : SLICE_LIT("new")};
    return 1;
}

static uint64_t random_next(uint64_t *r)
{
    *r ^= *r << 13;
    *r ^= *r >> 7;
    *r ^= *r << 17;
    return *r;
}

static void shuffle(struct keys *k)
{
    uint64_t r = 88172645463325252ull;
    for (size_t i = k->n; i > 1; i--) {
        char swap[KEY_SIZE];
        size_t j = random_next(&r) % i;
        memcpy(swap, k->v[i - 1], KEY_SIZE);
        memcpy(k->v[i - 1], k->v[j], KEY_SIZE);
        memcpy(k->v[j], swap, KEY_SIZE);
    }
}

static struct conf_server servers[] = {
    {.name = (char *)"old", .smtp = {NET_SCHEME_SMTP, (char *)"10.0.0.1", 25}},
    {.name = (char *)"new", .smtp = {NET_SCHEME_SMTP, (char *)"10.0.0.2", 25}}};
static struct conf_domain domains[] = {
    {.name = (char *)"example.org", .default_server = CONF_SERVER_NONE, .fold_local_part = true}};
static const struct conf conf = {
    .domains = domains, .n_domains = 1, .servers = servers, .n_servers = 2};

/* Of this thread: the machine may have other work. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

enum measure { MEMORY, HIT, MISS, DECIDE };

static struct {
    unsigned char *v;
    size_t n;
} area;

static uint64_t random_reads(void)
{
    static uint64_t r = 88172645463325252ull;
    for (size_t i = 0; i < BATCH; i++)
        r ^= area.v[(size_t)(random_next(&r) % area.n)];
    return r == 0;
}

static uint64_t batch(enum measure what, struct snapshot *s, const struct keys *k, size_t *at)
{
    struct route_view view = snapshot_view(s);
    struct route_store store;
    struct route_entry entry;
    static struct arena *mem;
    struct decision d;
    uint64_t wrong = 0;
    if (what == MEMORY)
        return random_reads();
    if (!mem)
        mem = arena_new(DECIDE_MEM_MAX);
    for (size_t i = 0; i < BATCH; i++) {
        struct slice key = slice_str(k->v[*at]);
        *at = *at + 1 < k->n ? *at + 1 : 0;
        if (what == DECIDE) {
            struct decide_request req = {.rcpt = key, .source_server = CONF_SERVER_NONE};
            arena_reset(mem);
            decide(&conf, &view, &req, mem, &d, NULL);
            wrong += d.kind != DECIDE_DELIVER;
        } else {
            wrong += snapshot_get(s, key, &store, &entry) !=
                     (what == HIT ? ROUTE_FOUND : ROUTE_NOT_FOUND);
        }
    }
    return wrong;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void run(enum measure what, struct snapshot *s, const struct keys *k, uint64_t seconds)
{
    static const char *const names[] = {
        [MEMORY] = "memory", [HIT] = "hit", [MISS] = "miss", [DECIDE] = "decide"};
    double rates[ROUNDS];
    uint64_t wrong = 0;
    size_t at = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t start = cpu_ns(), now = start, n = 0;
        for (; now < start + seconds * 1000000000u / ROUNDS; now = cpu_ns(), n += BATCH)
            wrong += batch(what, s, k, &at);
        rates[i] = (double)n * 1e9 / (double)(now - start);
    }
    mem_sort(rates, ROUNDS, sizeof *rates, compare);
    printf("%-6s keys=%zu per_second=%.0f best=%.0f ns=%.0f wrong=%" PRIu64 "\n", names[what], k->n,
        rates[ROUNDS / 2], rates[ROUNDS - 1], 1e9 / rates[ROUNDS / 2], wrong);
    if (wrong > 0)
        exit(1);
}

static void remove_files(const char *dir)
{
    char path[128];
    if (fmt_into(path, sizeof path, "%s/" CLAIMS_DIR, dir) == 0)
        rmdir(path);
    if (fmt_into(path, sizeof path, "%s/" CONSUMER_DIR, dir) == 0)
        rmdir(path);
    if (fmt_into(path, sizeof path, "%s/map.ctl", dir) == 0)
        unlink(path);
    if (fmt_into(path, sizeof path, "%s/mapd.lock", dir) == 0)
        unlink(path);
    if (rmdir(dir) != 0)
        fprintf(stderr, "bench_lookup: %s is left behind\n", dir);
}

int main(int argc, char **argv)
{
    uint64_t n = 1000000, seconds = 2;
    char dir[] = "/dev/shm/coexist-bench.XXXXXX";
    struct snapshot_writer *w = NULL;
    struct err err = ERR_INIT;
    if ((argc > 1 && num_u64(slice_str(argv[1]), 1, 100000000, &n) != 0) ||
        (argc > 2 && num_u64(slice_str(argv[2]), 1, 3600, &seconds) != 0) || argc > 3) {
        fprintf(stderr, "usage: bench_lookup [KEYS [SECONDS]]\n");
        return 64;
    }
    struct keys present = make_keys(n, "user"), absent = make_keys(n, "none");
    if (!mkdtemp(dir)) {
        err_sys(&err, errno, "%s", dir);
        die(&err);
    }
    struct snapshot_source source = {next_key, &present};
    uint64_t start = clock_mono_ms();
    if (snapshot_writer_open(dir, "bench", &w, &err) != 0 ||
        snapshot_writer_rebuild(w, &source, n, n, &err) != 0)
        die(&err);
    snapshot_writer_publish(w);
    struct snapshot *s = snapshot_new(dir);
    struct snapshot_info info;
    if (snapshot_info(s, &info) != 0)
        return 1;
    printf("build  keys=%" PRIu64 " ms=%" PRIu64 " mib=%.1f\n", info.keys, clock_mono_ms() - start,
        (double)info.bytes_total / 1048576.0);
    area.n = (size_t)info.bytes_total;
    area.v = mem_realloc_array(NULL, area.n, 1);
    memset(area.v, 0, area.n);
    shuffle(&present);
    shuffle(&absent);
    run(MEMORY, s, &present, seconds);
    run(HIT, s, &present, seconds);
    run(MISS, s, &absent, seconds);
    run(DECIDE, s, &present, seconds);
    snapshot_writer_invalidate(w);
    snapshot_writer_close(&w);
    snapshot_free(&s);
    remove_files(dir);
    free(area.v);
    free(present.v);
    free(absent.v);
    return 0;
}
