/* SPDX-License-Identifier: ISC */
/*
 * What the marks of one user cost: octets on the disk, memory and time, with many messages.
 *
 *     bench_marks FOLDER [MESSAGES]        one line of JSON
 *
 * In FOLDER: an inventory is written and written again, as behind each pass before the flip; a flip
 * is appended; all is opened again and one message in a hundred is asked for, as late mail is; then
 * a folder that has all of them is numbered anew, the worst that can happen.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "base/core/clock.h"
#include "base/core/num.h"
#include "imapsync/move/marks_store.h"

#define AT_ONCE 100 /* messages in a transaction of the journal */

static void must(int result, const struct err *err)
{
    if (result == 0)
        return;
    (void)fprintf(stderr, "bench_marks: %s\n", err->text);
    exit(1);
}

static long peak_kib(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* Ascending, and far apart. */
static uint64_t key_of(uint32_t i, uint32_t n)
{
    return UINT64_MAX / n * i + 1;
}

static void put(uint64_t key, unsigned char *digest)
{
    for (int i = 7; i >= 0; i--, key >>= 8)
        digest[i] = (unsigned char)key;
}

static void inventory(struct marks_store *s, struct marks *m, uint32_t n)
{
    struct err err = ERR_INIT;
    must(marks_store_begin(s, m, &err), &err);
    for (uint32_t i = 0; i < n; i++)
        must(marks_store_add(s, key_of(i, n), &err), &err);
    must(marks_store_end(s, m, &err), &err);
}

static void flip(struct marks_store *s, struct marks *m, uint32_t n)
{
    struct marks next = {0};
    struct err err = ERR_INIT;
    if (marks_folder_add(&next, SLICE_LIT("INBOX"), 1, n, NULL, 0) != 0)
        exit(1);
    marks_flip(m, &next);
    must(marks_store_append(s, m, &err), &err);
}

static void look_up(struct marks *m, uint32_t n)
{
    struct err err = ERR_INIT;
    unsigned char digest[32] = {0};
    size_t ever;
    for (uint32_t i = 0; i < n; i += 100) {
        put(key_of(i, n), digest);
        must(marks_meet(m, digest, 1, &ever, &err), &err);
        if (ever == 0)
            exit(1);
    }
}

static void number_anew(struct marks_store *s, struct marks *m, uint32_t n)
{
    const struct marks_look at = {.name = SLICE_LIT("INBOX"), .uidvalidity = 2, .highest = n};
    struct err err = ERR_INIT;
    unsigned char digest[32] = {0};
    size_t ever;
    marks_pass(m);
    for (uint32_t i = 0; i < n;) {
        for (uint32_t k = 0; k < AT_ONCE && i < n; k++, i++) {
            put(key_of(i, n), digest);
            must(marks_meet(m, digest, 1, &ever, &err), &err);
            must(marks_learn(m, &at, i + 1, digest, true, &err), &err);
        }
        must(marks_store_append(s, m, &err), &err);
    }
}

static uint64_t took(uint64_t *since_ms)
{
    uint64_t before = *since_ms;
    *since_ms = clock_mono_ms();
    return *since_ms - before;
}

int main(int argc, char **argv)
{
    struct marks_store s;
    struct marks m = {0};
    struct err err = ERR_INIT;
    struct stat st;
    char user[512], file[512];
    uint64_t n = 500000, now = clock_mono_ms();
    bool is_found;
    if (argc < 2 || (argc > 2 && num_u64(slice_str(argv[2]), 1, 4000000, &n) != 0) ||
        fmt_into(user, sizeof(user), "%s/ann", argv[1]) != 0 ||
        fmt_into(file, sizeof(file), "%s/marks/ann", argv[1]) != 0) {
        (void)fprintf(stderr, "usage: bench_marks FOLDER [MESSAGES]\n");
        return 2;
    }
    marks_store_init(&s, user);
    must(marks_store_open(&s, &m, &is_found, &err), &err);
    inventory(&s, &m, (uint32_t)n);
    uint64_t first_ms = took(&now);
    inventory(&s, &m, (uint32_t)n);
    uint64_t again_ms = took(&now);
    flip(&s, &m, (uint32_t)n);
    uint64_t flip_ms = took(&now);
    marks_fini(&m);
    must(marks_store_open(&s, &m, &is_found, &err), &err);
    uint64_t open_ms = took(&now);
    look_up(&m, (uint32_t)n);
    uint64_t look_ms = took(&now);
    long usual_kib = peak_kib();
    marks_pass(&m);
    number_anew(&s, &m, (uint32_t)n);
    uint64_t anew_ms = took(&now);
    if (stat(file, &st) != 0)
        return 1;
    (void)printf(
        "{\"messages\": %llu, \"octets\": %llu, \"inventory_ms\": %llu, \"again_ms\": %llu, "
        "\"flip_ms\": %llu, \"open_ms\": %llu, \"look_up_ms\": %llu, \"peak_kib\": %ld, "
        "\"anew_ms\": %llu, \"anew_peak_kib\": %ld}\n",
        (unsigned long long)n, (unsigned long long)st.st_size, (unsigned long long)first_ms,
        (unsigned long long)again_ms, (unsigned long long)flip_ms, (unsigned long long)open_ms,
        (unsigned long long)look_ms, usual_kib, (unsigned long long)anew_ms, peak_kib());
    marks_fini(&m);
    marks_store_close(&s);
    return 0;
}
