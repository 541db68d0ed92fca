/* SPDX-License-Identifier: ISC */
/* What mapd makes of a claims file word by word, and what a claim looks at before it is given. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "maps/claims_file.h"
#include "maps/snapshot_write.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#define USER "user@example.org"
#define OTHER "other@example.org"
#define EPOCH 5

static struct tmpdir tmp;
static char path[256];
static int fd; /* of the file, locked: its process lives */
static struct claims_file *file;

static int make_file(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    tmpdir_make(&tmp);
    assert_int_equal(claims_make_dir(tmp.path, &err), 0);
    assert_int_equal(fmt_into(path, sizeof path, "%s/" CLAIMS_DIR "/1.x", tmp.path), 0);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(ftruncate(fd, sizeof *file), 0);
    file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(file != MAP_FAILED);
    memcpy(file->head.magic, claims_magic, sizeof claims_magic);
    file->head.version = CLAIMS_VERSION;
    file->head.n_slots = CLAIMS_SLOTS;
    assert_int_equal(boot_id(file->head.boot, &err), 0);
    atomic_store(&file->head.used, CLAIMS_SLOTS);
    return 0;
}

static int drop_file(void **state)
{
    (void)state;
    munmap(file, sizeof *file);
    close(fd);
    tmpdir_remove(&tmp);
    return 0;
}

static enum claims_scan_verdict scan_key(uint64_t key_hash, uint64_t epoch)
{
    struct claims_question q = {.key_hash = key_hash, .epoch = epoch};
    struct err err = ERR_INIT;
    if (claims_scan(tmp.path, &q, 1, &err) != 0)
        fail_msg("%s", err.text);
    return q.verdict;
}

static enum claims_scan_verdict scan(void)
{
    return scan_key(route_key_hash(SLICE_LIT(USER)), EPOCH + 1);
}

static void put(size_t slot, enum claim_state state, const char *key, uint64_t epoch)
{
    struct claim *k = &file->slots[slot];
    atomic_store(&k->key_hash, route_key_hash(slice_str(key)));
    atomic_store(&k->epoch, epoch);
    atomic_store(&k->time_ms, clock_mono_ms());
    atomic_store(&k->state, state);
}

static void test_every_slot(void **state)
{
    static const size_t slots[] = {0, 1, 62, 63, 64, 65, 127, 128, CLAIMS_SLOTS - 1};
    (void)state;
    assert_int_equal(scan(), CLAIMS_CLEAR);
    for (size_t i = 0; i < COUNT_OF(slots); i++) {
        put(slots[i], CLAIM_COMMITTING, USER, EPOCH);
        assert_int_equal(scan(), CLAIMS_BUSY);
        put(slots[i], CLAIM_AMBIGUOUS, USER, EPOCH);
        assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
        put(slots[i], CLAIM_COMMITTING, USER, EPOCH + 1);
        assert_int_equal(scan(), CLAIMS_CLEAR);
        put(slots[i], CLAIM_COMMITTING, OTHER, EPOCH);
        assert_int_equal(scan(), CLAIMS_CLEAR);
        put(slots[i], CLAIM_FREE, USER, EPOCH);
        assert_int_equal(scan(), CLAIMS_CLEAR);
    }
    /* What was never used is not read, and more than there is cannot have been used. */
    put(7, CLAIM_COMMITTING, USER, EPOCH);
    atomic_store(&file->head.used, 7);
    assert_int_equal(scan(), CLAIMS_CLEAR);
    atomic_store(&file->head.used, UINT64_MAX);
    assert_int_equal(scan(), CLAIMS_BUSY);
}

/* A living process's file that is not one of ours may hold any claim. */
static void test_header(void **state)
{
    const struct claims_head good = {.version = file->head.version, .n_slots = file->head.n_slots};
    (void)state;
    assert_int_equal(scan(), CLAIMS_CLEAR);
    file->head.version = good.version + 1;
    assert_int_equal(scan(), CLAIMS_BUSY);
    file->head.version = good.version;
    file->head.n_slots = good.n_slots - 1;
    assert_int_equal(scan(), CLAIMS_BUSY);
    file->head.n_slots = good.n_slots;
    file->head.magic[7] ^= 1;
    assert_int_equal(scan(), CLAIMS_BUSY);
    file->head.magic[7] ^= 1;
    assert_int_equal(scan(), CLAIMS_CLEAR);
    assert_int_equal(ftruncate(fd, sizeof *file + 1), 0);
    assert_int_equal(scan(), CLAIMS_BUSY);
    assert_int_equal(ftruncate(fd, sizeof *file), 0);
    assert_int_equal(scan(), CLAIMS_CLEAR);
}

