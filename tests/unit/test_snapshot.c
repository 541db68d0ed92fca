/* SPDX-License-Identifier: ISC */
/* Reader and writer of the snapshot in one process: every state of the files. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "maps/snapshot.h"
#include "maps/snapshot_file.h"
#include "maps/snapshot_write.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

static struct tmpdir tmp;
static const char *run;
static struct snapshot_writer *writer;
static struct snapshot *reader;

static int set_up(void **state)
{
    (void)state;
    tmpdir_make(&tmp);
    run = tmp.path;
    reader = snapshot_new(run);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snapshot_writer_close(&writer);
    snapshot_free(&reader);
    tmpdir_remove(&tmp);
    return 0;
}

static void open_writer(const char *map_id)
{
    struct err err = ERR_INIT;
    if (snapshot_writer_open(run, map_id, &writer, &err) != 0)
        fail_msg("%s", err.text);
}

/* A map of `left` keys user<n>@example.org with epoch n + 1. */
struct numbers {
    size_t at, left;
    char key[64];
};

static int next_number(void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    struct numbers *n = arg;
    (void)err;
    if (n->left == 0)
        return 0;
    n->left--;
    if (fmt_into(n->key, sizeof n->key, "user%zu@example.org", n->at++) != 0)
        return -1;
    *key_out = slice_str(n->key);
    *e = (struct route_entry){.epoch = n->at, .when_s = 1, .route = SLICE_LIT("old")};
    return 1;
}

static void rebuild(size_t n, uint64_t generation)
{
    struct numbers numbers = {.left = n};
    struct snapshot_source source = {next_number, &numbers};
    struct err err = ERR_INIT;
    if (snapshot_writer_rebuild(writer, &source, n / 2, generation, &err) != 0)
        fail_msg("%s", err.text);
}

static struct snapshot_change change(const char *key, const char *route, uint64_t epoch)
{
    return (struct snapshot_change){.key = slice_str(key),
        .entry = {.epoch = epoch, .when_s = 2, .route = slice_str(route), .is_tombstone = !*route}};
}

static void stage(const struct snapshot_change *changes, size_t n, uint64_t generation)
{
    struct err err = ERR_INIT;
    if (snapshot_writer_stage(writer, changes, n, generation, &err) != 0)
        fail_msg("%s", err.text);
}

static struct route_store store;
static struct route_entry entry;

static enum route_answer look(const char *key)
{
    struct route_view view = snapshot_view(reader);
    view.expect(view.arg, route_key_hash(slice_str(key))); /* harmless whatever is mapped */
    return snapshot_get(reader, slice_str(key), &store, &entry);
}

static void assert_entry(const char *key, const char *route, uint64_t epoch)
{
    assert_int_equal(look(key), *route ? ROUTE_FOUND : ROUTE_NOT_FOUND);
    assert_int_equal(entry.epoch, epoch);
    assert_slice_equal(entry.route, route);
    assert_string_equal(snapshot_trouble(reader), "");
}

static void assert_unknown(const char *reason)
{
    assert_int_equal(look("user0@example.org"), ROUTE_UNKNOWN);
    assert_int_equal(entry.epoch, 0);
    if (!strstr(snapshot_trouble(reader), reason))
        fail_msg("'%s' instead of '%s'", snapshot_trouble(reader), reason);
}

static uint64_t sequence(void)
{
    struct snapshot_info info;
    assert_int_equal(snapshot_info(reader, &info), 0);
    return info.sequence;
}

