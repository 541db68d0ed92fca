/* SPDX-License-Identifier: ISC */
/* Many lost answers: room for the others, and what is remembered of them. */
#include "tests/unit/claims_site.h"

static struct decision numbered_decision(size_t i, uint64_t epoch)
{
    struct decision d = {.kind = DECIDE_DELIVER};
    char text[64];
    assert_int_equal(fmt_into(text, sizeof text, "u%zu@example.org", i), 0);
    add_key(&d, text, epoch);
    add_key(&d, DOMAIN, 0);
    return d;
}

static enum claims_scan_verdict scan_number(size_t i, uint64_t epoch)
{
    struct decision d = numbered_decision(i, 0);
    return scan(d.keys[0].text, epoch);
}

/* A server that loses the answers of ever new users: the others' mail goes on, the largest message
 * has room, and no lost answer is forgotten before its time. */
static void test_many_lost_answers(void **state)
{
    enum { MANY = 3 * CLAIMS_SLOTS, LARGE = (CLAIMS_SLOTS - CLAIMS_AMBIGUOUS_MAX) / 2 };
    struct claims_set set;
    struct decision *large = calloc(LARGE, sizeof *large);
    size_t touched = 0;
    (void)state;
    assert_non_null(large);
    is_clock_still = true;
    for (size_t i = 0; i < MANY; i++) {
        struct decision d = numbered_decision(i, 0);
        assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
        claims_end(claims, &set, CLAIMS_AMBIGUOUS);
        if (i == CLAIMS_AMBIGUOUS_MAX -
                     2) { /* the last with a claim of its own each: the domain has one */
            for (size_t k = MANY; k < MANY + 500; k++)
                assert_int_equal(scan_number(k, 9), CLAIMS_CLEAR);
            assert_int_equal(scan_number(0, 9), CLAIMS_WAS_AMBIGUOUS);
            assert_int_equal(scan_number(i, 9), CLAIMS_WAS_AMBIGUOUS);
        }
        if (i == CLAIMS_AMBIGUOUS_MAX - 1) { /* one crowd now, the others' users are still clear */
            for (size_t k = MANY; k < MANY + 500; k++)
                touched += scan_number(k, 9) == CLAIMS_WAS_AMBIGUOUS;
            assert_in_range(touched, 1, 500 / 8);
        }
    }
    for (size_t i = 0; i < MANY; i += 37)
        assert_int_equal(scan_number(i, 1), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan_number(0, 0), CLAIMS_CLEAR); /* not older than that */
    for (size_t i = 0; i < LARGE; i++)
        large[i] = numbered_decision(MANY + i, 0);
    assert_int_equal(begin(large, LARGE, &set), CLAIMS_GO);
    assert_int_equal(scan_number(MANY + LARGE - 1, 9), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);

    /* They live as long as the youngest among them, whose process may die meanwhile. */
    ahead_ms += CLAIMS_AMBIGUOUS_MS - 1000;
    assert_int_equal(scan_number(0, 1), CLAIMS_WAS_AMBIGUOUS);
    claims_close(&claims);
    assert_int_equal(scan_number(0, 1), CLAIMS_WAS_AMBIGUOUS);
    ahead_ms += 2000 + CLAIMS_AMBIGUOUS_MS;
    assert_int_equal(scan_number(0, 1), CLAIMS_CLEAR);
    open_claims();
    free(large);
}

/* A crowd lives as long as its youngest member. */
static void test_time_of_a_crowd(void **state)
{
    struct decision first = numbered_decision(0, 0);
    struct claims_set set;
    uint32_t crowd = claims_crowd(first.keys[0].hash);
    size_t n = 0, i = 0;
    (void)state;
    is_clock_still = true;
    for (; n < 2 * CLAIMS_AMBIGUOUS_MAX + 1; i++) {
        struct decision d = numbered_decision(i, 0);
        if (claims_crowd(d.keys[0].hash) != crowd)
            continue;
        d.n_keys = 1;
        if (n++ == CLAIMS_AMBIGUOUS_MAX)
            ahead_ms += CLAIMS_AMBIGUOUS_MS / 2;
        assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
        claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    }
    ahead_ms += CLAIMS_AMBIGUOUS_MS / 2 + 1000;
    assert_int_equal(scan_number(0, 1), CLAIMS_WAS_AMBIGUOUS);
    ahead_ms += CLAIMS_AMBIGUOUS_MS / 2;
    assert_int_equal(scan_number(0, 1), CLAIMS_CLEAR);
}

/* The epoch of a crowd is that of its oldest member, whatever order they come in, and each of its
 * lives has an epoch of its own. */
static void test_epoch_of_a_crowd(void **state)
{
    static const uint64_t first[] = {30, 20, 40};
    struct decision one = numbered_decision(0, 0);
    struct claims_set set;
    (void)state;
    for (size_t life = 0; life < 2; life++) {
        uint64_t oldest = life == 0 ? 20 : 30, n = 0;
        uint32_t crowd = claims_crowd(one.keys[0].hash);
        for (size_t i = 0; n < CLAIMS_AMBIGUOUS_MAX + COUNT_OF(first); i++) {
            struct decision d = numbered_decision(i, 0);
            if (claims_crowd(d.keys[0].hash) != crowd)
                continue;
            d.n_keys = 1;
            d.keys[0].epoch = n < COUNT_OF(first) && (life == 0 || first[n] != 20) ? first[n] : 50;
            publish(d.keys[0].text, d.keys[0].epoch);
            assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
            claims_end(claims, &set, CLAIMS_AMBIGUOUS);
            n++;
        }
        /* A user of the crowd who lost nothing. */
        struct decision other;
        size_t k = 1000000;
        do
            other = numbered_decision(k++, 0);
        while (claims_crowd(other.keys[0].hash) != crowd);
        assert_int_equal(scan(other.keys[0].text, oldest), CLAIMS_CLEAR);
        assert_int_equal(scan(other.keys[0].text, oldest + 1), CLAIMS_WAS_AMBIGUOUS);
        ahead_ms += 2 * CLAIMS_AMBIGUOUS_MS;
        assert_int_equal(scan(other.keys[0].text, 99), CLAIMS_CLEAR);
    }
}

static uint64_t used_now(void)
{
    struct claims_head head;
    char path[256];
    assert_int_equal(count_files("", path), 1);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, &head, sizeof head), sizeof head);
    close(fd);
    return atomic_load(&head.used);
}

/* A large message, and then nothing: scans need not read its slots for ever. */
static void test_idle_again(void **state)
{
    enum { N = 500 };
    struct decision *d = calloc(N, sizeof *d);
    struct claims_set set, next;
    (void)state;
    assert_non_null(d);
    for (size_t i = 0; i < N; i++)
        d[i] = numbered_decision(i, 0);
    assert_int_equal(begin(d, N, &set), CLAIMS_GO);
    assert_int_equal(begin(d, 1, &next), CLAIMS_GO);
    assert_int_equal(used_now(), N + 3); /* the domain's key each time */
    claims_end(claims, &set, CLAIMS_ANSWERED);
    assert_int_equal(used_now(), N + 3);
    assert_int_equal(scan_number(0, 1), CLAIMS_BUSY);
    claims_end(claims, &next, CLAIMS_ANSWERED);
    assert_int_equal(used_now(), 0);
    assert_int_equal(begin(d, 1, &next), CLAIMS_GO);
    assert_int_equal(used_now(), 2);
    assert_int_equal(scan_number(0, 1), CLAIMS_BUSY);
    claims_end(claims, &next, CLAIMS_ANSWERED);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_idle_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_lost_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_of_a_crowd, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_epoch_of_a_crowd, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
