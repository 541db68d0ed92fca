/* SPDX-License-Identifier: ISC */
/*
 * What a journal costs: octets on the disk for each message, and memory, with many messages in one
 * folder.  The messages come as a copy writes them, 1,000 in a transaction.
 *
 *     bench_journal FOLDER [MESSAGES]        one line of JSON
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/journal/journal.h"

#define AT_ONCE 1000

static void fail(const struct err *err)
{
    (void)fprintf(stderr, "bench_journal: %s\n", err->text);
    exit(1);
}

static long peak_kib(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static struct journal *open_it(const char *folder)
{
    struct journal *j;
    struct err err = ERR_INIT;
    if (journal_open(folder, "a", "b", &j, &err) != 0)
        fail(&err);
    return j;
}

static void fill(struct journal *j, uint32_t n)
{
    struct err err = ERR_INIT;
    for (uint32_t i = 1; i <= n;) {
        journal_begin(j);
        for (uint32_t k = 0; k < AT_ONCE && i <= n; k++, i++) {
            struct pair p = {.src_uid = i, .tgt_uid = i + 7, .state = PAIR_STORED};
            struct content c = {.has_digest = true, .size = 5000};
            sha256_of(slice_make(&i, sizeof(i)), c.digest);
            journal_pair_put(j, 1, &p, &c);
        }
        if (journal_commit(j, &err) != 0)
            fail(&err);
    }
}

static uint64_t on_disk(const char *folder)
{
    uint64_t sum = 0;
    struct buf path;
    struct dirent *e;
    struct stat st;
    DIR *d = opendir(folder);
    buf_init(&path, 4096);
    while (d && (e = readdir(d)) != NULL) {
        if (io_path(&path, folder, e->d_name) == 0 && stat(buf_cstr(&path), &st) == 0 &&
            S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_blocks * 512;
    }
    if (d)
        (void)closedir(d);
    buf_fini(&path);
    return sum;
}

int main(int argc, char **argv)
{
    uint32_t n = 500000;
    struct err err = ERR_INIT;
    struct pair *pairs;
    struct buf home;
    size_t n_pairs;
    if (argc < 2 || argc > 3 ||
        (argc == 3 && num_u32(slice_str(argv[2]), 1, UINT32_MAX - 8, &n) != 0)) {
        (void)fprintf(stderr, "usage: bench_journal FOLDER [MESSAGES]\n");
        return 64;
    }
    long before = peak_kib();
    uint64_t start_ms = clock_mono_ms();
    struct journal *j = open_it(argv[1]);
    fill(j, n);
    journal_close(&j);
    uint64_t write_ms = clock_mono_ms() - start_ms;
    start_ms = clock_mono_ms();
    j = open_it(argv[1]);
    if (journal_pairs(j, 1, &pairs, &n_pairs, &err) != 0)
        fail(&err);
    uint64_t read_ms = clock_mono_ms() - start_ms;
    journal_close(&j);
    free(pairs);
    buf_init(&home, 4096);
    uint64_t octets = io_path(&home, argv[1], "journal") == 0 ? on_disk(buf_cstr(&home)) : 0;
    (void)printf("{\"messages\": %zu, \"octets\": %llu, \"octets_per_message\": %.1f, "
                 "\"memory_kib\": %ld, \"write_ms\": %llu, \"read_ms\": %llu}\n",
        n_pairs, (unsigned long long)octets, (double)octets / n, peak_kib() - before,
        (unsigned long long)write_ms, (unsigned long long)read_ms);
    buf_fini(&home);
    return 0;
}