static void test_life(void **state)
{
    struct snapshot_info info;
    struct snapshot_change c[3];
    (void)state;
    assert_unknown("no map has been published here");
    assert_int_equal(snapshot_info(reader, &info), -1);
    open_writer("map-1");
    assert_unknown("not valid until coexist-mapd runs");
    rebuild(100, 100);
    assert_unknown("not valid");
    snapshot_writer_publish(writer);
    assert_entry("user0@example.org", "old", 1);
    assert_entry("user99@example.org", "old", 100);
    assert_entry("user100@example.org", "", 0);
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_int_equal(info.keys, 100);
    assert_int_equal(info.generation, 100);
    assert_string_equal(info.map_id, "map-1");
    assert_in_range(info.bytes_used, 1, info.bytes_total);

    /* Staged is not visible, discarded never is, published is at once. */
    c[0] = change("user0@example.org", "new", 101);
    stage(c, 1, 101);
    assert_entry("user0@example.org", "old", 1);
    snapshot_writer_discard(writer);
    snapshot_writer_publish(writer);
    assert_entry("user0@example.org", "old", 1);
    c[1] = change("user1@example.org", "", 101);
    c[2] = change("extra@example.org", "new", 101);
    stage(c, 3, 101);
    snapshot_writer_publish(writer);
    assert_entry("user0@example.org", "new", 101);
    assert_entry("user1@example.org", "", 101); /* deleted: its epoch stays */
    assert_entry("extra@example.org", "new", 101);
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_int_equal(info.keys, 100);
    assert_int_equal(info.generation, 101);

    /* A writer that ends leaves the snapshot, the next one takes it over without a gap. */
    snapshot_writer_close(&writer);
    assert_entry("user0@example.org", "new", 101);
    open_writer("map-1");
    assert_entry("user0@example.org", "new", 101);
    rebuild(10, 102);
    assert_entry("user0@example.org", "new", 101);
    snapshot_writer_publish(writer);
    assert_entry("user0@example.org", "old", 1);
    assert_entry("extra@example.org", "", 0);

    uint64_t before = sequence();
    snapshot_writer_invalidate(writer);
    assert_unknown("not valid");
    rebuild(10, 103);
    snapshot_writer_publish(writer);
    assert_entry("user0@example.org", "old", 1);
    assert_true(sequence() > before); /* no number twice */

    /* Another map makes the old one invalid at once. */
    snapshot_writer_close(&writer);
    open_writer("map-2");
    assert_unknown("not valid");
}

/* The same key several times in one stage, and keys that land on one slot. */
static void test_stage_collisions(void **state)
{
    enum { N = 750 };
    static char keys[N][40];
    static struct snapshot_change c[N + 3];
    (void)state;
    open_writer("m");
    rebuild(1, 1);
    snapshot_writer_publish(writer);
    uint64_t before = sequence();
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(fmt_into(keys[i], sizeof keys[i], "k%zu@example.org", i), 0);
        c[i] = change(keys[i], "new", i + 10);
    }
    c[N] = change(keys[5], "", 2000);
    c[N + 1] = change(keys[5], "old", 2001);
    c[N + 2] = change("user0@example.org", "", 2002);
    stage(c, N + 3, 2002);
    snapshot_writer_publish(writer);
    assert_int_equal(sequence(), before); /* 751 of 1024 cells: 73 % is in place still */
    for (size_t i = 0; i < N; i++)
        assert_entry(keys[i], i == 5 ? "old" : "new", i == 5 ? 2001 : i + 10);
    assert_entry("user0@example.org", "", 2002);
    struct snapshot_info info;
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_int_equal(info.keys, N);

    /* The share of used cells passes its limit: a new file with everything in it. */
    static char more[40][40];
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(fmt_into(more[i], sizeof more[i], "m%zu@example.org", i), 0);
        c[i] = change(more[i], "new", 3000 + i);
    }
    stage(c, 40, 3040);
    snapshot_writer_publish(writer);
    assert_int_equal(sequence(), before + 1);
    assert_entry(keys[5], "old", 2001);
    assert_entry(keys[6], "new", 16);
    assert_entry("user0@example.org", "", 2002);
    assert_entry(more[39], "new", 3039);
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_int_equal(info.keys, N + 40);
}

