/* SPDX-License-Identifier: ISC */
/* Batches between ends that do anything: see batches_toy.h for what holds whatever they do. */
#include <stdio.h>
#include "tests/unit/unit.h"
/* cmocka first */
#include "tests/unit/batches_toy.h"

#define WORLDS 5000

static uint64_t seed_of_world;

static void toy_failed(struct toy *t, const char *what)
{
    fail_msg("world %llu: %s, behind %s", (unsigned long long)seed_of_world, what,
        t->log.n > 300 ? buf_cstr(&t->log) + t->log.n - 300 : buf_cstr(&t->log));
}

/* splitmix64: a seed replays. */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void test_worlds(void **state)
{
    (void)state;
    for (uint64_t world = 0; world < WORLDS; world++) {
        uint8_t in[1024];
        uint64_t seed = seed_of_world = world;
        for (size_t i = 0; i < sizeof(in); i++)
            in[i] = (uint8_t)(next_random(&seed) >> 56);
        toy_play(in, sizeof(in));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worlds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
