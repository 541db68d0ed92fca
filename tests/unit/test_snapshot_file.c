/* SPDX-License-Identifier: ISC */
/* The data file of the snapshot as memory: what the builder writes, and each way in which it can be
 * damaged without its checksums showing. */
#include <stdlib.h>
#include <sys/stat.h>
#include "maps/snapshot_build.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#define KEY "user@example.org"
#define SEQUENCE 7

static const struct snapshot_ids ids = {.boot = "boot", .map = "map"};
static struct tmpdir tmp;
static struct snapshot_rw file;

static int set_up(void **state)
{
    (void)state;
    tmpdir_make(&tmp);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_rw_fini(&file);
    tmpdir_remove(&tmp);
    return 0;
}

/* --- Building ---------------------------------------------------------------------------- */

static void finish(struct snapshot_build *b)
{
    struct err err = ERR_INIT;
    if (snapshot_build_finish(&b, tmp.path, SEQUENCE, &ids, 1, 1, &file, &err) != 0)
        fail_msg("%s", err.text);
}

static struct slice record_of(uint64_t epoch, size_t n, struct buf *out)
{
    unsigned char text[ROUTE_KEY_MAX];
    memset(text, 'x', sizeof text);
    struct route_entry e = {
        .epoch = epoch, .when_s = 1, .route = SLICE_LIT("old"), .deliver_as = slice_make(text, n)};
    buf_clear(out);
    assert_int_equal(record_encode(&e, false, out), 0);
    return buf_slice(out);
}

static enum route_answer look(struct slice key, struct route_entry *e)
{
    static struct route_store store;
    return snapshot_file_get(&file.view, key, route_key_hash(key), &store, e);
}

static struct slice name(char out[64], size_t i)
{
    assert_int_equal(fmt_into(out, 64, "user%zu@example.org", i), 0);
    return slice_str(out);
}

/* Records of every length, those that fit into a cell and those that do not, in a table that starts
 * too small. */