static void test_in_place_limit(void **state)
{
    static char keys[SNAPSHOT_IN_PLACE_MAX + 1][40];
    static struct snapshot_change c[SNAPSHOT_IN_PLACE_MAX + 1];
    (void)state;
    open_writer("m");
    rebuild(5000, 1);
    snapshot_writer_publish(writer);
    for (size_t i = 0; i <= SNAPSHOT_IN_PLACE_MAX; i++)
        assert_int_equal(fmt_into(keys[i], sizeof keys[i], "user%zu@example.org", i), 0);
    for (size_t n = SNAPSHOT_IN_PLACE_MAX - 1; n <= SNAPSHOT_IN_PLACE_MAX + 1; n++) {
        uint64_t before = sequence();
        for (size_t i = 0; i < n; i++)
            c[i] = change(keys[i], "new", 10000 + n);
        stage(c, n, 10000 + n);
        assert_entry(keys[0], n == SNAPSHOT_IN_PLACE_MAX - 1 ? "old" : "new",
            n == SNAPSHOT_IN_PLACE_MAX - 1 ? 1 : 10000 + n - 1);
        snapshot_writer_publish(writer);
        assert_entry(keys[0], "new", 10000 + n);
        assert_entry(keys[n - 1], "new", 10000 + n);
        assert_entry("user4999@example.org", "old", 5000);
        assert_int_equal(sequence(), before + (n > SNAPSHOT_IN_PLACE_MAX));
    }
}

/* Flips of one user fill the arena with garbage until a new file leaves it behind. */
static void test_full_arena(void **state)
{
    (void)state;
    open_writer("m");
    rebuild(10, 10);
    snapshot_writer_publish(writer);
    uint64_t before = sequence(), epoch = 10;
    while (sequence() == before) {
        epoch++;
        struct snapshot_change c = change("user3@example.org", epoch % 2 ? "new" : "old", epoch);
        stage(&c, 1, epoch);
        snapshot_writer_publish(writer);
        assert_entry("user3@example.org", epoch % 2 ? "new" : "old", epoch);
    }
    assert_true(epoch > 10000);
    assert_entry("user4@example.org", "old", 5);
    struct snapshot_info info;
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_in_range(info.bytes_used, 1, 100000);
}

/* --- Damage ----------------------------------------------------------------------------- */

static void file_path(const char *name, char out[256])
{
    assert_int_equal(fmt_into(out, 256, "%s/%s", run, name), 0);
}

static void data_path(char out[256])
{
    char name[64];
    assert_int_equal(fmt_into(name, sizeof name, "map.%" PRIu64, sequence()), 0);
    file_path(name, out);
}

static void poke(const char *path, off_t at, int xor_with)
{
    unsigned char c;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (unsigned char)(c ^ xor_with);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

static size_t read_file(const char *path, void *out, size_t max)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, max);
    close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

/* A new file under that name: one that is mapped is never cut short. */
static void write_file(const char *path, const void *bytes, size_t n)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

/* A reader that comes when a file is damaged. */
static void assert_new_reader_unknown(const char *reason)
{
    snapshot_free(&reader);
    reader = snapshot_new(run);
    assert_unknown(reason);
}