/* Only a time of this start of the machine says how old a claim is, and a time to come none. */
static void test_age(void **state)
{
    (void)state;
    put(0, CLAIM_AMBIGUOUS, USER, EPOCH);
    atomic_store(&file->slots[0].time_ms, UINT64_MAX);
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
    /* A clock that reads less than what a claim lasts cannot have seen one end. */
    if (clock_mono_ms() <= CLAIMS_AMBIGUOUS_MS + 1000)
        return;
    atomic_store(&file->slots[0].time_ms, clock_mono_ms() - CLAIMS_AMBIGUOUS_MS - 1000);
    assert_int_equal(scan(), CLAIMS_CLEAR);
    file->head.boot[0] ^= 1;
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
    file->head.boot[0] ^= 1;
    atomic_store(&file->slots[0].state, CLAIM_COMMITTING);
    assert_int_equal(scan(), CLAIMS_BUSY);
}

/* --- The owner's side --------------------------------------------------------------------- */

static struct snapshot_writer *writer;
static struct snapshot *reader;
static struct claims *claims;

static int next_user(void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    const char **next = arg;
    (void)err;
    if (*next == NULL)
        return 0;
    *key_out = slice_str(*next);
    *next = NULL;
    *e = (struct route_entry){.epoch = EPOCH, .route = SLICE_LIT("old")};
    return 1;
}

static void publish_user(uint64_t generation)
{
    struct err err = ERR_INIT;
    const char *next = USER;
    struct snapshot_source source = {next_user, &next};
    if (snapshot_writer_open(tmp.path, "m", &writer, &err) != 0 ||
        snapshot_writer_rebuild(writer, &source, 1, generation, &err) != 0)
        fail_msg("%s", err.text);
    snapshot_writer_publish(writer);
}

static int open_all(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    tmpdir_make(&tmp);
    publish_user(1);
    reader = snapshot_new(tmp.path);
    assert_int_equal(claims_open(tmp.path, &claims, &err), 0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    claims_close(&claims);
    snapshot_free(&reader);
    snapshot_writer_close(&writer);
    tmpdir_remove(&tmp);
    return 0;
}

static struct decision decision_of(const char *key, uint64_t epoch)
{
    static struct decide_key keys[8];
    static size_t n;
    struct decide_key *k = &keys[n++ % 8];
    *k = (struct decide_key){
        .text = key, .n = strlen(key), .hash = route_key_hash(slice_str(key)), .epoch = epoch};
    return (struct decision){.kind = DECIDE_DELIVER, .keys = k, .n_keys = 1};
}

/* The map was removed and published anew by another mapd: what this reader has mapped still says
 * the old epoch, and the second that it may go without a look at the path is not over. */
static void test_control_replaced(void **state)
{
    struct decision d = decision_of(USER, EPOCH);
    struct claims_set set;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(claims_begin(claims, reader, &d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    for (int i = 0; i < 20; i++) {
        assert_true(snapshot_has_epoch(reader, &d.keys[0])); /* just looked at the path */
        assert_int_equal(unlink(tmpdir_file(&tmp, "map.ctl")), 0);
        snapshot_writer_close(&writer);
        publish_user(2);
        struct snapshot_change c = {
            SLICE_LIT(USER), {.epoch = EPOCH + 1, .route = SLICE_LIT("new")}};
        assert_int_equal(snapshot_writer_stage(writer, &c, 1, 3, &err), 0);
        snapshot_writer_publish(writer);
        assert_int_equal(claims_begin(claims, reader, &d, 1, &set), CLAIMS_CHANGED);
        c.entry = (struct route_entry){.epoch = EPOCH, .route = SLICE_LIT("old")};
        assert_int_equal(snapshot_writer_stage(writer, &c, 1, 4, &err), 0);
        snapshot_writer_publish(writer);
    }
}

/* An unanswered claim stands for all of its key and epoch, and for no others. */
static void test_older_ones(void **state)
{
    struct decision d = decision_of(USER, EPOCH);
    struct claims_set set;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(claims_begin(claims, reader, &d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    /* The same user under the next epoch. */
    struct snapshot_change c = {SLICE_LIT(USER), {.epoch = EPOCH + 1, .route = SLICE_LIT("new")}};
    assert_int_equal(snapshot_writer_stage(writer, &c, 1, 2, &err), 0);
    snapshot_writer_publish(writer);
    d = decision_of(USER, EPOCH + 1);
    assert_int_equal(claims_begin(claims, reader, &d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(scan_key(d.keys[0].hash, EPOCH + 1), CLAIMS_WAS_AMBIGUOUS);
    /* Another user under the same one. */
    c.key = SLICE_LIT(OTHER);
    assert_int_equal(snapshot_writer_stage(writer, &c, 1, 3, &err), 0);
    snapshot_writer_publish(writer);
    struct decision other = decision_of(OTHER, EPOCH + 1);
    assert_int_equal(claims_begin(claims, reader, &other, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(scan_key(d.keys[0].hash, EPOCH + 2), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan_key(other.keys[0].hash, EPOCH + 2), CLAIMS_WAS_AMBIGUOUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_slot, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_header, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_age, make_file, drop_file),
        cmocka_unit_test_setup_teardown(test_control_replaced, open_all, close_all),
        cmocka_unit_test_setup_teardown(test_older_ones, open_all, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
