/* SPDX-License-Identifier: ISC */
/* The snapshot while it changes: a writer and two readers in threads, and writers that are killed.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "maps/snapshot.h"
#include "maps/snapshot_write.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

enum { KEYS = 1500, READERS = 2, KILLS = 50 };

static struct tmpdir tmp;
static char keys[KEYS][32];

/* What mapd would have in its database: survives the writer that is killed. */
struct database {
    _Atomic uint64_t generation;
    _Atomic uint64_t epochs[KEYS];
    _Atomic uint64_t acked; /* the newest generation whose publication has returned */
    atomic_bool is_over;
};
static struct database *db;

static int set_up(void **state)
{
    (void)state;
    tmpdir_make(&tmp);
    db = mmap(NULL, sizeof *db, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(db != MAP_FAILED);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(fmt_into(keys[i], sizeof keys[i], "user%zu@example.org", i), 0);
        atomic_store(&db->epochs[i], i + 1);
    }
    atomic_store(&db->generation, KEYS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(db, sizeof *db);
    tmpdir_remove(&tmp);
    return 0;
}

/* Route and address follow from the epoch, so a mixture of two entries shows. */
static struct route_entry entry_of(uint64_t epoch, char as[40])
{
    if (fmt_into(as, 40, "e%" PRIu64 "@new.example.org", epoch) != 0)
        abort();
    return (struct route_entry){.epoch = epoch,
        .when_s = (int64_t)epoch,
        .route = epoch % 2 ? SLICE_LIT("new") : SLICE_LIT("old"),
        .deliver_as = slice_str(as)};
}

static bool is_whole(const struct route_entry *e)
{
    char as[40];
    struct route_entry want = entry_of(e->epoch, as);
    return slice_eq(e->route, want.route) && slice_eq(e->deliver_as, want.deliver_as) &&
           e->when_s == want.when_s && !e->is_tombstone;
}

struct cursor {
    size_t at;
    char as[40];
};

static int next_entry(void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    struct cursor *c = arg;
    (void)err;
    if (c->at == KEYS)
        return 0;
    *key_out = slice_str(keys[c->at]);
    *e = entry_of(atomic_load(&db->epochs[c->at++]), c->as);
    return 1;
}

static int rebuild(struct snapshot_writer *w, struct err *err)
{
    struct cursor c = {0};
    struct snapshot_source source = {next_entry, &c};
    if (snapshot_writer_rebuild(w, &source, KEYS, atomic_load(&db->generation), err) != 0)
        return -1;
    snapshot_writer_publish(w);
    return 0;
}

static uint64_t random_next(uint64_t *r)
{
    *r ^= *r << 13;
    *r ^= *r >> 7;
    *r ^= *r << 17;
    return *r;
}

/* One transaction: staged, committed, published, acknowledged. */
static int change_some(struct snapshot_writer *w, uint64_t *r, struct err *err)
{
    static _Thread_local struct snapshot_change changes[KEYS];
    static _Thread_local char as[KEYS][40];
    size_t n = random_next(r) % 200 == 0 ? 1200 : 1 + random_next(r) % 20;
    size_t first = random_next(r) % KEYS;
    uint64_t generation = atomic_load(&db->generation) + 1;
    for (size_t i = 0; i < n; i++)
        changes[i] = (struct snapshot_change){
            slice_str(keys[(first + i) % KEYS]), entry_of(generation, as[i])};
    if (snapshot_writer_stage(w, changes, n, generation, err) != 0)
        return -1;
    if (random_next(r) % 16 == 0) {
        snapshot_writer_discard(w);
        return 0;
    }
    /* The generation first: a number that a reader may have seen is never used for another value.
     */
    atomic_store(&db->generation, generation);
    for (size_t i = 0; i < n; i++)
        atomic_store(&db->epochs[(first + i) % KEYS], generation);
    snapshot_writer_publish(w);
    atomic_store(&db->acked, generation);
    return 0;
}

struct reader {
    struct snapshot *s;
    uint64_t seen[KEYS];
    uint64_t n_looks, r;
    const char *failure; /* cmocka's asserts belong to the main thread */
};

/* One look-up, and what must be true of it. */
static void look_once(struct reader *x)
{
    struct route_store store;
    struct route_entry e;
    size_t i = random_next(&x->r) % KEYS;
    uint64_t before = atomic_load(&db->epochs[i]);
    uint64_t acked = atomic_load(&db->acked);
    enum route_answer answer = snapshot_get(x->s, slice_str(keys[i]), &store, &e);
    if (answer == ROUTE_UNKNOWN)
        x->failure = snapshot_trouble(x->s);
    else if (answer != ROUTE_FOUND)
        x->failure = "an existing key was not found";
    else if (!is_whole(&e))
        x->failure = "a torn entry";
    else if (e.epoch < x->seen[i])
        x->failure = "an epoch went back";
    else if (before <= acked && e.epoch < before)
        x->failure = "an acknowledged change is not visible";
    x->seen[i] = e.epoch;
    x->n_looks++;
}

static void *read_all(void *arg)
{
    struct reader *x = arg;
    while (!x->failure && !atomic_load(&db->is_over))
        look_once(x);
    return NULL;
}

static struct reader *start_reader(uint64_t seed)
{
    struct reader *x = calloc(1, sizeof *x);
    assert_non_null(x);
    x->s = snapshot_new(tmp.path);
    x->r = seed;
    return x;
}

static void end_reader(struct reader **x)
{
    if ((*x)->failure)
        fail_msg("%s", (*x)->failure);
    assert_true((*x)->n_looks > 0);
    snapshot_free(&(*x)->s);
    free(*x);
    *x = NULL;
}

static void test_threads(void **state)
{
    struct snapshot_writer *w = NULL;
    struct err err = ERR_INIT;
    struct reader *readers[READERS];
    pthread_t threads[READERS];
    uint64_t r = 99;
    (void)state;
    assert_int_equal(snapshot_writer_open(tmp.path, "m", &w, &err), 0);
    assert_int_equal(rebuild(w, &err), 0);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = start_reader(i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, readers[i]), 0);
    }
    for (int i = 0; i < 4000; i++)
        if ((i % 500 == 499 ? rebuild(w, &err) : change_some(w, &r, &err)) != 0)
            fail_msg("%s", err.text);
    atomic_store(&db->is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        end_reader(&readers[i]);
    }
    snapshot_writer_close(&w);
}