static void test_every_length(void **state)
{
    enum { N = 3000, NOTE = 200 };
    struct snapshot_build *b = snapshot_build_new(0);
    struct route_entry e;
    struct buf record;
    struct stat st;
    char key[64];
    (void)state;
    buf_init(&record, ROUTE_RECORD_MAX);
    for (size_t i = 0; i < N; i++)
        snapshot_build_add(b, name(key, i), record_of(i + 1, i % NOTE, &record));
    /* The last one of a key counts. */
    snapshot_build_add(b, name(key, 5), record_of(77, 0, &record));
    buf_fini(&record);
    finish(b);
    assert_int_equal(file.cells_used, N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(look(name(key, i), &e), ROUTE_FOUND);
        assert_int_equal(e.epoch, i == 5 ? 77 : i + 1);
        assert_int_equal(e.deliver_as.n, i == 5 ? 0 : i % NOTE);
    }
    assert_int_equal(look(name(key, N), &e), ROUTE_NOT_FOUND);
    assert_int_equal(stat(tmpdir_file(&tmp, "map.7"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

/* More in the arena than the slack of a file has room for. */
static void test_big_entries(void **state)
{
    const size_t n = 4 * SNAPSHOT_SLACK_MIN / ROUTE_KEY_MAX;
    struct snapshot_build *b = snapshot_build_new(n);
    struct route_entry e;
    struct buf record;
    char key[64];
    (void)state;
    buf_init(&record, ROUTE_RECORD_MAX);
    for (size_t i = 0; i < n; i++)
        snapshot_build_add(b, name(key, i), record_of(i + 1, ROUTE_KEY_MAX, &record));
    buf_fini(&record);
    finish(b);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(look(name(key, i), &e), ROUTE_FOUND);
        assert_int_equal(e.epoch, i + 1);
    }
}

/* --- Damage ------------------------------------------------------------------------------- */

/* One key, in its own cell; cell_of() is where. */
static void build_one(void)
{
    struct snapshot_build *b = snapshot_build_new(1);
    struct buf record;
    buf_init(&record, ROUTE_RECORD_MAX);
    snapshot_build_add(b, SLICE_LIT(KEY), record_of(3, 0, &record));
    buf_fini(&record);
    finish(b);
}

static uint64_t cell_of(uint64_t hash)
{
    return snapshot_first_cell(hash, file.view.n_cells);
}

static const char *attach(void)
{
    struct snapshot_head *h = (struct snapshot_head *)(void *)file.base;
    struct snapshot_file again;
    h->check = snapshot_head_check(h);
    return snapshot_file_attach(file.base, file.view.size, SEQUENCE, &ids, &again);
}

static void test_header(void **state)
{
    struct snapshot_file again;
    struct snapshot_ids others = ids;
    (void)state;
    build_one();
    struct snapshot_head *h = (struct snapshot_head *)(void *)file.base, good = *h;
    assert_null(attach());
    assert_non_null(snapshot_file_attach(file.base, file.view.size, SEQUENCE + 1, &ids, &again));
    others.map[0] = 'x';
    assert_non_null(snapshot_file_attach(file.base, file.view.size, SEQUENCE, &others, &again));
    assert_non_null(snapshot_file_attach(file.base, file.view.size - 8, SEQUENCE, &ids, &again));
    assert_non_null(snapshot_file_attach(file.base, SNAPSHOT_PAGE - 8, SEQUENCE, &ids, &again));

    h->n_cells = (file.view.size - SNAPSHOT_PAGE) / SNAPSHOT_CELL_SIZE;
    h->arena_at = SNAPSHOT_PAGE + h->n_cells * SNAPSHOT_CELL_SIZE;
    assert_null(attach()); /* as many cells as fit, and no arena */
    h->n_cells++;
    h->arena_at += SNAPSHOT_CELL_SIZE;
    assert_non_null(attach());
    h->n_cells = SNAPSHOT_CELLS_MIN - 1;
    h->arena_at = SNAPSHOT_PAGE + h->n_cells * SNAPSHOT_CELL_SIZE;
    assert_non_null(attach());
    memcpy(h, &good, sizeof good);
    h->arena_at += SNAPSHOT_CELL_SIZE;
    assert_non_null(attach());
    memcpy(h, &good, sizeof good);
    h->version++;
    assert_non_null(attach());
    memcpy(h, &good, sizeof good);
    assert_null(attach());
}

/* What a look-up says when the key's cell has this word. */
static enum route_answer look_with(uint64_t word)
{
    const uint64_t hash = route_key_hash(SLICE_LIT(KEY));
    struct route_entry e;
    atomic_store(&file.cells[cell_of(hash)].word, word);
    return look(SLICE_LIT(KEY), &e);
}

static void test_words(void **state)
{
    const uint64_t hash = route_key_hash(SLICE_LIT(KEY));
    struct buf record;
    (void)state;
    build_one();
    uint64_t word = atomic_load(&file.cells[cell_of(hash)].word), arena = file.view.arena_at;
    assert_int_equal(look_with(word), ROUTE_FOUND);
    assert_int_equal(look_with(SNAPSHOT_EMPTY), ROUTE_NOT_FOUND);
    assert_int_equal(look_with(0), ROUTE_UNKNOWN); /* never written, not nobody's */

    /* A whole entry, in the header where none may be, and at the end, where half of one would be.
     */
    buf_init(&record, ROUTE_RECORD_MAX);
    (void)record_of(4, 0, &record);
    const size_t header = SNAPSHOT_PAGE - 512;
    snapshot_entry_write(file.base + header, SLICE_LIT(KEY), buf_slice(&record));
    assert_int_equal(look_with(snapshot_word(hash, header)), ROUTE_UNKNOWN);
    size_t n = snapshot_entry_size(strlen(KEY), record.n);
    snapshot_entry_write(file.base + file.view.size - n, SLICE_LIT(KEY), buf_slice(&record));
    assert_int_equal(look_with(snapshot_word(hash, file.view.size - n)), ROUTE_FOUND);
    assert_int_equal(look_with(snapshot_word(hash, file.view.size)), ROUTE_UNKNOWN);
    assert_int_equal(look_with(snapshot_word(hash, file.view.size - n + 8)), ROUTE_UNKNOWN);

    /* Bytes that are whole and no record. */
    snapshot_entry_write(file.base + arena, SLICE_LIT(KEY), SLICE_LIT("no record"));
    assert_int_equal(look_with(snapshot_word(hash, arena)), ROUTE_UNKNOWN);

    /* Somebody else's entry under the same 24 bits is passed over, when it is whole. */
    snapshot_entry_write(file.base + arena, SLICE_LIT(KEY ".x"), buf_slice(&record));
    assert_int_equal(look_with(snapshot_word(hash, arena)), ROUTE_NOT_FOUND);
    snapshot_entry_write(file.base + arena, SLICE_LIT("user@example.or"), buf_slice(&record));
    assert_int_equal(look_with(snapshot_word(hash, arena)), ROUTE_NOT_FOUND);
    file.base[arena + 8] ^= 1;
    assert_int_equal(look_with(snapshot_word(hash, arena)), ROUTE_UNKNOWN);
    buf_fini(&record);
}

/* No cell is empty: nobody ever wrote such a table, so nothing in it is known. */
static void test_full_table(void **state)
{
    const uint64_t hash = route_key_hash(SLICE_LIT(KEY));
    struct route_entry e;
    (void)state;
    build_one();
    /* Words of other hashes, which are passed over without a look at their entries. */
    for (uint64_t i = 0; i < file.view.n_cells; i++)
        if (i != cell_of(hash))
            atomic_store(&file.cells[i].word, snapshot_word(hash + 1, file.view.arena_at));
    assert_int_equal(look(SLICE_LIT(KEY), &e), ROUTE_FOUND);
    assert_int_equal(look_with(snapshot_word(hash + 1, file.view.arena_at)), ROUTE_UNKNOWN);
    /* The search goes round: the key is in the cell before the one where it began. */
    uint64_t before = (cell_of(hash) + file.view.n_cells - 1) % file.view.n_cells;
    uint64_t place = (uint64_t)(file.cells[cell_of(hash)].entry - file.base);
    atomic_store(&file.cells[before].word, snapshot_word(hash, place));
    assert_int_equal(look(SLICE_LIT(KEY), &e), ROUTE_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_big_entries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_table, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
