/* SPDX-License-Identifier: ISC */
/*
 * map_probe: a consumer of the map that does what a test tells it, line by line on stdin.
 *
 *     map_probe RUN_DIR
 *
 *     get KEY             found ROUTE STATE EPOCH | not_found EPOCH | unknown WHY
 *     see KEY             the same, and keeps the epoch for claim
 *     claim               go | changed | full: a claim for what `see` saw
 *     end ANSWER          ok: the claim ends; ANSWER is answered or ambiguous
 *     spin PREFIX N       ok: from now on looks PREFIX0@example.org, ..., up to N-1, up all the
 * time between commands report              lookups=N unknown=N missing=N fell=N max_gap_ms=N since
 * `spin`: how many look-ups there were, what was wrong with them (fell: an epoch went back), and
 * the longest time that one took
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "maps/claims.h"
#include "maps/snapshot.h"

#define LINE_MAX_BYTES 1024
#define SPIN_BATCH 1000

struct spin {
    char prefix[64];
    uint32_t n, next;
    uint64_t *epochs;
    uint64_t lookups, unknown, missing, fell, max_gap_ns;
};

struct probe {
    struct snapshot *snapshot;
    struct claims *claims;
    struct claims_set set;
    struct decision seen;
    struct decide_key seen_key;
    char seen_text[ROUTE_KEY_MAX + 1];
    struct spin spin;
};

static enum route_answer look(struct probe *p, struct slice key, struct route_entry *e)
{
    static struct route_store store;
    *e = (struct route_entry){0};
    return snapshot_get(p->snapshot, key, &store, e);
}

static void do_get(struct probe *p, struct slice key)
{
    struct route_entry e;
    switch (look(p, key, &e)) {
    case ROUTE_FOUND:
        printf(
            "found %.*s %s %" PRIu64 "\n", SLICE_ARG(e.route), route_state_name(e.state), e.epoch);
        break;
    case ROUTE_NOT_FOUND:
        printf("not_found %" PRIu64 "\n", e.epoch);
        break;
    case ROUTE_UNKNOWN:
        printf("unknown %s\n", snapshot_trouble(p->snapshot));
        break;
    }
}

static void do_see(struct probe *p, struct slice key)
{
    struct route_entry e;
    struct decide_key *k = p->seen.keys = &p->seen_key;
    look(p, key, &e);
    memcpy(p->seen_text, key.p, key.n);
    p->seen_text[key.n] = '\0';
    k->text = p->seen_text;
    k->n = key.n;
    k->hash = route_key_hash(key);
    k->epoch = e.epoch;
    p->seen.n_keys = 1;
    do_get(p, key);
}

static void do_claim(struct probe *p)
{
    static const char *const NAMES[] = {"go", "changed", "full"};
    puts(NAMES[claims_begin(p->claims, p->snapshot, &p->seen, 1, &p->set)]);
}

static void do_end(struct probe *p, struct slice answer)
{
    claims_end(p->claims, &p->set,
        slice_eq(answer, SLICE_LIT("ambiguous")) ? CLAIMS_AMBIGUOUS : CLAIMS_ANSWERED);
    puts("ok");
}

static void do_spin(struct probe *p, struct slice rest)
{
    struct slice prefix, count = rest;
    slice_split(&count, ' ', &prefix);
    p->spin = (struct spin){.epochs = p->spin.epochs};
    if (num_u32(count, 1, 1000000, &p->spin.n) != 0 ||
        fmt_into(p->spin.prefix, sizeof p->spin.prefix, "%.*s", SLICE_ARG(prefix)) != 0) {
        puts("bad");
        return;
    }
    free(p->spin.epochs);
    p->spin.epochs = mem_zalloc(p->spin.n * sizeof *p->spin.epochs);
    puts("ok");
}

static void spin_once(struct probe *p)
{
    struct spin *s = &p->spin;
    char key[128];
    struct route_entry e;
    uint64_t before = clock_mono_ns();

    if (fmt_into(key, sizeof key, "%s%u@example.org", s->prefix, s->next) != 0)
        return;
    enum route_answer answer = look(p, slice_str(key), &e);
    uint64_t gap = clock_mono_ns() - before;
    s->lookups++;
    s->unknown += answer == ROUTE_UNKNOWN;
    s->missing += answer == ROUTE_NOT_FOUND;
    if (answer != ROUTE_UNKNOWN) {
        s->fell += e.epoch < s->epochs[s->next];
        s->epochs[s->next] = e.epoch;
    }
    if (gap > s->max_gap_ns)
        s->max_gap_ns = gap;
    s->next = (s->next + 1) % s->n;
}

static void do_report(const struct spin *s)
{
    printf("lookups=%" PRIu64 " unknown=%" PRIu64 " missing=%" PRIu64 " fell=%" PRIu64
           " max_gap_ms=%" PRIu64 "\n",
        s->lookups, s->unknown, s->missing, s->fell, s->max_gap_ns / 1000000);
}

static void obey(struct probe *p, struct slice line)
{
    struct slice rest = line, verb;
    slice_split(&rest, ' ', &verb);
    if (slice_eq(verb, SLICE_LIT("get")))
        do_get(p, rest);
    else if (slice_eq(verb, SLICE_LIT("see")) && rest.n <= ROUTE_KEY_MAX)
        do_see(p, rest);
    else if (slice_eq(verb, SLICE_LIT("claim")))
        do_claim(p);
    else if (slice_eq(verb, SLICE_LIT("end")))
        do_end(p, rest);
    else if (slice_eq(verb, SLICE_LIT("spin")))
        do_spin(p, rest);
    else if (slice_eq(verb, SLICE_LIT("report")))
        do_report(&p->spin);
    else
        puts("bad");
    fflush(stdout);
}

/* Reads one line; false at the end.  Spins while there is none. */
static bool next_line(struct probe *p, char *line, size_t size, size_t *n_out)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    for (size_t n = 0; n < size;) {
        while (poll(&in, 1, p->spin.n ? 0 : -1) == 0)
            for (int i = 0; i < SPIN_BATCH; i++)
                spin_once(p);
        if (read(STDIN_FILENO, line + n, 1) != 1)
            return false;
        if (line[n] == '\n') {
            *n_out = n;
            return true;
        }
        n++;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct probe p = {0};
    struct err err = ERR_INIT;
    char line[LINE_MAX_BYTES];
    size_t n;

    if (argc != 2) {
        fprintf(stderr, "usage: map_probe RUN_DIR\n");
        return 64;
    }
    p.snapshot = snapshot_new(argv[1]);
    if (claims_open(argv[1], &p.claims, &err) != 0) {
        fprintf(stderr, "map_probe: %s\n", err.text);
        return 70;
    }
    while (next_line(&p, line, sizeof line, &n))
        obey(&p, slice_make(line, n));
    claims_close(&p.claims);
    snapshot_free(&p.snapshot);
    free(p.spin.epochs);
    return 0;
}