static void test_damage(void **state)
{
    char ctl[256], data[256];
    (void)state;
    open_writer("m");
    rebuild(2000, 2000);
    snapshot_writer_publish(writer);
    file_path("map.ctl", ctl);
    data_path(data);

    static const struct {
        const char *name;
        off_t at;
        const char *reason;
    } bytes[] = {
        {"magic", 0, "not a snapshot"},
        {"version", 8, "another version"},
        {"sequence", 16, "is damaged"},
        {"cells", 24, "is damaged"},
        {"size", 40, "is damaged"},
        {"ids", 64, "is damaged"},
        {"check", 128, "is damaged"},
    };
    for (size_t i = 0; i < COUNT_OF(bytes); i++) {
        poke(data, bytes[i].at, 0x40);
        assert_new_reader_unknown(bytes[i].reason);
        poke(data, bytes[i].at, 0x40);
        assert_entry("user0@example.org", "old", 1); /* tried again at each look-up */
    }

    /* An entry, in its cell: the reader that is there already sees it too. */
    static unsigned char whole[4u << 20], copy[4u << 20];
    size_t n = read_file(data, whole, sizeof whole);
    struct snapshot_head head;
    memcpy(&head, whole, sizeof head);
    ptrdiff_t at = slice_search(slice_make(whole, n), SLICE_LIT("user0@example.org"));
    assert_true(at > 0);
    for (off_t i = at / SNAPSHOT_CELL_SIZE * SNAPSHOT_CELL_SIZE + 8; i < at + 17 + 8; i++) {
        poke(data, i, 1);
        assert_unknown("an entry is damaged");
        poke(data, i, 1);
        assert_entry("user0@example.org", "old", 1);
    }

    /* Files of another size, holes, nothing at all. */
    static const struct {
        const char *name;
        size_t cut; /* bytes from the end; whole file: no file */
        bool zero_cells;
        const char *reason;
    } files[] = {
        {"as it was", 0, false, NULL},
        {"a page less", SNAPSHOT_PAGE, false, "does not have its size"},
        {"a byte less", 1, false, "does not have its size"},
        {"cells zero", 0, true, "an entry is damaged"},
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        memcpy(copy, whole, n);
        if (files[i].zero_cells)
            memset(copy + SNAPSHOT_PAGE, 0, head.n_cells * SNAPSHOT_CELL_SIZE);
        write_file(data, copy, n - files[i].cut);
        if (files[i].reason)
            assert_new_reader_unknown(files[i].reason);
        else
            assert_entry("user0@example.org", "old", 1);
    }
    write_file(data, whole, SNAPSHOT_PAGE - 1);
    assert_new_reader_unknown("cut short");
    write_file(data, whole, 0);
    assert_new_reader_unknown("cut short");
    assert_int_equal(unlink(data), 0);
    assert_new_reader_unknown("No such file");
    assert_int_equal(mkdir(data, 0700), 0);
    assert_new_reader_unknown("cut short");
    assert_int_equal(rmdir(data), 0);
    write_file(data, whole, n);
    assert_entry("user0@example.org", "old", 1);

    /* The control file. */
    static unsigned char page[SNAPSHOT_PAGE + 1];
    assert_int_equal(read_file(ctl, page, sizeof page), SNAPSHOT_PAGE);
    write_file(ctl, page, SNAPSHOT_PAGE - 1);
    assert_new_reader_unknown("the control file is cut short");
    write_file(ctl, page, SNAPSHOT_PAGE + 1);
    assert_new_reader_unknown("not a control file");
    write_file(ctl, page, SNAPSHOT_PAGE);
    poke(ctl, 0, 1);
    assert_new_reader_unknown("not a control file");
    poke(ctl, 0, 1);
    poke(ctl, offsetof(struct snapshot_ctl, ids), 1);
    assert_new_reader_unknown("before this machine was started");
    poke(ctl, offsetof(struct snapshot_ctl, ids), 1);
    poke(ctl, offsetof(struct snapshot_ctl, ids) + BOOT_ID_SIZE, 1);
    assert_new_reader_unknown("belongs to another map");
    poke(ctl, offsetof(struct snapshot_ctl, ids) + BOOT_ID_SIZE, 1);
    assert_entry("user0@example.org", "old", 1);
}

/* Whoever removes the control file and starts anew: the reader finds the new one by its path. */
static void test_replaced_control(void **state)
{
    char ctl[256];
    struct err err = ERR_INIT;
    (void)state;
    open_writer("m");
    rebuild(10, 10);
    snapshot_writer_publish(writer);
    assert_entry("user3@example.org", "old", 4);
    file_path("map.ctl", ctl);
    assert_int_equal(unlink(ctl), 0);
    snapshot_check_path(reader);
    assert_unknown("no map has been published here");

    struct snapshot_change c = change("user3@example.org", "new", 11);
    assert_int_equal(snapshot_writer_stage(writer, &c, 1, 11, &err), -1);
    assert_non_null(strstr(err.text, "removed or replaced"));

    snapshot_writer_close(&writer);
    open_writer("m");
    rebuild(10, 10);
    snapshot_writer_publish(writer);
    stage(&c, 1, 11);
    snapshot_writer_publish(writer);
    assert_entry("user3@example.org", "new", 11);
}