/* As mapd: take over, rebuild from the database, change until killed. */
static void be_killed(uint64_t seed, int ready_fd)
{
    struct snapshot_writer *w = NULL;
    struct err err = ERR_INIT;
    uint64_t r = seed * 2654435761u + 1;
    if (snapshot_writer_open(tmp.path, "m", &w, &err) != 0)
        _exit(1);
    if (seed % 2 == 0 && write(ready_fd, "x", 1) != 1) /* may be killed while it rebuilds */
        _exit(1);
    if (rebuild(w, &err) != 0)
        _exit(1);
    if (seed % 2 == 1 && write(ready_fd, "x", 1) != 1)
        _exit(1);
    while (change_some(w, &r, &err) == 0)
        ;
    _exit(1);
}

static void test_kill_writer(void **state)
{
    struct snapshot_writer *w = NULL;
    struct err err = ERR_INIT;
    uint64_t r = 5;
    (void)state;
    assert_int_equal(snapshot_writer_open(tmp.path, "m", &w, &err), 0);
    assert_int_equal(rebuild(w, &err), 0);
    snapshot_writer_close(&w);
    struct reader *x = start_reader(77);
    for (uint64_t kills = 0; kills < KILLS; kills++) {
        int fds[2], status;
        char byte;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            be_killed(kills + 1, fds[1]);
        close(fds[1]);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        close(fds[0]);
        /* The moment of the kill is as random as the scheduler and this count. */
        for (uint64_t left = random_next(&r) % 3000; left > 0 && !x->failure; left--)
            look_once(x);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        for (int i = 0; i < KEYS && !x->failure; i++)
            look_once(x);
    }
    /* The next mapd shows all that was committed, acknowledged or not. */
    assert_int_equal(snapshot_writer_open(tmp.path, "m", &w, &err), 0);
    assert_int_equal(rebuild(w, &err), 0);
    atomic_store(&db->acked, atomic_load(&db->generation));
    for (int i = 0; i < 10 * KEYS && !x->failure; i++)
        look_once(x);
    struct snapshot_info info;
    assert_int_equal(snapshot_info(x->s, &info), 0);
    assert_int_equal(info.keys, KEYS);
    assert_true(info.sequence > KILLS / 2);
    end_reader(&x);
    snapshot_writer_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill_writer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
