/* SPDX-License-Identifier: ISC */
/* After a reboot barriers are ambiguous for a while, after a mere restart of mapd they are not. */
#include <unistd.h>
#include "base/core/log.h"
#include "maps/claims.h"
#include "base/os/io.h"
#include "maps/mapd/reboot.h"
#include "maps/store/store_priv.h"
#include "tests/unit/tmpdir.h"

static struct tmpdir dir;
static struct store *store;

static int set_up(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    assert_int_equal(store_create(dir.path, 4U << 20, &err), 0);
    assert_int_equal(store_open(dir.path, 4U << 20, &store, &err), 0);
    assert_int_equal(claims_make_dir(dir.path, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&store);
    tmpdir_remove(&dir);
    return 0;
}

static void note(const char *boot)
{
    struct err err = ERR_INIT;
    char seen[BOOT_ID_SIZE];
    struct buf file;
    assert_int_equal(reboot_note(store, dir.path, dir.path, boot, &err), 0);
    buf_init(&file, 256);
    assert_int_equal(io_read_file(tmpdir_file(&dir, "map/" REBOOT_FILE), 256, &file, &err), 0);
    assert_int_equal(strncmp(buf_cstr(&file), boot, strlen(boot)), 0);
    assert_int_equal(file.n, strlen(boot) + 1);
    buf_fini(&file);
    /* Nothing of this host in the map. */
    assert_int_equal(store_former_boot(store, seen, &err), 0);
    assert_string_equal(seen, "");
}

static enum claims_scan_verdict scan(void)
{
    struct err err = ERR_INIT;
    struct claims_question q = {.key_hash = 1, .epoch = 1};
    assert_int_equal(claims_scan(dir.path, &q, 1, &err), 0);
    return q.verdict;
}

static void test_a_new_map_has_nothing_behind_it(void **state)
{
    (void)state;
    note("first-start");
    assert_int_equal(scan(), CLAIMS_CLEAR);
}

static void test_a_restart_is_no_reboot(void **state)
{
    (void)state;
    note("first-start");
    note("first-start");
    assert_int_equal(scan(), CLAIMS_CLEAR);
}

static void test_a_reboot_makes_barriers_ambiguous(void **state)
{
    (void)state;
    note("first-start");
    note("second-start");
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
    /* A restart soon after does not take that back. */
    note("second-start");
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
}

static void test_lost_claims_make_barriers_ambiguous(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    note("first-start");
    /* As systemd does with a RuntimeDirectory. */
    assert_int_equal(
        nftw(tmpdir_file(&dir, "claims"), tmpdir_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(claims_make_dir(dir.path, &err), 0);
    note("first-start");
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
}

/* As older versions noted it. */
static void note_in_the_map(const char *boot)
{
    struct err err = ERR_INIT;
    struct bdb_txn *txn = NULL;
    assert_int_equal(bdb_begin(store->env, &txn, &err), 0);
    assert_int_equal(bdb_put(store->meta, txn, SLICE_LIT("boot"), slice_str(boot), &err), 0);
    assert_int_equal(bdb_commit(&txn, &err), 0);
}

static void test_the_note_of_an_older_version_is_taken_over(void **state)
{
    (void)state;
    note_in_the_map("first-start");
    note("second-start");
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
}

static void test_an_update_is_no_reboot(void **state)
{
    struct err err = ERR_INIT;
    char mark[4096];
    (void)state;
    note("first-start");
    assert_int_equal(fmt_into(mark, sizeof mark, "%s", tmpdir_file(&dir, "map/" REBOOT_FILE)), 0);
    assert_int_equal(unlink(mark), 0);
    note_in_the_map("first-start");
    note("first-start");
    assert_int_equal(scan(), CLAIMS_CLEAR);
    /* A crash between the two: the file is the newer one. */
    note_in_the_map("zeroth-start");
    note("first-start");
    assert_int_equal(scan(), CLAIMS_CLEAR);
    /* What cannot be understood was written once. */
    assert_int_equal(io_write_file_durable(mark, SLICE_LIT("\n"), 0600, &err), 0);
    note("first-start");
    assert_int_equal(scan(), CLAIMS_WAS_AMBIGUOUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_new_map_has_nothing_behind_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_restart_is_no_reboot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reboot_makes_barriers_ambiguous, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_lost_claims_make_barriers_ambiguous, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_the_note_of_an_older_version_is_taken_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_update_is_no_reboot, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