static void test_one_writer(void **state)
{
    struct snapshot_writer *second = NULL;
    struct err err = ERR_INIT;
    (void)state;
    open_writer("m");
    assert_int_equal(snapshot_writer_open(run, "m", &second, &err), -1);
    assert_int_equal(err.class, ERR_TEMP);
    assert_non_null(strstr(err.text, "is locked"));
    assert_null(second);
    err_clear(&err);
    struct snapshot_change c = change("a@example.org", "new", 1);
    assert_int_equal(snapshot_writer_stage(writer, &c, 1, 1, &err), -1); /* nothing built yet */
    assert_int_equal(err.class, ERR_BUG);
    snapshot_writer_close(&writer);
    err_clear(&err);
    assert_int_equal(snapshot_writer_open(run, "", &second, &err), -1);
    assert_int_equal(
        snapshot_writer_open(run, "0123456789012345678901234567890123456789", &second, &err), -1);
    open_writer("012345678901234567890123456789012345678");
}

static void test_leftovers(void **state)
{
    char path[256];
    (void)state;
    open_writer("m");
    rebuild(10, 10);
    snapshot_writer_publish(writer);
    snapshot_writer_close(&writer);
    /* As after a kill between the creation of the next file and the move of the control word. */
    file_path("map.2", path);
    write_file(path, "garbage", 7);
    file_path("map.77", path);
    write_file(path, "garbage", 7);
    assert_entry("user0@example.org", "old", 1);
    open_writer("m");
    assert_int_equal(access(path, F_OK), -1);
    file_path("map.2", path);
    assert_int_equal(access(path, F_OK), -1);
    write_file(path, "garbage", 7);
    rebuild(5, 11);
    snapshot_writer_publish(writer);
    assert_int_equal(sequence(), 2);
    assert_entry("user4@example.org", "old", 5);
    file_path("map.1", path);
    assert_int_equal(access(path, F_OK), -1);
    /* A build that is thrown away leaves nothing. */
    rebuild(5, 12);
    snapshot_writer_discard(writer);
    file_path("map.3", path);
    assert_int_equal(access(path, F_OK), -1);
}

/* A writer that is opened again leaves what is published to readers that come before it rebuilds.
 */
static void test_opened_again(void **state)
{
    struct decide_key absent = {.text = "nobody@example.org"};
    (void)state;
    absent.n = strlen(absent.text);
    absent.hash = route_key_hash(slice_str(absent.text));
    open_writer("m");
    rebuild(10, 10);
    snapshot_writer_publish(writer);
    snapshot_writer_close(&writer);
    open_writer("m");
    snapshot_free(&reader);
    reader = snapshot_new(run);
    assert_entry("user0@example.org", "old", 1);
    /* A key without an entry has the epoch 0, one of which nothing is known has none. */
    assert_true(snapshot_has_epoch(reader, &absent));
    snapshot_writer_invalidate(writer);
    assert_false(snapshot_has_epoch(reader, &absent));
}

static int next_tombstone(void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    int rc = next_number(arg, key_out, e, err);
    struct numbers *n = arg;
    if (rc == 1 && n->at % 2 == 0)
        *e = (struct route_entry){.epoch = n->at, .when_s = 1, .is_tombstone = true};
    return rc;
}

/* Live keys are counted: in a new file with deleted ones, and in one that many changes make. */
static void test_count(void **state)
{
    static char keys[SNAPSHOT_IN_PLACE_MAX + 1][40];
    static struct snapshot_change c[SNAPSHOT_IN_PLACE_MAX + 1];
    struct numbers numbers = {.left = 2000};
    struct snapshot_source source = {next_tombstone, &numbers};
    struct snapshot_info info;
    struct err err = ERR_INIT;
    (void)state;
    open_writer("m");
    assert_int_equal(snapshot_writer_rebuild(writer, &source, 2000, 1, &err), 0);
    snapshot_writer_publish(writer);
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_int_equal(info.keys, 1000);
    assert_int_equal(info.generation, 1);
    /* Of 1001 keys every second one is there already; one of them is deleted. */
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        assert_int_equal(fmt_into(keys[i], sizeof keys[i], "user%zu@example.org", i), 0);
        c[i] = change(keys[i], i == 0 ? "" : "new", 3000 + i);
    }
    stage(c, COUNT_OF(c), 2);
    snapshot_writer_publish(writer);
    assert_int_equal(snapshot_info(reader, &info), 0);
    assert_int_equal(info.keys, 1000 + 500 - 1);
    assert_int_equal(info.generation, 2);
}

/* No room: the error comes when staging, and what is published stays. */
static void test_no_room(void **state)
{
    struct rlimit old, small;
    struct err err = ERR_INIT;
    static struct snapshot_change c[SNAPSHOT_IN_PLACE_MAX + 1];
    static char keys[SNAPSHOT_IN_PLACE_MAX + 1][40];
    (void)state;
    open_writer("m");
    rebuild(10, 10);
    snapshot_writer_publish(writer);
    for (size_t i = 0; i <= SNAPSHOT_IN_PLACE_MAX; i++) {
        assert_int_equal(fmt_into(keys[i], sizeof keys[i], "n%zu@example.org", i), 0);
        c[i] = change(keys[i], "new", 11);
    }
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = snapshot_writer_stage(writer, c, SNAPSHOT_IN_PLACE_MAX + 1, 11, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err.text, "no room"));
    snapshot_writer_publish(writer);
    assert_entry("user0@example.org", "old", 1);
    assert_entry("n0@example.org", "", 0);
    stage(c, SNAPSHOT_IN_PLACE_MAX + 1, 11);
    snapshot_writer_publish(writer);
    assert_entry("n0@example.org", "new", 11);
    assert_entry("user0@example.org", "old", 1);

    /* What cannot be encoded is refused, alone or among others. */
    err_clear(&err);
    c[1] = change("bad@example.org", "a\nb", 12);
    assert_int_equal(snapshot_writer_stage(writer, c, 2, 12, &err), -1);
    assert_non_null(strstr(err.text, "bad@example.org"));
    snapshot_writer_publish(writer);
    assert_entry("bad@example.org", "", 0);
}

/* Random work beside a plain table that says what must come out. */
static void test_against_table(void **state)
{
    enum { KEYS = 3000, ROUNDS = 400 };
    static char keys[KEYS][40];
    static uint64_t epochs[KEYS];
    static const char *routes[KEYS];
    static struct snapshot_change c[KEYS];
    static size_t picked[KEYS];
    uint64_t r = 7, epoch = 0;
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(fmt_into(keys[i], sizeof keys[i], "u%zu@example.org", i), 0);
        routes[i] = "";
    }
    open_writer("m");
    rebuild(0, 0);
    snapshot_writer_publish(writer);
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t n = 0, want = round % 40 == 39 ? 1500 : (size_t)(r >> 40) % 50;
        while (n < want) {
            r = r * 6364136223846793005u + 1442695040888963407u;
            size_t i = (size_t)(r >> 33) % KEYS;
            static const char *const names[] = {"", "old", "new", "third"};
            picked[n] = i;
            c[n++] = change(keys[i], names[(r >> 20) % 4], ++epoch);
        }
        stage(c, n, epoch);
        if (r >> 60 == 3) {
            snapshot_writer_discard(writer);
            continue;
        }
        snapshot_writer_publish(writer);
        for (size_t k = 0; k < n; k++) {
            size_t i = picked[k];
            epochs[i] = c[k].entry.epoch;
            routes[i] = c[k].entry.is_tombstone ? "" : (const char *)c[k].entry.route.p;
        }
        for (size_t i = round % 10; i < KEYS; i += 10)
            assert_entry(keys[i], routes[i], epochs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stage_collisions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_place_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_arena, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replaced_control, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opened_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_against_table, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
